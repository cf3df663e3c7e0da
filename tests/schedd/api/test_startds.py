"""The WebSocket of the startds: one grant from the queue to the history, and those who talk rubbish."""

import base64
import contextlib
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import msgspec
import pytest
import websockets.exceptions
import websockets.sync.client

from contract.messages import (
    Acknowledge,
    AdChanged,
    Beat,
    Ended,
    Grant,
    HeldRun,
    OutputChunk,
    Progressed,
    Refused,
    Stop,
    Unwatch,
    Used,
    Watch,
)
from contract.problems import Problem
from contract.requests import Batch, ClusterOutputs
from contract.vocabulary import JobStatus, Phase, RunId
from tests.builders import a_content, a_hello, a_run, a_run_end, an_output, sha256
from tests.schedd.api.conftest import PATIENCE_SECONDS


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


def state(client, number, proc=0):
    ads = client.call("GET", "/v1/jobs", list, owner=client_name(client), constraint=f"ClusterId == {number}")
    return ads[proc]


def client_name(client):
    body = client.token.split(".")[1]
    return msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["user"]


# --- the good way ---


def test_a_grant_is_taken_and_its_end_reported_with_its_outputs(client, startd, submit, counts_until_over):
    number = submit(client, 1, {"Out": '"out.txt"'})
    outputs = {sha256(raw): raw for raw in (b"hello\n", b"", b"result")}
    grant = startd.runs_next(
        outputs, exit_code=3, stdout=an_output("stdout", b"hello\n"), stderr=an_output("stderr", b""),
        files=[an_output("dir/result.txt", b"result")], warnings=["no other.txt"], peak_memory_mib=7.0)
    assert (grant.run, grant.program.command) == (a_run(number), "/bin/true")
    assert startd.hears(Acknowledge).runs == [grant.run]
    assert counts_until_over(client, number)[-1]["completed"] == 1
    [ad] = client.call("GET", "/v1/history", list, id=str(number))
    assert (ad["JobStatus"], ad["ExitCode"], ad["MemoryUsage"], ad["PescWarnings"]) == (4, 3, 7.0, ["no other.txt"])
    [line] = client.lines(f"/v1/clusters/{number}/outputs")
    left = msgspec.json.decode(line, type=ClusterOutputs)
    assert (left.exit_code, left.stdout_path, [file.path for file in left.files]) == (3, "out.txt", ["dir/result.txt"])
    assert b"".join(client.download(f"/v1/blobs/{left.files[0].sha256}")) == b"result"


def test_small_contents_travel_with_the_grant_and_only_once(client, startd, submit):
    raw = b"#!/bin/sh\necho hi\n"
    client.exchange("POST", "/v1/blobs/pack", msgspec.msgpack.encode([raw]))
    submit(client, 2, {"Cmd": '"/home/x/run.sh"', "RequestCpus": "3"}, files={"/home/x/run.sh": a_content(raw)})
    first, second = startd.runs_next(), startd.hears(Grant)
    assert (first.program.content.sha256, first.blobs, second.blobs) == (sha256(raw), {sha256(raw): raw}, {})


def test_a_startd_that_is_there_when_jobs_come_gets_as_many_as_fit(client, startd, submit):
    number = submit(client, 10, {"RequestCpus": "2"})
    assert sorted(startd.hears(Grant).run for _ in range(2)) == [a_run(number, 0), a_run(number, 1)]
    assert client.call("GET", f"/v1/clusters/{number}", Batch).jobs.running == 2


def test_a_held_run_is_stopped(client, startd, submit, act):
    number = submit(client)
    grant = startd.hears(Grant)
    act(client, "hold", f"{number}.0")
    assert startd.hears(Stop).run == grant.run
    assert state(client, number)["JobStatus"] == JobStatus.HELD


def test_a_startd_that_comes_back_goes_on_with_what_it_runs(schedd, client, user, submit):
    hello = {"name": f"back-{user}", "identity": "mine"}
    startd = schedd.startd(user, **hello).welcome()
    number = submit(client)
    run = startd.hears(Grant).run
    startd.says(Progressed(run, Phase.RUNNING))
    startd.close()
    startd = schedd.startd(user, **hello, runs=[HeldRun(run, Phase.RUNNING)]).welcome()
    startd.says(Ended(run, a_run_end(wall_seconds=60.0)))
    assert startd.hears(Acknowledge).runs == [run]
    assert client.call("GET", f"/v1/clusters/{number}", Batch).jobs.completed == 1
    startd.close()


