"""The WebSocket of those who look inside a job: who may, what is passed on, and those who break the rules."""

import contextlib
import socket
import sqlite3
from urllib.parse import urlsplit

import msgspec
import pytest
import websockets.exceptions
import websockets.sync.client

from contract.messages import Ended, Grant, Progressed
from contract.problems import Problem
from contract.requests import Event
from contract.shells import (
    CHUNK_BYTES,
    MOST_ON_THEIR_WAY,
    WINDOW_BYTES,
    AskShell,
    CloseShell,
    OpenShell,
    ShellInput,
    ShellOutput,
    ShellOver,
    ShellResized,
    ShellTaken,
    cost,
    decode_to_user,
    encode,
)
from contract.vocabulary import PROTOCOL, Phase
from tests.builders import a_run_end
from tests.schedd.api.conftest import PATIENCE_SECONDS, submit


class Desk:
    """Somebody's WebSocket."""

    def __init__(self, schedd, token, job):
        self._open = contextlib.ExitStack()
        self.websocket = self._open.enter_context(websockets.sync.client.connect(
            schedd.url.replace("http", "ws") + f"/v1/jobs/{job}/exec", proxy=None,
            additional_headers={"Authorization": f"Bearer {token}", "Pesc-Protocol": str(PROTOCOL)}))
        self._heard = []

    def says(self, *messages):
        self.websocket.send(encode(list(messages)).decode())

    def hears(self):
        while not self._heard:
            self._heard += decode_to_user(self.websocket.recv(PATIENCE_SECONDS))
        return self._heard.pop(0)

    def close(self):
        self._open.close()


@pytest.fixture
def user(schedd):
    return schedd.a_user()


@pytest.fixture
def client(schedd, user):
    return schedd.client(user)


@pytest.fixture
def startd(schedd, user):
    startd = schedd.startd(user).welcome()
    yield startd
    startd.close()


@pytest.fixture
def job(client, startd, until, schedd):
    """A job that runs on `startd`."""
    number = submit(client, 1)
    run = startd.hears(Grant).run
    startd.says(Progressed(run, Phase.RUNNING))
    until(schedd, lambda: phase(client, number) == "running")
    return f"{number}.0"


def phase(client, number):
    [ad] = client.call("GET", "/v1/jobs", list, id=str(number))
    return ad.get("PescPhase")


@pytest.fixture
def desk(schedd, client, job):
    """A shell that is open; `desk.shell` is its number at the machine."""
    desk = Desk(schedd, client.token, job)
    yield desk
    with contextlib.suppress(Exception):
        desk.close()


def opened(desk, startd, *argv, **how):
    desk.says(AskShell(list(argv), **how))
    return startd.hears(OpenShell).shell


def told(client, job, kind, number=1):
    """The events of this kind that have come, once there are so many."""
    cluster = job.partition(".")[0]
    found = []
    for message in client.events("/v1/events", cluster=cluster, since=0):
        if message.kind == kind:
            found.append(msgspec.json.decode(message.data, type=Event))
            if len(found) == number:
                return found
    raise AssertionError


# --- the good way ---


def test_what_both_ends_say_is_passed_on_and_the_use_is_written_down(schedd, client, user, startd, job, desk):
    desk.says(AskShell(["ls", "my files"], True, 40, 132, "xterm"))
    asked = startd.hears(OpenShell)
    [event] = told(client, job, "exec")      # it is on disk before anything starts
    assert (f"{asked.run.job}", asked.argv, asked.tty, asked.rows, asked.columns, asked.term) == (
        job, ["ls", "my files"], True, 40, 132, "xterm")
    assert event.detail == {"user": user, "command": "ls 'my files'", "tty": True, "attempt": 1}
    desk.says(ShellInput(0, b"typed\n"), ShellResized(0, 25, 80), ShellInput(0, b"", last=True))
    assert startd.hears(ShellInput) == ShellInput(asked.shell, b"typed\n")
    assert startd.hears(ShellResized) == ShellResized(asked.shell, 25, 80)
    assert startd.hears(ShellInput).last
    startd.says(ShellTaken(asked.shell, cost(b"typed\n")), ShellOutput(asked.shell, b"\x00\xff"),
                ShellOutput(asked.shell, b"oops", error=True))
    assert desk.hears() == ShellTaken(0, cost(b"typed\n"))
    assert [desk.hears(), desk.hears()] == [ShellOutput(0, b"\x00\xff"), ShellOutput(0, b"oops", error=True)]
    desk.says(ShellTaken(0, cost(b"\x00\xff")))
    assert startd.hears(ShellTaken) == ShellTaken(asked.shell, cost(b"\x00\xff"))
    startd.says(ShellOver(asked.shell, code=3))
    assert desk.hears() == ShellOver(0, code=3)
    [event] = told(client, job, "exec_ended")
    assert (event.detail["user"], event.detail["command"], event.detail["exit_code"]) == (user, "ls 'my files'", 3)
    with sqlite3.connect(schedd.places.schedd / "pesc.db") as database:
        assert database.execute("select count(*) from audit where id = ?", (event.id,)).fetchone() == (1,)


