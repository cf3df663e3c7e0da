"""What people do: submit, hold, release, remove, prioritise, at random moments."""

from typing import TYPE_CHECKING

import msgspec

from contract.messages import Content, Recipe
from contract.problems import Problem
from contract.requests import Action, ActionAnswer, DomainAsked, DrainOrder, Selection, Submission, Submitted
from schedd.core.actions import act
from schedd.core.draining import drain
from schedd.core.submission import submit
from tests.simulation.keeper import COUNTING_MOOD, GREEDY_MOOD, MEMORY_MOOD, STUBBORN_MOOD

if TYPE_CHECKING:
    from tests.simulation.world import World

INPUT = Content("ab" * 32, 3)
NO_REQUIREMENTS = "true"
FLAKY = "ExitCode == 0 || NumJobCompletions > 2"
FOR_EVER = "-1"
COUNTS = {"SuccessCheckpointExitCode": "85", "PescCheckpointEvery": "4", "WhenToTransferOutput": '"ON_EXIT_OR_EVICT"'}
ASK_AGAIN_SECONDS = (0.0, 0.005, 12.0, 12.0)
"""Some people press the button twice."""


def a_cluster(count: int = 1, seconds: str = "10", exit_code: str = "0", mood: str = "normal",
              **template: str) -> Submission:
    """`count` jobs that run for `seconds` and end with `exit_code`, if nobody ends them."""
    return Submission(count, {
        "Cmd": '"/bin/job"', "Arguments": f'"{seconds} {exit_code} {mood}"', "Iwd": '"/home"',
        "Requirements": NO_REQUIREMENTS, "RequestCpus": "1", "RequestMemory": "100", "RequestDisk": "10", **template,
    }, steps=count, files={"/home/in": INPUT})


