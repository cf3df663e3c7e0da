"""The progress of clusters, as the schedd tells it: a live bar in a terminal, plain lines elsewhere.

`follow` listens to one stream of counts and never asks twice; when the schedd goes away
it says so once, comes back with growing pauses and resumes after the last event it saw.
"""

import contextlib
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import msgspec

from cli.adtext import plain
from cli.common import count_of
from contract.client import Client, ServerSentEvent
from contract.problems import Problem
from contract.requests import Ad, Batch, Totals

RATE_WINDOW_SECONDS = 20.0
STEP_PERCENT = 5
LINE_SECONDS = 1.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
RING_AGAIN_SECONDS = 0.05

Until = Callable[[Batch], bool]


class TimeIsUp(Exception):
    """The time that the user gave is over; the jobs are not."""


class View(Protocol):
    """How progress is shown."""

    def show(self, batch: Batch, at: float) -> None: ...
    def note(self, text: str) -> None: ...
    def close(self) -> None: ...


def follow(
    client: Client,
    clusters: Sequence[int],
    since: int | None,
    *,
    timeout: float | None = None,
    quiet: bool = False,
    until: Until | None = None,
) -> dict[int, Batch]:
    """Show the progress of `clusters`, one after the other, until each is over; return the last counts of each.

    When nothing is left but held jobs it says why they are held; without `until` it returns
    then, with it the jobs are waited for all the same. When `timeout` seconds are over it
    returns what is known by then: ask `is_over`.
    """
    last: dict[int, Batch] = {}
    with contextlib.suppress(TimeIsUp), alarm(timeout):
        for cluster in clusters:
            view = _NoView() if quiet else _SomeView()
            told_why = False
            try:
                for batch in counts(client, cluster, since, view.note):
                    last[cluster] = batch
                    view.show(batch, time.monotonic())
                    if only_held_remain(batch) and not (told_why or quiet):
                        view.note(_why_held(client, batch))
                        told_why = True
                    if (until or is_settled)(batch):
                        break
            finally:
                view.close()
    return last


def counts(client: Client, cluster: int, since: int | None, note: Callable[[str], None]) -> Iterator[Batch]:
    """The counts of a cluster whenever they change, across restarts of the schedd."""
    for event in resumed(client, "/v1/events", since, note, cluster=cluster, counts=1):
        if event.kind == "counts":
            yield msgspec.json.decode(event.data, type=Batch)


def resumed(
    client: Client, path: str, since: int | str | None, note: Callable[[str], None], **query: Any
) -> Iterator[ServerSentEvent]:
    """The events of a stream, without end: when it breaks, from the last one on."""
    pause = 0.0
    told = False
    while True:
        try:
            for event in client.events(path, since=since, **query):
                since = event.id or since
                if told:
                    note("The schedd is back.")
                pause, told = 0.0, False
                yield event
        except Problem as problem:
            if problem.code not in ("pool_stopped", "unavailable"):
                raise
        if pause >= 0.4 and not told:
            note("The schedd does not answer; the jobs go on. Waiting for it to come back …")
            told = True
        pause = next_pause(pause)
        time.sleep(pause)


def next_pause(pause: float) -> float:
    """How long to wait before the next try to connect."""
    return min(max(pause * 2, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)


@contextlib.contextmanager
def alarm(seconds: float | None) -> Iterator[None]:
    """Raise TimeIsUp in the block after so many seconds, whatever it waits for."""
    if seconds is None:
        yield
        return

    left = False

    def ring(number: int, frame: object) -> None:
        if not left:
            raise TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    # A timer set to 0 would never ring. It rings again, since an exception that meets a destructor is lost.
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001), RING_AGAIN_SECONDS)
    try:
        yield
    finally:
        left = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# --- what the counts mean --------------------------------------------------------------


def ended(jobs: Totals) -> int:
    """How many jobs have left the queue."""
    return jobs.completed + jobs.removed


