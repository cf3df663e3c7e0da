"""The bodies of the HTTP API: what a command asks and what it is told."""

from typing import Any

import msgspec

from contract.messages import Content, Image, OutputFile, Recipe


class SweepAxis(msgspec.Struct, frozen=True, omit_defaults=True):
    """One factor of a sweep: `rows`, or `count` numbers from `start` in steps of `step`, both in units of
    10 to the power of -`places`. `kinds` are number, truth or text, one for each name."""

    names: list[str]
    kinds: list[str]
    count: int
    start: int = 0
    step: int = 0
    places: int = 0
    rows: list[list[str]] = []


class DomainAsked(msgspec.Struct, frozen=True, omit_defaults=True):
    """The environment that jobs ask for: by name, or exactly. The schedd puts in the recipe of a
    name when it takes the submission, so that what was submitted counts."""

    name: str = ""
    recipe: Recipe | None = None
    packages: list[str] = []
    arguments: dict[str, str] = {}


class Submission(msgspec.Struct, frozen=True, omit_defaults=True):
    """One cluster: a template, the item table and a count. A million repetitions cost the same as one.

    Attribute values are ClassAd text. `template` holds what is the same for every job;
    `varying` holds submit commands whose text has macros that differ from job to job
    (`output = out.$(Process)`), with the `macros` they need: `dsl.submit` turns them into
    attributes when a job is looked at. Job `p` is step `p % steps` of item `p // steps`.
    """

    count: int
    template: dict[str, str]
    varying: dict[str, str] = {}
    macros: dict[str, str] = {}
    item_names: list[str] = []
    items: list[list[str]] = []
    steps: int = 1
    sweep: list[SweepAxis] = []
    """In place of items: what they are computed from, the product of the axes, the last one fastest."""
    files: dict[str, Content] = {}
    """Every path named in the ads that travels to the machines, and its content."""
    domain: DomainAsked | None = None
    source: str = ""
    """The submit file as written, for people who look later."""
    key: str = ""
    """Random, chosen by the submitter: the same key a second time is the same submission, whose
    answer was lost."""


class Submitted(msgspec.Struct, frozen=True):
    """`event` is where to start listening so as to miss nothing of this cluster."""

    cluster: int
    jobs: int
    event: int


