"""Real schedds in processes of their own, and startds that say what a test wants them to say."""

import contextlib
import getpass
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
import websockets.sync.client

from contract.client import Client
from contract.messages import Ended, Grant, Welcome, decode_from_schedd, encode
from contract.places import Places, read_address
from contract.requests import Selection, Submission, Submitted
from contract.vocabulary import PROTOCOL
from tests.builders import a_hello, a_run_end, amounts

PATIENCE_SECONDS = 60.0


class Schedd:
    """`python -m schedd` with a state directory; it can be killed and started again."""

    def __init__(self, state: Path, *options: str) -> None:
        self.places = Places(state)
        self.options = options
        self.log: list[str] = []
        self.process: subprocess.Popen | None = None
        self._users = itertools.count(1)

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "schedd", "--state", str(self.places.state), "--port", "0", *self.options],
            stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])
        for line in self.process.stderr:
            self.log.append(line)
            if "schedd listens" in line:
                break
        else:
            raise AssertionError("the schedd did not start:\n" + "".join(self.log[-30:]))
        self._reader = threading.Thread(target=self.log.extend, args=(self.process.stderr,), daemon=True)
        self._reader.start()

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process is None:
            return 0
        os.kill(self.process.pid, number)
        status = self.process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        self.process.stderr.close()
        self.process = None
        return status

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    @property
    def url(self) -> str:
        return read_address(self.places).url

    @property
    def token(self) -> str:
        return self.places.token.read_text().strip()

    @property
    def owner(self) -> Client:
        """The schedd's own user, through the Unix socket."""
        return Client(self.url, self.token, str(self.places.socket))

    def client(self, user: str = "", *roles: str, seconds: int = 600) -> Client:
        """Somebody with a token of their own, through loopback."""
        return Client(self.url, self.make_token(user or self.a_user(), *(roles or ("user",)), seconds=seconds))

    def make_token(self, user: str, *roles: str, seconds: int = 600) -> str:
        asked = {"user": user, "roles": list(roles), "seconds": seconds}
        return self.owner.call("POST", "/v1/tokens", dict, asked)["token"]

    def a_user(self) -> str:
        return f"user-{next(self._users)}"

    def startd(self, owner: str = "", **hello) -> "FakeStartd":
        """A startd that takes only the jobs of `owner`."""
        start = f'TARGET.Owner == "{owner}"' if owner else "true"
        return FakeStartd(self, **{"ad": {"START": start}, **hello})


class FakeStartd:
    """One connection; `hears` waits for the next message of a kind."""

    def __init__(self, schedd: Schedd, **hello) -> None:
        self._open = contextlib.ExitStack()
        self.websocket = self._open.enter_context(websockets.sync.client.connect(
            schedd.url.replace("http", "ws") + "/v1/startd", proxy=None,
            additional_headers={"Authorization": f"Bearer {schedd.token}", "Pesc-Protocol": str(PROTOCOL)}))
        self._heard = []
        self.says(a_hello(**{"name": f"lab-{id(self)}", "amounts": amounts(4.0, 4096, 1 << 20), **hello}))

    def says(self, *messages) -> None:
        self.websocket.send(encode(list(messages)).decode())

    def hears(self, kind):
        while True:
            for index, message in enumerate(self._heard):
                if type(message) is kind:
                    return self._heard.pop(index)
            self._heard += decode_from_schedd(self.websocket.recv(PATIENCE_SECONDS))

    def welcome(self) -> "FakeStartd":
        self.hears(Welcome)
        return self

    def runs_next(self, blobs=None, **end) -> Grant:
        """Take a grant and report its end at once."""
        grant = self.hears(Grant)
        self.says(Ended(grant.run, a_run_end(**{"wall_seconds": 60.0, **end}), blobs or {}))
        return grant

    def close(self) -> None:
        self._open.close()


@pytest.fixture(scope="module")
def schedd(tmp_path_factory):
    """One schedd for the tests of a module; each has users of its own."""
    schedd = Schedd(tmp_path_factory.mktemp("pool"), "--beat", "5")
    schedd.start()
    yield schedd
    assert schedd.end() == 0, "".join(schedd.log[-30:])
    assert not [line for line in schedd.log if "Traceback" in line], "".join(schedd.log[-60:])


@pytest.fixture
def own_schedd(tmp_path):
    """A schedd for one test, to be killed by it."""
    schedd = Schedd(tmp_path / "pool")
    schedd.start()
    yield schedd
    schedd.end()


@pytest.fixture
def me():
    return getpass.getuser()


def submit(client: Client, count: int = 1, template=None, **changes) -> int:
    wanted = {"Cmd": '"/bin/true"', "Requirements": "true", **(template or {})}
    submission = Submission(**{"count": count, "steps": count, "template": wanted, **changes})
    return client.call("POST", "/v1/clusters", Submitted, submission).cluster


@pytest.fixture(name="submit")
def submit_fixture():
    return submit


@pytest.fixture
def act():
    def act(client: Client, what: str, *ids: str, **more):
        selection = msgspec.to_builtins(Selection(ids=list(ids), everything=not ids))
        return client.call("POST", "/v1/actions", dict, {"what": what, "selection": selection, **more})
    return act


@pytest.fixture
def counts_until_over():
    """Follow the counts of a cluster to their end; return all that were told."""
    def follow(client: Client, cluster: int):
        stream = Client(client.url, client.token, client.unix_socket).events("/v1/events", cluster=cluster, counts=1)
        return [msgspec.json.decode(event.data)["jobs"] for event in stream]
    return follow


@pytest.fixture
def until():
    """Ask the schedd again and again until `condition` holds; what is asked paces the loop."""
    def until(schedd: Schedd, condition):
        deadline = time.monotonic() + PATIENCE_SECONDS
        client = schedd.owner
        while not condition():
            client.call("GET", "/v1/version", dict)
            assert time.monotonic() < deadline, "it did not come about"
        client.close()
    return until
