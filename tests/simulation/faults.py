"""What goes wrong, and how often. All zero is a quiet day."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Faults:
    """Chances are per frame or per moment; `every` is a mean in seconds, 0 for never."""

    lose: float = 0.0
    double: float = 0.0
    reorder: float = 0.0
    late: float = 0.0
    """Chance that a frame takes up to LATEST_SECONDS."""
    break_every: float = 0.0
    """Connections break, on each machine."""
    schedd_dies: float = 0.0
    """Chance at each kill moment of the schedd."""
    startd_dies: float = 0.0
    """Chance at each kill moment of a startd."""
    leave_every: float = 0.0
    """Startds are told to leave, in good order, and come back."""
    keeper_dies: float = 0.0
    """Chance whenever it is asked for something, which is lost then."""
    keeper_dies_every: float = 0.0
    machine_dies_every: float = 0.0
    """The startd, the keeper and all processes at once."""
    power_loss: float = 0.0
    """Chance that a dying machine forgets the latest lines of its journal."""
    machine_wiped_every: float = 0.0
    """It comes back under its name without any memory."""
    silent_every: float = 0.0
    silent_for: tuple[float, float] = (5.0, 150.0)
    """Nothing passes to and from a machine; its runs go on."""
    disk_full_every: float = 0.0
    disk_full_for: tuple[float, float] = (5.0, 40.0)
    schedd_disk_full: float = 0.0
    """Chance that a commit is refused; it is tried again."""
    clock_jumps_every: float = 0.0
    owner_comes_every: float = 0.0
    owner_stays: tuple[float, float] = (1.0, 120.0)
    """Somebody sits down at a machine: its runs are throttled, frozen, and asked to leave."""
    owner_changes_every: float = 0.0
    """START of a machine goes false or true."""
    gpu_fails_every: float = 0.0
    """A GPU does not answer any more, or does again."""


QUIET = Faults()
LATEST_SECONDS = 25.0
