"""Every endpoint, asked well and badly, by those who may and those who may not."""

import http.client
import json
import re
from urllib.parse import urlsplit

import msgspec
import pytest
from openapi_spec_validator import validate

from contract.client import MOST_ADDRESS_BYTES, Client
from contract.endpoints import ENDPOINTS
from contract.messages import Acknowledge
from contract.places import read_address
from contract.problems import STATUS, Problem
from contract.requests import Batch, Queue, Submitted
from contract.tokens import Claims, sign
from contract.vocabulary import PROTOCOL, VERSION
from schedd.api.openapi import document


def refusal(client, method, path, body=None, **query):
    with pytest.raises(Problem) as problem:
        client.call(method, path, object, body, **query)
    assert problem.value.message
    return problem.value.code


def raw(schedd, method, path, body=b"", **headers):
    """Status and body of a request as it is written here."""
    connection = http.client.HTTPConnection(urlsplit(schedd.url).netloc, timeout=20)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def filled(endpoint):
    return re.sub(r"\{\w+\}", "1", endpoint.path)


# --- what is served ---


def test_anyone_may_ask_who_answers(schedd):
    status, body = raw(schedd, "GET", "/v1/version")
    assert (status, json.loads(body)) == (
        200, {"version": VERSION, "protocol": PROTOCOL, "pool": read_address(schedd.places).pool})


def test_the_document_served_is_valid_openapi_and_the_one_of_the_table(schedd):
    served = json.loads(raw(schedd, "GET", "/v1/openapi.json")[1])
    validate(served)
    assert served == json.loads(json.dumps(document()))
    described = {(method.upper(), path) for path, methods in served["paths"].items() for method in methods}
    assert described == {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}


@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.roles], ids=lambda e: e.name)
def test_without_a_token_nobody_gets_in(schedd, endpoint):
    status, body = raw(schedd, endpoint.method, filled(endpoint))
    assert status == 401
    assert endpoint.method == "HEAD" or json.loads(body)["code"] == "no_token"


@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.roles], ids=lambda e: e.name)
@pytest.mark.parametrize("role", ["user", "operator", "startd"])
def test_a_role_that_is_not_in_the_row_is_not_enough(schedd, endpoint, role):
    if role in endpoint.roles:
        return
    token = schedd.make_token("somebody", role)
    status, body = raw(schedd, endpoint.method, filled(endpoint), Authorization=f"Bearer {token}")
    assert status == 403
    assert endpoint.method == "HEAD" or json.loads(body)["code"] == "not_allowed"


@pytest.mark.parametrize("token", ["x", "pesc1.e30.AAAA", "Bearer", "a.b.c.d", "\xff\xfe"])
def test_a_bad_token_is_refused(schedd, token):
    status, body = raw(schedd, "GET", "/v1/queue", Authorization=f"Bearer {token}")
    assert (status, json.loads(body)["code"]) == (401, "bad_token")


def test_an_expired_token_is_refused_by_that_name(schedd):
    secret = (schedd.places.schedd / "secret").read_bytes()
    token = sign(Claims("dana", read_address(schedd.places).pool, ["user"], 1.0), secret)
    assert refusal(Client(schedd.url, token), "GET", "/v1/queue") == "expired_token"


def test_a_token_of_another_pool_is_refused(schedd):
    secret = (schedd.places.schedd / "secret").read_bytes()
    token = sign(Claims("dana", "elsewhere", ["user"], 4e9), secret)
    assert refusal(Client(schedd.url, token), "GET", "/v1/queue") == "bad_token"


@pytest.mark.parametrize("spoken", ["0", "2", "99", "one", ""])
def test_another_protocol_is_told_so(schedd, spoken):
    status, body = raw(schedd, "GET", "/v1/version", Pesc_Protocol=spoken)
    assert (status, json.loads(body)["code"]) == (426, "other_version")


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/"), ("GET", "/v1"), ("GET", "/v2/queue"), ("GET", "/v1/queue/x"), ("POST", "/v1/queue"),
    ("DELETE", "/v1/clusters"), ("GET", "/v1/../v1/queue"), ("GET", "/static/../../etc/passwd"),
])
def test_what_is_not_served_is_refused_as_a_problem(schedd, method, path):
    status, body = raw(schedd, method, path, Authorization=f"Bearer {schedd.token}")
    assert (status in (400, 404, 405), json.loads(body)["code"] in STATUS) == (True, True)


# --- tokens ---


def test_an_administrator_makes_tokens(schedd):
    client = schedd.client("lee", "user")
    assert client.call("GET", "/v1/queue", Queue).batches is not None


