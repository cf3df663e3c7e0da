"""The owner's last word: START of the machine's own ad, evaluated against a job.

The schedd has asked before, with an ad that may be some moments old; here the
machine asks itself.
"""

from collections.abc import Mapping

from dsl.classad import Ad, is_true, literal, parse
from startd.core import words

ALWAYS = "true"


class Owner:
    """The machine's ad as it is now."""

    def __init__(self, ad: Mapping[str, str]) -> None:
        self.ad: dict[str, str] = {}
        self.clock_ahead = 0.0
        """Wall clock minus the core's `now`."""
        self.see(ad)

    def see(self, ad: Mapping[str, str]) -> None:
        self.ad = dict(ad)
        self._machine: Ad | None = None
        self._start = self.ad.get("START", ALWAYS)

    def refusal(self, job: Mapping[str, str], now: float) -> str | None:
        """Why this job may not run here now, or None if it may."""
        if self._start.strip().lower() == ALWAYS:
            return None
        if self._machine is None:
            self._machine = Ad.from_texts(self.ad)
        value = parse(self._start).evaluate(self._machine, Ad.from_texts(job), now=now + self.clock_ahead)
        return None if is_true(value) else words.owner_refuses(self._start, str(literal(value)))
