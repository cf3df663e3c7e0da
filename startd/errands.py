"""Long work for runs, beside the loop: a run has one such errand at a time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from contract.vocabulary import RunId


class Errands:
    """What is under way. `failed` hears of an error in one; of one that was called off nobody hears."""

    def __init__(self, failed: Callable[[RunId, BaseException], None]) -> None:
        self._failed = failed
        self._tasks: dict[RunId, asyncio.Task[None]] = {}

    def begin(self, run: RunId, work: Coroutine[Any, Any, None]) -> None:
        old = self._tasks.get(run)
        if old is not None and not old.done():
            work.close()
            return
        task = self._tasks[run] = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda done: self._done(run, done))

    def _done(self, run: RunId, done: "asyncio.Task[None]") -> None:
        if self._tasks.get(run) is done:
            del self._tasks[run]
        if not done.cancelled() and (error := done.exception()) is not None:
            self._failed(run, error)

    async def wait_for(self, run: RunId) -> None:
        """Wait until what is under way for the run is done, if anything is, however it ends."""
        if (task := self._tasks.get(run)) is not None:
            await asyncio.wait([task])

    def call_off(self, run: RunId) -> None:
        if (task := self._tasks.pop(run, None)) is not None:
            task.cancel()

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
