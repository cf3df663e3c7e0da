"""Whoever is told that a cluster is over finds everything in the submit folder, however the moment falls."""

import asyncio

from contract.requests import Submission
from schedd.__main__ import Edges
from schedd.api.context import Context
from schedd.api.jobs import batch_of
from schedd.api.streams import finish_writing, is_over
from schedd.blobs import Blobs
from schedd.bus import Bus
from schedd.core.ends import on_ended
from schedd.core.pool import Pool
from schedd.core.runs import on_hello
from schedd.core.submission import submit
from schedd.delivery import Delivery
from schedd.links import Links
from schedd.logs import Logs
from schedd.loop import Clock, Loop
from schedd.shells import Shells
from schedd.store.store import Store
from tests.builders import a_hello, a_run, a_run_end, an_ended, an_output, sha256


class Slow(Store):
    """A store whose commits can be seen by readers a while before they return, as while a checkpoint is made."""

    seen: asyncio.Event | None = None

    async def commit(self, statements):
        await super().commit(statements)
        if self.seen is not None:
            self.seen.set()
            await self.go_on.wait()


def test_what_is_committed_and_not_yet_handed_over_is_waited_for(tmp_path):
    asyncio.run(_told_between_commit_and_hand_over(tmp_path))


async def _told_between_commit_and_hand_over(folder):
    store = await Slow.open(folder / "pesc.db")
    edges = Edges()
    loop = Loop(Pool("test"), store, edges, Clock())
    blobs = Blobs(folder / "blobs", loop)
    edges.links, edges.bus, edges.logs = Links(), Bus(), Logs(loop, "desk")
    edges.delivery = Delivery(loop, blobs)
    context = Context(loop, blobs, edges.bus, edges.links, Shells(edges.links), edges.logs, edges.delivery, b"",
                      "desk")
    tasks = [asyncio.create_task(work) for work in (loop.run(), edges.logs.write_all(), edges.delivery.work())]
    template = {"Cmd": '"/bin/true"', "Requirements": "true", "Iwd": f'"{folder}"', "Out": '"out.txt"'}
    number = (await loop.ask(submit, "dana", "desk", True, Submission(count=1, template=template))).cluster
    await loop.ask(on_hello, 1, a_hello())
    store.seen, store.go_on = asyncio.Event(), asyncio.Event()
    loop.tell(on_ended, 1, an_ended(run=a_run(number), end=a_run_end(stdout=an_output("stdout", b"out")),
                                    blobs={sha256(b"out"): b"out"}))
    await store.seen.wait()
    assert is_over(await batch_of(context, number))
    written = asyncio.create_task(finish_writing(context, number))
    for _ in range(5):
        await batch_of(context, number)      # time enough for whoever does not wait
    assert not written.done()
    store.go_on.set()
    await written
    assert (folder / "out.txt").read_bytes() == b"out"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.close()