@pytest.mark.parametrize("asked", [
    {"user": "", "roles": ["user"], "seconds": 60}, {"user": "a b", "roles": ["user"], "seconds": 60},
    {"user": "../x", "roles": ["user"], "seconds": 60}, {"user": "x" * 101, "roles": ["user"], "seconds": 60},
    {"user": "lee", "roles": ["king"], "seconds": 60}, {"user": "lee", "roles": ["user"], "seconds": 0},
    {"user": "lee", "roles": ["user"], "seconds": -1}, {"user": "lee", "roles": ["user"], "seconds": 10**12},
    {"user": "lee", "roles": ["user"]}, {"user": 7, "roles": ["user"], "seconds": 60}, [], "x", None,
])
def test_a_token_that_cannot_be_made_is_refused(schedd, asked):
    assert refusal(schedd.owner, "POST", "/v1/tokens", asked) == "bad_request"


# --- submissions ---


def test_a_submission_is_acknowledged_and_seen(schedd, submit):
    client = schedd.client("dana-1")
    number = submit(client, 1_000_000, {"JobBatchName": '"sweep"'})
    batch = client.call("GET", f"/v1/clusters/{number}", Batch)
    assert (batch.cluster, batch.owner, batch.name, batch.total, batch.jobs.idle) == (
        number, "dana-1", "sweep", 1_000_000, 1_000_000)
    queue = client.call("GET", "/v1/queue", Queue, owner="dana-1")
    assert ([b.cluster for b in queue.batches], queue.totals.idle) == ([number], 1_000_000)
    [ad] = client.call("GET", "/v1/jobs", list, id=f"{number}.999999", attributes="ProcId,owner, JobStatus")
    assert ad == {"ProcId": 999_999, "Owner": "dana-1", "JobStatus": 1}


@pytest.mark.parametrize("body", [
    b"", b"null", b"[]", b"{}", b'{"count": 1}', b'{"count": "1", "template": {}}',
    b'{"count": 1, "template": {"A": 1}}',
    b'{"count": 1', b"\xff\xfe\x00", b'{"count": 1, "template": {}, "files": {"x": {}}}', b"[" * 100_000,
    b'{"count": 1.5, "template": {}}', b'{"count": 1, "template": {"\\ud800": "1"}}', b'{"count": NaN, "template": {}}',
    b'{"count": 1, "template": {}, "items": [[1]]}',
])
def test_a_garbage_submission_is_refused_and_queues_nothing(schedd, body):
    before = schedd.owner.call("GET", "/v1/queue", Queue).totals
    status, answer = raw(schedd, "POST", "/v1/clusters", body, Authorization=f"Bearer {schedd.token}")
    assert (status, json.loads(answer)["code"]) == (400, "bad_request")
    assert schedd.owner.call("GET", "/v1/queue", Queue).totals == before


@pytest.mark.parametrize("path", [
    "/v1/actions", "/v1/tokens", "/v1/blobs/missing", "/v1/blobs/fetch", "/v1/blobs/pack"])
@pytest.mark.parametrize("body", [b"", b"\x00", b"\xc1", b"{", b"true", b'{"a": [}', b"\xff" * 1000])
def test_a_garbage_body_is_a_bad_request(schedd, path, body):
    status, answer = raw(schedd, "POST", path, body, Authorization=f"Bearer {schedd.token}")
    assert (status, json.loads(answer)["code"]) == (400, "bad_request")


def test_a_submission_of_ten_megabytes_is_taken(schedd, submit):
    client = schedd.client()
    items = [[f"{n:0100d}"] for n in range(100_000)]
    number = submit(client, 100_000, items=items, item_names=["x"], steps=1, varying={"arguments": "$(x)"})
    [ad] = client.call("GET", "/v1/jobs", list, id=f"{number}.99999", attributes="Args")
    assert ad["Args"] == f"{99_999:0100d}"


def test_a_line_of_ten_megabytes_is_refused_by_name_and_harms_nobody(schedd, submit):
    client = schedd.client()
    with pytest.raises(Problem, match="Arguments is not an expression"):
        submit(client, 1, {"Arguments": '"' + "x" * 10_000_000 + '"'})
    number = submit(client, 1, {"Arguments": '"' + "x" * 1_000_000 + '"'})
    assert client.call("GET", f"/v1/clusters/{number}", Batch).total == 1


def test_a_body_beyond_all_bounds_is_refused(schedd):
    connection = http.client.HTTPConnection(urlsplit(schedd.url).netloc, timeout=20)
    connection.putrequest("POST", "/v1/clusters")
    connection.putheader("Content-Length", str(65 << 20))
    connection.putheader("Authorization", f"Bearer {schedd.token}")
    connection.endheaders(b"{")
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["code"]) == (413, "too_large")
    connection.close()


def test_a_submission_that_means_nothing_is_refused_with_its_cure(schedd):
    with pytest.raises(Problem) as problem:
        schedd.client().call("POST", "/v1/clusters", Submitted, {"count": 1, "steps": 1, "template": {"Mood": "1 +"}})
    assert (problem.value.code, "Mood" in problem.value.message, bool(problem.value.cure)) == (
        "bad_submission", True, True)


