"""The families of histories: what kind of day, and what people do on it."""

from dataclasses import dataclass

from tests.simulation.faults import QUIET, Faults
from tests.simulation.world import World

ACTIONS = 25
SECONDS_BETWEEN = 6.0


@dataclass(frozen=True, slots=True)
class Scenario:
    faults: Faults = QUIET
    machines: int = 3
    users: tuple[str, ...] = ("dana",)
    kinds: tuple[str, ...] = ()
    seconds_between: float = SECONDS_BETWEEN
    domains: bool = False
    """Many jobs run in images that have to be built."""
    brief: bool = False
    """Jobs that are over at once, so that the next ones lie ready on their machines."""


THREE_USERS = ("ana", "bo", "chi")

FAMILIES = {
    "a quiet network": Scenario(),
    "a lossy network": Scenario(Faults(lose=0.1, double=0.1, reorder=0.2, late=0.05, break_every=60)),
    "a schedd that dies": Scenario(Faults(schedd_dies=0.01, schedd_disk_full=0.02, late=0.01)),
    "startds that die": Scenario(Faults(startd_dies=0.01, keeper_dies=0.01, keeper_dies_every=120,
                                        machine_dies_every=200, leave_every=200, late=0.01)),
    "leases that end": Scenario(Faults(silent_every=60, break_every=60, late=0.02, double=0.02)),
    "disks that are full": Scenario(Faults(
        disk_full_every=30, startd_dies=0.005, machine_dies_every=150, power_loss=0.5, machine_wiped_every=300)),
    "many users and kinds of machines": Scenario(
        Faults(owner_changes_every=40, clock_jumps_every=60, break_every=100), 4, THREE_USERS, ("gpu", "cpu", "big")),
    "GPUs that are shared, and fail": Scenario(
        Faults(gpu_fails_every=40, break_every=60, silent_every=100, schedd_dies=0.002, startd_dies=0.003, late=0.02,
               double=0.02, machine_dies_every=300), 3, ("ana", "bo"), ("gpu", "gpu", "cpu")),
    "owners that come and go": Scenario(
        Faults(owner_comes_every=30, lose=0.03, double=0.05, reorder=0.1, late=0.02, break_every=100, silent_every=150,
               startd_dies=0.002, keeper_dies_every=200, machine_dies_every=300, schedd_dies=0.001)),
    "brief jobs that lie ready": Scenario(
        Faults(lose=0.02, double=0.02, reorder=0.05, late=0.01, break_every=60, schedd_dies=0.001, startd_dies=0.001,
               silent_every=150, disk_full_every=100), 2, ("ana", "bo"), seconds_between=3.0, brief=True),
    "domains that are built": Scenario(
        Faults(lose=0.05, double=0.05, reorder=0.1, late=0.02, break_every=60, schedd_dies=0.003, startd_dies=0.003,
               machine_dies_every=150, silent_every=100, leave_every=200, schedd_disk_full=0.01), 3, ("ana", "bo"),
        domains=True),
    "everything at once": Scenario(
        Faults(lose=0.05, double=0.05, reorder=0.1, late=0.02, break_every=100, schedd_dies=0.002, startd_dies=0.002,
               keeper_dies=0.002, keeper_dies_every=200, leave_every=300, machine_dies_every=300, power_loss=0.3,
               machine_wiped_every=500, silent_every=100, disk_full_every=100, schedd_disk_full=0.01,
               clock_jumps_every=100, owner_changes_every=100, owner_comes_every=100), 4, THREE_USERS, ("gpu", "cpu")),
}


def play(family: str, seed: int, broken: str = "") -> World:
    """One whole history: people act while things go wrong, then all must come to its end."""
    scenario = FAMILIES[family]
    world = World(seed, name=family, machines=scenario.machines, faults=scenario.faults, users=scenario.users,
                  kinds=scenario.kinds, domains=scenario.domains, brief=scenario.brief, broken=broken)
    for _ in range(ACTIONS):
        world.run(world.random.expovariate(1.0 / scenario.seconds_between))
        world.users.do_something()
    world.settle()
    return world
