"""The client against small servers that answer well, badly, or not at all."""

import contextlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from contract.client import Client, ServerSentEvent, find_pool, wait_until_answers
from contract.places import Places, PoolAddress
from contract.problems import Problem
from contract.requests import ActionAnswer
from contract.vocabulary import PROTOCOL


class Server:
    """A real HTTP server with one answer for everybody; it keeps what it was asked."""

    def __init__(self, status=200, body=b"{}", headers=(), hang_up=False):
        asked = self.asked = []
        self.connections = 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                size = int(self.headers.get("Content-Length") or 0)
                asked.append((self.command, self.path, dict(self.headers), self.rfile.read(size)))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **dict(headers)}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                # An end that nobody announces, as when the schedd closes an idle connection.
                self.close_connection = self.close_connection or hang_up

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve():
    with contextlib.ExitStack() as stack:
        def start(**answer):
            server = Server(**answer)
            stack.callback(server.stop)
            return server
        yield start


@pytest.fixture
def speak(tmp_path):
    """Serve one Unix socket by a script that gets each connection; return the client and what was counted."""
    with contextlib.ExitStack() as stack:
        def start(script):
            path = str(tmp_path / "schedd.sock")
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(path)
            listener.listen()
            accepted = []

            def accept():
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = listener.accept()
                        accepted.append(connection)
                        script(connection)

            threading.Thread(target=accept, daemon=True).start()
            stack.callback(lambda: listener.shutdown(socket.SHUT_RDWR))
            return Client("http://unused", None, path), accepted
        yield start


def refusal(client, method="GET", path="/v1/x", answer=dict, body=None):
    with pytest.raises(Problem) as caught:
        client.call(method, path, answer, body)
    return caught.value


# --- answers ---


def test_an_answer_is_decoded_and_checked(serve):
    server = serve(body=b'{"changed": 3, "refused": ["12.4 is over"]}')
    answer = Client(server.url, None).call("POST", "/v1/actions", ActionAnswer, {"what": "hold"})
    assert answer == ActionAnswer(3, ["12.4 is over"])
    assert server.asked[0][3] == b'{"what":"hold"}'


def test_every_request_shows_protocol_and_token(serve):
    server = serve()
    Client(server.url, "pesc1.a.b").call("GET", "/v1/queue", dict)
    [(_, _, headers, _)] = server.asked
    assert (headers["Pesc-Protocol"], headers["Authorization"]) == (str(PROTOCOL), "Bearer pesc1.a.b")


def test_without_a_token_none_is_shown(serve):
    server = serve()
    Client(server.url, None).call("GET", "/v1/queue", dict)
    assert "Authorization" not in server.asked[0][2]


def test_a_query_leaves_out_what_was_not_chosen_and_quotes_the_rest(serve):
    server = serve()
    Client(server.url, None).call("GET", "/v1/jobs/12.3/a b", dict, id=["12", "12.3"], owner=None, limit=0,
                                  constraint='Owner == "é&"', attributes=[])
    assert server.asked[0][1] == "/v1/jobs/12.3/a%20b?id=12&id=12.3&limit=0&constraint=Owner+%3D%3D+%22%C3%A9%26%22"


def test_a_refusal_becomes_the_problem_that_was_said(serve):
    server = serve(status=403, body=b'{"code":"not_yours","message":"42.7 belongs to dana.","cure":"Ask dana."}')
    problem = refusal(Client(server.url, None))
    assert (problem.code, problem.message, problem.cure) == ("not_yours", "42.7 belongs to dana.", "Ask dana.")


@pytest.mark.parametrize("status", [404, 500, 502])
@pytest.mark.parametrize("body", [b"<html>nginx</html>", b"", b"[]", b'{"error": "no"}', b"\xff"])
def test_a_refusal_by_somebody_else_is_a_broken_answer(serve, status, body):
    problem = refusal(Client(serve(status=status, body=body).url, None))
    assert problem.code == "broken_answer"
    assert str(status) in problem.message


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b'{"changed": "many"}', b'[{"changed": 1}]'])
def test_an_answer_that_is_not_understood_is_a_broken_answer(serve, body):
    assert refusal(Client(serve(body=body).url, None), answer=ActionAnswer).code == "broken_answer"


