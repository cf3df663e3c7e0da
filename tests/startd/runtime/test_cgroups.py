"""Groups that are ours, on folders laid out like the kernel's.

With the kernel's own: `test_podman` (a run has a group, and is frozen by it) where a test machine has any
controller to hand down, whichever it is.
"""

from pathlib import Path

import pytest

from startd.core.container import Group
from startd.images.engine import CannotContain, Said
from startd.runtime import cgroups
from startd.runtime.trial import _read

OWN = "/user.slice/pesc.scope"


class Tree:
    """What of a tree of cgroups is written and read here."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.make("", "cpu io memory pids")

    def make(self, path: str, controllers: str) -> Path:
        folder = Path(f"{self.root}{path}")
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("cgroup.controllers", controllers + "\n"), ("cgroup.procs", ""),
                           ("cgroup.subtree_control", "")):
            (folder / name).write_text(text)
        return folder

    def claim(self, name: str = "pesc-1") -> Group | None:
        return cgroups.claim_group(name, str(self.root), OWN)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "cgroup")


def test_a_group_is_claimed_with_those_controllers_that_it_was_given(tree: Tree):
    tree.make(OWN, "cpu io memory pids")
    tree.make(f"{OWN}/pesc-1", "memory pids io")
    assert tree.claim() == Group(f"{OWN}/pesc-1", frozenset({"memory", "pids"}))


def test_a_startd_that_made_room_for_its_groups_claims_them_from_where_it_was(tree: Tree):
    tree.make(OWN, "memory")
    tree.make(f"{OWN}/pesc-1", "memory")
    assert cgroups.claim_group("pesc-1", str(tree.root), f"{OWN}/{cgroups.LEAF}") == tree.claim()


@pytest.mark.parametrize(("own", "given"), [("io hugetlb", "io"), ("", ""), ("memory", "")])
def test_a_group_that_can_limit_nothing_is_not_worth_having(tree: Tree, own: str, given: str):
    tree.make(OWN, own)
    tree.make(f"{OWN}/pesc-1", given)
    assert tree.claim() is None


def test_where_nothing_can_be_handed_down_there_is_no_group(tree: Tree):
    control = tree.make(OWN, "memory pids") / "cgroup.subtree_control"
    control.unlink()
    control.mkdir()  # it cannot be written, whoever we are
    tree.make(f"{OWN}/pesc-1", "memory pids")
    assert tree.claim() is None


def test_where_there_is_no_tree_of_version_2_there_is_no_group(tree: Tree):
    (tree.root / "cgroup.controllers").unlink()
    tree.make(OWN, "memory")
    assert tree.claim() is None


def test_kills_for_memory_are_counted_and_nothing_else_is(tree: Tree):
    events = tree.make("/run", "memory") / "memory.events"
    events.write_text("low 0\nhigh 7\nmax 31\noom 3\noom_kill 2\noom_group_kill 1\n")
    assert cgroups.memory_kills("/run", str(tree.root)) == 2
    events.write_text("low 0\n")
    assert cgroups.memory_kills("/run", str(tree.root)) == 0
    events.write_text("oom_kill many\n")
    assert cgroups.memory_kills("/run", str(tree.root)) == 0
    assert cgroups.memory_kills("/gone", str(tree.root)) == 0


def test_a_group_is_frozen_and_thawed_or_it_is_said_that_it_cannot_be(tree: Tree):
    folder = tree.make("/run", "memory")
    assert cgroups.freeze("/run", True, str(tree.root))
    assert (folder / "cgroup.freeze").read_text() == "1"
    assert cgroups.freeze("/run", False, str(tree.root))
    assert (folder / "cgroup.freeze").read_text() == "0"
    assert not cgroups.freeze("/gone", True, str(tree.root))


def test_a_group_goes_with_what_was_made_below_it(tree: Tree):
    (tree.root / "run" / "inner" / "most").mkdir(parents=True)
    (tree.root / "other").mkdir()
    cgroups.remove("/run", str(tree.root))
    cgroups.remove("/run", str(tree.root))
    assert sorted(path.name for path in tree.root.iterdir() if path.is_dir()) == ["other"]


# --- what a trial container tells of them ------------------------------------------------

TOLD = """CapEff: 0000000000000000
CapBnd: 0000000000000000
NoNewPrivs: 1
Seccomp: 2
links: 1
scratch: writable
processes: 2
forked: 9
end: yes
"""


@pytest.mark.parametrize(("more", "memory", "shares"), [
    ("", False, False),
    ("memory: 67108864\nweight: 79\n", True, True),
    ("memory: 67108864\nweight: 100\n", True, False),
    ("memory: max\nweight: \n", False, False),
    ("memory: \nweight: 79\n", False, True),
])
def test_the_kernel_limits_what_it_says_that_it_was_told_to(more: str, memory: bool, shares: bool):
    found = _read(Said(0, more + TOLD, ""))
    assert (found.memory_limit, found.cpu_shares) == (memory, shares)
    assert (found.pids_limit, found.network_isolation) == (True, True)


def test_a_container_that_is_not_closed_in_is_none():
    with pytest.raises(CannotContain, match="privileges"):
        _read(Said(0, TOLD.replace("CapBnd: 0000000000000000", "CapBnd: 0000000000000400"), ""))
