"""Contents that nothing refers to go, after a while; nothing else goes, whatever happens meanwhile."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from contract.messages import Content, Hello, OutputFile, Recipe
from contract.requests import Submission
from contract.vocabulary import Phase
from schedd.blobs import Blobs
from schedd.collector import Collector
from schedd.core.domains import ImageBuild, State
from schedd.core.ends import on_ended
from schedd.core.pool import Pool
from schedd.core.runs import on_hello
from schedd.core.submission import submit
from schedd.loop import Clock, Loop
from schedd.store.store import Store
from tests.builders import a_hello, a_run_end, an_ended, sha256

LARGE = b"#" * 100_000
DAY = 86_400.0


class Nobody:
    """No machine and no listener is there."""

    def send(self, link, messages): ...

    def publish(self, events, clusters, over): ...

    def deliver(self, jobs): ...

    def cut_all_links(self): ...


class House:
    """A loop with its store, its contents, and a collector that looks when it is told to."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.loop = Loop(Pool("test"), store, Nobody(), Clock())
        self.blobs = Blobs(folder / "blobs", self.loop)
        self.collector = Collector(self.loop, self.blobs, folder / "pesc.db", DAY)
        self.collector._began -= 2 * DAY

    async def upload(self, number: int, days_ago: float = 2.0) -> str:
        raw = b"%d" % number + LARGE

        async def pieces():
            yield raw

        await self.blobs.put(sha256(raw), 0, len(raw), pieces())
        self.age(sha256(raw), days_ago)
        return sha256(raw)

    def age(self, name: str, days: float) -> None:
        at = self.loop.clock() - days * DAY
        os.utime(self.blobs.path(name), (at, at))

    def has(self, *names: str) -> list[bool]:
        return [self.blobs.path(name).exists() for name in names]


@pytest.fixture
def tell(tmp_path: Path):
    def run(story: Callable[[House], Awaitable[None]]) -> None:
        async def whole() -> None:
            store = await Store.open(tmp_path / "pesc.db")
            house = House(tmp_path, store)
            work = asyncio.create_task(house.loop.run())
            try:
                await story(house)
            finally:
                house.loop.stop()
                await work
                await store.close()

        asyncio.run(whole())

    return run


def a_submission_of(name: str) -> Submission:
    return Submission(1, {"Cmd": '"/a"', "Requirements": "true", "RequestCpus": "1"},
                      files={"/a": Content(name, len(LARGE) + 1)})


def test_what_nothing_refers_to_goes_and_is_counted_and_a_result_stays(tell):
    async def story(house: House) -> None:
        program, result, lost = [await house.upload(number) for number in range(3)]
        fresh = await house.upload(3, days_ago=0.5)
        await house.loop.ask(submit, "dana", "desk", False, a_submission_of(program))
        await house.collector.collect()
        assert house.has(program, lost, result, fresh) == [True, False, False, True]
        result = await house.upload(1)
        await house.loop.ask(on_hello, 1, a_hello())
        await house.loop.ask(on_ended, 1, an_ended(end=a_run_end(
            stdout=OutputFile("stdout", result, len(LARGE) + 1))))
        await house.collector.collect()
        # The job is over: its program is nobody's any more, its result is kept.
        assert house.has(program, result, fresh) == [False, True, True]
        assert (house.blobs.removed, house.blobs.removed_bytes) == (3, 3 * len(LARGE) + 3)

    tell(story)


def test_who_is_told_that_a_content_is_here_has_it_for_another_while(tell):
    async def story(house: House) -> None:
        name = await house.upload(1)
        assert await house.blobs.missing([name]) == []
        await house.collector.collect()
        assert house.has(name) == [True]
        house.age(name, 2)
        await house.upload(1, days_ago=0)  # it is not sent again
        await house.collector.collect()
        assert house.has(name) == [True]

    tell(story)


def test_one_that_is_asked_for_while_it_is_looked_up_stays(tell):
    async def story(house: House) -> None:
        name = await house.upload(1)
        at = house.loop.clock() - DAY
        found = list(house.blobs.older_than(at))
        assert found == [name]
        assert await house.blobs.missing([name]) == []
        house.blobs.remove(found, at)
        assert house.has(name) == [True]

    tell(story)


def test_what_came_while_a_machine_that_is_away_had_a_run_stays(tell):
    async def story(house: House) -> None:
        await house.loop.ask(submit, "dana", "desk", False, Submission(
            1, {"Cmd": '"/bin/true"', "Requirements": "true", "RequestCpus": "1"}))
        hello: Hello = a_hello()
        await house.loop.ask(on_hello, 1, hello)
        run = house.loop.pool.clusters[1].jobs[0].run
        assert run is not None
        run.granted_at -= 5 * DAY
        before, meanwhile = await house.upload(1, days_ago=6), await house.upload(2, days_ago=4)
        house.loop.pool.machines[hello.name].link = None
        await house.collector.collect()
        assert house.has(before, meanwhile) == [False, True]
        await house.loop.ask(on_hello, 2, a_hello(runs=[]))
        await house.collector.collect()
        assert house.has(meanwhile) == [True]  # it is back, and may not have said all

    tell(story)


def test_what_a_run_or_a_build_sends_stays_however_long_it_takes(tell):
    async def story(house: House) -> None:
        await house.loop.ask(submit, "dana", "desk", False, Submission(
            1, {"Cmd": '"/bin/true"', "Requirements": "true", "RequestCpus": "1"}))
        await house.loop.ask(on_hello, 1, a_hello())
        run = house.loop.pool.clusters[1].jobs[0].run
        assert run is not None
        run.granted_at -= 5 * DAY
        run.phase = Phase.RETURNING
        sent = await house.upload(1, days_ago=4)
        await house.collector.collect()
        assert house.has(sent) == [True]
        run.phase = Phase.RUNNING
        build = ImageBuild("k", Recipe("FROM base"), "n", "dana", run.granted_at, State.BUILDING)
        house.loop.pool.builds["k"] = build
        await house.collector.collect()
        assert house.has(sent) == [True]
        build.state = State.FAILED
        await house.collector.collect()
        assert house.has(sent) == [False]

    tell(story)


def test_what_a_kill_left_half_removed_and_uploads_that_were_given_up_go(tell):
    async def story(house: House) -> None:
        for folder in ("doomed", "partial"):
            path = house.blobs._folder / folder / sha256(b"x")
            path.write_bytes(b"x")
            os.utime(path, (0, 0))
        fresh = house.blobs._folder / "partial" / sha256(b"y")
        fresh.write_bytes(b"y")
        await house.collector.collect()
        assert os.listdir(house.blobs._folder / "doomed") == []
        assert os.listdir(house.blobs._folder / "partial") == [fresh.name]

    tell(story)