# --- connections ---


def test_one_connection_serves_many_calls(speak):
    def script(connection):
        for _ in range(3):
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    client, accepted = speak(script)
    for _ in range(3):
        client.call("GET", "/v1/version", dict)
    assert len(accepted) == 1


def test_a_kept_connection_that_the_schedd_has_closed_is_opened_anew(serve):
    server = serve(hang_up=True)
    client = Client(server.url, None)
    for _ in range(5):
        client.call("GET", "/v1/version", dict)
    assert len(server.asked) == 5


def test_a_file_that_is_sent_again_on_a_new_connection_is_sent_whole(serve, tmp_path):
    path = tmp_path / "content"
    path.write_bytes(b"x" * 100_000 + b"whole")
    server = serve(hang_up=True)
    client = Client(server.url, None)
    for offset in (0, 100_000):
        with open(path, "rb") as file:
            file.seek(offset)
            client.exchange("PUT", "/v1/blobs/f00d", file, headers={"Content-Length": str(100_005 - offset)})
    assert [body for *_, body in server.asked] == [path.read_bytes(), b"whole"]


def test_a_request_on_a_fresh_connection_is_never_sent_twice(speak):
    def script(connection):
        connection.recv(4096)
        connection.close()

    client, accepted = speak(script)
    assert refusal(client, "POST", "/v1/clusters").code == "pool_stopped"
    assert len(accepted) == 1


def test_a_refusal_that_comes_before_the_body_was_read_is_heard(speak):
    said = b'{"code":"too_large","message":"At most 64 MiB."}'
    refused = threading.Event()

    def script(connection):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
        connection.shutdown(socket.SHUT_RD)
        refused.set()

    def body():
        assert refused.wait(10)
        yield b"too much"

    client, _ = speak(script)
    with pytest.raises(Problem) as caught:
        client.exchange("PUT", "/v1/blobs/ab", body())
    assert caught.value.code == "too_large"


def test_an_answer_that_breaks_off_is_a_pool_that_stopped(speak):
    def script(connection):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{")
        connection.close()

    client, _ = speak(script)
    assert refusal(client).code == "pool_stopped"


def test_what_speaks_no_http_is_a_pool_that_does_not_answer(speak):
    def script(connection):
        connection.recv(4096)
        connection.sendall(b"SSH-2.0-OpenSSH\r\n")
        connection.close()

    client, _ = speak(script)
    assert refusal(client).code == "pool_stopped"


# --- streams ---


def test_events_are_read_as_the_standard_says(serve):
    server = serve(body=b": a comment\n\nid: 7\nevent: held\ndata: one\ndata:two\n\ndata: last\r\n\r\ndata: cut off")
    events = list(Client(server.url, None).events("/v1/events", since=6))
    assert events == [ServerSentEvent("held", "7", "one\ntwo"), ServerSentEvent("message", "7", "last")]
    assert server.asked[0][1] == "/v1/events?since=6"


def test_a_stream_that_breaks_off_says_so_after_what_came(speak):
    def script(connection):
        connection.recv(4096)
        event = b"id: 1\ndata: x\n\n"
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(event), event))
        connection.sendall(b"20\r\nhalf")
        connection.close()

    client, _ = speak(script)
    stream = client.events("/v1/events")
    assert next(stream) == ServerSentEvent("message", "1", "x")
    with pytest.raises(Problem) as caught:
        next(stream)
    assert caught.value.code == "pool_stopped"


def test_a_refused_stream_is_a_problem(serve):
    server = serve(status=401, body=b'{"code":"expired_token","message":"It expired."}')
    with pytest.raises(Problem, match=r"It expired\."):
        next(Client(server.url, None).events("/v1/events"))


def test_lines_come_one_by_one_and_empty_ones_not_at_all(serve):
    server = serve(body=b'{"proc":0}\n\n{"proc":1}\n')
    assert [json.loads(line) for line in Client(server.url, None).lines("/v1/x")] == [{"proc": 0}, {"proc": 1}]


