"""The schedd is killed in the middle of it and started again: what was acknowledged is there, once."""

import os
import signal
from collections import Counter

import pytest

os.environ["CONDOR_CONFIG"] = "/dev/null"
import htcondor2
import websockets.exceptions

from contract.messages import Acknowledge, Ended, Grant, HeldRun, Progressed
from contract.problems import Problem
from contract.requests import Queue
from contract.vocabulary import Phase
from tests.builders import a_run_end, an_output, sha256


def test_acknowledged_clusters_are_there_after_a_kill(own_schedd, submit):
    for _ in range(3):
        before = own_schedd.owner.call("GET", "/v1/queue", Queue)
        numbers = [submit(own_schedd.owner, count) for count in (1, 7, 1_000_000)]
        own_schedd.kill()
        own_schedd.start()
        queue = own_schedd.owner.call("GET", "/v1/queue", Queue)
        assert [batch.cluster for batch in queue.batches] == [batch.cluster for batch in before.batches] + numbers
        assert queue.totals.idle == before.totals.idle + 1_000_008
        assert submit(own_schedd.owner) > max(numbers)


def test_what_was_done_to_jobs_is_there_after_a_kill(own_schedd, submit, act):
    number = submit(own_schedd.owner, 10)
    act(own_schedd.owner, "hold", f"{number}.3", reason="lunch")
    act(own_schedd.owner, "remove", f"{number}.4")
    act(own_schedd.owner, "priority", f"{number}.5", priority=7)
    own_schedd.kill()
    own_schedd.start()
    shown = "ProcId,JobStatus,JobPrio,HoldReason"
    ads = own_schedd.owner.call("GET", "/v1/jobs", list, id=str(number), attributes=shown)
    assert ads[3] == {"ProcId": 3, "JobStatus": 5, "JobPrio": 0, "HoldReason": "lunch"}
    assert ads[4] == {"ProcId": 5, "JobStatus": 1, "JobPrio": 7}
    [gone] = own_schedd.owner.call("GET", "/v1/history", list, id=str(number), attributes="ProcId")
    assert gone == {"ProcId": 4}


def test_events_go_on_where_they_were(own_schedd, submit):
    submit(own_schedd.owner)
    own_schedd.kill()
    own_schedd.start()
    submit(own_schedd.owner)
    stream = own_schedd.owner.events("/v1/events", since=0)
    assert [int(next(stream).id) for _ in range(2)] == [1, 2]
    stream.close()


def test_a_second_schedd_of_the_same_state_is_refused(own_schedd):
    second = type(own_schedd)(own_schedd.places.state)
    with pytest.raises(AssertionError, match="Another schedd runs already"):
        second.start()
    assert own_schedd.owner.call("GET", "/v1/version", dict)["pool"]


def test_a_schedd_that_is_told_to_stop_stops_cleanly(own_schedd, submit):
    submit(own_schedd.owner, 3)
    startd = own_schedd.startd().welcome()
    startd.hears(Grant)
    assert own_schedd.end(signal.SIGTERM) == 0
    assert not own_schedd.places.socket.exists()
    with pytest.raises(websockets.exceptions.ConnectionClosed):
        startd.websocket.recv(20)


JOBS = 30


class Machine:
    """A startd that keeps the ends of its runs until they are acknowledged, over any number of connections."""

    def __init__(self):
        self.ends = {}

    def connect(self, schedd):
        held = [HeldRun(run, Phase.ENDED) for run in self.ends]
        self.startd = schedd.startd(name="lab-7", identity="mine", runs=held).welcome()
        self.startd.says(*(ended for ended in self.ends.values()))

    def work(self, most):
        """Run what is granted until `most` ends are acknowledged."""
        for _ in range(most):
            grant = self.startd.hears(Grant)
            out = f"rank {grant.program.rank}\n".encode()
            self.startd.says(Progressed(grant.run, Phase.RUNNING))
            ended = Ended(grant.run, a_run_end(wall_seconds=60.0, stdout=an_output("stdout", out)), {sha256(out): out})
            self.ends[grant.run] = ended
            self.startd.says(ended)
            for run in self.startd.hears(Acknowledge).runs:
                self.ends.pop(run, None)


def test_logs_and_outputs_are_complete_and_not_doubled_after_kills_at_any_moment(own_schedd, submit, tmp_path, until):
    """Each kill comes right after an acknowledgement: log and outputs of the last jobs are still to be written."""
    own = own_schedd
    number = submit(own.owner, JOBS, {
        "Iwd": f'"{tmp_path}"', "UserLog": f'"{tmp_path}/job.log"', "RequestCpus": "4", "Arguments": '"x"',
    }, varying={"output": "out.$(Process)"})
    machine, left = Machine(), JOBS
    while left:
        machine.connect(own)
        machine.work(min(left, 7))
        left -= min(left, 7)
        own.kill()
        own.start()
    assert own.owner.call("GET", f"/v1/clusters/{number}", dict)["jobs"]["completed"] == JOBS
    until(own, lambda: all((tmp_path / f"out.{proc}").exists() for proc in range(JOBS)))
    until(own, lambda: all((tmp_path / f"out.{p}").read_text() == f"rank {p}\n" for p in range(JOBS)))
    events = htcondor2.JobEventLog(str(tmp_path / "job.log")).events(stop_after=0)
    found = Counter((int(event.type), event.proc) for event in events)
    assert {proc for kind, proc in found if kind == 5} == set(range(JOBS))
    assert {proc for kind, proc in found if kind == 0} == set(range(JOBS))
    assert not {key: times for key, times in found.items() if times > 1 and key[0] in (0, 5)}


def test_a_pool_that_is_away_is_said_to_be_away(own_schedd):
    client = own_schedd.owner
    own_schedd.kill()
    with pytest.raises(Problem) as problem:
        client.call("GET", "/v1/queue", Queue)
    assert problem.value.code == "pool_stopped"