class Users:
    """Those of one world; `names` share its randomness."""

    def __init__(self, world: "World", names: tuple[str, ...]) -> None:
        self.world = world
        self.names = names
        self.refusals = 0
        self.unanswered: set[str] = set()

    def submit(self, submission: Submission, user: str = "") -> None:
        """Ask, and ask the same again until there is an answer."""
        key = f"submission {self.world.number()}"
        self.unanswered.add(key)
        self._submit(user or self.names[0], msgspec.structs.replace(submission, key=key))

    def _submit(self, owner: str, submission: Submission) -> None:
        if submission.key in self.unanswered:
            self.world.schedd.ask(submit, owner, "here", False, submission,
                                  answer=lambda answer, problem: self._submitted(submission.key, answer, problem))
            self.world.after(self.world.random.choice(ASK_AGAIN_SECONDS), self._submit, owner, submission)

    def act(self, what: str, selection: Selection, priority: int = 0) -> None:
        self.world.say((), f"somebody asks to {what} {selection.ids or selection.constraint or 'all'}")
        self.world.schedd.ask(act, "root", True, Action(what, selection, priority=priority), answer=self._acted)

    def drain(self, machine: str, seconds: float, back: bool) -> None:
        self.world.say((), f"somebody {'takes back' if back else 'drains'} {machine}")
        self.world.schedd.ask(drain, "root", DrainOrder(machine, seconds, back))

    def do_something(self) -> None:
        random, known = self.world.random, sorted(self.world.ledger.acknowledged)
        if random.random() < 0.06:
            self.drain(random.choice(self.world.machines).name, random.choice([0.0, 20.0]), random.random() < 0.6)
        if not known or random.random() < 0.45:
            self.submit(self.any_cluster(), random.choice(self.names))
            return
        cluster = random.choice(known)
        count = self.world.ledger.acknowledged[cluster]
        ids = random.choice([[str(cluster)], [f"{cluster}.{random.randrange(count)}"],
                             [f"{cluster}.{proc}" for proc in range(count) if random.random() < 0.4] or [str(cluster)]])
        selection = Selection(ids) if random.random() < 0.8 else Selection(
            constraint=random.choice(["JobStatus == 5", f"ProcId == {random.randrange(3)}", "JobStatus == 2"]))
        what = random.choice(["hold", "release", "release", "remove", "priority"])
        if what == "remove" and random.random() < 0.5:
            what = "hold"
        self.act(what, selection, priority=random.randrange(-5, 6))

    def any_cluster(self) -> Submission:
        random, kinds = self.world.random, self.world.kinds
        template: dict[str, str] = {"RequestCpus": random.choice(["1", "1", "2"]), "JobPrio": str(random.randrange(3))}
        seconds, mood, exit_code = str(random.choice([0, 1, 5, 20, 40])), "normal", str(random.choice([0, 0, 0, 3]))
        match random.randrange(12):
            case 0:
                mood, template["OnExitRemove"] = "flaky", FLAKY
            case 1:
                seconds, mood, template["PescMemoryLimit"] = FOR_EVER, MEMORY_MOOD, "true"
            case 2:
                mood = STUBBORN_MOOD
            case 3:
                template["JobStatus"] = "5"
            case 4 | 5 | 6:
                template["TransferInput"] = '"in"'
            case 7 | 8:
                mood, seconds = COUNTING_MOOD, random.choice(["15", "30", "60"])
                template |= COUNTS
        count = random.choice([1, 1, 2, 3, 5, 8])
        if self.world.brief and mood == "normal" and random.random() < 0.8:
            count, seconds = random.choice([10, 20, 40]), random.choice(["0", "0.02", "0.1"])
        if kinds:
            template["Requirements"] = random.choice(
                [NO_REQUIREMENTS, f'TARGET.Kind == "{random.choice(kinds)}"', "TARGET.Memory >= MY.RequestMemory"])
            template["Rank"] = random.choice(["0", "TARGET.Memory", f'TARGET.Kind == "{random.choice(kinds)}"'])
            template["RequestMemory"] = random.choice(["100", "400"])
            if "gpu" in kinds and mood == "normal" and random.random() < 0.5:
                mood, seconds, asks = self.asks_for_gpus(seconds)
                template |= asks | {"Requirements": NO_REQUIREMENTS}
        varying = {}
        if kinds and random.random() < 0.3:
            varying = random.choice([{"priority": "$(Process)"}, {"+Shoe": "$(Process)"}])
            if "+Shoe" in varying:
                template["RequestMemory"] = "100 + 10 * MY.Shoe"
        made = a_cluster(count, seconds, exit_code, mood, **template)
        return Submission(count, made.template, varying, steps=count, files=made.files, domain=self.any_domain())

    def any_domain(self) -> DomainAsked | None:
        if not self.world.domains or self.world.random.random() < 0.3:
            return None
        kinds = self.world.random.choice(["", "", "ARG PESC_MICROARCH=x86-64-v2,x86-64-v4\n", "ARG PESC_MICROARCH\n"])
        return DomainAsked("", Recipe(f"FROM base\n{kinds}# {self.world.random.randrange(3)}\n"))

    def asks_for_gpus(self, seconds: str) -> tuple[str, str, dict[str, str]]:
        """Alone, with a share that is said, with one that is learned, or with more than was said."""
        random = self.world.random
        asks = {"RequestGPUs": random.choice(["1", "1", "2"])}
        if random.random() < 0.3:
            asks["RequireGPUs"] = "Capability > 7.5"
        match random.randrange(4):
            case 0:
                return "normal", seconds, asks
            case 1:
                return "normal", seconds, asks | {"PescGpuSharing": "true"}
            case 2:
                return "normal", seconds, asks | {"PescGpuSharing": "true", "GPUsMinMemory": "1000"}
        return GREEDY_MOOD, FOR_EVER, asks | {"PescGpuSharing": "true", "GPUsMinMemory": "2500"}

    def _submitted(self, key: str, answer: Submitted | None, problem: Problem | None) -> None:
        if problem is not None:
            raise self.world.story.violated(f"a submission was refused: {problem}")
        assert answer is not None
        self.unanswered.discard(key)
        self.world.ledger.submitted(key, answer)

    def _acted(self, answer: ActionAnswer | None, problem: Problem | None) -> None:
        if problem is not None or answer is None or answer.refused:
            self.refusals += 1
