"""A whole startd as a process, talking to the smallest schedd there is."""

# ruff: noqa: ASYNC230, ASYNC240  (nothing else runs on a test's loop meanwhile)

import asyncio
import itertools
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from contract.messages import (
    Acknowledge,
    Content,
    NamedContent,
    OutputChunk,
    Progressed,
    Reached,
    Stop,
    TreeEntry,
    Unwatch,
    Watch,
)
from contract.vocabulary import INLINE_BYTES, EndReason, Phase
from tests.builders import a_content, a_grant, a_program, a_run, sha256
from tests.startd.fakeschedd import FakeSchedd, a_schedd

RUN = a_run()
ROOT = Path(__file__).parents[2]


class Pool:
    """A fake schedd and a real startd."""

    def __init__(self, state: Path, schedd: FakeSchedd) -> None:
        self.state = state
        self.schedd = schedd
        self.folder = state / "startd-m1"
        self.startd: asyncio.subprocess.Process | None = None

    async def begin(self, *flags: str) -> None:
        with open(self.state / "words", "ab") as words:
            self.startd = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "startd", "--name", "m1", "--state", str(self.state), "--cpus", "4",
                "--runtime", "process", *flags,
                cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=words)

    async def kill(self) -> None:
        assert self.startd is not None
        self.startd.kill()
        await self.startd.wait()

    async def sh(self, script: str, run=RUN, **program) -> None:
        await self.schedd.say(a_grant(run=run, program=a_program(
            command="/bin/sh", arguments=["-c", script], **program)))

    async def until_it_runs(self, run=RUN) -> None:
        await self.schedd.until(lambda: Progressed(run, Phase.RUNNING) in self.schedd.heard)

    def fifo(self, name: str) -> Path:
        """A pipe by name, for a run and its test to wait for each other, once.

        Opened again at once it would still have the writer of before, and end instead of waiting.
        """
        path = self.state / name
        os.mkfifo(path)
        return path

    async def leave(self) -> int:
        assert self.startd is not None
        self.startd.terminate()
        async with asyncio.timeout(60):
            assert await self.startd.stdout.read() == b""
            return await self.startd.wait()

    def words(self) -> str:
        return (self.state / "words").read_text()


@asynccontextmanager
async def a_pool(state: Path, *flags: str) -> AsyncIterator[Pool]:
    async with a_schedd(state) as schedd:
        pool = Pool(state, schedd)
        await pool.begin(*flags)
        try:
            yield pool
        finally:
            if pool.startd.returncode is None:
                schedd.acknowledges = True
                await pool.leave()


def story(tmp_path: Path, tell: Callable[[Pool], Awaitable[None]], *flags: str) -> None:
    async def whole() -> None:
        async with a_pool(tmp_path, *flags) as pool:
            await tell(pool)

    asyncio.run(whole())


# --- one run's way -----------------------------------------------------------------------


