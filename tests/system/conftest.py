"""Real daemons and real commands, each test in scratch folders of its own.

A test never sleeps. It waits for an event of the schedd, for a line that a job wrote into
a `Pipe`, or for a process to end; one alarm for each test bounds them all. Jobs do not
sleep either: they wait at a `Pipe` until the test lets them through.
"""

import contextlib
import resource
import signal

import pytest

from tests.system.house import House

PATIENCE_SECONDS = 90
"""A test that waits longer than this has failed; none comes near it."""


@pytest.fixture(autouse=True)
def patience():
    """Bounds everything that a test waits for."""

    def over(*_):
        raise TimeoutError(f"waited longer than {PATIENCE_SECONDS} s for something that did not come")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(PATIENCE_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def house(tmp_path):
    """A folder for a pool of the test's own; nothing of it is left running."""
    with _house(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def pool(tmp_path_factory):
    """A pool with eight cpus and two GPUs that tests share; none may harm it."""
    with _house(tmp_path_factory.mktemp("shared")) as made:
        made.imitate_gpus({"uuid": "GPU-11111111-aaaa"}, {"uuid": "GPU-22222222-bbbb"})
        made.start("--cpus", "8")
        yield made


@contextlib.contextmanager
def _house(folder):
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    made = House(folder)
    try:
        yield made
    finally:
        left = made.close()
    assert not left, f"still there after pesc_pool stop: {left}"
