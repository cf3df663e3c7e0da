"""Server-sent events: what happened, how many are left, what a job writes.

A stream that breaks is resumed by whoever listened: events by their number, output by its
offset, counts by just asking again.
"""

import asyncio
import base64
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from sanic import Request
from sanic.response import HTTPResponse

from contract.messages import OutputFile
from contract.problems import Problem
from contract.requests import Batch, Event
from contract.tokens import Claims
from contract.vocabulary import JobStatus, Phase
from schedd.api.context import Context
from schedd.api.jobs import batch_of, find_cluster
from schedd.bus import Listener
from schedd.core.job import Job
from schedd.core.pool import Pool
from schedd.core.selection import parse_ids

SILENCE_SECONDS = 15.0
"""A comment is sent after so much silence, so that both ends notice a dead connection."""

FIRST_CHUNK_SECONDS = 2.0
NEXT_CHUNK_SECONDS = 0.03
"""Whoever does not follow gets what is there: what its machine reads at once comes at once."""

BETWEEN_COUNTS_SECONDS = 0.1
LONGEST_WRITING_SECONDS = 30.0
PAGE = 1_000
CHUNK_BYTES = 256 * 1024

Send = Callable[[str], Awaitable[Any]]


async def get_events(context: Context, request: Request, claims: Claims) -> HTTPResponse | None:
    since = request.headers.get("last-event-id") or request.args.get("since")
    if since is not None and not _is_number(since):
        raise Problem("bad_request", f"{since[:80]!r} is not the number of an event.",
                      "Give the id of the last one seen.")
    cluster = request.args.get("cluster")
    number = parse_ids([cluster])[0][0] if cluster else None
    counts = request.args.get("counts") == "1"
    if number is not None:
        await find_cluster(context, number)
    elif counts:
        raise Problem("bad_request", "Counts are of one cluster.", "Add cluster=N.")
    listener = context.bus.listen(number, counts)
    try:
        response = await request.respond(
            content_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        if counts and number is not None:
            await _send_counts(context, listener, number, response.send)
        else:
            start = context.bus.last_event if since is None else int(since)
            await _send_events(context, listener, number, start, response.send)
        await response.eof()
    finally:
        context.bus.leave(listener)
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16


async def _send_events(context: Context, listener: Listener, cluster: int | None, since: int, send: Send) -> None:
    while page := await context.loop.store.events(since, cluster, PAGE):
        await send("".join(_frame(event) for event in page))
        since = page[-1].id
    while not listener.behind:
        fresh = [event for event in listener.events if event.id > since]
        listener.events.clear()
        listener.changed.clear()
        if fresh:
            since = fresh[-1].id
            await send("".join(_frame(event) for event in fresh))
        await _wait(listener, send)


async def _send_counts(context: Context, listener: Listener, number: int, send: Send) -> None:
    while True:
        listener.changed.clear()
        batch = await batch_of(context, number)
        if is_over(batch):
            await finish_writing(context, number)
        data = msgspec.json.encode(batch).decode()
        await send(f"event: counts\nid: {context.bus.last_event}\ndata: {data}\n\n")
        if is_over(batch):
            return
        # Changes within the pause are told together after it; the end is told at once.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(listener.over.wait(), BETWEEN_COUNTS_SECONDS)
        await _wait(listener, send)


async def finish_writing(context: Context, number: int) -> None:
    """Whoever is told that a cluster is over may look into the submit folder at once."""
    with contextlib.suppress(TimeoutError, Problem):
        async with asyncio.timeout(LONGEST_WRITING_SECONDS):
            # It may have ended this moment: the database says so already, its outputs are handed over only then.
            await context.loop.ask(_settle)
            await context.delivery.finish(number)
            await context.logs.finish()


def is_over(batch: Batch) -> bool:
    jobs = batch.jobs
    return not (jobs.idle or jobs.running or jobs.held or jobs.suspended)


async def _wait(listener: Listener, send: Send) -> None:
    while not listener.changed.is_set():
        try:
            await asyncio.wait_for(listener.changed.wait(), SILENCE_SECONDS)
        except TimeoutError:
            await send(": still here\n\n")


def _frame(event: Event) -> str:
    return f"id: {event.id}\nevent: {event.kind}\ndata: {msgspec.json.encode(event).decode()}\n\n"


# --- output of one job ---------------------------------------------------------------------


async def get_output(context: Context, request: Request, claims: Claims) -> HTTPResponse | None:
    number, proc = parse_ids([request.match_info["job"]])[0]
    stream, offset = request.args.get("stream", "stdout"), request.args.get("offset", "0")
    if proc is None or stream not in ("stdout", "stderr") or not _is_number(offset):
        raise Problem("bad_request", "Output is of one job, stdout or stderr, from a byte on.", "As in: pesc_tail 12.3")
    cluster = await find_cluster(context, number)
    if cluster.owner != claims.user and not claims.may_touch_all_jobs:
        raise Problem("not_yours",
                      f"Job {number}.{proc} belongs to {cluster.owner}; you are signed in as {claims.user}.",
                      "Only its owner or an administrator can read its output.")
    if not 0 <= proc < cluster.count:
        raise Problem("no_such_job", f"There is no job {number}.{proc}: the last one of cluster {number} is "
                      f"{number}.{cluster.count - 1}.", f"See them with: pesc_q -nobatch {number}.")
    listener = context.bus.listen(number, counts_only=False)
    try:
        response = await request.respond(content_type="text/event-stream", headers={"Cache-Control": "no-store"})
        tail = _Tail(context, number, proc, stream, int(offset), response.send)
        await tail.send_all(listener, follow=request.args.get("follow") == "1")
        await response.eof()
    finally:
        context.bus.leave(listener)
    return None


def _settle(pool: Pool, now: float) -> None:
    """Change nothing; whoever asks for it waits for the commit of what was before."""


class _Tail:
    """One watcher of one job; it follows the job from run to run."""

    def __init__(self, context: Context, cluster: int, proc: int, stream: str, offset: int, send: Send) -> None:
        self._context = context
        self._key = cluster, proc
        self._stream = stream
        self._offset = offset
        self._send = send

    async def send_all(self, listener: Listener, follow: bool) -> None:
        while True:
            listener.events.clear()
            listener.changed.clear()
            job = self._context.loop.pool.job(*self._key)
            if job is None:
                if not self._is_in_rest():
                    await self._send_kept(await self._ended_job())
                    return
                if not follow:
                    await self._send_kept(None)
                    return
            elif job.run is not None and job.run.phase in (Phase.RUNNING, Phase.SUSPENDED, Phase.STOPPING):
                await self._send_live(job, follow)
            elif job.run is None and job.status in (JobStatus.HELD, JobStatus.IDLE) and not follow:
                await self._send_kept(job)
                return
            if not follow:
                return
            await _wait(listener, self._send)

    async def _send_live(self, job: Job, follow: bool) -> None:
        """What the run under way writes, until it ends or its machine goes away."""
        assert job.run is not None
        machine = self._context.loop.pool.machines.get(job.run.machine)
        if machine is None or machine.link is None:
            return
        watch, queue = self._context.links.watch(machine.link, job.run_id, self._stream, self._offset)
        patience = SILENCE_SECONDS if follow else FIRST_CHUNK_SECONDS
        try:
            while True:
                try:
                    chunk = await asyncio.wait_for(queue.get(), patience)
                    patience = patience if follow else NEXT_CHUNK_SECONDS
                except TimeoutError:
                    if not follow:
                        return
                    await self._send(": still here\n\n")
                    continue
                if chunk is None:
                    return
                if chunk.data and chunk.offset <= self._offset < chunk.offset + len(chunk.data):
                    await self._chunk(chunk.data[self._offset - chunk.offset :])
                if chunk.last or (not follow and not chunk.data):
                    return
        finally:
            self._context.links.unwatch(watch)

    async def _send_kept(self, job: Job | None) -> None:
        """What a run that is over left behind."""
        file: OutputFile | None = None
        if job is not None:
            file = job.stdout if self._stream == "stdout" else job.stderr
        if file is not None and file.size:
            async for piece in self._context.blobs.pieces(file.sha256, self._offset, CHUNK_BYTES):
                await self._chunk(piece)
        await self._frame(b"", last=True)

    def _is_in_rest(self) -> bool:
        number, proc = self._key
        cluster = self._context.loop.pool.clusters.get(number)
        return cluster is not None and cluster.in_rest(proc)

    async def _ended_job(self) -> Job | None:
        # It may have ended this moment: what was applied before this step is on disk after it.
        await self._context.loop.ask(_settle)
        rows = await self._context.loop.store.history(None, 1, *self._key)
        return rows[0].job if rows else None

    async def _chunk(self, data: bytes) -> None:
        await self._frame(data, last=False)
        self._offset += len(data)

    async def _frame(self, data: bytes, last: bool) -> None:
        body = msgspec.json.encode({"offset": self._offset, "data": base64.b64encode(data).decode(), "last": last})
        await self._send(f"event: chunk\nid: {self._offset}\ndata: {body.decode()}\n\n")
