"""What somebody watches of a run's stdout or stderr is read as it grows, and piles up until it is sent."""

import asyncio
from collections.abc import Callable

from contract.messages import FromStartd, Watch
from contract.vocabulary import RunId
from startd.core.startd import StartdCore
from startd.files.sandbox import Sandboxes
from startd.files.tails import LOOK_SECONDS, Tails


class Following:
    """`changed` is called whenever there is something to say."""

    def __init__(self, core: StartdCore, sandboxes: Sandboxes, changed: Callable[[], None]) -> None:
        self._core = core
        self._sandboxes = sandboxes
        self._changed = changed
        self._tails = Tails()
        self._said: list[FromStartd] = []
        self._tailing: asyncio.Task[None] | None = None

    def follow(self, watch: Watch) -> None:
        if not self._core.is_connected:
            return      # it came with the last words of a connection that is gone
        self._tails.follow(watch, self._sandboxes.path(watch.run))
        if self._tailing is None:
            self._tailing = asyncio.get_running_loop().create_task(self._tail())

    def unfollow(self, watch: int) -> None:
        self._tails.unfollow(watch)

    async def _tail(self) -> None:
        while len(self._tails):
            for watch in self._tails.watches():
                self._said += self._tails.look(watch, self._core.is_writing(watch.run))
            if self._said:
                self._changed()
            await asyncio.sleep(LOOK_SECONDS)
        self._tailing = None

    def say_last_words(self, run: RunId) -> None:
        """All that is left, before the run is discarded."""
        for watch in self._tails.watches():
            if watch.run == run:
                while chunks := self._tails.look(watch, still_writing=False):
                    self._said += chunks
                self._changed()

    def outgoing(self) -> list[FromStartd]:
        """What is to be said now; what is taken counts as sent."""
        said, self._said = self._said, []
        return said

    def begin(self) -> None:
        """There is a new connection, and nobody who watched through the last one."""
        self._said.clear()
        self._tails.clear()

    def clear(self) -> None:
        """The connection is gone, and with it everybody who watched."""
        self._tails.clear()

    def close(self) -> None:
        if self._tailing is not None:
            self._tailing.cancel()