def test_a_submission_whose_contents_are_not_here_is_refused(schedd):
    content = {"sha256": "0" * 64, "size": 3}
    assert refusal(schedd.client(), "POST", "/v1/clusters", {
        "count": 1, "template": {}, "files": {"/x": content}}) == "missing_content"


# --- the queue ---


@pytest.mark.parametrize(("path", "query", "code"), [
    ("/v1/clusters/999999", {}, "no_such_job"), ("/v1/clusters/x", {}, "bad_request"),
    ("/v1/clusters/-1", {}, "bad_request"), ("/v1/clusters/999999/outputs", {}, "no_such_job"),
    ("/v1/jobs", {"id": "999999"}, "no_such_job"), ("/v1/jobs", {"id": "1.x"}, "bad_request"),
    ("/v1/jobs", {"constraint": "1 +"}, "bad_constraint"), ("/v1/jobs", {"limit": "-1"}, "bad_request"),
    ("/v1/jobs", {"limit": "many"}, "bad_request"), ("/v1/history", {"constraint": "(("}, "bad_constraint"),
    ("/v1/history", {"id": "x"}, "bad_request"), ("/v1/queue", {"id": "x"}, "bad_request"),
    ("/v1/machines", {"constraint": "1 +"}, "bad_constraint"), ("/v1/events", {"since": "x"}, "bad_request"),
    ("/v1/events", {"cluster": "x"}, "bad_request"), ("/v1/events", {"cluster": "999999"}, "no_such_job"),
    ("/v1/events", {"counts": "1"}, "bad_request"), ("/v1/jobs/1/output", {}, "bad_request"),
    ("/v1/jobs/x/output", {}, "bad_request"), ("/v1/jobs/999999.0/output", {}, "no_such_job"),
    ("/v1/jobs/1.0/output", {"stream": "stdin"}, "bad_request"),
    ("/v1/jobs/1.0/output", {"offset": "-1"}, "bad_request"),
    ("/v1/jobs/1.0/output", {"offset": "9" * 5000}, "bad_request"),
    ("/v1/events", {"since": "9" * 30}, "bad_request"),
])
def test_a_bad_question_is_refused_by_its_fault(schedd, path, query, code):
    assert refusal(schedd.owner, "GET", path, **query) == code


def test_a_cluster_that_never_was_is_said_wherever_it_is_asked_for(schedd, submit):
    client = schedd.client()
    number = submit(client)
    for path in ("/v1/queue", "/v1/jobs", "/v1/history", "/v1/events"):
        assert refusal(client, "GET", path, **{"cluster" if "events" in path else "id": 10**9}) == "no_such_job"
    for path in ("/v1/queue", "/v1/jobs", "/v1/history"):
        client.call("GET", path, object, id=[str(number), "0"])


def test_a_question_is_as_long_as_the_client_says(schedd, submit):
    client = schedd.client()
    number = submit(client)
    constraint = "ProcId == 0" + " " * (MOST_ADDRESS_BYTES - 200)
    assert len(client.call("GET", "/v1/jobs", list, id=number, constraint=constraint)) == 1
    assert refusal(client, "GET", "/v1/jobs", constraint=" " * MOST_ADDRESS_BYTES + "true") == "too_large"


MANY = 100_000_000


def test_a_list_without_an_end_keeps_nobody_waiting(schedd, submit, act):
    client = schedd.client()
    number = submit(client, MANY, {"JobStatus": "5"})
    for path in (f"/v1/jobs?id={number}&limit=0", f"/v1/jobs?id={number}&limit=0&constraint=JobStatus==5",
                 f"/v1/history?id={number}&limit=0"):
        if "history" in path:
            act(client, "remove", str(number))
        connection = http.client.HTTPConnection(urlsplit(schedd.url).netloc, timeout=20)
        connection.request("GET", path, headers={"Authorization": f"Bearer {client.token}"})
        response = connection.getresponse()
        assert response.read(len(b'[{"')) == b'[{"'
        assert client.call("GET", "/v1/version", dict)["version"] == VERSION
        response.close()
        connection.close()


def test_jobs_that_ended_as_one_are_looked_at_as_one(schedd, submit, act):
    client = schedd.client()
    number = submit(client, MANY, {"JobStatus": "5"})
    act(client, "remove", str(number))
    for constraint, procs in (("ExitCode == 0", []), ("JobStatus == 3", [MANY - 1, MANY - 2]),
                              (f"ProcId < {MANY - 3}", [MANY - 4, MANY - 5])):
        ads = client.call("GET", "/v1/history", list, id=number, constraint=constraint, limit=2)
        assert [ad["ProcId"] for ad in ads] == procs


