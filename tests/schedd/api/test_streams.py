"""Server-sent events: what happened, from where one left off, and how many are left."""

import base64
import json
import threading

import pytest

from contract.messages import Ended, Grant, Progressed, Reached
from contract.requests import Submitted
from contract.vocabulary import Phase
from tests.builders import a_run_end, an_output, sha256


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


def take(stream, most):
    """The first `most` events of a stream; then it is left."""
    found = []
    for event in stream:
        found.append((int(event.id), event.kind, json.loads(event.data)))
        if len(found) == most:
            break
    stream.close()
    return found


def test_events_of_a_cluster_are_told_from_its_submission_on(schedd, client, startd):
    submission = {"count": 1, "steps": 1, "template": {"Cmd": '"/bin/true"', "Requirements": "true"}}
    submitted = client.call("POST", "/v1/clusters", Submitted, submission)
    startd.runs_next()
    events = take(client.events("/v1/events", cluster=submitted.cluster, since=submitted.event), 3)
    assert [(kind, data["cluster"]) for _, kind, data in events] == [
        (kind, submitted.cluster) for kind in ("submitted", "executing", "terminated")]


def test_how_far_a_run_says_it_is_is_told_as_an_event_and_with_the_counts(schedd, client, startd, submit):
    number = submit(client)
    counts = client.events("/v1/events", cluster=number, counts=1)
    assert json.loads(next(counts).data)["progress"] is None
    run = startd.hears(Grant).run
    startd.says(Progressed(run, Phase.RUNNING))
    startd.says(Reached(run, 40.0, "fitting"))
    events = take(schedd.client(client_user(client)).events("/v1/events", cluster=number, since=0), 3)
    _, kind, said = events[-1]
    assert (kind, said["detail"]["percent"], said["detail"]["message"]) == ("progress", 40.0, "fitting")
    for counted in counts:
        if (said := json.loads(counted.data)["progress"]) is not None:
            assert (said["jobs"], said["percent"], said["message"]) == (1, 40.0, "fitting")
            break
    counts.close()
    startd.says(Ended(run, a_run_end(wall_seconds=60.0)))


def test_a_stream_goes_on_after_the_last_event_seen(schedd, client, startd, submit):
    number = submit(client)
    startd.runs_next()
    whole = take(client.events("/v1/events", cluster=number, since=0), 3)
    for seen in (0, 1):
        rest = take(client.events("/v1/events", cluster=number, since=whole[seen][0]), 2 - seen)
        assert rest == whole[seen + 1 :]
    response = client._send("GET", "/v1/events", None, {"cluster": str(number)}, {"Last-Event-ID": str(whole[1][0])})
    line = response.readline()
    assert line.decode().strip() == f"id: {whole[2][0]}"
    client.close()


def test_events_rise_by_one_and_none_is_told_twice(schedd, client, submit, act):
    number = submit(client, 3)
    stream = client.events("/v1/events", since=0)
    first = next(stream)
    other = schedd.client(client_user(client))
    act(other, "hold", f"{number}.0", f"{number}.1")
    act(other, "remove", str(number))
    ids, kinds = [int(first.id)], []
    for event in stream:
        ids.append(int(event.id))
        data = json.loads(event.data)
        if data["cluster"] == number:
            kinds.append((event.kind, data["proc"]))
        if event.kind == "removed" and data["cluster"] == number and data["proc"] == 1:
            break
    stream.close()
    assert ids == list(range(1, len(ids) + 1))
    assert {("held", 0), ("held", 1), ("removed", -1)} <= set(kinds)


def client_user(client):

    body = client.token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["user"]


def test_the_counts_of_a_cluster_end_when_it_is_over(client, startd, submit, counts_until_over):
    number = submit(client, 3, {"RequestCpus": "4"})
    told = []
    reader = threading.Thread(target=lambda: told.extend(counts_until_over(client, number)))
    reader.start()
    for _ in range(3):
        startd.runs_next({sha256(b"x"): b"x"}, stdout=an_output("stdout", b"x"))
    reader.join(20)
    assert not reader.is_alive()
    assert told[-1] == {"idle": 0, "running": 0, "held": 0, "completed": 3, "removed": 0, "suspended": 0}
    assert [sum(counts.values()) for counts in told] == [3] * len(told)
    assert [counts["completed"] for counts in told] == sorted(counts["completed"] for counts in told)


def test_the_counts_of_a_cluster_that_is_over_are_told_once(client, submit, act, counts_until_over):
    number = submit(client, 3)
    act(client, "remove", str(number))
    assert counts_until_over(client, number) == [
        {"idle": 0, "running": 0, "held": 0, "completed": 0, "removed": 3, "suspended": 0}]


def test_the_counts_of_a_million_jobs_are_one_line(client, submit, act, counts_until_over):
    number = submit(client, 1_000_000)
    act(client, "remove", str(number))
    assert counts_until_over(client, number)[-1]["removed"] == 1_000_000


def test_large_output_is_told_in_pieces_from_its_byte_on(client, startd, submit):
    content = bytes(range(256)) * 4096
    client.exchange("PUT", f"/v1/blobs/{sha256(content)}", content, query={"offset": 0, "size": len(content)})
    number = submit(client)
    startd.runs_next(stdout=an_output("stdout", content))
    for offset in (0, 700_000):
        pieces = [json.loads(event.data) for event in client.events(f"/v1/jobs/{number}.0/output", offset=offset,
                                                                    follow=1)]
        assert b"".join(base64.b64decode(piece["data"]) for piece in pieces) == content[offset:]
        assert (len(pieces) > 2, pieces[0]["offset"], pieces[-1]["last"]) == (True, offset, True)


def test_a_listener_that_goes_away_is_forgotten(schedd, client, submit, act):
    number = submit(client)
    for _ in range(5):
        take(client.events("/v1/events", cluster=number, since=0), 1)
    act(client, "hold", f"{number}.0")
    assert take(client.events("/v1/events", cluster=number, since=0), 2)[1][1] == "held"
