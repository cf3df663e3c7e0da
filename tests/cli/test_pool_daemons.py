"""pesc_pool with real daemons: up, killed, up again, down."""

import json
import os
import signal
import subprocess
import sys

import pytest


class Pool:
    """pesc_pool as a user calls it, in a state directory of its own."""

    def __init__(self, state):
        self.state = state
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("PESC_")}

    def begin(self, *arguments):
        code = "import sys; from cli.pool import main; sys.exit(main())"
        return subprocess.Popen([sys.executable, "-c", code, *arguments, "--state", str(self.state)], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment)

    def __call__(self, *arguments):
        child = self.begin(*arguments)
        out, err = child.communicate()
        return child.returncode, out, err

    def daemons(self):
        return {daemon["name"]: daemon for daemon in json.loads(self("status", "--json")[1])["daemons"]}


@pytest.fixture
def pool(tmp_path):
    pool = Pool(tmp_path / "state")
    yield pool
    pool("stop")


def kill(daemon):
    pidfd = os.pidfd_open(daemon["pid"])
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)


def test_a_pool_comes_up_once_comes_back_as_it_was_and_goes_down(pool):
    code, out, err = pool("start", "--startds", "2", "--cpus", "3", "--runtime", "process")
    assert (code, err) == (0, "") and "The pool is ready" in out and "without a container" in out
    assert oct(pool.state.stat().st_mode)[-3:] == "700"
    before = pool.daemons()
    assert len(before) == 3 and all(daemon["alive"] for daemon in before.values())

    code, out, _ = pool("start")
    assert code == 0 and "runs already" in out
    assert {name: daemon["pid"] for name, daemon in pool.daemons().items()} == {
        name: daemon["pid"] for name, daemon in before.items()}

    kill(before["schedd"])
    name = next(name for name in before if name != "schedd")
    kill(before[name])
    code, _, err = pool("status")
    assert code == 1 and "Not running: schedd, startd" in err and "pesc_pool start" in err

    # Two at once: the work is done once.
    both = [pool.begin("start", "--runtime", "process"), pool.begin("start", "--runtime", "process")]
    answers = [(child.communicate(), child.returncode) for child in both]
    assert [code for _, code in answers] == [0, 0], answers
    assert sorted("is ready" in out for (out, _), _ in answers) == [False, True]
    after = pool.daemons()
    assert after.keys() == before.keys() and all(daemon["alive"] for daemon in after.values())
    untouched = set(before) - {"schedd", name}
    assert {other: after[other]["pid"] for other in untouched} == {other: before[other]["pid"] for other in untouched}

    code, out, _ = pool("stop")
    assert code == 0 and out.startswith("Stopped: schedd, startd")
    assert not any(daemon["alive"] for daemon in pool.daemons().values())
    assert "No pool runs" in pool("stop")[1]


def test_a_daemon_that_cannot_start_is_told_with_the_end_of_its_log(pool):
    pool.state.mkdir()
    (pool.state / "schedd").write_text("a file in the place of the folder")
    code, _, err = pool("start", "--runtime", "process")
    assert code == 1
    assert "The schedd ended while it was starting" in err and "schedd.log" in err and "    | " in err