def test_the_end_of_the_users_connection_ends_the_shell(client, startd, job, desk):
    shell = opened(desk, startd)
    desk.websocket.socket.close()
    assert startd.hears(CloseShell).shell == shell
    [event] = told(client, job, "exec_ended")
    assert event.detail["reason"] == "The shell was ended: its user hung up."


def test_the_end_of_the_machines_connection_ends_the_shell_with_words(client, startd, job, desk):
    opened(desk, startd)
    startd.close()
    assert desk.hears().message == "The shell was ended: the connection to its machine broke."
    told(client, job, "exec_ended")


def test_a_schedd_that_is_stopped_ends_the_shell_with_words_and_writes_it_down(own_schedd):
    client = own_schedd.owner
    with contextlib.closing(own_schedd.startd().welcome()) as startd:
        number = submit(client, 1)
        startd.says(Progressed(startd.hears(Grant).run, Phase.RUNNING))
        [_] = told(client, f"{number}.0", "executing")
        desk = Desk(own_schedd, own_schedd.token, f"{number}.0")
        opened(desk, startd)
        assert own_schedd.end() == 0
        assert desk.hears().message == "The shell was ended: the schedd was told to stop."
    own_schedd.start()
    [event] = told(own_schedd.owner, f"{number}.0", "exec_ended")
    assert event.detail["reason"] == "The shell was ended: the schedd was told to stop."


# --- who may, and when ---


def refusal(schedd, token, job):
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        Desk(schedd, token, job)
    return refused.value.response.status_code, msgspec.json.decode(refused.value.response.body)["message"]


@pytest.mark.parametrize(("roles", "status"), [(("user",), 403), (("operator",), 403), (("startd",), 403)])
def test_neither_other_people_nor_machines_may_look_inside(schedd, job, roles, status):
    assert refusal(schedd, schedd.make_token("eve", *roles), job)[0] == status


def test_an_administrator_may_look_inside_and_is_named_in_the_audit(schedd, client, startd, job):
    desk = Desk(schedd, schedd.make_token("boss", "admin"), job)
    opened(desk, startd)
    [event] = told(client, job, "exec")
    assert (event.detail["user"], event.detail["command"]) == ("boss", "a shell")
    desk.close()


def test_without_a_good_token_nobody_learns_anything(schedd, job):
    assert refusal(schedd, "x", job)[0] == 401


def test_a_job_that_does_not_run_is_refused_with_its_state(schedd, client, startd, act, until):
    number = submit(client, 2, {"RequestCpus": "4"})
    grant = startd.hears(Grant)
    assert refusal(schedd, client.token, f"{number}.0") == (
        409, f"Job {number}.0 has not started on its machine yet.")
    assert refusal(schedd, client.token, f"{number}.1")[1].startswith(f"Job {number}.1 is idle")
    startd.says(Ended(grant.run, a_run_end(wall_seconds=60.0)))
    startd.hears(Grant)
    until(schedd, lambda: client.call("GET", "/v1/history", list, id=f"{number}.0"))
    assert "is completed" in refusal(schedd, client.token, f"{number}.0")[1]
    assert refusal(schedd, client.token, f"{number}.7")[0] == 404
    assert refusal(schedd, client.token, "10000000.0")[0] == 404
    assert refusal(schedd, client.token, "x")[0] == 400
    assert refusal(schedd, client.token, f"{number}")[0] == 400


def test_the_websocket_asked_for_as_a_page_is_a_problem(client, job):
    with pytest.raises(Problem) as refused:
        client.call("GET", f"/v1/jobs/{job}/exec", dict)
    assert refused.value.message == "Looking inside a job takes a WebSocket."