def test_machines_are_listed_with_what_is_free(schedd, client, user, submit):
    startd = schedd.startd(user, name=f"free-{user}").welcome()
    submit(client, 1, {"RequestCpus": "3"})
    startd.hears(Grant)
    [ad] = client.call("GET", "/v1/machines", list, constraint=f'Name == "free-{user}"')
    assert (ad["Cpus"], ad["FreeCpus"], ad["State"], ad["NumRuns"]) == (4, 1, "Claimed", 1)
    startd.says(AdChanged({"Mood": '"good"'}))
    startd.says(Beat([HeldRun(a_run(10**6), Phase.RUNNING)]))
    startd.hears(Stop)
    [ad] = client.call("GET", "/v1/machines", list, constraint=f'Name == "free-{user}"', attributes="Mood,Name")
    assert ad["Mood"] == "good"
    startd.close()


# --- who is let in ---


def dial(schedd, headers):
    return websockets.sync.client.connect(
        schedd.url.replace("http", "ws") + "/v1/startd", proxy=None, additional_headers=headers)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(("headers", "status"), [
    ({}, 401), ({"Authorization": "Bearer x"}, 401), ({"Pesc-Protocol": "99"}, 426)])
def test_a_websocket_without_a_good_token_is_refused_before_the_handshake(schedd, headers, status):
    if "Pesc-Protocol" in headers:
        headers = {**headers, "Authorization": f"Bearer {schedd.token}"}
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused, dial(schedd, headers):
        pass
    assert refused.value.response.status_code == status
    assert b'"code"' in refused.value.response.body


def test_a_user_is_no_machine(schedd, client):
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused, dial(schedd, bearer(client.token)):
        pass
    assert refused.value.response.status_code == 403


def test_the_websocket_asked_for_as_a_page_is_a_problem(schedd):
    with pytest.raises(Problem):
        schedd.owner.call("GET", "/v1/startd", dict)


def test_a_second_startd_of_the_same_name_is_refused_and_cut(schedd, user):
    first = schedd.startd(user, name=f"twin-{user}", identity="one").welcome()
    second = schedd.startd(user, name=f"twin-{user}", identity="two")
    assert second.hears(Refused).code == "name_taken"
    with pytest.raises(websockets.exceptions.ConnectionClosed):
        second.websocket.recv(20)
    first.close()


# --- those who talk rubbish ---


RUBBISH = [
    "", "x", "{}", "null", "[1]", '[{"type": "no such"}]', '[{"type": "beat"}]', "[" * 50_000, b"\xff\xfe\x00",
    '[{"type": "ended", "run": [1, 0], "end": {"reason": "exited"}}]',
    '[{"type": "ended", "run": [1, 0, 1], "end": {"reason": "abducted"}}]',
    '[{"type": "ended", "run": [1, 0, 1], "end": {"reason": "exited", "exit_code": "0"}}]',
    '[{"type": "ended", "run": [1, 0, 1], "end": {"reason": "exited"}, "blobs": {"' + "0" * 64 + '": "aGk="}}]',
    '[{"type": "progressed", "run": [1, 0, 1], "phase": "dancing"}]',
]


@pytest.mark.parametrize("rubbish", RUBBISH, ids=range(len(RUBBISH)))
def test_a_startd_that_talks_rubbish_is_told_and_cut(startd, rubbish):
    startd.websocket.send(rubbish)
    assert startd.hears(Refused).code == "bad_request"
    with pytest.raises(websockets.exceptions.ConnectionClosed):
        startd.websocket.recv(20)


@pytest.mark.parametrize("first", ["[]", '[{"type": "beat", "runs": []}]', "rubbish"])
def test_the_first_word_must_be_a_hello(schedd, first):
    with dial(schedd, bearer(schedd.token)) as websocket:
        websocket.send(first)
        assert b"bad_request" in websocket.recv(20, decode=False)
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            websocket.recv(20)


def test_a_second_hello_on_one_connection_is_rubbish(startd):
    startd.says(a_hello())
    assert startd.hears(Refused).code == "bad_request"


