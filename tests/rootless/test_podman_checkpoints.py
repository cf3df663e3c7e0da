"""Checkpoints of programs in containers: copied while they run and when they leave, found again in the next one."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from contract.messages import Checkpoint, Checkpointed, Content, Stop
from contract.vocabulary import EndReason, RunId
from startd.files.checkpoints import CheckpointEntry, decode_entries
from tests.builders import a_grant, a_program, a_run, sha256
from tests.startd.test_whole import Pool, story

RUN, NEXT = a_run(), a_run(attempt=2)

PRELUDE = """
import json, os, pathlib, signal, sys, time
folder = pathlib.Path(os.environ["PESC_CHECKPOINT_DIR"])
work = pathlib.Path("/pesc/work")
def save(name, text, mode=0o644):
    beside = folder / (name + ".tmp")
    beside.write_text(text)
    beside.chmod(mode)
    os.replace(beside, folder / name)
def until(word):
    (work / ("at-" + word)).touch()
    while not (work / word).exists():
        time.sleep(0.01)
"""

LOOKS = PRELUDE + """
print(json.dumps({
    str(path.relative_to(folder)):
        [path.read_text(), oct(path.stat().st_mode & 0o777), path.stat().st_uid == os.getuid()]
    for path in folder.rglob("*") if path.is_file()}))
newest = max(filter(pathlib.Path.is_file, folder.iterdir()), key=lambda path: path.stat().st_mtime)
print(newest.name)
for path in list(folder.rglob("*")):
    if path.is_file():
        path.write_text("changed")
(folder / "more").write_text("made")
"""


def contained(tmp_path: Path, tell: Callable[[Pool], Awaitable[None]], *flags: str) -> None:
    story(tmp_path, tell, "--runtime", "podman", *flags)


async def python(pool: Pool, code: str, run: RunId = RUN, **program: Any) -> None:
    main = pool.schedd.add(code.encode())
    await pool.schedd.say(a_grant(run=run, program=a_program(
        command=None, content=Content(main, len(code.encode())), name="main.py", contract=True, **program)))


def work(pool: Pool, run: RunId = RUN) -> Path:
    return pool.folder / "runs" / f"{run.cluster}.{run.proc}.{run.attempt}" / "work"


async def until_at(pool: Pool, word: str) -> None:
    """Wait until the program waits for that word."""
    async with asyncio.timeout(30):
        while not (work(pool) / f"at-{word}").exists():
            await asyncio.to_thread(os.stat, pool.folder)


def say(pool: Pool, word: str) -> None:
    (work(pool) / word).touch()


def checkpoints(pool: Pool) -> list[Checkpoint]:
    return [said.checkpoint for said in pool.schedd.heard if isinstance(said, Checkpointed) and said.checkpoint]


def troubles(pool: Pool) -> list[str]:
    return [said.trouble for said in pool.schedd.heard if isinstance(said, Checkpointed) and said.trouble]


def entries(pool: Pool, checkpoint: Checkpoint) -> list[CheckpointEntry]:
    return decode_entries(pool.schedd.content(checkpoint.content.sha256))


def files(pool: Pool, checkpoint: Checkpoint) -> dict[str, bytes]:
    return {entry.path: pool.schedd.content(entry.sha256) for entry in entries(pool, checkpoint)}


async def taken(pool: Pool, **wanted: bytes) -> Checkpoint:
    """Wait for a checkpoint with just these files."""
    await pool.schedd.until(lambda: any(files(pool, one) == wanted for one in checkpoints(pool)))
    return checkpoints(pool)[-1]


def test_a_checkpoint_is_copied_while_its_program_runs_and_again_when_it_changed(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        await python(pool, PRELUDE + "save('state', 'one'); until('go'); save('state', 'two'); until('end')",
                     checkpoint_every=0.2)
        await taken(pool, state=b"one")
        say(pool, "go")
        await taken(pool, state=b"two")
        say(pool, "end")
        assert (await pool.schedd.end_of(RUN)).end.exit_code == 0

    contained(tmp_path, tell)


def test_a_program_that_must_leave_goes_on_in_the_next_container_with_its_files_as_they_were(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        await python(pool, PRELUDE + """
def leave(*_):
    save("last", "said goodbye")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
