"""Checkpoint folders are copied whole, unchanged contents once, and found again by the next run."""

# ruff: noqa: ASYNC230  (nothing else runs on a test's loop meanwhile)

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from contract.client import find_pool
from contract.messages import Checkpoint, Content, Grant, NamedContent
from contract.vocabulary import INLINE_BYTES
from startd.core.events import CheckpointTaken
from startd.files.cache import Cache
from startd.files.checkpoints import Checkpoints, Known, Last, NotStill, NotTaken, _open, _read, decode_entries, look
from startd.files.paths import INPUT_TIME_NS
from startd.files.sandbox import CannotStart
from startd.files.transfer import Transfer
from tests.builders import a_content, a_grant, a_program, a_run, sha256
from tests.startd.fakeschedd import FakeSchedd, a_schedd

LARGE = os.urandom(INLINE_BYTES * 3)
LONG_AGO = 1_000.0
RUN = a_grant(program=a_program(contract=True))


class Place:
    """A run's folder, and a startd's way to a schedd."""

    def __init__(self, folder: Path, schedd: FakeSchedd, largest: int = 1 << 30, settle: float = 0.05) -> None:
        self.schedd = schedd
        self.sandbox = folder / "sandbox"
        (self.sandbox / "checkpoint").mkdir(parents=True)
        (self.sandbox / "work").mkdir()
        self.transfer = Transfer(Cache(str(folder / "startd")), lambda: find_pool(None, str(folder / "pool")))
        self.checkpoints = Checkpoints(self.transfer, largest, settle)

    def write(self, name: str, raw: bytes | str, age: float | None = LONG_AGO, folder: str = "checkpoint") -> Path:
        """Write a file; `age`: how long ago that seems to have been, None for just now and nothing more done to it."""
        path = self.sandbox / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
        if age is not None:
            os.utime(path, (time.time() - age,) * 2)
        return path

    async def take(self, grant: Grant = RUN, last: Last | None = None) -> CheckpointTaken:
        return await self.checkpoints.take(grant, str(self.sandbox), last)

    def files(self, checkpoint: Checkpoint | None) -> dict[str, bytes]:
        """What a checkpoint holds, by what the schedd has."""
        assert checkpoint is not None
        entries = decode_entries(self.schedd.content(checkpoint.content.sha256))
        return {entry.path: self.schedd.content(entry.sha256) for entry in entries}


def story(tmp_path: Path, tell: Callable[[Place], Awaitable[None]], **how: float) -> None:
    async def whole() -> None:
        async with a_schedd(tmp_path / "pool") as schedd:
            place = Place(tmp_path, schedd, **how)
            async with asyncio.timeout(200):
                await tell(place)
            place.transfer.close()

    (tmp_path / "pool").mkdir()
    asyncio.run(whole())


