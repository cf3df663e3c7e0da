"""The images of domains, and programs made in them: how each comes to be, and which names stand for them.

Read TRANSITIONS first: it is the whole machine, one for each key (the digest of a recipe).
`building` moves builds along it and does what follows; names are looked up in `naming`.

    INV-7: a recipe is built by at most one machine at a time, and attempts are numbered: what
           is said of an earlier attempt is acknowledged and changes nothing.
    INV-8: ready is final, until nobody has a name or a job for it and it is removed.
"""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from contract.messages import Content, Image, Making, Recipe
from contract.requests import DomainAsked
from dsl.domains import key_of


class State(StrEnum):
    """How far the image of a recipe is."""

    WANTED = "wanted"
    """Jobs wait for it; no machine has taken it on."""
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


class Turn(StrEnum):
    """What can happen to a build."""

    BEGIN = "begin"
    FINISH = "finish"
    FAIL = "fail"
    LOSE = "lose"
    """Its machine is gone, or could not do its part: another one takes over."""
    AGAIN = "again"


TRANSITIONS: dict[tuple[State, Turn], State] = {
    (State.WANTED, Turn.BEGIN): State.BUILDING,
    (State.BUILDING, Turn.FINISH): State.READY,
    (State.BUILDING, Turn.FAIL): State.FAILED,
    (State.BUILDING, Turn.LOSE): State.WANTED,
    (State.FAILED, Turn.AGAIN): State.WANTED,
}


class ImageBuild(msgspec.Struct, omit_defaults=True):
    """The image of one recipe, or a program made in one, and its building."""

    key: str
    recipe: Recipe
    name: str
    """What it is called for people: the name that was asked for first."""
    owner: str
    """Who asked first."""
    since: float
    state: State = State.WANTED
    machine: str = ""
    attempt: int = 0
    faults: int = 0
    """Machines in a row that could not do their part."""
    image: Image | None = None
    failed_step: str = ""
    message: str = ""
    lines: list[str] = []
    log: Content | None = None
    processor: str = ""
    """The kind of processor that it is made for; "" for any."""
    making: Making | None = None
    """Of a program: how it is made, from what."""
    on: str = ""
    """Of a program: the key of the image in which it is made."""
    product: Content | None = None
    """Of a program: the tree that it is in."""
    used_at: float = 0.0
    """When a name or a job needed it last, as far as that was looked at; 0: not yet."""

    @property
    def handle(self) -> str:
        """What a command finds it by."""
        return self.name if self.name and self.making is None and not self.processor else self.key[:12]

    @property
    def label(self) -> str:
        """Its name, for sentences."""
        name = self.name or self.key[:12]
        return f"{name} for {self.processor}" if self.processor else name

    @property
    def what(self) -> str:
        """The same, with what it is."""
        return f"program {self.label}" if self.making is not None else f"domain {self.label}"


class NamedDomain(msgspec.Struct, frozen=True, omit_defaults=True):
    """A name that a user (or, with owner "", an administrator for all) gave to a recipe."""

    owner: str
    name: str
    recipe: Recipe
    added_at: float
    added_by: str
    description: str = ""


@dataclass(slots=True)
class Live:
    """What is known of a build under way while it lasts; said again by its machine after a restart."""

    attempt: int
    step: int = 0
    steps: int = 0
    instruction: str = ""
    log: bytes = b""
    heard_at: float = 0.0


class IllegalTurn(Exception):
    """The caller should have looked first."""


def turned(build: ImageBuild, turn: Turn, now: float) -> None:
    """Move `build`; nothing else chooses its state."""
    try:
        build.state = TRANSITIONS[build.state, turn]
    except KeyError:
        raise IllegalTurn(f"the image {build.key} is {build.state}, it cannot {turn}") from None
    build.since = now


def can(build: ImageBuild, turn: Turn) -> bool:
    return (build.state, turn) in TRANSITIONS


def key_of_recipe(recipe: Recipe) -> str:
    return key_of(recipe.dockerfile, recipe.arguments, recipe.context.sha256 if recipe.context else "")


def key_asked(asked: DomainAsked | None) -> str:
    """The key of what a submission asks for; "" for nothing."""
    return key_of_recipe(asked.recipe) if asked is not None and asked.recipe is not None else ""
