"""The builds of one machine: one at a time, said again until acknowledged.

Nothing of it is kept over a restart: a startd that comes back without its build is given it
again, and its engine still has the layers that were done.
"""

from collections.abc import Iterable

from contract.messages import (
    AcknowledgeBuild,
    Build,
    BuildEnded,
    BuildProgressed,
    CancelBuild,
    FromStartd,
    HeldBuild,
)
from startd.core.events import AbandonBuild, Action, BuildOver, BuildSaid, StartBuild

MOST_LOG_BYTES = 1 << 20
PIECE_BYTES = 256 * 1024

Which = tuple[str, int]
"""Key and attempt."""


class Builds:
    """What is being built, what waits for that, and the ends that the schedd has not acknowledged."""

    def __init__(self) -> None:
        self._current: Build | None = None
        self._next: dict[Which, Build] = {}
        self._ended: dict[Which, BuildEnded] = {}
        self._to_say: dict[Which, None] = {}
        self._log = b""
        self._told = 0
        self._progress = (0, 0, "")
        self._has_moved = False

    @property
    def has_news(self) -> bool:
        return bool(self._to_say) or self._has_moved

    def held(self) -> list[HeldBuild]:
        own = [_which(self._current)] if self._current is not None else []
        return [HeldBuild(*which) for which in (*own, *self._next, *self._ended)]

    def heard(self, message: Build | CancelBuild | AcknowledgeBuild) -> list[Action]:
        which = message.key, message.attempt
        match message:
            case Build():
                return self._asked(message, which)
            case CancelBuild():
                return self._cancelled(which)
            case AcknowledgeBuild():
                self._forget(which)
                return []

    def said(self, said: BuildSaid) -> None:
        """The build under way printed something."""
        if self._is_current(said.key, said.attempt):
            self._log += said.log[: max(0, MOST_LOG_BYTES - len(self._log))]
            if said.step:
                self._progress = said.step, said.steps, said.instruction
            self._has_moved = True

    def over(self, over: BuildOver) -> list[Action]:
        if not self._is_current(over.end.key, over.end.attempt):
            return []
        assert self._current is not None
        self._ended[_which(self._current)] = over.end
        self._to_say[_which(self._current)] = None
        return self._go_on()

    def leave(self, why: str) -> list[Action]:
        """Give up what is being built: another machine is to have it."""
        given_up = [*([self._current] if self._current is not None else []), *self._next.values()]
        actions: list[Action] = [AbandonBuild(*_which(self._current))] if self._current is not None else []
        for build in given_up:
            which = _which(build)
            self._ended[which] = BuildEnded(build.key, build.attempt, message=why, blames_machine=True)
            self._to_say[which] = None
        self._current = None
        self._next.clear()
        return actions

    def welcomed(self) -> None:
        """A new connection: who listens there may know nothing."""
        self._told = 0
        self._has_moved = self._current is not None
        self.say_again()

    def say_again(self) -> None:
        self._to_say.update(dict.fromkeys(self._ended))

    def outgoing(self) -> Iterable[FromStartd]:
        """What is to be said now; what is taken counts as sent."""
        if self._current is not None and self._has_moved:
            key, attempt = _which(self._current)
            step, steps, instruction = self._progress
            while True:
                piece = self._log[self._told : self._told + PIECE_BYTES]
                yield BuildProgressed(key, attempt, self._told, piece, step, steps, instruction)
                self._told += len(piece)
                if self._told >= len(self._log):
                    break
        self._has_moved = False
        said, self._to_say = self._to_say, {}
        yield from (self._ended[which] for which in said if which in self._ended)

    def _asked(self, build: Build, which: Which) -> list[Action]:
        if which in self._ended:
            self._to_say[which] = None
            return []
        if which in self._next or self._is_current(*which):
            return []
        self._next[which] = build
        return [] if self._current is not None else self._go_on()

    def _cancelled(self, which: Which) -> list[Action]:
        self._forget(which)
        self._next.pop(which, None)
        if not self._is_current(*which):
            return []
        return [AbandonBuild(*which), *self._go_on()]

    def _forget(self, which: Which) -> None:
        self._ended.pop(which, None)
        self._to_say.pop(which, None)

    def _go_on(self) -> list[Action]:
        self._current, self._log, self._told, self._progress, self._has_moved = None, b"", 0, (0, 0, ""), False
        if not self._next:
            return []
        which = next(iter(self._next))
        self._current = self._next.pop(which)
        return [StartBuild(self._current)]

    def _is_current(self, key: str, attempt: int) -> bool:
        return self._current is not None and _which(self._current) == (key, attempt)


def _which(build: Build) -> Which:
    return build.key, build.attempt