class Selection(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which jobs are meant: ids (`"12"`, `"12.3"`), owners, all, narrowed by a constraint."""

    ids: list[str] = []
    owners: list[str] = []
    everything: bool = False
    constraint: str | None = None


class Action(msgspec.Struct, frozen=True, omit_defaults=True):
    """`what` is one of hold, release, remove, priority; jobs already so are left alone."""

    what: str
    selection: Selection
    reason: str = ""
    priority: int = 0


class ActionAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many jobs were changed; and in words, for each id that was not, why."""

    changed: int
    refused: list[str] = []


class DrainOrder(msgspec.Struct, frozen=True, omit_defaults=True):
    """Empty a machine: its runs may go on for `seconds` more, and nothing new starts; or take it back."""

    machine: str
    seconds: float = 0.0
    back: bool = False
    reason: str = ""


class DrainAnswer(msgspec.Struct, frozen=True):
    """Whether it is being emptied now, how long its runs may go on, and how many there are."""

    machine: str
    draining: bool
    seconds: float
    runs: int


class Totals(msgspec.Struct, omit_defaults=False):
    """Jobs of a batch, a user or the pool by state."""

    idle: int = 0
    running: int = 0
    held: int = 0
    completed: int = 0
    removed: int = 0
    suspended: int = 0


class BatchProgress(msgspec.Struct, frozen=True):
    """How far the running jobs of a batch say they are: `jobs` of them do."""

    jobs: int
    percent: float
    """The mean."""
    message: str
    """The latest that is not empty."""
    left_seconds: float | None
    """Until the last of them is done, if it goes on like this."""


class Batch(msgspec.Struct, frozen=True):
    """One line of `pesc_q`: a cluster that still has jobs in the queue."""

    cluster: int
    owner: str
    name: str
    submitted_at: float
    total: int
    jobs: Totals
    progress: BatchProgress | None = None
    waits_for: str = ""
    """What keeps idle jobs from being matched, in words: the building of their domain."""


class Queue(msgspec.Struct, frozen=True):
    """Answer to GET /v1/queue."""

    batches: list[Batch]
    totals: Totals
    machines: int


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that happened to a job, or (`proc` -1) to a whole cluster at once.

    `kind`: submitted, executing, usage, progress, evicted, terminated, held, released, removed,
    disconnected, reconnected, priority, checkpointed, exec, exec_ended.
    `detail` depends on the kind; see docs/reference/events.md.
    """

    id: int
    at: float
    cluster: int
    proc: int
    kind: str
    machine: str = ""
    detail: dict[str, Any] = {}


class ClusterOutputs(msgspec.Struct, frozen=True):
    """What one ended (or running and evicted) job of a cluster left behind."""

    proc: int
    status: int
    exit_code: int | None
    signal: int | None
    machine: str
    stdout: OutputFile | None
    stderr: OutputFile | None
    files: list[OutputFile]
    warnings: list[str]
    stdout_path: str = ""
    """Where the submit file wants it (`output =`), "" if nowhere."""
    stderr_path: str = ""
    row: str = ""
    """Its row of a sweep or table, as JSON; "" where there is none."""
    repetition: int = 0
    """Which of the repetitions of that row it is, from 0."""
    wall_seconds: float = 0.0
    """All its runs together, as the next one."""
    cpu_seconds: float = 0.0
    memory_mib: float = 0.0
    """The most that any of its runs used."""
    joins: list[str] = []
    """Its files that the submit file wants joined by rank, beside output.txt and stdout."""


class DomainAdd(msgspec.Struct, frozen=True, omit_defaults=True):
    """Give a name to a recipe, or to an image that is here already (imported)."""

    name: str
    recipe: Recipe | None = None
    image: Image | None = None
    description: str = ""
    everybody: bool = False
    """For all users of the pool; an administrator's to say."""
    build: bool = True
    """Whether to build it now."""


class DomainBuild(msgspec.Struct, frozen=True, omit_defaults=True):
    """Build a domain now, whoever may need it; `again` if it failed."""

    domain: DomainAsked
    again: bool = False


class DomainShown(msgspec.Struct, frozen=True, omit_defaults=True):
    """A domain as it is shown, or a program made in one. `state`: known, wanted, building, ready or failed."""

    name: str
    key: str
    state: str
    source: str
    """store, pool, user; submitted, for a recipe without a name; program, for what `build` makes."""
    owner: str = ""
    description: str = ""
    languages: list[str] = []
    parameters: dict[str, str] = {}
    """Arguments of its Dockerfile, and their defaults."""
    dockerfile: str = ""
    machine: str = ""
    step: int = 0
    steps: int = 0
    instruction: str = ""
    image: Image | None = None
    failed_step: str = ""
    message: str = ""
    lines: list[str] = []
    since: float = 0.0
    """When it came into its state."""
    jobs: int = 0
    """Idle jobs that wait for it."""
    processor: str = ""
    """The kind of processor that it is made for; "" for any."""
    variants: dict[str, str] = {}
    """The states of a domain's images by the processors that they are made for, where there are several."""
    command: str = ""
    """Of a program: what makes it from its sources."""


class Spread(msgspec.Struct, frozen=True):
    """A value over several runs."""

    median: float = 0.0
    p95: float = 0.0
    """The least that was enough for 95 of 100."""
    most: float = 0.0


class ProgramPeaks(msgspec.Struct, frozen=True):
    """What the runs of one program, in its domain, of one owner, used at most; each value over the `sample` latest."""

    program: str
    """SHA-256 of what was sent along, or the path of a program of the machines."""
    name: str
    domain: str
    """"" where there is none."""
    owner: str
    runs: int
    """How many were measured in all."""
    sample: int
    wanted_more: int
    """So many of the sample were ended because they wanted more than they had: their values are too low."""
    at: float
    """When the latest ended."""
    memory_mib: Spread
    cpus: Spread
    disk_kib: Spread
    gpu_memory_mib: Spread
    """Of one GPU."""
    wall_seconds: Spread


class TokenRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ask for a token: for whom, with which roles, for how long."""

    user: str
    roles: list[str]
    seconds: int


Ad = dict[str, Any]
"""An ad as JSON, as HTCondor writes it: literals as themselves, expressions as "/Expr(text)/"."""
