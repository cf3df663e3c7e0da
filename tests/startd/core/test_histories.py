"""Properties of the startd's core over random histories, with restarts at any moment."""

from hypothesis import given, settings
from hypothesis import strategies as st

from contract.messages import Acknowledge, Amounts, Ended, Stop, Welcome
from contract.vocabulary import EndReason, Phase
from startd.core.events import (
    Begun,
    Collect,
    Collected,
    Connected,
    Disconnected,
    Fetch,
    Fetched,
    Found,
    GpuUsage,
    Heard,
    LeaveAsked,
    MachineSeen,
    NotBegun,
    NotFetched,
    Over,
    OwnerSeen,
    Record,
    Start,
    Tick,
    Usage,
)
from startd.core.ladder import Policy, Reading
from startd.core.startd import StartdCore
from tests.builders import a_content, a_gpu, a_grant, a_program, a_run, amounts

QUICK = Policy(freeze_after_seconds=4.0, leave_after_seconds=4.0, resume_after_seconds=6.0, start_after_seconds=8.0)
GPUS = (a_gpu("GPU-1", 100), a_gpu("GPU-2", 100))
OFFERED = Amounts(3.0, 4096, 1 << 20, GPUS)
RUNS = [a_run(1, proc, attempt) for proc in range(3) for attempt in (1, 2)]


def grant(run):
    program = a_program(stdin=a_content(b"x")) if run.proc == 1 else a_program(memory_limit_mib=10)
    parts = {0: (), 1: (a_gpu("GPU-1", 60),), 2: (a_gpu("GPU-1", 100, shared=False),)}[run.proc]
    return a_grant(run=run, program=program, claim=amounts(cpus=1.5 if run.proc == 2 else 1.0, gpus=parts),
                   queued=run.attempt == 2)


def over(run):
    return Over(run, run.proc, None, 1.0, 0.5, 0.1, 12.0)


runs = st.sampled_from(RUNS)
events = st.one_of(
    runs.map(lambda run: Heard(grant(run))),
    runs.map(lambda run: Heard(Stop(run, "stop"))),
    runs.map(lambda run: Heard(Acknowledge([run]))),
    runs.map(Fetched),
    runs.map(lambda run: NotFetched(run, "no")),
    runs.map(lambda run: Begun(run, 7)),
    runs.map(lambda run: NotBegun(run, EndReason.REFUSED, "no")),
    runs.map(over),
    runs.map(Collected),
    runs.map(lambda run: Usage(run, 50.0, 0.0, 0, over_memory=True)),
    runs.map(lambda run: GpuUsage(run, {"GPU-1": 61.0})),
    st.sampled_from([GPUS, GPUS[1:], None]).map(lambda gpus: MachineSeen({"START": "true"}, 0.0, gpus)),
    st.sampled_from([Connected(), Disconnected(), Tick(), Heard(Welcome("lab", 1.0, 60.0)), LeaveAsked("bye")]),
    st.sampled_from([0.0, 0.0, 1e6]).map(lambda idle: OwnerSeen(Reading(idle))),
    st.just("restart"),
)
histories = st.lists(st.tuples(events, st.floats(0, 5)), max_size=60)


class World:
    """A core, its journal, and what the runtime was asked."""

    def __init__(self) -> None:
        self.core = StartdCore("lab-7", "own", OFFERED, {"START": "true"}, QUICK)
        self.journal = []
        self.started = []
        self.asked = set()
        self.ends = {}
        self.now = 0.0

    def happen(self, event) -> None:
        if event == "restart":
            self.core = StartdCore.restore(self.journal, "lab-7", "own", OFFERED, {"START": "true"}, QUICK)
            event = Found(frozenset(run for run in self.started))
        actions = self.core.handle(event, self.now)
        self.journal += [action.entry for action in actions if isinstance(action, Record)]
        for action in actions:
            if isinstance(action, Start):
                self.started.append(action.grant.run)
            if isinstance(action, Start | Fetch | Collect):
                self.asked.add((type(action), action.grant.run))
        for message in self.core.outgoing(self.now):
            if isinstance(message, Ended) and message.end.message != "This machine has no such run.":
                assert self.ends.setdefault(message.run, message.end) == message.end, "an end changed"

    def check(self) -> None:
        assert len(self.started) == len(set(self.started)), "INV-S1: a run was started twice"
        free = self.core.free()
        assert free.cpus >= 0 and free.memory_mib >= 0 and free.disk_kib >= 0, "INV-S2: carved twice"
        held = [run for run in self.core.runs.values()
                if run.phase is not Phase.ENDED and run.run not in self.core.waiting]
        assert all(part.memory_mib >= 0 for part in free.gpus), "INV-S2: a GPU carved twice"
        parts = [part for run in held for part in run.grant.claim.gpus]
        assert len(parts) <= 1 or all(part.shared for part in parts), "INV-S2: a GPU carved twice"
        assert free.cpus == OFFERED.cpus - sum(run.grant.claim.cpus for run in held)
        again = StartdCore.restore(self.journal, "lab-7", "own", OFFERED, {"START": "true"})
        assert again.runs.keys() == self.core.runs.keys()
        for run, known in self.core.runs.items():
            assert again.runs[run].end == known.end
            assert again.runs[run].ending == known.ending
            assert again.runs[run].halts == known.halts
            assert known.phase is not Phase.SUSPENDED or known.halts % 2
            assert known.phase is not Phase.RUNNING or not known.halts % 2


@settings(max_examples=300)
@given(histories)
def test_nothing_starts_twice_nothing_is_carved_twice_and_ends_stay(history):
    world = World()
    for event, passed in history:
        world.now += passed
        world.happen(event)
        world.check()


@settings(max_examples=150)
@given(histories)
def test_every_run_ends_once_the_world_answers(history):
    world = World()
    for event, passed in history:
        world.now += passed
        world.happen(event)
    world.happen("restart")
    for event in (Connected(), Heard(Welcome("lab", 1.0, 60.0))):
        world.happen(event)
    for _ in range(3):
        for run in list(world.core.runs):
            for event in (Fetched(run), Begun(run, 7), over(run), Collected(run)):
                world.happen(event)
    assert all(run.phase is Phase.ENDED for run in world.core.runs.values())
    assert world.core.runs.keys() <= world.ends.keys()
    world.happen(Heard(Acknowledge(list(world.core.runs))))
    assert world.core.runs == {}


@settings(max_examples=150)
@given(histories)
def test_the_shortest_journal_restores_the_same_core(history):
    world = World()
    for event, passed in history:
        world.now += passed
        world.happen(event)
    short = StartdCore.restore(world.core.entries(), "lab-7", "own", OFFERED, {"START": "true"})
    long = StartdCore.restore(world.journal, "lab-7", "own", OFFERED, {"START": "true"})
    assert short.runs == long.runs
    assert short.tombs.keys() == long.tombs.keys()