@pytest.mark.parametrize("end", [
    {"exit_code": 10**30}, {"exit_code": -(10**30)}, {"signal": 10**30}, {"peak_disk_kib": 10**30},
    {"files": [an_output(path="x" * 100_000)]}, {"message": "\n...\n000 (001.000.000)" * 1000},
    {"wall_seconds": 1e308, "user_seconds": 1e308, "peak_memory_mib": 1e308}, {"wall_seconds": -5.0},
])
def test_an_end_with_numbers_that_cannot_be_harms_nobody_else(schedd, client, startd, submit, end):
    number = submit(client)
    startd.hears(Grant)
    startd.says(Ended(a_run(number), a_run_end(**end)))
    with contextlib.suppress(websockets.exceptions.ConnectionClosed):  # some of these ends are hung up on
        startd.says(Used(a_run(number), 1.0, 1.0, 10**30))
    assert client.call("GET", f"/v1/clusters/{number}", Batch).total == 1
    other = schedd.a_user()
    second = schedd.startd(other).welcome()
    theirs = schedd.client(other)
    submit(theirs)
    second.runs_next()
    assert second.hears(Acknowledge)
    second.close()


def test_a_report_of_runs_far_away_is_acknowledged(startd):
    run = RunId(2**40, 2**40, 2**40)
    startd.says(Ended(run, a_run_end()))
    assert startd.hears(Acknowledge).runs == [run]


def test_a_connection_that_breaks_in_the_middle_of_a_word_harms_nobody(schedd, client):
    parts = urlsplit(schedd.url)
    for text in (b"GET /v1/startd HTTP/1.1\r\nUpg", b"\x00" * 100,
                 b"POST /v1/clusters HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"):
        with socket.create_connection((parts.hostname, parts.port)) as line:
            line.sendall(text)
    assert client.call("GET", "/v1/version", dict)["pool"]


# --- output while it runs ---


def test_a_running_jobs_output_is_watched_from_an_offset_to_its_end(client, startd, submit):
    number = submit(client)
    run = startd.hears(Grant).run
    startd.says(Progressed(run, Phase.RUNNING))
    stream = client.events(f"/v1/jobs/{number}.0/output", offset=2, follow=1)
    chunks = iter(stream)

    def reads():
        return msgspec.json.decode(next(chunks).data)

    first = []
    reader = threading.Thread(target=lambda: first.append(reads()))
    reader.start()
    watch = startd.hears(Watch)
    assert (watch.run, watch.stream, watch.offset) == (run, "stdout", 2)
    startd.says(OutputChunk(watch.watch, 2, b"llo"))
    reader.join(20)
    assert (first[0]["offset"], base64.b64decode(first[0]["data"])) == (2, b"llo")
    startd.says(OutputChunk(watch.watch, 5, b"!"))
    assert base64.b64decode(reads()["data"]) == b"!"
    whole = b"hello! and the rest"
    startd.says(OutputChunk(watch.watch, 6, b"", last=True),
                Ended(run, a_run_end(stdout=an_output("stdout", whole)), {sha256(whole): whole}))
    startd.hears(Unwatch)
    rest = [msgspec.json.decode(event.data) for event in chunks]
    assert b"".join(base64.b64decode(chunk["data"]) for chunk in rest) == b" and the rest"
    assert rest[-1]["last"] is True


def test_a_job_that_waits_is_watched_until_it_runs_and_ends(client, startd, submit):
    number = submit(client, 2, {"RequestCpus": "4"})
    first = startd.hears(Grant).run
    assert [json.loads(e.data)["last"] for e in client.events(f"/v1/jobs/{number}.1/output")] == [True]
    with ThreadPoolExecutor(1) as beside:
        reading = beside.submit(lambda: list(client.events(f"/v1/jobs/{number}.1/output", follow=1)))
        startd.says(Ended(first, a_run_end(wall_seconds=60.0)))
        assert startd.runs_next({sha256(b"out"): b"out"}, stdout=an_output("stdout", b"out")).run.job == (number, 1)
        chunks = reading.result(PATIENCE_SECONDS)
    assert b"".join(base64.b64decode(json.loads(chunk.data)["data"]) for chunk in chunks) == b"out"


def test_the_output_of_a_job_that_is_over_is_what_it_left(client, startd, submit, counts_until_over):
    number = submit(client)
    startd.runs_next({sha256(b"out"): b"out"}, stdout=an_output("stdout", b"out"))
    counts_until_over(client, number)
    for offset, expected in ((0, b"out"), (1, b"ut"), (3, b""), (99, b"")):
        chunks = [msgspec.json.decode(e.data) for e in client.events(f"/v1/jobs/{number}.0/output", offset=offset)]
        assert (b"".join(base64.b64decode(c["data"]) for c in chunks), chunks[-1]["last"]) == (expected, True)
