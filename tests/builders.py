"""The smallest valid thing of each kind; a test states only what it cares about.

    from tests.builders import a_program
    a_program(arguments=["--seed", "1"])
"""

import hashlib
import itertools

from contract.endpoints import Role
from contract.messages import (
    Amounts,
    Beat,
    Content,
    Ended,
    GpuPart,
    Grant,
    HeldRun,
    Hello,
    OutputFile,
    Program,
    Progressed,
    RunEnd,
    Stop,
)
from contract.requests import Action, Event, Selection, Submission
from contract.tokens import Claims
from contract.vocabulary import PROTOCOL, VERSION, EndReason, JobStatus, Phase, RunId
from schedd.core.actions import act
from schedd.core.ends import on_ended
from schedd.core.leases import tick
from schedd.core.matching import match
from schedd.core.pool import Pool, Settings
from schedd.core.runs import on_beat, on_gone, on_hello, on_progressed
from schedd.core.submission import submit

NOON = 1_795_262_400.0
"""2026-11-21 12:00 UTC: some instant that tests agree on."""


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def a_content(raw: bytes = b"", **changes) -> Content:
    return Content(**{"sha256": sha256(raw), "size": len(raw)} | changes)


def an_output(path="output.txt", raw: bytes = b"", **changes) -> OutputFile:
    return OutputFile(**{"path": path, "sha256": sha256(raw), "size": len(raw)} | changes)


def a_run(cluster=1, proc=0, attempt=1) -> RunId:
    return RunId(cluster, proc, attempt)


def amounts(cpus=1.0, memory_mib=128, disk_kib=1024, gpus=()) -> Amounts:
    return Amounts(cpus, memory_mib, disk_kib, gpus)


def a_gpu(name="GPU-1", memory_mib=7_000, shared=True) -> GpuPart:
    """What a machine offers of a device: 70 per cent of a card of 10,000 MiB."""
    return GpuPart(name, memory_mib, shared)


def gpu_ads(*gpus, **changes):
    """The attributes with which a machine describes its GPUs; `changes` by name of the device."""
    texts = {}
    for gpu in gpus:
        said = {"Capability": 8.0, "GlobalMemoryMb": 10_000} | changes.get(gpu.device.replace("-", "_"), {})
        fields = "; ".join(f"{name} = {value}" for name, value in {"Id": f'"{gpu.device}"', **said}.items())
        texts["GPUs_" + gpu.device.replace("-", "_")] = f"[ {fields} ]"
    return {"GPUs": str(len(gpus)), "AvailableGPUs": "{ " + ", ".join(texts) + " }", **texts}


def a_program(**changes) -> Program:
    return Program(**{"command": "/bin/true"} | changes)


def a_grant(**changes) -> Grant:
    return Grant(**{"run": a_run(), "claim": amounts(), "program": a_program(), "ad": {}, "owner": "dana"} | changes)


def a_run_end(**changes) -> RunEnd:
    return RunEnd(**{"reason": EndReason.EXITED, "exit_code": 0} | changes)


def an_ended(**changes) -> Ended:
    return Ended(**{"run": a_run(), "end": a_run_end()} | changes)


def a_hello(**changes) -> Hello:
    return Hello(**{
        "name": "lab-7", "identity": "lab-7's own", "protocol": PROTOCOL, "version": VERSION,
        "amounts": amounts(cpus=8.0, memory_mib=16_384, disk_kib=1 << 20), "ad": {}, "runs": [],
    } | changes)


def a_submission(**changes) -> Submission:
    return Submission(**{"count": 1, "template": {"Cmd": '"/bin/true"'}} | changes)


def an_event(**changes) -> Event:
    return Event(**{"id": 1, "at": NOON, "cluster": 1, "proc": 0, "kind": "submitted"} | changes)


def claims(**changes) -> Claims:
    return Claims(**{"user": "dana", "pool": "lab", "roles": [Role.USER], "expires_at": NOON + 3600} | changes)