# --- those who break the rules ---


RUBBISH = ["", "x", "{}", "[]", "null", "[1]", '[{"type": "shell_in", "shell": 0, "data": ""}]', "[" * 50_000,
           '[{"type": "ask_shell", "argv": "ls"}]', '[{"type": "ask_shell", "argv": [""]}]',
           '[{"type": "ask_shell", "argv": ["a\\u0000b"]}]', '[{"type": "ask_shell"}, {"type": "ask_shell"}]',
           encode([AskShell(["x" * 70_000])]).decode(), b"\xff\xfe"]


@pytest.mark.parametrize("rubbish", RUBBISH, ids=range(len(RUBBISH)))
def test_whoever_asks_for_rubbish_is_told_and_nothing_is_started(schedd, client, startd, job, desk, rubbish):
    desk.websocket.send(rubbish)
    over = desk.hears()
    assert (type(over), over.code, over.started) == (ShellOver, None, False)
    with contextlib.closing(Desk(schedd, client.token, job)) as second:
        second.says(AskShell(["first"]))
        assert startd.hears(OpenShell).argv == ["first"]


def test_whoever_talks_rubbish_later_is_told_and_the_shell_ended(client, startd, job, desk):
    shell = opened(desk, startd)
    desk.websocket.send('[{"type": "shell_in", "shell": 0, "data": "!"}]')
    assert "was not understood" in desk.hears().message
    assert startd.hears(CloseShell).shell == shell
    told(client, job, "exec_ended")


def test_a_frame_that_is_too_large_ends_the_shell(client, startd, job, desk):
    shell = opened(desk, startd)
    with contextlib.suppress(websockets.exceptions.ConnectionClosed):
        desk.websocket.send("x" * 1_000_000)
    assert startd.hears(CloseShell).shell == shell
    told(client, job, "exec_ended")


def test_whoever_sends_more_than_was_asked_for_is_cut(client, startd, job, desk):
    shell = opened(desk, startd)
    with contextlib.suppress(websockets.exceptions.ConnectionClosed):
        for _ in range(MOST_ON_THEIR_WAY // CHUNK_BYTES + 1):
            desk.says(ShellInput(0, bytes(CHUNK_BYTES)))
    assert startd.hears(CloseShell).shell == shell
    [event] = told(client, job, "exec_ended")
    assert "More was sent, or taken, than was allowed." in event.detail["reason"]


@pytest.mark.parametrize("taken", [1, -1, 2**40, -(2**40)])
def test_whoever_takes_what_never_came_is_cut(startd, desk, taken):
    shell = opened(desk, startd)
    if taken == -1:
        taken = -MOST_ON_THEIR_WAY - 1
    desk.says(ShellTaken(0, taken))
    assert startd.hears(CloseShell).shell == shell
    assert isinstance(desk.hears(), ShellOver)


def test_a_machine_that_sends_more_than_was_asked_for_has_its_shell_ended(startd, job, desk):
    shell = opened(desk, startd)
    startd.says(*[ShellOutput(shell, bytes(CHUNK_BYTES))] * (WINDOW_BYTES // CHUNK_BYTES + 2))
    assert startd.hears(CloseShell).shell == shell
    while isinstance(over := desk.hears(), ShellOutput):
        pass
    assert over.message == "The shell was ended: its machine did not keep to the rules."


def test_a_machine_has_no_say_in_the_shells_of_another(schedd, startd, desk):
    shell = opened(desk, startd)
    with contextlib.closing(schedd.startd("nobody").welcome()) as other:
        other.says(ShellOutput(shell, b"forged"), ShellOver(shell, code=0), ShellOver(10**9, code=0))
        schedd.owner.call("GET", "/v1/version", dict)
    startd.says(ShellOutput(shell, b"mine"), ShellOver(shell, code=5))
    assert [desk.hears(), desk.hears()] == [ShellOutput(0, b"mine"), ShellOver(0, code=5)]


def test_whoever_asks_and_says_nothing_holds_nobody_up(schedd, client, job):
    """A handshake, and then silence: the schedd serves others as before."""
    parts = urlsplit(schedd.url)
    with socket.create_connection((parts.hostname, parts.port)) as silent:
        silent.sendall(
            f"GET /v1/jobs/{job}/exec HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
        assert b"101" in silent.recv(100)
        assert len(client.call("GET", "/v1/jobs", list, id=job)) == 1
