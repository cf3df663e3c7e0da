"""A whole startd whose owner comes: a real key at a real terminal, and a real job that gives way."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from contract.messages import AdChanged, FromStartd, Progressed, Stop
from contract.shells import OpenShell, ShellOver
from contract.vocabulary import EndReason, Phase
from tests.builders import a_run
from tests.desk import Desk
from tests.startd.test_whole import RUN, Pool, a_pool


def story(tmp_path: Path, tell, runtime: str = "process", **policy: float | str) -> None:
    async def whole() -> None:
        with Desk(tmp_path) as desk:
            async with a_pool(tmp_path, *desk.flags(**policy), "--runtime", runtime) as pool:
                await tell(pool, desk)

    asyncio.run(whole())


def steps(pool: Pool) -> list[str]:
    """The steps of the ladder that the machine has told of, in order."""
    return [message.changes["PescOwnerStep"].strip('"') for message in pool.schedd.heard
            if isinstance(message, AdChanged) and "PescOwnerStep" in message.changes]


def told(pool: Pool, *kinds: type[FromStartd]) -> list[FromStartd]:
    return [message for message in pool.schedd.heard if isinstance(message, kinds)]


async def a_waiting_run(pool: Pool) -> Path:
    """A job that waits at the pipe which is returned, and then ends with exit code 5."""
    gate = pool.fifo("gate")
    await pool.sh(f"read line < {gate}; exit 5")
    await pool.until_it_runs()
    return gate


async def it_ends(pool: Pool, gate: Path) -> None:
    await asyncio.to_thread(gate.write_text, "go\n")
    end = (await pool.schedd.end_of(RUN)).end
    assert (end.reason, end.exit_code) == (EndReason.EXITED, 5)


def test_the_owners_first_key_freezes_what_runs_and_it_goes_on_when_the_owner_is_gone(tmp_path: Path):
    async def tell(pool: Pool, desk: Desk) -> None:
        gate = await a_waiting_run(pool)
        assert steps(pool) == []
        desk.press_a_key()
        await pool.schedd.until(lambda: any(
            message.phase is Phase.SUSPENDED for message in told(pool, Progressed)))
        await pool.schedd.until(lambda: steps(pool)[-1] == "free")
        assert steps(pool)[0] == "freeze"
        await it_ends(pool, gate)
        assert [(message.phase, message.halts) for message in told(pool, Progressed)][:3] == [
            (Phase.RUNNING, 0), (Phase.SUSPENDED, 1), (Phase.RUNNING, 2)]

    story(tmp_path, tell, active_seconds=0.5, freeze_after_seconds=0, resume_after_seconds=0.3,
          start_after_seconds=0.4, leave_after_seconds='"never"')


def state_of(mark: str) -> str:
    """The state of the process that has this word on its command line; "" if there is none."""
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            if mark.encode() in Path("/proc", pid, "cmdline").read_bytes().split(b"\0"):
                return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0]
    return ""


async def until_state(mark: str, states: str) -> None:
    async with asyncio.timeout(30):
        while (state_of(mark) or "?") not in states:
            await asyncio.to_thread(os.stat, "/proc/self")


def a_shell_gives_way(tmp_path: Path, runtime: str) -> None:
    """A shell beside a run stands still and goes on with it, and ends when the run leaves."""
    async def tell(pool: Pool, desk: Desk) -> None:
        await pool.sh("while :; do sleep 0.01; done")
        await pool.until_it_runs()
        mark = f"busy-{os.getpid()}"
        await pool.schedd.say(OpenShell(1, RUN, ["/bin/sh", "-c", "while :; do :; done", mark], False, 24, 80, "vt100"))
        await until_state(mark, "RS")
        desk.press_a_key()
        await until_state(mark, "T")
        await pool.schedd.say(OpenShell(2, RUN, ["/bin/true"], False, 24, 80, "vt100"))
        await pool.schedd.until(lambda: any("stands still" in over.message for over in told(pool, ShellOver)))
        await until_state(mark, "RS")
        await pool.schedd.say(Stop(RUN, "the machine is drained", evict=True))
        assert (await pool.schedd.end_of(RUN)).end.reason is EndReason.EVICTED
        # In whose words depends on who is faster: a container takes all that is in it along when it ends.
        await pool.schedd.until(lambda: any(over.shell == 1 for over in told(pool, ShellOver)))
        assert state_of(mark) in ("", "Z")

    # It stands still for long enough that the second shell is asked for meanwhile on a busy machine too.
    story(tmp_path, tell, runtime, active_seconds=5, freeze_after_seconds=0, resume_after_seconds=0.3,
          start_after_seconds=0.4, leave_after_seconds='"never"')


def test_a_shell_stands_still_goes_on_and_leaves_with_its_run(tmp_path: Path):
    a_shell_gives_way(tmp_path, "process")


def test_a_throttled_run_is_slow_and_not_frozen_and_new_work_is_refused(tmp_path: Path):
    async def tell(pool: Pool, desk: Desk) -> None:
        gate = await a_waiting_run(pool)
        desk.press_a_key()
        await pool.schedd.until(lambda: steps(pool) == ["throttle"])
        await pool.sh("exit 0", run=a_run(2))
        end = (await pool.schedd.end_of(a_run(2))).end
        assert (end.reason, end.started) == (EndReason.EVICTED, False)
        assert end.message == "m1 takes no new work now: somebody is at the keyboard."
        await it_ends(pool, gate)
        assert Phase.SUSPENDED not in [message.phase for message in told(pool, Progressed)]

    story(tmp_path, tell, share=0.3)


def test_a_run_that_must_leave_is_woken_to_save_its_work(tmp_path: Path):
    async def tell(pool: Pool, desk: Desk) -> None:
        ready = pool.fifo("ready")
        await pool.sh(f"trap 'echo saved; exit 0' TERM; echo > {ready}; while :; do sleep 0.01; done")
        await asyncio.to_thread(ready.read_text)
        await pool.until_it_runs()
        desk.press_a_key()
        end = (await pool.schedd.end_of(RUN)).end
        assert (end.reason, end.exit_code) == (EndReason.EVICTED, 0)
        assert end.message == "m1 is needed by its owner: somebody is at the keyboard."
        assert pool.schedd.content(end.stdout.sha256) == b"saved\n"
        assert steps(pool) == ["freeze", "leave"]

    story(tmp_path, tell, freeze_after_seconds=0, leave_after_seconds=0.5)


def test_a_frozen_run_survives_its_startd_and_stays_frozen_while_the_owner_is_there(tmp_path: Path):
    async def tell(pool: Pool, desk: Desk) -> None:
        await a_waiting_run(pool)
        desk.press_a_key()
        await pool.schedd.until(lambda: any(message.phase is Phase.SUSPENDED for message in told(pool, Progressed)))
        await pool.kill()
        await pool.begin(*desk.flags(freeze_after_seconds=0, leave_after_seconds='"never"'))
        await pool.schedd.until(lambda: len(pool.schedd.hellos) == 2)
        await pool.schedd.until(lambda: [
            (message.phase, message.halts) for message in told(pool, Progressed)][-2:] == [(Phase.SUSPENDED, 1)] * 2)

    story(tmp_path, tell, freeze_after_seconds=0, leave_after_seconds='"never"')