def is_over(batch: Batch) -> bool:
    """Whether nothing of this cluster is in the queue any more."""
    jobs = batch.jobs
    return jobs.idle + jobs.running + jobs.suspended + jobs.held == 0


def only_held_remain(batch: Batch) -> bool:
    """Whether nothing will happen until somebody releases or removes."""
    jobs = batch.jobs
    return jobs.held > 0 and jobs.idle + jobs.running + jobs.suspended == 0


def is_settled(batch: Batch) -> bool:
    """Whether waiting longer is of no use."""
    return is_over(batch) or only_held_remain(batch)


class Rate:
    """How many jobs end in a second, of late."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def see(self, done: int, at: float) -> None:
        self._seen.append((at, done))
        while len(self._seen) > 2 and self._seen[1][0] < at - RATE_WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def per_second(self) -> float | None:
        if len(self._seen) < 2:
            return None
        (first, before), (last, now) = self._seen[0], self._seen[-1]
        return (now - before) / (last - first) if last > first and now > before else None


def time_left(batch: Batch, rate: float | None) -> float | None:
    """Seconds until the waiting and running jobs are over, if it goes on like this."""
    left = batch.jobs.idle + batch.jobs.running + batch.jobs.suspended
    if rate:
        return left / rate
    # Nothing ended of late: if all that is left says when it will be done, that is the forecast.
    return batch.progress.left_seconds if batch.progress is not None and batch.progress.jobs == left else None


def percent(batch: Batch) -> int:
    """How much of the cluster has left the queue; 100 only when all has."""
    return 100 if batch.total == 0 else ended(batch.jobs) * 100 // batch.total


def line(batch: Batch, rate: float | None) -> str:
    """Progress as a line of text."""
    jobs = batch.jobs
    counted = [f"{number:,} {word}" for number, word in (
        (jobs.running, "running"), (jobs.idle, "idle"), (jobs.held, "held"),
        (jobs.suspended, "suspended"), (jobs.removed, "removed")) if number]
    done = f"cluster {batch.cluster}: {jobs.completed:,} of {batch.total:,} done"
    left = time_left(batch, rate)
    forecast = [] if rate is None else [f"{rate:.3g}/s"]
    if left:
        forecast.append(f"{in_words(left)} left")
    return f"{percent(batch):3}%  " + ", ".join([done, *counted, *forecast]) + in_its_words(batch)


def in_its_words(batch: Batch) -> str:
    """How far the running jobs say they are, and the latest message; "" where none says anything."""
    said = batch.progress
    if said is None:
        return ""
    of = "it" if batch.total == 1 else "the running" if said.jobs == batch.jobs.running else f"{said.jobs:,} running"
    message = f", {plain(said.message, 60)}" if said.message else ""
    return f"; {of} at {said.percent:.0f}%{message}"


def in_words(seconds: float) -> str:
    """`12 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


# --- how it is shown -------------------------------------------------------------------


class _NoView:
    """Nobody looks."""

    def show(self, batch: Batch, at: float) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


class _SomeView:
    """The view that fits: chosen at the first counts, for a bar costs more to load than a short job runs."""

    def __init__(self) -> None:
        self._view: View | None = None

    def show(self, batch: Batch, at: float) -> None:
        if self._view is None:
            self._view = _Bar() if sys.stderr.isatty() and not is_over(batch) else Lines()
        self._view.show(batch, at)

    def note(self, text: str) -> None:
        if self._view is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self._view.note(text)

    def close(self) -> None:
        if self._view is not None:
            self._view.close()


class Lines:
    """A line when much has changed: one for each 5 %, of the running jobs too, and each new hold; one a second at
    most, and the last."""

    def __init__(self, write: Callable[[str], object] | None = None) -> None:
        self._write = write or sys.stderr.write
        self._rate = Rate()
        self._said: tuple[int, int, int] | None = None
        self._next_at = float("-inf")
        self._later: str | None = None
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    def show(self, batch: Batch, at: float) -> None:
        self._rate.see(ended(batch.jobs), at)
        inside = int(batch.progress.percent) // STEP_PERCENT if batch.progress is not None else -1
        now = (percent(batch) // STEP_PERCENT, inside, batch.jobs.held)
        with self._lock:
            if is_over(batch):
                self._later = None
                self._write(line(batch, None) + "\n")
            elif now != self._said:
                self._said = now
                self._say_in_time(line(batch, self._rate.per_second), at)

    def _say_in_time(self, text: str, at: float) -> None:
        if at >= self._next_at:
            self._next_at = at + LINE_SECONDS
            self._write(text + "\n")
            return
        if self._later is None:
            # No event may come for long: what is held back must appear all the same.
            self._timer = threading.Timer(self._next_at - at, self.say_what_was_held_back)
            self._timer.daemon = True
            self._timer.start()
        self._later = text

    def say_what_was_held_back(self) -> None:
        with self._lock:
            if self._later is not None:
                self._write(self._later + "\n")
                self._later = None
                self._next_at += LINE_SECONDS

    def note(self, text: str) -> None:
        self._write(text + "\n")

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.say_what_was_held_back()


class _Bar:
    """A live bar of done, running, idle and held jobs."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self._text = Text
        self._console = Console(stderr=True)
        self._rate = Rate()
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._live.start()

    def show(self, batch: Batch, at: float) -> None:
        self._rate.see(ended(batch.jobs), at)
        text = line(batch, None if is_over(batch) else self._rate.per_second)
        room = max(10, min(40, self._console.width - len(text) - 4))
        bar = self._text.assemble(*bar_parts(batch, room), "  ", text)
        bar.no_wrap, bar.overflow = True, "ellipsis"
        self._live.update(bar, refresh=True)

    def note(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)

    def close(self) -> None:
        self._live.stop()


def bar_parts(batch: Batch, room: int) -> list[tuple[str, str]]:
    """Pieces of a bar `room` characters wide, each with its colour: done, running, held, idle."""
    jobs = batch.jobs
    amounts = ((ended(jobs), "━", "green"), (jobs.running + jobs.suspended, "━", "yellow"),
               (jobs.held, "━", "red"), (jobs.idle, "─", "bright_black"))
    total = max(1, sum(amount for amount, _, _ in amounts))
    parts: list[tuple[str, str]] = []
    before = reached = 0
    for amount, character, colour in amounts:
        before += amount
        until = before * room // total
        if until > reached:
            parts.append((character * (until - reached), colour))
        reached = until
    return parts


def _why_held(client: Client, batch: Batch) -> str:
    cluster = batch.cluster
    # A question on the client's own connection would end the stream that it listens to.
    another = Client(client.url, client.token, client.unix_socket)
    held = another.call("GET", "/v1/jobs", list[Ad], id=cluster, constraint="JobStatus == 5", limit=3,
                       attributes="ClusterId,ProcId,HoldReason")
    another.close()
    return why_held(batch, held)


def why_held(batch: Batch, ads: Sequence[Ad]) -> str:
    """That only held jobs remain, why, and what to do."""
    lines = [f"Only held jobs remain: {count_of(batch.jobs.held, 'job')} of cluster {batch.cluster}."]
    reasons: dict[str, list[str]] = {}
    for ad in ads:
        reason = plain(str(ad.get("HoldReason", "no reason was given")))
        reasons.setdefault(reason, []).append(f"{ad['ClusterId']}.{ad['ProcId']}")
    lines += [f"  {', '.join(ids)}: {reason}" for reason, ids in reasons.items()]
    if batch.jobs.held > len(ads):
        lines.append(f"  … all reasons: pesc_q -hold {batch.cluster}")
    lines.append(f"  Mend the cause, then: pesc_release {batch.cluster}; or give them up: pesc_rm {batch.cluster}.")
    return "\n".join(lines)