(folder / "deep").mkdir()
save("deep/private", "mine", 0o600)
save("tool", "#!/bin/sh", 0o700)
(folder / "latest").symlink_to(folder / "tool")
until("end")
""")
        await until_at(pool, "end")
        await pool.schedd.say(Stop(RUN, "the machine is drained", evict=True))
        end = (await pool.schedd.end_of(RUN)).end
        assert end.reason is EndReason.EVICTED and end.checkpoint is not None
        assert [(entry.path, entry.executable) for entry in entries(pool, end.checkpoint)] == [
            ("deep/private", False), ("last", False), ("latest", True), ("tool", True)]
        await python(pool, LOOKS, NEXT, checkpoint=end.checkpoint.content)
        end = (await pool.schedd.end_of(NEXT)).end
        assert (end.exit_code, pool.schedd.content(end.stderr.sha256)) == (0, b"")
        found, newest = pool.schedd.content(end.stdout.sha256).decode().splitlines()
        assert json.loads(found) == {
            "deep/private": ["mine", "0o644", True], "last": ["said goodbye", "0o644", True],
            "latest": ["#!/bin/sh", "0o755", True], "tool": ["#!/bin/sh", "0o755", True]}
        assert newest == "last"

    contained(tmp_path, tell)


def test_a_program_that_does_not_leave_is_killed_and_what_it_was_writing_does_not_count(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        await python(pool, PRELUDE + """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
save("state", "whole")
until("go")
with open(folder / "state", "wb", buffering=0) as file:
    while True:
        file.write(b"half")
        (work / "at-half").touch()
        time.sleep(0.001)
""", checkpoint_every=0.2, grace_seconds=0.1)
        await taken(pool, state=b"whole")
        say(pool, "go")
        await until_at(pool, "half")
        await pool.schedd.say(Stop(RUN, "the machine is drained", evict=True))
        end = (await pool.schedd.end_of(RUN)).end
        assert (end.reason, end.signal) == (EndReason.EVICTED, 9)
        assert files(pool, end.checkpoint) == {"state": b"whole"}
        assert "the checkpoint before it stands" in end.checkpoint_trouble

    contained(tmp_path, tell)


def test_exit_code_85_brings_the_checkpoint_and_any_other_does_not(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        code = PRELUDE + "save('state', 'x' * 100_000); sys.exit(int(sys.argv[-1]))"
        await python(pool, code, arguments=["85"], checkpoint_exit_code=85)
        end = (await pool.schedd.end_of(RUN)).end
        assert (end.exit_code, files(pool, end.checkpoint)) == (85, {"state": b"x" * 100_000})
        await python(pool, LOOKS, NEXT, checkpoint=end.checkpoint.content)
        end = (await pool.schedd.end_of(NEXT)).end
        assert json.loads(pool.schedd.content(end.stdout.sha256).splitlines()[0])["state"][0] == "x" * 100_000
        other = a_run(7)
        await python(pool, code, other, arguments=["3"], checkpoint_exit_code=85)
        assert (await pool.schedd.end_of(other)).end.checkpoint is None

    contained(tmp_path, tell)


def test_a_file_that_is_being_written_is_not_taken_half(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        await python(pool, PRELUDE + """
until("begin")
with open(folder / "state", "wb", buffering=0) as file:
    while not (work / "stop").exists():
        file.write(b"x")
        time.sleep(0.001)
until("end")
""", checkpoint_every=0.2)
        await until_at(pool, "begin")
        say(pool, "begin")
        await pool.schedd.until(lambda: any("was being written" in trouble for trouble in troubles(pool)))
        assert checkpoints(pool) == []
        say(pool, "stop")
        await until_at(pool, "end")
        whole = (work(pool).parent / "checkpoint" / "state").read_bytes()
        await taken(pool, state=whole)
        say(pool, "end")
        await pool.schedd.end_of(RUN)

    contained(tmp_path, tell)


def test_a_checkpoint_that_grows_too_large_leaves_the_last_smaller_one_and_says_so(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        await python(pool, PRELUDE + "save('state', 'small'); until('go'); save('state', 'x' * (2 << 20)); "
                     "until('end'); sys.exit(85)", checkpoint_every=0.2, checkpoint_exit_code=85)
        await taken(pool, state=b"small")
        say(pool, "go")
        await pool.schedd.until(lambda: any("at most 1 MiB along" in trouble for trouble in troubles(pool)))
        say(pool, "end")
        end = (await pool.schedd.end_of(RUN)).end
        assert end.exit_code == 85
        assert files(pool, end.checkpoint) == {"state": b"small"}
        assert "at most 1 MiB along" in end.checkpoint_trouble
        assert sha256(b"x" * (2 << 20)) not in pool.schedd.blobs

    contained(tmp_path, tell, "--max-checkpoint", "1")


def test_links_out_of_the_container_bring_nothing_of_the_machine(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("the machine's own")

    async def tell(pool: Pool) -> None:
        await python(pool, PRELUDE + f"""
save("state", "one")
(folder / "theirs").symlink_to({str(secret)!r})
(folder / "passwd").symlink_to("/etc/passwd")
(folder / "all").symlink_to("/")
until("end")
""", checkpoint_every=0.2)
        await taken(pool, state=b"one")
        assert any("theirs" in trouble for trouble in troubles(pool))
        say(pool, "end")
        await pool.schedd.end_of(RUN)
        assert sha256(secret.read_bytes()) not in pool.schedd.blobs

    contained(tmp_path, tell)