class Lab:
    """A whole schedd's core with a clock of its own: events go in, what it says is looked at.

        lab = Lab()
        lab.submit(count=10)
        link = lab.connect("lab-7", cpus=2)
        assert lab.granted(link) == [a_run(1, 0), a_run(1, 1)]
    """

    def __init__(self, **settings):
        self.pool = Pool("lab", Settings(**settings))
        self.now = NOON
        self.events, self.history, self.deliveries = [], [], []
        self.outcomes = []
        """Everything that was to be saved, in order."""
        self._links = itertools.count(1)
        self._said = {}

    def do(self, step, *args):
        """Apply one event as the loop does, and match."""
        answer = step(self.pool, self.now, *args)
        self.settle()
        return answer

    def settle(self):
        if self.pool.filing.wanted:
            match(self.pool, self.now)
        outcome = self.pool.take_outcome()
        self.saw(outcome)
        self.events += outcome.events
        self.history += outcome.history
        self.deliveries += outcome.deliveries
        for link, message in outcome.sends:
            self._said.setdefault(link, []).append(message)

    def saw(self, outcome):
        """For those who keep what is to be saved."""

    def after(self, seconds):
        self.now += seconds
        return self.do(tick)

    # What people do.

    def submit(self, owner="dana", count=1, delivers=False, template=None, **changes):
        """Queue `count` jobs; return the number of the cluster."""
        wanted = {"Cmd": '"/bin/true"', "Requirements": "true", "RequestCpus": "1"} | (template or {})
        changes = {"steps": 1 if "items" in changes else count} | changes
        submission = Submission(**{"count": count, "template": wanted} | changes)
        return self.do(submit, owner, "desk", delivers, submission).cluster

    def act(self, what, *ids, user="dana", all_users=False, reason="", priority=0, **selection):
        action = Action(what, Selection(ids=list(ids), **selection), reason, priority)
        return self.do(act, user, all_users, action)

    # What startds say.

    def connect(self, name="lab-7", cpus=8.0, memory_mib=16_384, disk_kib=1 << 20, ad=None, runs=(), gpus=(),
                **changes):
        """Let a startd say hello through a new link; return the link."""
        link = next(self._links)
        held = [HeldRun(*run) for run in runs]
        described = gpu_ads(*gpus) if gpus else {}
        hello = a_hello(**{"name": name, "identity": f"{name}'s own", "ad": described | (ad or {}), "runs": held,
                           "amounts": Amounts(float(cpus), memory_mib, disk_kib, tuple(gpus))} | changes)
        self.do(on_hello, link, hello)
        return link

    def beat(self, link, *runs):
        self.do(on_beat, link, Beat([HeldRun(*run) for run in runs]))

    def gone(self, link):
        self.do(on_gone, link)

    def start(self, link, run):
        self.progress(link, run, Phase.RUNNING)

    def progress(self, link, run, phase, halts=0, why=""):
        self.do(on_progressed, link, Progressed(run, phase, halts, why))

    def end(self, link, run, reason=EndReason.EXITED, blobs=None, **end):
        if reason is EndReason.EXITED and "signal" not in end:
            end = {"exit_code": 0} | end
        self.do(on_ended, link, Ended(run, RunEnd(reason, **end), blobs or {}))

    # What can be seen.

    def said(self, link):
        """What the startd behind `link` was told since the last look."""
        return self._said.pop(link, [])

    def granted(self, link):
        return [message.run for message in self.said(link) if type(message) is Grant]

    def stopped(self, link):
        return [message.run for message in self.said(link) if type(message) is Stop]

    def job(self, cluster, proc=0):
        """The row of a job, in the queue or in the history."""
        row = self.pool.job(cluster, proc)
        return row or next((e.job for e in self.history if e.job.cluster == cluster and e.job.proc == proc), None)

    def status(self, cluster, proc=0):
        """Its status, whether it is a row or not."""
        job = self.job(cluster, proc)
        if job is not None:
            return JobStatus(job.status)
        for ended in self.history:
            if ended.job.cluster == cluster and ended.job.proc <= proc <= ended.last_proc:
                return JobStatus(ended.job.status)
        assert self.pool.clusters[cluster].in_rest(proc)
        return JobStatus(self.pool.clusters[cluster].state.rest_status)

    def kinds(self, cluster=1, proc=None):
        """The kinds of the events so far, in order."""
        return [e.kind for e in self.events if e.cluster == cluster and proc in (None, e.proc)]

    def counts(self, cluster):
        """The counts that are not zero."""
        counts = self.pool.clusters[cluster].state.counts
        return {name: number for name in counts.__struct_fields__ if (number := getattr(counts, name))}


def claimed(pool, machine):
    """What the runs of the queue hold on `machine`, worked out from the jobs (for checks)."""
    runs = [
        job.run
        for cluster in pool.clusters.values()
        for job in cluster.jobs.values()
        if job.run is not None and job.run.machine == machine.name and not job.run.queued
    ]
    return Amounts(
        sum(run.claim.cpus for run in runs),
        sum(run.claim.memory_mib for run in runs),
        sum(run.claim.disk_kib for run in runs),
    )
