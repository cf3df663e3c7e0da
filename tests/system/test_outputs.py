"""What jobs write comes home: while they run, when they are over, and whatever was killed in between."""

import contextlib
import os
import signal
import socket
import subprocess
import threading

import htcondor2

from tests.system.house import COMMANDS, Living
from tests.system.load import Load

TALKS = '''#!/bin/sh
echo first; echo begun > "$SAID"; read -r _ < "$GATE"
echo second; echo again > "$SAID"; read -r _ < "$GATE"
echo third
'''


def test_a_followed_output_goes_on_across_a_restart_of_the_schedd_without_a_gap(house):
    house.start("--cpus", "1")
    said, gate = house.pipe("said"), house.pipe("gate")
    house.write("talks.sh", TALKS)
    cluster = house.submit(f'executable = talks.sh\nenvironment = "SAID={said.path} GATE={gate.path}"\nqueue\n')
    said.line()
    tail = house.begin(COMMANDS / "pesc_tail", "-f", f"{cluster}.0", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert tail.stdout.readline() == b"first\n"
    house.daemon("schedd").kill()
    gate.let(1)
    said.line()
    house.start()
    assert tail.stdout.readline() == b"second\n"
    house.daemon("startd").kill()
    house.start()
    gate.let(1)
    assert tail.stdout.read() == b"third\n"
    assert tail.wait() == 0
    assert house.do("tail", f"{cluster}.0") == "first\nsecond\nthird\n"


def test_a_killed_fetch_goes_on_where_it_stopped(pool):
    pool.write("large.py", "import os, random\n"
               "with open(os.environ['PESC_OUTPUT_DIR'] + '/large', 'wb') as file:\n"
               "    file.write(random.Random(1).randbytes(24 << 20))\n")
    pool.write("large.pesc", "process = large.py\nrepetitions = 1\n")
    cluster = pool.ask("submit", "large.pesc")["cluster"]
    pool.wait(cluster)
    with Valve(pool, at_most=16 << 20) as valve:
        fetch = pool.begin(COMMANDS / "pesc_fetch", cluster, "--pool", valve.url,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        valve.full.wait()
        fetch.kill()
        fetch.wait()
    assert not (pool.folder / f"pesc-{cluster}/rank-0/large").exists()
    with Valve(pool, at_most=1 << 40) as valve:
        answer = pool.ask("fetch", cluster, "--pool", valve.url)
        assert valve.passed < 20 << 20, "it was sent again from the beginning"
    assert answer["files"] >= 1 and not answer["failures"]
    assert (pool.folder / f"pesc-{cluster}/rank-0/large").stat().st_size == 24 << 20
    assert sorted(os.listdir(pool.folder / f"pesc-{cluster}/rank-0")) == ["large", "stderr", "stdout"]
    assert pool.ask("fetch", cluster)["files"] == 0


class Valve:
    """A way to the schedd that lets only so many bytes of its answers through."""

    def __init__(self, pool, at_most):
        self.passed, self.full = 0, threading.Event()
        self._at_most = at_most
        self._target = pool.state / "run/schedd.sock"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open = [self._listener]
        self._threads = []

    def __enter__(self):
        self._spawn(self._accept)
        return self

    def __exit__(self, *_):
        for end in self._open:
            # Only a shutdown wakes whoever waits in accept or recv.
            end.close() if end is not self._listener else end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _spawn(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(self._target))
            self._spawn(self._pass, near, far, False)
            self._spawn(self._pass, far, near, True)

    def _pass(self, source, target, counted):
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                if counted:
                    self.passed += len(piece)
                    if self.passed > self._at_most:
                        self.full.set()
                        break
                target.sendall(piece)
        if not (counted and self.full.is_set()):
            for end in (source, target):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()


def blocks(path):
    """The events of a user log by job, as HTCondor's own reader reads them."""
    found = {}
    for event in htcondor2.JobEventLog(str(path)).events(stop_after=0):
        found.setdefault(event.proc, []).append(event.type.name)
    return found


def test_the_user_log_has_each_block_once_whatever_was_killed(house):
    house.start("--cpus", "4")
    load = Load(house, 40, extra="log = jobs.log")
    load.gate.let(20)
    load.begun(15)
    schedd, startd = house.daemon("schedd"), house.daemon("startd")
    schedd.send(signal.SIGSTOP)
    startd.kill()
    schedd.kill()
    house.start()
    load.finish()
    load.check()
    log = house.folder / "jobs.log"
    house.stop()                      # the schedd writes after it has answered; now all is there
    found = blocks(log)
    assert sorted(found) == list(range(40))
    for proc, kinds in found.items():
        once = [kind for kind in kinds if kind in ("SUBMIT", "EXECUTE", "JOB_TERMINATED")]
        assert once == ["SUBMIT", "EXECUTE", "JOB_TERMINATED"], (proc, kinds)
        assert kinds.count("JOB_DISCONNECTED") == kinds.count("JOB_RECONNECTED"), kinds
    assert log.read_text().count("Job terminated.") == 40


def test_the_user_log_tells_of_holds_releases_and_removals(house):
    house.start("--cpus", "2")
    load = Load(house, 2, extra="log = jobs.log")
    processes = dict(load.begun(2))
    held = Living(processes[0])
    house.ask("hold", f"{load.cluster}.0", "-reason", "look\n005 (001.001.000) forged\n...")
    held.ended()
    house.ask("rm", f"{load.cluster}.1")
    house.ask("release", f"{load.cluster}.0")
    load.finish()
    house.stop()
    found = blocks(house.folder / "jobs.log")
    assert [kind for kind in found[0] if kind != "IMAGE_SIZE"] == [
        "SUBMIT", "EXECUTE", "JOB_HELD", "JOB_RELEASED", "EXECUTE", "JOB_TERMINATED"]
    assert [kind for kind in found[1] if kind != "IMAGE_SIZE"] == ["SUBMIT", "EXECUTE", "JOB_ABORTED"]


def test_output_and_error_are_delivered_where_the_submit_file_says_even_after_a_kill(house):
    house.start("--cpus", "2")
    load = Load(house, 6, extra="output = results/$(Process).out\nerror = $(Process).err\n",
                script='echo "complaint $PESC_RANK" >&2\n')
    (house.folder / "results").mkdir(exist_ok=True)
    load.gate.let(3)
    load.begun(4)
    house.daemon("schedd").kill()
    house.start()
    load.finish()
    house.stop()
    assert {path.name: path.read_text() for path in (house.folder / "results").iterdir()} == {
        f"{rank}.out": f"rank {rank}\n" for rank in range(6)}
    assert [(house.folder / f"{rank}.err").read_text() for rank in range(6)] == [
        f"complaint {rank}\n" for rank in range(6)]


def test_who_waits_is_told_that_the_schedd_is_away_and_sees_the_end_all_the_same(house):
    house.start("--cpus", "1")
    load = Load(house, 2)
    load.begun(1)
    wait = house.begin(COMMANDS / "pesc_wait", load.cluster, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert b"0%" in wait.stderr.readline()
    house.daemon("schedd").kill()
    assert b"does not answer; the jobs go on" in wait.stderr.readline()
    house.start()
    load.finish()
    assert wait.wait() == 0
    assert b"2 jobs completed" in wait.stdout.read()


def test_ctrl_c_leaves_the_jobs_running_and_says_how_to_come_back(house):
    house.start("--cpus", "1")
    said, gate = house.pipe("said"), house.pipe("gate")
    house.write("talks.sh", TALKS)
    house.write("talks.sub", f'executable = talks.sh\nenvironment = "SAID={said.path} GATE={gate.path}"\nqueue\n')
    submit = house.begin(COMMANDS / "pesc_submit", "talks.sub", "--wait", stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    said.line()
    submit.stderr.readline()
    submit.send_signal(signal.SIGINT)
    err = submit.stderr.read().decode()
    assert submit.wait() == 130 and "pesc_wait 1" in err and "pesc_fetch 1" in err and "Traceback" not in err
    gate.let(2)
    house.wait(1)
    assert house.ask("fetch", 1)["ranks"] == 1
