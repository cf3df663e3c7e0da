"""Whose pool is it, whose jobs are they, and who may look."""

import getpass
import http.server
import json
import pathlib
import stat
import threading
import time

import pytest

from contract.endpoints import Role
from contract.problems import Problem
from contract.tokens import Claims, sign
from contract.vocabulary import PROTOCOL


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def token(pool, user, seconds=3600, roles=(Role.USER,)):
    """A token as this pool's schedd signs it."""
    name = json.loads((pool.state / "pool.json").read_text())["pool"]
    secret = (pool.state / "schedd/secret").read_bytes()
    return sign(Claims(user, name, list(roles), time.time() + seconds), secret)


@pytest.fixture(scope="module")
def cluster(pool):
    """A job of the pool's own user that is over, with an output."""
    cluster = pool.submit('executable = /bin/sh\narguments = "-c \'echo secret\'"\nqueue\n')
    pool.wait(cluster)
    return cluster


def test_the_state_folder_is_readable_by_its_user_alone(pool):
    assert mode(pool.state) == 0o700
    for name in ("token", "schedd/secret", "pool.json", "schedd/pesc.db"):
        assert mode(pool.state / name) == 0o600, name
    for path in pool.state.iterdir():
        assert not mode(path) & 0o077 or (path.is_file() and not mode(path) & 0o022), path
    assert {mode(path) for path in pool.state.iterdir() if path.is_dir()} == {0o700}


def test_the_pool_listens_on_loopback_alone(pool):
    schedd = pool.daemon("schedd")
    sockets = {str(path.readlink()) for path in pathlib.Path(f"/proc/{schedd.pid}/fd").iterdir()}
    listening = []
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/{schedd.pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                listening.append(fields[1].split(":")[0])
    assert listening == ["0100007F"]


def test_another_user_can_neither_touch_nor_read_the_jobs_of_somebody_else(pool, cluster):
    running = pool.submit("executable = /bin/true\nhold = true\nqueue\n")
    lee = {"PESC_TOKEN": token(pool, "lee")}
    me = getpass.getuser()
    for verb in ("rm", "hold", "release"):
        answer = pool(verb, running, **lee)
        assert answer.code == 1
        assert f"Job {running} belongs to {me}; you are signed in as lee." in answer.err
    answer = pool("prio", running, "-p", "5", **lee)
    assert answer.code != 0
    assert pool.ask("rm", "-all", **lee)["changed"] == 0
    assert pool("rm", me, **lee).code == 1
    for command in (("fetch", cluster), ("tail", f"{cluster}.0")):
        answer = pool(*command, **lee)
        assert answer.code == 1 and "secret" not in answer.out and f"belongs to {me}" in answer.err, answer
    [ad] = pool.jobs(running)
    assert (ad["JobStatus"], ad["JobPrio"]) == (5, 0)
    assert pool.ask("rm", running)["changed"] == 1


def test_a_submission_cannot_be_made_in_the_name_of_somebody_else(pool):
    pool.write("forged.sub", "executable = /bin/true\n+Owner = \"root\"\n+User = \"root\"\nhold = true\nqueue\n")
    answer = pool("submit", "forged.sub", "--json", PESC_TOKEN=token(pool, "lee"))
    if answer.code == 0:
        [ad] = pool.jobs(answer.json["cluster"])
        assert ad["Owner"] == "lee"
        pool.do("rm", answer.json["cluster"])
    else:
        assert "Owner" in answer.err


@pytest.mark.parametrize(("made", "said"), [
    (lambda pool: token(pool, "lee", seconds=-120), "The token of lee expired 2 min ago"),
    (lambda pool: token(pool, "lee")[:-4] + "AAAA", "was not signed by this pool"),
    (lambda pool: "rubbish", "was not signed by this pool"),
    (lambda pool: "p" * 100_000, "exceeds the size limit"),
])
def test_a_token_that_proves_nothing_is_refused_with_the_cure(pool, made, said):
    answer = pool("q", PESC_TOKEN=made(pool))
    assert answer.code == 1 and said in answer.err, answer


def test_a_users_token_makes_no_tokens_and_a_startds_token_reads_no_jobs(pool):
    answer = pool("token", "create", "--user", "root", PESC_TOKEN=token(pool, "lee"))
    assert answer.code == 1 and "pesc1." not in answer.out
    answer = pool("q", PESC_TOKEN=token(pool, "lee", roles=[Role.STARTD]))
    assert answer.code == 1
    made = pool.do("token", "create", "--user", "dana", "--hours", "1").strip()
    assert pool("q", PESC_TOKEN=made).code == 0


@pytest.mark.parametrize(("status", "body", "said"), [
    (426, b'{"code": "other_version", "message": "This schedd speaks protocol 2, you speak 1.", "cure": "Update."}',
     "protocol 2"),
    (200, b'{"protocol": 2, "everything": "is different"}', "same version"),
    (200, b"<html>It works!</html>", "not understood"),
    (404, b"<html>Not found</html>", "Is this the address of a PESC pool?"),
    (500, b"", "answered 500"),
])
def test_a_schedd_of_another_version_or_no_schedd_at_all_is_told_as_such(pool, status, body, said):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        answer = pool("q", "--pool", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()
    assert answer.code == 1 and said in answer.err, answer


def test_a_command_of_another_version_is_refused_by_the_schedd(pool, monkeypatch):
    monkeypatch.setattr("contract.client.PROTOCOL", PROTOCOL + 1)
    with pytest.raises(Problem) as refused:
        pool.client.call("GET", "/v1/queue", dict)
    assert refused.value.code == "other_version"
    assert str(PROTOCOL + 1) in refused.value.message and refused.value.cure
