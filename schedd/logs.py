"""Writes `log = …` of clusters submitted on this machine, once their events are on disk.

What a crash kept from the logs is written at the next start: the number of the last event
that reached them is saved with later commits, and blocks already there are left out.
"""

import asyncio
import itertools
import logging
from collections.abc import Iterable

from contract.requests import Event
from dsl.submit import SubmitErrors
from schedd import userlog
from schedd.core.ads import job_ad, template_ad
from schedd.core.cluster import Cluster
from schedd.loop import Loop

log = logging.getLogger("schedd.logs")

NOTE_EVERY = 5_000
MOST_BLOCKS_AT_ONCE = 10_000
"""What happens to more jobs than this as one thing is written as one block of HTCondor's
job factory, not one a job."""


class Logs:
    """The logs of all clusters; one thread writes them."""

    def __init__(self, loop: Loop, host: str) -> None:
        self._loop = loop
        self._host = host
        self._queue: list[tuple[str, str]] = []
        self._wake = asyncio.Event()
        self._last = self._noted = 0
        self._waiting: list[asyncio.Future[None]] = []

    def publish(self, events: list[Event]) -> None:
        """Queue the blocks of `events`; made now, while their clusters are in memory."""
        for event in events:
            cluster = self._loop.pool.clusters.get(event.cluster) or self._loop.lately_closed.get(event.cluster)
            self._queue += self._blocks(event, cluster)
            self._last = event.id
        if self._queue:
            self._wake.set()
        elif self._last - self._noted > NOTE_EVERY:
            self._note()           # nothing was to be written: the next start need not look at these

    async def catch_up(self) -> None:
        """Write what a crash kept from the logs."""
        since = int(await self._loop.store.meta("logged", "0"))
        closed: dict[int, Cluster | None] = {}
        while events := await self._loop.store.events(since, None, 1000):
            blocks: dict[str, list[str]] = {}
            for event in events:
                cluster = self._loop.pool.clusters.get(event.cluster)
                if cluster is None and event.cluster not in closed:
                    closed[event.cluster] = await self._loop.store.cluster(event.cluster)
                for path, block in self._blocks(event, cluster or closed[event.cluster]):
                    blocks.setdefault(path, []).append(block)
            for path, missing in blocks.items():
                await asyncio.to_thread(_try, userlog.append_missing, path, missing)
            since = self._last = events[-1].id
        self._note()

    async def write_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            queue, self._queue = self._queue, []
            waiting, self._waiting = self._waiting, []
            last = self._last
            for path, group in itertools.groupby(sorted(queue, key=lambda item: item[0]), key=lambda item: item[0]):
                await asyncio.to_thread(_try, userlog.append, path, [block for _, block in group])
            for future in waiting:
                if not future.done():
                    future.set_result(None)
            if queue and not self._queue:
                self._last = last
                self._note()

    async def finish(self) -> None:
        """Wait until what was published before is in the logs."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._wake.set()
        await future

    def _note(self) -> None:
        self._noted = self._last
        self._loop.save_too(("insert or replace into meta values ('logged', ?)", [(str(self._last),)]))

    def _blocks(self, event: Event, cluster: Cluster | None) -> list[tuple[str, str]]:
        if event.kind in ("progress", "exec_ended"):
            return []              # too many; and after an exec the job, and with it its log, may be over
        if cluster is None or not cluster.record.delivers or not _has_log(cluster):
            return []
        return [
            (path, userlog.render(single, self._host))
            for single in self._singles(cluster, event)
            if (path := _path(cluster, max(0, single.proc)))
        ]

    def _singles(self, cluster: Cluster, event: Event) -> Iterable[Event]:
        """The event of a whole cluster as one event a job, unless they are too many."""
        if event.proc >= 0:
            if event.kind == "executing" and event.detail.get("start") == 1 and cluster.count > MOST_BLOCKS_AT_ONCE:
                yield Event(event.id, cluster.record.submitted_at, event.cluster, event.proc, "submitted", "",
                            {"host": cluster.record.host})
            yield event
            return
        if event.kind == "submitted":
            ranges = [(0, cluster.count - 1)]
        else:
            ranges = [(first, last) for first, last in event.detail.get("procs", [])]
        if not ranges or sum(last - first + 1 for first, last in ranges) > MOST_BLOCKS_AT_ONCE:
            yield event
            return
        for first, last in ranges:
            for proc in range(first, last + 1):
                yield Event(event.id, event.at, event.cluster, proc, event.kind, event.machine, event.detail)


def _has_log(cluster: Cluster) -> bool:
    return "UserLog" in cluster.ad or "log" in cluster.record.submission.varying


def _path(cluster: Cluster, proc: int) -> str:
    try:
        ad = template_ad(cluster) if "UserLog" in cluster.ad else job_ad(cluster, proc, None)
    except SubmitErrors:
        return ""
    path = ad.evaluate("UserLog")
    return path if isinstance(path, str) and path.startswith("/") else ""


def _try(write: object, path: str, blocks: list[str]) -> None:
    try:
        write(path, blocks)  # type: ignore[operator]
    except OSError as error:
        log.warning("a user's log could not be written", extra={"path": path, "error": str(error)})
