"""What of the cache is kept when there is too much of it."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import NamedContent
from startd.files.cache import Cache
from startd.files.keeping import Keeping
from tests.builders import a_content, a_grant, a_program, a_run, sha256

KIB = 1024


@pytest.fixture
def tight(room):
    """A cache that may keep ten KiB."""
    def reopen():
        room.cache = Cache(room.state, 10 * KIB)
        room.sandboxes._cache = room.cache
        return room
    room.reopen = reopen
    return reopen()


def run_with(room, number: int, raw: bytes):
    """A run comes, has `raw` as its input, and is over."""
    content = a_content(raw) if room.cache.has(sha256(raw)) else room.content(raw)
    grant = a_grant(run=a_run(number), program=a_program(inputs=[NamedContent("data", content)]))
    room.prepare(grant)
    room.cache.over(grant.run)


def there(room) -> list[bytes]:
    """What lies in the cache, by its first letter."""
    return sorted(path.read_bytes()[:1] for path in Path(room.state, "cache").iterdir() if path.name[0] != ".")


def test_what_was_needed_last_stays(tight):
    for number, letter in enumerate(b"abc"):
        run_with(tight, number, bytes([letter]) * 3 * KIB)
    assert tight.cache.trim() == []
    run_with(tight, 8, b"a" * 3 * KIB)
    run_with(tight, 9, b"d" * 3 * KIB)
    doomed = tight.cache.trim()
    assert there(tight) == [b"a", b"c", b"d"]
    assert [Path(path).read_bytes()[:1] for path in doomed] == [b"b"]
    tight.cache.remove(doomed)
    assert not any(map(os.path.exists, doomed))


def test_what_a_run_needs_is_kept_however_much_it_is(tight):
    inputs = [NamedContent("data", tight.content(bytes([letter]) * 8 * KIB)) for letter in b"abc"]
    grants = [a_grant(run=a_run(number), program=a_program(inputs=[named])) for number, named in enumerate(inputs)]
    for grant in grants:
        tight.prepare(grant)
    assert tight.cache.trim() == []
    tight.cache.over(grants[1].run)
    tight.cache.remove(tight.cache.trim())
    assert there(tight) == [b"a", b"c"]
    tight.cache.over(grants[0].run)
    tight.cache.remove(tight.cache.trim())
    assert there(tight) == [b"c"]


def test_what_went_is_lacking_and_comes_again(tight):
    tree = tight.tree({"main.py": b"#" * 6 * KIB})
    single = tight.content(b"#!" + b"x" * 6 * KIB)
    programs = [a_program(command=None, content=tree, main="main.py", contract=True),
                a_program(command=None, content=single, name="job")]
    for number, program in enumerate(programs):
        grant = a_grant(run=a_run(number), program=program)
        tight.prepare(grant)
        tight.cache.over(grant.run)
        tight.sandboxes.discard(grant.run)
    run_with(tight, 5, b"z" * 9 * KIB)
    tight.cache.remove(tight.cache.trim())
    assert there(tight) == [b"z"]
    for number, program in enumerate(programs):
        grant = a_grant(run=a_run(10 + number), program=program)
        assert [content.sha256 for content in tight.cache.lacking(grant)] == [program.content.sha256]
    tight.tree({"main.py": b"#" * 6 * KIB})
    launch = tight.prepare(a_grant(run=a_run(20), program=programs[0]))
    assert Path(launch.folder, "main.py").read_bytes() == b"#" * 6 * KIB


def test_a_program_under_another_name_needs_its_content_again(room):
    content = room.content(b"#!/bin/sh\n")
    for number, name in enumerate(("one", "two")):
        program = a_program(command=None, content=content, name=name)
        launch = room.prepare(a_grant(run=a_run(number), program=program))
        assert launch.argv == [f"{launch.folder}/{name}"]
    os.unlink(room.cache.path(content.sha256))
    room.open()
    three = a_grant(run=a_run(3), program=a_program(command=None, content=content, name="three"))
    assert [lacked.sha256 for lacked in room.cache.lacking(three)] == [content.sha256]


def test_sizes_and_order_are_known_after_a_restart(tight):
    for number, letter in enumerate(b"abc"):
        run_with(tight, number, bytes([letter]) * 3 * KIB)
    for path in Path(tight.state, "cache").iterdir():
        letter = path.read_bytes()[:1]
        os.utime(path, (1000 + 100 * (letter == b"a"), 1))
    tight.reopen()
    run_with(tight, 9, b"d" * 6 * KIB)
    tight.cache.remove(tight.cache.trim())
    assert there(tight) == [b"a", b"d"]


def test_the_bound_holds_at_the_next_start(room):
    room.content(b"a" * 20 * KIB)
    room.cache = Cache(room.state, 10 * KIB)
    room.cache.remove(room.cache.trim())
    assert there(room) == []


def test_when_a_content_was_needed_does_not_change_when_it_was_written(tight):
    run_with(tight, 1, b"a" * KIB)
    path = next(Path(tight.state, "cache").iterdir())
    os.utime(path, (5, 5))
    tight.reopen()
    run_with(tight, 2, b"a" * KIB)
    assert path.stat().st_mtime == 5 and path.stat().st_atime > 5


STEPS = st.lists(st.one_of(
    st.tuples(st.just("came"), st.integers(0, 9), st.integers(1, 60)),
    st.tuples(st.just("needs"), st.integers(0, 4), st.integers(0, 9)),
    st.tuples(st.just("over"), st.integers(0, 4), st.just(0)),
    st.tuples(st.just("trim"), st.just(0), st.just(0)),
), max_size=60)


@given(STEPS)
def test_the_needed_stay_and_the_bound_holds(steps):
    keeping = Keeping("/nowhere", 100)
    sizes: dict[str, int] = {}
    needs: dict[int, set[str]] = {}
    for what, first, second in [*steps, ("trim", 0, 0)]:
        match what:
            case "came":
                keeping.came(str(first), second)
                sizes[str(first)] = second
            case "needs":
                keeping.needs(a_run(first), str(second))
                needs.setdefault(first, set()).add(str(second))
            case "over":
                keeping.over(a_run(first))
                needs.pop(first, None)
            case "trim":
                needed = set().union(*needs.values())
                for place in keeping.surplus():
                    assert place not in needed
                    del sizes[place]
                assert sum(sizes.values()) <= 100 or sizes.keys() <= needed