def test_jobs_left_off_are_counted_without_being_looked_at_one_by_one(schedd, submit):
    client = schedd.client()
    number = submit(client, MANY, {"JobStatus": "5"})
    response, _ = client.exchange("GET", "/v1/jobs", query={"id": number, "constraint": "JobStatus == 5", "limit": 3})
    assert response.headers["Pesc-Left-Off"] == str(MANY - 3)


def test_jobs_are_listed_up_to_a_limit_and_what_is_left_off_is_told(schedd, submit):
    client = schedd.client()
    number = submit(client, 50)
    response, body = client.exchange("GET", "/v1/jobs", query={"id": str(number), "limit": 10})
    assert (len(json.loads(body)), response.headers["Pesc-Left-Off"]) == (10, "40")
    response, body = client.exchange("GET", "/v1/jobs",
                                     query={"id": str(number), "limit": 10, "constraint": "ProcId >= 30"})
    assert (len(json.loads(body)), response.headers["Pesc-Left-Off"]) == (10, "10")


def test_actions_are_for_ones_own_jobs_unless_one_is_an_operator(schedd, submit, act):
    dana, lee, root = schedd.client(), schedd.client(), schedd.client("root", "operator")
    number = submit(dana, 5)
    answer = act(lee, "hold", str(number))
    assert (answer["changed"], len(answer["refused"])) == (0, 1)
    assert act(root, "hold", str(number))["changed"] == 5
    assert act(dana, "release", f"{number}.0")["changed"] == 1
    assert act(lee, "remove")["changed"] == 0
    assert act(dana, "remove", str(number))["changed"] == 5


def test_removed_jobs_are_in_the_history_one_by_one(schedd, submit, act):
    client = schedd.client("kim")
    number = submit(client, 1000)
    act(client, "remove", str(number), reason="enough")
    ads = client.call("GET", "/v1/history", list, owner="kim", limit=3)
    assert [(ad["ProcId"], ad["JobStatus"], ad["RemoveReason"]) for ad in ads] == [
        (999, 3, "enough"), (998, 3, "enough"), (997, 3, "enough")]
    [one] = client.call("GET", "/v1/history", list, id=f"{number}.123", attributes="ProcId")
    assert one == {"ProcId": 123}
    assert len(client.call("GET", "/v1/history", list, id=str(number), constraint="ProcId % 100 == 0")) == 10


def test_what_programs_used_is_told_by_owner_name_and_domain(schedd, submit):
    client = schedd.client("kay")
    submit(client, 2)
    startd = schedd.startd("kay").welcome()
    for mib in (300.0, 500.0):
        startd.runs_next(peak_memory_mib=mib, wall_seconds=2.0)
        startd.hears(Acknowledge)
    [told] = client.call("GET", "/v1/peaks", list, owner="kay", program="true")
    assert (told["name"], told["owner"], told["runs"]) == ("true", "kay", 2)
    assert told["memory_mib"] == {"median": 300.0, "p95": 500.0, "most": 500.0}
    assert client.call("GET", "/v1/peaks", list, owner="kay", domain="torch") == []
    assert refusal(client, "GET", "/v1/peaks", limit="many") == "bad_request"


def test_somebody_elses_outputs_are_not_shown(schedd, submit):
    number = submit(schedd.client("dana"), 1)
    lee = schedd.client("lee")
    assert refusal(lee, "GET", f"/v1/jobs/{number}.0/output") == "not_yours"
    assert refusal(lee, "GET", f"/v1/clusters/{number}/outputs") == "not_yours"


def test_the_metrics_are_what_prometheus_reads(schedd):
    text = schedd.owner.exchange("GET", "/metrics")[1].decode()
    sample = re.compile(r'[a-z_]+(\{[a-z]+="[a-z]+"\})? -?[0-9.e+]+')
    kinds, seen = {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            _, _, name, kind = line.split(" ")
            kinds[name] = kind
        elif not line.startswith("#"):
            assert sample.fullmatch(line), line
            seen.add(re.split(r"[ {]", line)[0])
    assert (seen, set(kinds.values())) == (set(kinds), {"gauge", "counter"})


def test_a_job_that_cannot_be_described_does_not_spoil_the_list(schedd, submit):
    client = schedd.client()
    number = submit(client, 3, items=[["1"], ["(("], ["3"]], item_names=["t"], steps=1, varying={"+Tag": "$(t)"})
    ads = client.call("GET", "/v1/jobs", list, id=str(number), attributes="ProcId,Tag")
    assert ads == [{"ProcId": 0, "Tag": 1}, {"ProcId": 1}, {"ProcId": 2, "Tag": 3}]


def test_msgpack_is_what_a_pack_is_made_of(schedd):
    body = msgspec.msgpack.encode([b"one", b"two"])
    assert json.loads(schedd.owner.exchange("POST", "/v1/blobs/pack", body)[1]) == {"kept": 2}
