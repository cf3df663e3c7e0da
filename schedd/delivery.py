"""Puts outputs where the submit file wants them, for clusters submitted on this machine.

`output` and `error` go where they say; of an `executable`, the files it left behind go into
the submit folder, as with HTCondor. What is still to do is saved with the end of the job, so
a crash delays a delivery and never loses it. Elsewhere, `pesc_fetch` brings the same.
"""

import asyncio
import contextlib
import errno
import logging
import os
import stat
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from contract.messages import OutputFile
from dsl.classad import Ad
from schedd.blobs import Blobs
from schedd.core.ads import job_ad
from schedd.core.job import Job
from schedd.loop import Loop

log = logging.getLogger("schedd.delivery")

MOST_AT_ONCE = 200

DISK_TROUBLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

NOWHERE = frozenset({"", "/dev/null"})


class Delivery:
    """One task that works through the list."""

    def __init__(self, loop: Loop, blobs: Blobs) -> None:
        self._loop = loop
        self._blobs = blobs
        self._queue: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        self._left: Counter[int] = Counter()
        self._delivered: dict[int, asyncio.Event] = {}

    def deliver(self, jobs: list[tuple[int, int]]) -> None:
        for key in jobs:
            self._left[key[0]] += 1
            self._queue.put_nowait(key)

    async def finish(self, cluster: int) -> None:
        """Wait until nothing of `cluster` is left to deliver."""
        if self._left[cluster]:
            await self._delivered.setdefault(cluster, asyncio.Event()).wait()

    async def work(self) -> None:
        """Deliver what a stop left over, then what comes, as much at a time as has come."""
        self.deliver(await self._loop.store.deliveries())
        while True:
            keys = [await self._queue.get()]
            while not self._queue.empty() and len(keys) < MOST_AT_ONCE:
                keys.append(self._queue.get_nowait())
            await self._deliver_all(keys)
            self._tell_finished(keys)
            self._loop.save_too(("delete from deliveries where cluster = ? and proc = ?", keys))

    async def _deliver_all(self, keys: list[tuple[int, int]]) -> None:
        files: list[tuple[OutputFile, str]] = []
        for number in dict.fromkeys(number for number, _ in keys):
            cluster = self._loop.pool.clusters.get(number) or await self._loop.store.cluster(number)
            rows = await self._loop.store.history_of(number, [proc for cluster, proc in keys if cluster == number])
            if cluster is not None:
                for row in rows:
                    files += destinations(job_ad(cluster, row.job.proc, row.job), row.job)
        small = await self._blobs.read_small({file.sha256 for file, _ in files})
        await asyncio.to_thread(self._write_all, files, small)

    def _tell_finished(self, keys: list[tuple[int, int]]) -> None:
        self._left.subtract(number for number, _ in keys)
        for number in {number for number, _ in keys if not self._left[number]}:
            del self._left[number]
            if (waited := self._delivered.pop(number, None)) is not None:
                waited.set()

    def _write_all(self, files: list[tuple[OutputFile, str]], small: dict[str, bytes]) -> None:
        for file, path in files:
            try:
                put(file, path, small, self._blobs.path(file.sha256))
            except OSError as error:
                log.warning("an output could not be delivered; pesc_fetch still brings it: %s", error)


def put(file: OutputFile, path: str, small: Mapping[str, bytes], large: Path) -> None:
    """Write an output to where it is wanted: what it holds is among `small`, or in the file `large`."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        with open(path, "wb", opener=_open_file) as target:
            if file.sha256 in small:
                target.write(small[file.sha256])
            elif file.size:
                with open(large, "rb") as source:
                    while piece := source.read(1 << 20):
                        target.write(piece)
    except OSError as error:
        if error.errno in DISK_TROUBLE:
            # Half a result under the name of a whole one would be believed.
            with contextlib.suppress(OSError):
                os.unlink(path)
        raise
    if file.executable:
        os.chmod(path, os.stat(path).st_mode | 0o111)


def _open_file(path: str, flags: int) -> int:
    """Open an output to be written; what is no file, and might keep us waiting for its reader, is none."""
    file = os.open(path, flags | os.O_NONBLOCK, 0o666)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return file


def destinations(ad: Ad, job: Job) -> list[tuple[OutputFile, str]]:
    """Which file goes to which absolute path."""
    iwd = ad.evaluate("Iwd")
    if not isinstance(iwd, str) or not iwd.startswith("/"):
        return []
    found: list[tuple[OutputFile, str]] = []
    for name, file in (("Out", job.stdout), ("Err", job.stderr)):
        wanted = ad.evaluate(name)
        if file is not None and isinstance(wanted, str) and wanted not in NOWHERE:
            found.append((file, os.path.join(iwd, wanted)))
    if "PescProcess" not in ad:
        found += [(file, os.path.join(iwd, file.path)) for file in job.files if _stays_below(file.path)]
    return found


def _stays_below(path: str) -> bool:
    return bool(path) and not path.startswith("/") and ".." not in path.split("/") and "\0" not in path
