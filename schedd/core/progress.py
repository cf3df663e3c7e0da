"""How far running jobs say they are, and when they will be done if they go on like this.

The latest word counts; nothing of it is on disk: after a restart of the schedd the startds say
it again. It is made an event now and then, ever more rarely: each when the run has lasted a
quarter longer than at the one before, so that a run of a day makes some fifty.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from contract.requests import BatchProgress

EVENT_SECONDS = 1.0
EVENT_SHARE = 0.25


@dataclass(slots=True)
class Progress:
    """The latest word of one run."""

    percent: float
    message: str
    at: float
    since: float
    """From here on its pace is measured …"""
    since_percent: float
    """… when it was so far: where its run began, or where a restarted job first said it was."""
    event_at: float = 0.0
    """No event of it before."""
    is_event: bool = False
    """Whether this very word was made one."""

    @property
    def left_seconds(self) -> float | None:
        """From `at` on."""
        done, seconds = self.percent - self.since_percent, self.at - self.since
        if self.percent >= 100:
            return 0.0
        return (100 - self.percent) * seconds / done if done > 0 and seconds > 0 else None


def taken(before: Progress | None, percent: float, message: str, now: float, started: float, again: bool) -> Progress:
    """The progress after another word; `again`: the job had runs before this one, which began at `started`."""
    if before is None:
        # It may go on from a checkpoint: how far it was at its beginning is not known before it says so.
        since, since_percent = (now, percent) if again else (started, 0.0)
        return Progress(percent, message, now, since, since_percent)
    if percent < before.since_percent:
        return Progress(percent, message, now, now, percent, before.event_at)
    return Progress(percent, message, now, before.since, before.since_percent, before.event_at)


def next_event_at(now: float, started: float) -> float:
    return now + max(EVENT_SECONDS, EVENT_SHARE * (now - started))


def of_batch(all_that_say: Iterable[Progress]) -> BatchProgress | None:
    """What the running jobs of a cluster say, taken together."""
    said = list(all_that_say)
    if not said:
        return None
    latest = max((one for one in said if one.message), key=lambda one: one.at, default=None)
    left = [one.left_seconds for one in said]
    known = [seconds for seconds in left if seconds is not None]
    return BatchProgress(len(said), round(sum(one.percent for one in said) / len(said), 2),
                         latest.message if latest else "", round(max(known), 1) if len(known) == len(said) else None)