async def within(seconds: float, event: asyncio.Event) -> bool:
    """Whether it happens in so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def over(doubt: float | None = None) -> Last:
    return Last(time.time_ns(), doubt)


# --- what is taken -----------------------------------------------------------------------


def test_a_folder_is_copied_whole_with_its_contents(tmp_path: Path):
    async def tell(place: Place) -> None:
        place.write("state.json", "{}")
        place.write("deep/er/model", LARGE)
        os.chmod(place.write("tool", "#!/bin/sh"), 0o755)
        (place.sandbox / "checkpoint/empty").mkdir()
        taken = await place.take()
        assert place.files(taken.checkpoint) == {"state.json": b"{}", "deep/er/model": LARGE, "tool": b"#!/bin/sh"}
        assert (taken.checkpoint.files, taken.checkpoint.size) == (3, len(LARGE) + 11)
        assert taken.age_seconds >= LONG_AGO - 1 and not taken.trouble

    story(tmp_path, tell)


def test_nothing_new_is_nothing_said_and_what_did_not_change_is_not_sent_again(tmp_path: Path):
    async def tell(place: Place) -> None:
        place.write("large", LARGE)
        place.write("small", "1")
        await place.take()
        before = len(place.schedd.sent)
        assert (await place.take()).checkpoint is None
        assert len(place.schedd.sent) == before
        place.write("small", "2", age=LONG_AGO - 5)
        taken = await place.take()
        assert place.files(taken.checkpoint) == {"large": LARGE, "small": b"2"}
        assert sha256(LARGE) not in place.schedd.sent[before:]

    story(tmp_path, tell)


def test_an_empty_folder_is_no_checkpoint(tmp_path: Path):
    async def tell(place: Place) -> None:
        assert await place.take() == CheckpointTaken(RUN.run, None)
        assert await place.take(last=over()) == CheckpointTaken(RUN.run, None)

    story(tmp_path, tell)


def test_files_that_say_that_they_are_not_finished_are_left_out(tmp_path: Path):
    async def tell(place: Place) -> None:
        for name in ("state.tmp", "state.part", "state~", "state.partial"):
            place.write(name, "half")
        assert (await place.take()).checkpoint is None
        place.write("state", "whole")
        assert place.files((await place.take()).checkpoint) == {"state": b"whole"}

    story(tmp_path, tell)


def test_a_link_inside_is_the_file_and_one_that_leaves_is_told(tmp_path: Path):
    async def tell(place: Place) -> None:
        place.write("step-7", "seven")
        (place.sandbox / "checkpoint/latest").symlink_to("step-7")
        (place.sandbox / "checkpoint/password").symlink_to("/etc/passwd")
        os.mkfifo(place.sandbox / "checkpoint/pipe")
        taken = await place.take()
        assert place.files(taken.checkpoint) == {"step-7": b"seven", "latest": b"seven"}
        assert "password" in taken.trouble and "pipe" in taken.trouble

    story(tmp_path, tell)


def test_a_checkpoint_that_is_too_large_is_told_and_not_sent(tmp_path: Path):
    async def tell(place: Place) -> None:
        place.write("large", LARGE)
        taken = await place.take()
        assert taken.checkpoint is None and "--max-checkpoint" in taken.trouble
        assert place.schedd.sent == []

    story(tmp_path, tell, largest=len(LARGE) - 1)


def test_the_new_files_of_an_executable_are_its_checkpoint_or_those_it_names(tmp_path: Path):
    async def tell(place: Place) -> None:
        input_file = place.write("input", "given", folder="work")
        os.utime(input_file, ns=(INPUT_TIME_NS, INPUT_TIME_NS))
        (place.sandbox / "work/program").symlink_to("/bin/true")
        place.write("state", "1", folder="work")
        place.write("more/state", "2", folder="work")
        whole = a_grant(program=a_program(checkpoint_files=[]))
        assert place.files((await place.take(whole)).checkpoint) == {"state": b"1"}
        names = ["more/", "input", "gone", "/etc/passwd", ".."]
        named = a_grant(run=a_run(2), program=a_program(checkpoint_files=names))
        taken = await place.take(named)
        assert place.files(taken.checkpoint) == {"more/state": b"2", "input": b"given"}
        assert all(name in taken.trouble for name in ("gone", "/etc/passwd", ".."))

    story(tmp_path, tell)


def test_a_link_that_names_the_folder_as_its_container_sees_it_is_the_file(tmp_path: Path):
    (tmp_path / "step-7").write_bytes(b"seven")
    (tmp_path / "latest").symlink_to("/pesc/checkpoint/step-7")
    (tmp_path / "out").symlink_to("/pesc/checkpoint/../../etc/hostname")
    notes: list[str] = []
    assert [(seen.path, Path(seen.place).name) for seen in look(str(tmp_path), notes)] == [
        ("latest", "step-7"), ("step-7", "step-7")]
    assert len(notes) == 1 and "out of the checkpoint" in notes[0]


def test_a_folder_that_becomes_a_link_while_it_is_read_leads_nowhere(tmp_path: Path):
    mine, checkpoint = tmp_path / "mine", tmp_path / "checkpoint"
    for folder in (mine, checkpoint / "part"):
        folder.mkdir(parents=True)
        (folder / "key").write_bytes(b"secret")
    [seen] = look(str(checkpoint), [])
    (checkpoint / "part").rename(checkpoint / "away")
    (checkpoint / "part").symlink_to(mine)
    with pytest.raises(NotTaken, match="led out of its folder"):
        _open(seen)


def test_a_pipe_that_takes_a_files_name_holds_nobody_up(tmp_path: Path):
    (tmp_path / "state").write_bytes(b"whole")
    [seen] = look(str(tmp_path), [])
    (tmp_path / "state").unlink()
    os.mkfifo(tmp_path / "state")
    with pytest.raises(NotStill, match="state"):
        _open(seen)


# --- whole, or not at all ----------------------------------------------------------------


def test_a_file_that_is_written_to_while_it_is_read_is_not_still(tmp_path: Path):
    (tmp_path / "state").write_bytes(b"half")
    [seen] = look(str(tmp_path), [])
    held = {"state": _open(seen)}
    with open(tmp_path / "state", "ab") as file:
        file.write(b" and half")
    with pytest.raises(NotStill, match="state"):
        _read((seen,), held, Known())
    with pytest.raises(NotStill, match="state"):
        _read((seen,), {}, Known())


def test_a_file_that_was_renamed_away_while_it_was_held_is_whole_as_it_was(tmp_path: Path):
    (tmp_path / "state").write_bytes(b"first")
    [seen] = look(str(tmp_path), [])
    held = {"state": _open(seen)}
    (tmp_path / "next.tmp").write_bytes(b"second")
    os.replace(tmp_path / "next.tmp", tmp_path / "state")
    reading = _read((seen,), held, Known())
    assert list(reading.small.values()) == [b"first"]


def test_what_is_written_all_the_time_is_never_taken_half(tmp_path: Path):
    async def tell(place: Place) -> None:
        path = place.write("state", "", age=None)
        done = asyncio.Event()

        async def write() -> None:
            with open(path, "ab", buffering=0) as file:
                while not await within(0.001, done):
                    file.write(b"x")

        writing = asyncio.create_task(write())
        taken = await place.take()
        done.set()
        await writing
        assert taken.checkpoint is None
        assert "state was being written whenever it was looked at" in taken.trouble
        os.utime(path, (time.time() - LONG_AGO,) * 2)
        assert place.files((await place.take()).checkpoint) == {"state": path.read_bytes()}

    story(tmp_path, tell, settle=0.3)


def test_what_is_renamed_into_place_all_the_time_is_taken_whole(tmp_path: Path):
    async def tell(place: Place) -> None:
        path = place.write("state", "0" * 1000)
        done = asyncio.Event()

        async def write() -> None:
            count = 0
            while not await within(0.002, done):
                count += 1
                beside = path.with_suffix(".tmp")
                beside.write_text(f"{count % 10}" * 1000)
                os.replace(beside, path)

        writing = asyncio.create_task(write())
        taken = await place.take()
        done.set()
        await writing
        [raw] = place.files(taken.checkpoint).values()
        assert len(raw) == 1000 and len(set(raw)) == 1

    story(tmp_path, tell)


def test_a_file_that_a_killed_program_may_have_been_writing_makes_its_last_checkpoint_doubtful(tmp_path: Path):
    async def tell(place: Place) -> None:
        place.write("state", "whole")
        kept = await place.take()
        with open(place.sandbox / "checkpoint/state", "r+") as file:
            file.write("ha")
        os.utime(place.sandbox / "checkpoint", (0, 0))
        taken = await place.take(last=over(LONG_AGO))
        assert taken.checkpoint is None and "state may have been half written" in taken.trouble
        ended_by_itself = await place.take(last=over())
        assert place.files(ended_by_itself.checkpoint) == {"state": b"haole"} != place.files(kept.checkpoint)

    story(tmp_path, tell)


def test_what_a_killed_program_had_renamed_into_place_is_taken(tmp_path: Path):
    async def tell(place: Place) -> None:
        place.write("state", "first")
        place.write("next.tmp", "second", age=None)
        os.replace(place.sandbox / "checkpoint/next.tmp", place.sandbox / "checkpoint/state")
        place.write("later.tmp", "ha", age=None)
        taken = await place.take(last=over(1e8))
        assert place.files(taken.checkpoint) == {"state": b"second"}

    story(tmp_path, tell)


def test_a_run_that_was_frozen_while_it_was_copied_is_copied_later(tmp_path: Path):
    async def tell(place: Place) -> None:
        place.write("state", "half", age=None)
        taking = asyncio.create_task(place.take())
        # It begins in this turn of the loop, before what is asked for now.
        asyncio.get_running_loop().call_soon(place.checkpoints.disturb, RUN.run)
        assert (await taking).checkpoint is None
        assert place.files((await place.take()).checkpoint) == {"state": b"half"}

    story(tmp_path, tell)


# --- bad days ----------------------------------------------------------------------------


def test_connections_that_break_while_a_checkpoint_arrives_are_made_again(tmp_path: Path):
    async def tell(place: Place) -> None:
        place.write("large", LARGE)
        place.write("small", "1")
        breaks = iter(range(3))

        async def break_up() -> None:
            if next(breaks, None) is not None:
                raise ConnectionError

        place.schedd.on_upload = break_up
        taken = await place.take()
        assert next(breaks, None) is None
        assert place.files(taken.checkpoint) == {"large": LARGE, "small": b"1"}

    story(tmp_path, tell)


def test_a_schedd_without_room_costs_the_checkpoint_and_nothing_else(tmp_path: Path):
    async def tell(place: Place) -> None:
        place.write("large", LARGE)
        place.schedd.is_full = True
        taken = await place.take()
        assert taken.checkpoint is None and "disk is full" in taken.trouble
        place.schedd.is_full = False
        assert place.files((await place.take()).checkpoint) == {"large": LARGE}

    story(tmp_path, tell)


# --- and back ----------------------------------------------------------------------------


def test_the_next_run_finds_the_files_and_which_is_newer(room, tmp_path: Path):
    async def tell(place: Place) -> None:
        place.write("b-old", "1", age=30.0)
        place.write("a-new", "2", age=10.0)
        os.chmod(place.write("deep/tool", "3", age=20.0), 0o755)
        taken = await place.take()
        assert taken.checkpoint is not None
        raw = place.schedd.content(taken.checkpoint.content.sha256)
        for content in (raw, b"1", b"2", b"3"):
            room.cache.keep(sha256(content), content)
        program = a_program(contract=True, content=room.content(b"main"), name="main.sh",
                            checkpoint=taken.checkpoint.content)
        grant = a_grant(run=a_run(1, 0, 2), program=program)
        launch = room.prepare(grant)
        folder = Path(launch.sandbox) / "checkpoint"
        by_age = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_mtime)
        assert [(path.name, path.read_text()) for path in by_age] == [("b-old", "1"), ("tool", "3"), ("a-new", "2")]
        assert os.access(folder / "deep/tool", os.X_OK) and not os.access(folder / "a-new", os.X_OK)
        # Laid back and left alone it is the same checkpoint, and nothing is said of it.
        assert (await place.checkpoints.take(grant, launch.sandbox, over())).checkpoint is None

    story(tmp_path, tell)


def test_the_checkpoint_of_an_executable_lies_over_its_inputs(room):
    listing = b'[["data","%s",3,false,0]]' % sha256(b"new").encode()
    room.content(b"new")
    program = a_program(inputs=[NamedContent("data", room.content(b"old"))], checkpoint_files=[],
                        checkpoint=Content(room.content(listing).sha256, len(listing), tree=True))
    launch = room.prepare(a_grant(program=program))
    data = Path(launch.sandbox) / "work/data"
    assert data.read_text() == "new" and data.stat().st_mtime_ns != INPUT_TIME_NS


def test_a_checkpoint_whose_paths_leave_the_folder_is_not_laid_out(room):
    room.content(b"x")
    listing = b'[["../../evil","%s",1,false,0]]' % sha256(b"x").encode()
    content = room.content(listing, tree=True)
    grant = a_grant(program=a_program(contract=True, content=room.content(b"main"), checkpoint=content))
    room.cache.hold(grant)
    with pytest.raises(CannotStart):
        room.sandboxes.prepare(grant)
    assert a_content(listing, tree=True) == content
