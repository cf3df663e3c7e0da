"""Who has used how much of late: HTCondor's effective user priority.

A user's real priority follows the cpus in use with a half-life of one day and never falls
below one half. The matchmaker serves first whose use is smallest for what is due to them.
"""

import msgspec

HALF_LIFE_SECONDS = 86_400.0
BEST_PRIORITY = 0.5


class Account(msgspec.Struct, omit_defaults=True):
    """What is saved of a user's use."""

    owner: str
    priority: float = BEST_PRIORITY
    in_use: float = 0.0
    """Cpus held now."""
    at: float = 0.0
    """Until when `priority` is worked out."""
    cpu_seconds: float = 0.0
    """Held in all."""

    def settle(self, now: float) -> None:
        """Let time pass up to `now` at the present use."""
        elapsed = max(0.0, now - self.at)
        keeps = 0.5 ** (elapsed / HALF_LIFE_SECONDS)
        self.priority = max(BEST_PRIORITY, self.priority * keeps + self.in_use * (1.0 - keeps))
        self.cpu_seconds += self.in_use * elapsed
        self.at = max(self.at, now)

    def use(self, cpus: float, now: float) -> None:
        """Take `cpus` more into use (or give some back, below zero)."""
        self.settle(now)
        self.in_use = max(0.0, self.in_use + cpus)
