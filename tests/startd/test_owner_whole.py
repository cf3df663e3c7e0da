"""A whole startd whose owner comes: a real key at a real terminal, and a real job that gives way."""

import asyncio
import os
from pathlib import Path

from contract.messages import AdChanged, FromStartd, Progressed
from contract.vocabulary import EndReason, Phase
from tests.builders import a_run
from tests.startd.test_whole import RUN, Pool, a_pool

LONG_AGO = 1_000_000_000.0


class Desk:
    """A terminal where nobody has been for long, as the only one of its machine."""

    def __init__(self, folder: Path) -> None:
        self._keys, self._shell = os.openpty()
        self._name = os.ttyname(self._shell)
        os.utime(self._name, (LONG_AGO, LONG_AGO))
        (folder / "dev/pts").mkdir(parents=True)
        (folder / "dev/pts/0").symlink_to(self._name)
        self._folder = folder

    def policy(self, **settings: float | str) -> list[str]:
        """The flags of a startd that sees this terminal and nothing else of an owner."""
        lines = [f"{name} = {value}" for name, value in ({"load": "false"} | settings).items()]
        roots = [f'{name} = "{self._folder}/{name}"' for name in ("dev", "run", "sys")]
        path = self._folder / "owner.toml"
        path.write_text("\n".join(["[owner]", *lines, "[roots]", *roots]))
        return ["--owner", "desktop", "--owner-config", str(path)]

    def press_a_key(self) -> None:
        os.write(self._keys, b"k\n")
        os.read(self._shell, 10)

    def close(self) -> None:
        os.close(self._keys)
        os.close(self._shell)


def story(tmp_path: Path, tell, **policy: float | str) -> None:
    async def whole() -> None:
        desk = Desk(tmp_path)
        try:
            async with a_pool(tmp_path, *desk.policy(**policy)) as pool:
                await tell(pool, desk)
        finally:
            desk.close()

    asyncio.run(whole())


def steps(pool: Pool) -> list[str]:
    """The steps of the ladder that the machine has told of, in order."""
    return [message.changes["PescOwnerStep"].strip('"') for message in pool.schedd.heard
            if isinstance(message, AdChanged) and "PescOwnerStep" in message.changes]


def told(pool: Pool, *kinds: type[FromStartd]) -> list[FromStartd]:
    return [message for message in pool.schedd.heard if isinstance(message, kinds)]


async def a_counting_run(pool: Pool, run=RUN) -> Path:
    """A job that writes down how far it has come, all the time."""
    count = pool.state / f"count-{run.cluster}"
    await pool.sh(f"i=0; while :; do i=$((i+1)); echo $i > {count}; done", run=run)
    await pool.until_it_runs(run)
    return count


async def until_it_moves(pool: Pool, count: Path) -> None:
    before = await asyncio.to_thread(count.read_text)
    await pool.schedd.until(lambda: count.read_text() != before)


def test_the_owners_first_key_freezes_what_runs_and_it_goes_on_when_the_owner_is_gone(tmp_path: Path):
    async def tell(pool: Pool, desk: Desk) -> None:
        count = await a_counting_run(pool)
        assert steps(pool) == []
        desk.press_a_key()
        await pool.schedd.until(lambda: any(
            message.phase is Phase.SUSPENDED for message in told(pool, Progressed)))
        await pool.schedd.until(lambda: steps(pool)[-1] == "free")
        assert [(message.phase, message.halts) for message in told(pool, Progressed)] == [
            (Phase.RUNNING, 0), (Phase.SUSPENDED, 1), (Phase.RUNNING, 2)]
        assert steps(pool)[0] == "freeze"
        await until_it_moves(pool, count)

    story(tmp_path, tell, active_seconds=0.5, freeze_after_seconds=0, resume_after_seconds=0.3,
          start_after_seconds=0.4, leave_after_seconds='"never"')


def test_a_throttled_run_is_slow_and_not_frozen_and_new_work_is_refused(tmp_path: Path):
    async def tell(pool: Pool, desk: Desk) -> None:
        count = await a_counting_run(pool)
        desk.press_a_key()
        await pool.schedd.until(lambda: steps(pool) == ["throttle"])
        await until_it_moves(pool, count)
        await pool.sh("exit 0", run=a_run(2))
        end = (await pool.schedd.end_of(a_run(2))).end
        assert (end.reason, end.started) == (EndReason.EVICTED, False)
        assert end.message == "m1 takes no new work now: somebody is at the keyboard."
        assert [message.phase for message in told(pool, Progressed)] == [Phase.RUNNING]

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
        await a_counting_run(pool)
        desk.press_a_key()
        await pool.schedd.until(lambda: any(message.phase is Phase.SUSPENDED for message in told(pool, Progressed)))
        await pool.kill()
        await pool.begin(*desk.policy(freeze_after_seconds=0, leave_after_seconds='"never"'))
        await pool.schedd.until(lambda: len(pool.schedd.hellos) == 2)
        await pool.schedd.until(lambda: [
            (message.phase, message.halts) for message in told(pool, Progressed)][-2:] == [(Phase.SUSPENDED, 1)] * 2)

    story(tmp_path, tell, freeze_after_seconds=0, leave_after_seconds='"never"')