def test_a_run_comes_back_with_all_it_left(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        await pool.sh("echo out; echo err >&2; echo new > new.txt; exit 3")
        end = (await pool.schedd.end_of(RUN)).end
        assert (end.reason, end.exit_code) == (EndReason.EXITED, 3)
        assert pool.schedd.content(end.stdout.sha256) == b"out\n"
        assert pool.schedd.content(end.stderr.sha256) == b"err\n"
        assert [(file.path, pool.schedd.content(file.sha256)) for file in end.files] == [("new.txt", b"new\n")]

    story(tmp_path, tell)


def test_a_run_says_how_far_it_is_on_stdout_and_in_its_file(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        go, leave = pool.fifo("go"), pool.fifo("leave")
        await pool.sh(f"echo PESC_PROGRESS 40 fitting; read line < {go}; echo 60 more > $PESC_PROGRESS_FILE; "
                      f"read line < {leave}")
        await pool.schedd.until(lambda: Reached(RUN, 40.0, "fitting") in pool.schedd.heard)
        go.write_text("\n")
        await pool.schedd.until(lambda: Reached(RUN, 60.0, "more") in pool.schedd.heard)
        leave.write_text("\n")
        assert (await pool.schedd.end_of(RUN)).end.exit_code == 0

    story(tmp_path, tell)


def test_a_program_of_the_contract_is_fetched_and_called_as_promised(tmp_path: Path):
    main = (b"import json, os, sys\n"
            b"job = json.load(open(os.environ['PESC_JOB']))\n"
            b"rank = sys.argv[sys.argv.index('--rank') + 1]\n"
            b"assert rank == os.environ['PESC_RANK'] == str(job['rank'])\n"
            b"out = sys.argv[sys.argv.index('--output_dir') + 1]\n"
            b"open(out + '/output.txt', 'w').write(open('data/table.csv').read() * int(rank))\n")

    async def tell(pool: Pool) -> None:
        schedd = pool.schedd
        entries = [TreeEntry("data/table.csv", schedd.add(b"1,2\n"), 4),
                   TreeEntry("main.py", schedd.add(main), len(main))]
        tree = json.dumps([[e.path, e.sha256, e.size, e.executable] for e in entries]).encode()
        schedd.add(tree)
        for rank in range(3):
            await schedd.say(a_grant(run=a_run(1, rank), program=a_program(
                command=None, content=a_content(tree, tree=True), main="main.py", contract=True, rank=rank,
                world_size=3)))
        for rank in range(3):
            end = (await schedd.end_of(a_run(1, rank))).end
            assert end.exit_code == 0, schedd.content(end.stderr.sha256)
            assert [(file.path, schedd.content(file.sha256)) for file in end.files] == [
                ("output.txt", b"1,2\n" * rank)]
        assert sorted(schedd.fetched) == sorted({sha256(tree), sha256(main), sha256(b"1,2\n")})

    story(tmp_path, tell)


def test_large_contents_travel_by_themselves_both_ways(tmp_path: Path):
    raw = os.urandom(INLINE_BYTES * 5)

    async def tell(pool: Pool) -> None:
        pool.schedd.add(raw)
        # An upload that is done at once would leave nothing to tell between running and ended.
        returning = Progressed(RUN, Phase.RETURNING)
        pool.schedd.on_upload = lambda: pool.schedd.until(lambda: returning in pool.schedd.heard)
        await pool.sh("cat big big > bigger", inputs=[NamedContent("big", a_content(raw))])
        ended = await pool.schedd.end_of(RUN)
        assert ended.blobs == {}
        assert [(file.path, file.size) for file in ended.end.files] == [("bigger", 2 * len(raw))]
        assert pool.schedd.content(ended.end.files[0].sha256) == raw + raw

    story(tmp_path, tell)


def test_a_stopped_run_is_asked_first_and_brings_back_what_it_has(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        ready = pool.fifo("ready")
        await pool.sh(f"trap 'echo bye; exit 5' TERM; echo > {ready}; while :; do sleep 0.01; done")
        await asyncio.to_thread(ready.read_text)
        await pool.schedd.say(Stop(RUN, "held by dana"))
        end = (await pool.schedd.end_of(RUN)).end
        assert (end.reason, end.message, end.exit_code) == (EndReason.STOPPED, "held by dana", 5)
        assert pool.schedd.content(end.stdout.sha256) == b"bye\n"

    story(tmp_path, tell)


def test_a_run_above_its_memory_is_ended_and_told_what_to_change(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        await pool.schedd.say(a_grant(program=a_program(
            command=sys.executable, arguments=["-S", "-c", "x = b'x' * 130_000_000; import time; time.sleep(60)"],
            memory_limit_mib=64)))
        end = (await pool.schedd.end_of(RUN)).end
        assert end.reason is EndReason.MEMORY
        assert re.fullmatch(r"Killed for memory: asked for 64 MiB, used \d+ MiB; "
                            r"put request_memory = \d+ MB in the submit file\.", end.message)

    story(tmp_path, tell)


@pytest.mark.parametrize(("program", "words"), [
    (a_program(command="/no/such/file"), "there is no such file on this machine"),
    (a_program(command="no-such-program"), "There is no program 'no-such-program' on this machine"),
    (a_program(command="/etc/passwd"), "chmod +x"),
])
def test_a_job_that_cannot_run_is_refused_in_words(tmp_path: Path, program, words: str):
    async def tell(pool: Pool) -> None:
        await pool.schedd.say(a_grant(program=program))
        end = (await pool.schedd.end_of(RUN)).end
        assert (end.reason, end.started) == (EndReason.REFUSED, False)
        assert words in end.message

    story(tmp_path, tell)


def test_the_owner_has_the_last_word(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        await pool.schedd.say(a_grant(ad={"RequestMemory": "2000"}))
        end = (await pool.schedd.end_of(RUN)).end
        assert (end.reason, end.started) == (EndReason.EVICTED, False)

    story(tmp_path, tell, "--start", "TARGET.RequestMemory < 1000")


def test_output_is_followed_while_it_is_written_and_to_its_end(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        gate = pool.fifo("gate")
        await pool.sh(f"echo one; read line < {gate}; echo two")
        await pool.until_it_runs()
        await pool.schedd.say(Watch(7, RUN, "stdout", 1), Watch(8, RUN, "stderr", 0), Unwatch(8))

        def chunks() -> list[OutputChunk]:
            return [message for message in pool.schedd.heard if isinstance(message, OutputChunk) and message.watch == 7]

        await pool.schedd.until(lambda: b"".join(chunk.data for chunk in chunks()) == b"ne\n")
        await asyncio.to_thread(gate.write_text, "go\n")
        await pool.schedd.until(lambda: any(chunk.last for chunk in chunks()))
        assert b"".join(chunk.data for chunk in chunks()) == b"ne\ntwo\n"

    story(tmp_path, tell)


# --- bad days ----------------------------------------------------------------------------


def test_a_run_survives_its_startd_and_its_exit_code_is_known(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        gate = pool.fifo("gate")
        await pool.sh(f"read line < {gate}; exit 11")
        await pool.until_it_runs()
        await pool.kill()
        await asyncio.to_thread(gate.write_text, "go\n")
        await pool.begin()
        assert (await pool.schedd.end_of(RUN)).end.exit_code == 11

    story(tmp_path, tell)


def test_a_result_is_kept_while_the_schedd_is_away_and_across_a_restart(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        gate, written = pool.fifo("gate"), pool.fifo("written")
        await pool.sh(f"read line < {gate}; echo result; echo > {written}")
        await pool.until_it_runs()
        await pool.schedd.stop()
        await asyncio.to_thread(gate.write_text, "go\n")
        await asyncio.to_thread(written.read_text)
        await pool.kill()
        await pool.begin()
        await pool.schedd.start()
        ended = await pool.schedd.end_of(RUN)
        assert pool.schedd.content(ended.end.stdout.sha256) == b"result\n"

    story(tmp_path, tell)


def test_an_end_is_said_again_until_it_is_acknowledged_and_then_forgotten(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        pool.schedd.acknowledges = False
        await pool.sh("echo result")
        await pool.schedd.until(lambda: pool.schedd.ended_count.get(RUN, 0) >= 3)
        assert pool.schedd.ended[RUN].blobs == {sha256(b"result\n"): b"result\n"}
        await pool.schedd.say(Acknowledge([RUN]))
        await pool.schedd.say(Stop(RUN, "still there?"))
        await pool.schedd.until(lambda: not pool.schedd.ended[RUN].end.started)
        assert not (pool.folder / "runs/1.0.1").exists()

    story(tmp_path, tell)


def test_a_broken_connection_is_made_again_with_all_runs_named(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        gate = pool.fifo("gate")
        await pool.sh(f"read line < {gate}")
        await pool.until_it_runs()
        await pool.schedd.break_connection()
        await pool.schedd.until(lambda: len(pool.schedd.hellos) == 2)
        assert [(held.run, held.phase) for held in pool.schedd.hellos[1].runs] == [(RUN, Phase.RUNNING)]
        assert pool.schedd.hellos[0].identity == pool.schedd.hellos[1].identity
        await pool.schedd.say(Stop(RUN, "done"))
        await pool.schedd.end_of(RUN)

    story(tmp_path, tell)


def test_a_startd_that_is_told_to_leave_evicts_its_runs_and_leaves_nothing_running(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        ready = pool.fifo("ready")
        await pool.sh(f"(setsid sleep 300 &); echo > {ready}; exec sleep 300")
        await asyncio.to_thread(ready.read_text)
        keeper = int((pool.folder / "keeper.pid").read_text())
        assert await pool.leave() == 0
        assert pool.schedd.ended[RUN].end.reason is EndReason.EVICTED
        assert not Path(f"/proc/{keeper}").exists()
        assert list((pool.folder / "runs").glob("1.*")) == []

    story(tmp_path, tell)


def test_a_second_startd_in_the_same_folder_is_refused(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        await pool.schedd.until(lambda: bool(pool.schedd.hellos))
        second = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "startd", "--name", "m1", "--state", str(tmp_path), cwd=ROOT,
            stderr=asyncio.subprocess.PIPE)
        _, words = await second.communicate()
        assert second.returncode == 1
        assert b"a startd named m1 already runs here" in words

    story(tmp_path, tell)


@pytest.mark.parametrize(("flags", "words"), [
    (["--name", "../evil"], b"cannot be the name of a machine"),
    (["--start", "RequestMemory <"], b"--start"),
])
def test_a_startd_that_is_wrongly_called_says_so(tmp_path: Path, flags: list[str], words: bytes):
    async def call() -> tuple[int | None, bytes]:
        startd = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "startd", "--state", str(tmp_path), *flags, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
        _, said = await startd.communicate()
        return startd.returncode, said

    code, said = asyncio.run(call())
    assert code != 0
    assert words in said
    assert b"Traceback" not in said


def test_a_keeper_that_is_killed_does_not_take_the_runs_along(tmp_path: Path):
    async def tell(pool: Pool) -> None:
        gate = pool.fifo("gate")
        await pool.sh(f"read line < {gate}; exit 4")
        await pool.until_it_runs()
        os.kill(int((pool.folder / "keeper.pid").read_text()), signal.SIGKILL)
        # What is asked of a keeper that dies is given back, or its end is lost: nobody knows whether it ran.
        for attempt in itertools.count(1):
            run = a_run(2, 0, attempt)
            await pool.sh("exit 6", run=run)
            if (end := (await pool.schedd.end_of(run)).end).reason not in (EndReason.EVICTED, EndReason.LOST):
                break
        assert end.exit_code == 6
        await asyncio.to_thread(gate.write_text, "go\n")
        assert (await pool.schedd.end_of(RUN)).end.reason is EndReason.LOST

    story(tmp_path, tell)


# --- checkpoints -------------------------------------------------------------------------


def test_a_machine_that_its_provider_takes_away_sends_the_last_checkpoint_and_ends(tmp_path: Path):
    async def preempts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await taken_away.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nTRUE")
        await writer.drain()
        writer.close()

    taken_away = asyncio.Event()

    async def tell() -> None:
        service = await asyncio.start_server(preempts, "127.0.0.1", 0)
        port = service.sockets[0].getsockname()[1]
        async with a_pool(tmp_path, "--spot", f"gcp=http://127.0.0.1:{port}") as pool:
            main = pool.schedd.add(b"#!/bin/sh\necho saved > $PESC_CHECKPOINT_DIR/next.tmp\n"
                                   b"mv $PESC_CHECKPOINT_DIR/next.tmp $PESC_CHECKPOINT_DIR/state\n"
                                   b"echo > $SAID\nread _ < $GATE\n")
            said, gate = pool.fifo("said"), pool.fifo("gate")
            await pool.schedd.say(a_grant(program=a_program(
                command=None, content=Content(main, 5), name="main.sh", contract=True,
                environment={"SAID": str(said), "GATE": str(gate)})))
            await asyncio.to_thread(said.read_bytes)
            taken_away.set()
            end = (await pool.schedd.end_of(RUN)).end
            assert end.reason is EndReason.EVICTED and "GCP preempts this machine" in end.message
            [entry] = json.loads(pool.schedd.content(end.checkpoint.content.sha256))
            assert entry[:3] == ["state", sha256(b"saved\n"), 6]
            await pool.startd.wait()
        service.close()

    asyncio.run(tell())
