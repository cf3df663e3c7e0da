"""How a machine's owner gets the machine back: the steps that jobs go down, and up again.

    FREE          jobs come and run
    NO_NEW_WORK   those that run go on; none comes
    THROTTLE      those that run share a little of the processors
    FREEZE        those that run stand still
    LEAVE         those that run are asked to end, and run elsewhere

`Policy` has every number. A *visit* begins when somebody is seen and ends when nobody has
been for a while; within it steps only lead down, each after its own time.

LADDER-1: whoever is seen has the machine in the same step: no new work, and, unless the
          policy waits, running jobs throttled.
LADDER-2: during a visit nothing that was taken from jobs is given back.
LADDER-3: no step is climbed while nobody is there.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Step(IntEnum):
    FREE = 0
    NO_NEW_WORK = 1
    THROTTLE = 2
    FREEZE = 3
    LEAVE = 4


class Reading(NamedTuple):
    """What was seen of the owner; None where nothing can tell."""

    keyboard_idle: float | None = None
    """Seconds since the last input, at the machine or at any terminal."""
    console_idle: float | None = None
    """The same, at the machine itself."""
    people: tuple[str, ...] | None = None
    """Who is logged in, once for every session."""
    load: float | None = None
    """The share of all processors that work for others than our runs, 0 to 1."""
    our_load: float | None = None
    """The share that works for our runs."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What counts as the owner being there, and what follows. Times are in seconds."""

    input: bool = True
    """Whether keys and mouse count."""
    sessions: bool = True
    """Whether it counts that somebody is logged in."""
    load: bool = True
    """Whether the load of others keeps new work away."""
    active_seconds: float = 60.0
    """For so long after an input somebody is there; as HTCondor's."""
    busy_load: float = 0.7
    """The thesis': where others use so much of the processors, no new work comes."""
    calm_load: float = 0.5
    calm_seconds: float = 60.0
    """New work comes again when others have used less than `calm_load` for so long."""
    share: float = 0.1
    """The thesis': what running jobs may use of the processors while the owner is there."""
    throttle_after_seconds: float = 0.0
    freeze_after_seconds: float | None = 300.0
    """So long after the visit began; None: never."""
    leave_after_seconds: float | None = 600.0
    """So long after freezing; None: never. HTCondor's MaxSuspendTime."""
    resume_after_seconds: float = 240.0
    """Running jobs go on when nobody was there for so long. With `active_seconds` HTCondor's five minutes."""
    start_after_seconds: float = 840.0
    """New work comes when nobody was there for so long. With `active_seconds` HTCondor's quarter of an hour."""

    @property
    def heeds_anything(self) -> bool:
        return self.input or self.sessions or self.load


PRESETS = {
    "off": Policy(input=False, sessions=False, load=False),
    "server": Policy(input=False, sessions=False),
    "desktop": Policy(),
}


class Ladder:
    """Where the machine's jobs stand. `see` is all that happens to it."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.step = Step.FREE
        self.why = ""
        """For people, no capital, no full stop: why the step is not FREE."""
        self.present = False
        self._visit_at: float | None = None
        self._seen_at: float | None = None
        self._froze_before = False
        self._busy = False
        self._busy_at = 0.0
        self._busy_words = ""

    def was_frozen(self) -> None:
        """An earlier life of the startd left frozen runs: begin there."""
        if self.policy.input or self.policy.sessions:
            self.step, self._froze_before = Step.FREEZE, True
            self.why = "the owner was there before the startd was restarted"

    def see(self, reading: Reading, now: float) -> Step:
        """Take in what was seen; return the step that follows."""
        who = self._who(reading)
        self.present = bool(who)
        if self._froze_before:
            self._froze_before = False
            self._visit_at, self._seen_at = now - (self.policy.freeze_after_seconds or 0.0), now
        if who:
            self._visit_at = now if self._visit_at is None else self._visit_at
            self._seen_at = now
        elif self._visit_at is not None and self._quiet(now, self.policy.resume_after_seconds):
            self._visit_at = None
        self._heed_load(reading.load, now)
        if self._visit_at is None:
            self.step = self._between_visits(now)
        elif who:
            self.step, self.why = max(self.step, self._reached(now - self._visit_at)), who
        return self.step

    def _who(self, reading: Reading) -> str:
        """Who is there, in words; "" when nobody is."""
        policy = self.policy
        if policy.input and reading.keyboard_idle is not None and reading.keyboard_idle < policy.active_seconds:
            return "somebody is at the keyboard"
        if policy.sessions and reading.people:
            first, *others = sorted(set(reading.people))
            return f"{first} {f'and {len(others)} more are' if others else 'is'} logged in"
        return ""

    def _reached(self, age: float) -> Step:
        """How far a visit that has lasted so long has come."""
        policy = self.policy
        if policy.freeze_after_seconds is not None and age >= policy.freeze_after_seconds:
            if policy.leave_after_seconds is not None and (
                    age >= policy.freeze_after_seconds + policy.leave_after_seconds):
                return Step.LEAVE
            return Step.FREEZE
        return Step.THROTTLE if age >= policy.throttle_after_seconds else Step.NO_NEW_WORK

    def _between_visits(self, now: float) -> Step:
        if self._busy:
            self.why = self._busy_words
            return Step.NO_NEW_WORK
        if self._seen_at is not None and not self._quiet(now, self.policy.start_after_seconds):
            self.why = "somebody was here a moment ago"
            return Step.NO_NEW_WORK
        self.why = ""
        return Step.FREE

    def _quiet(self, now: float, seconds: float) -> bool:
        return self._seen_at is not None and now - self._seen_at >= seconds

    def _heed_load(self, load: float | None, now: float) -> None:
        if not self.policy.load or load is None:
            return
        if load >= self.policy.busy_load or (self._busy and load >= self.policy.calm_load):
            if not self._busy:
                self._busy_words = f"others use {min(1.0, load):.0%} of the processors"
            self._busy, self._busy_at = True, now
        elif self._busy and now - self._busy_at >= self.policy.calm_seconds:
            self._busy = False