def test_a_download_goes_on_where_it_stopped(serve):
    server = serve(status=206, body=b"rest")
    assert b"".join(Client(server.url, None).download("/v1/blobs/ab", offset=5)) == b"rest"
    assert server.asked[0][2]["Range"] == "bytes=5-"


def test_a_refused_download_is_a_problem(serve):
    server = serve(status=404, body=b'{"code":"no_such_blob","message":"Never heard of it."}')
    with pytest.raises(Problem, match="Never heard of it"):
        list(Client(server.url, None).download("/v1/blobs/ab"))


# --- finding the pool ---


@pytest.fixture
def state(tmp_path, monkeypatch):
    for name in ("PESC_HOME", "PESC_POOL", "PESC_TOKEN", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PESC_HOME", str(tmp_path))
    return Places(tmp_path)


def write_address(state, **changes):
    address = PoolAddress(**{"pool": "lab", "url": "http://127.0.0.1:9"} | changes)
    state.address.write_bytes(msgspec.json.encode(address))


def test_where_no_pool_was_ever_started_the_cure_is_to_start_one(state):
    with pytest.raises(Problem) as caught:
        find_pool()
    assert caught.value.code == "no_pool"
    assert "pesc_pool start" in caught.value.cure


def test_a_stopped_pool_is_named_and_the_cure_is_to_start_it(state):
    socket_path = str(state.state / "gone.sock")
    write_address(state, socket=socket_path)
    problem = refusal(find_pool())
    assert problem.code == "pool_stopped"
    assert socket_path in problem.message
    assert "pesc_pool start" in problem.cure


def test_the_state_folder_gives_address_and_token(state, serve):
    server = serve()
    write_address(state, url=server.url)
    state.token.write_text("pesc1.mine\n")
    find_pool().call("GET", "/v1/version", dict)
    assert server.asked[0][2]["Authorization"] == "Bearer pesc1.mine"


def test_the_token_of_the_environment_wins(state, monkeypatch):
    write_address(state)
    state.token.write_text("pesc1.mine\n")
    monkeypatch.setenv("PESC_TOKEN", "pesc1.theirs")
    assert find_pool().token == "pesc1.theirs"


def test_a_pool_by_its_address_needs_no_state_folder(state, monkeypatch):
    monkeypatch.setenv("PESC_POOL", "http://lab:9618")
    assert find_pool().url == "http://lab:9618"
    assert find_pool("http://other:9618").url == "http://other:9618"


NO_ADDRESSES = ["lab", "lab:9618", "ftp://lab", "file:///etc/passwd", "//lab", "http://", "http://lab:port",
                "http://lab:99999", "http://[::1", "http://a b"]


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_what_is_no_address_is_refused_with_an_example(state, address):
    with pytest.raises(Problem) as caught:
        find_pool(address)
    assert caught.value.code == "no_pool"
    assert address in caught.value.message
    assert "http://" in caught.value.cure


def test_an_address_where_nobody_listens_is_a_stopped_pool(state):
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        assert refusal(find_pool(f"http://127.0.0.1:{reserved.getsockname()[1]}")).code == "pool_stopped"


def test_a_schedd_that_answers_needs_no_wait(serve):
    assert wait_until_answers(Client(serve().url, None), 0)


def test_a_schedd_that_stays_silent_is_not_waited_for_longer_than_asked(tmp_path):
    assert not wait_until_answers(Client("http://unused", None, str(tmp_path / "none.sock")), 0)


def test_a_schedd_that_refuses_is_not_waited_for(serve):
    server = serve(status=426, body=b'{"code":"other_version","message":"I speak protocol 2."}')
    assert not wait_until_answers(Client(server.url, None), 60)
    assert len(server.asked) == 1


def test_a_token_that_is_no_line_of_text_is_said_before_anything_is_asked(monkeypatch):
    for token in ("pesc1.a\nb", "pesc1.\u00fcber"):
        monkeypatch.setenv("PESC_TOKEN", token)
        with pytest.raises(Problem, match="not one line"):
            find_pool("http://127.0.0.1:1")
