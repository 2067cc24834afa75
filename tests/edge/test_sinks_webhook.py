"""Events posted to a real server that fails, hangs, is down, or refuses."""

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pace import quiet_seconds
from served import has_ipv6
from servers.hostile import HostileServer, answers, relays, repeated
from steps import EVENT, changed, events, make_step, wait_for

from seqvision_edge.errors import SinkError
from seqvision_edge.sinks import webhook as webhook_module
from seqvision_edge.sinks.outlet import CLOSE_SECONDS, Queued
from seqvision_edge.sinks.webhook import Webhook
from seqvision_edge.types import Event, SourceState


@dataclass
class Hook:
    """A server; `answers` is the status of each post, by its number, or None for no response."""

    port: int
    answers: Callable[[int], int | None] = lambda _: 204
    posts: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=t0p"

    @property
    def labels(self) -> list[str]:
        return [body["label"] for _, _, body in self.posts]

    def serve(self) -> ThreadingHTTPServer:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.posts.append((self.path, dict(self.headers), body))
                status = hook.answers(len(hook.posts) - 1)
                if status is None:
                    hook.over.wait(30)
                    return
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", f"http://127.0.0.1:{hook.port}/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Be quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        server.daemon_threads = True
        server.block_on_close = False
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    # The first wait before another attempt; the tests wait for it many times.
    monkeypatch.setattr(webhook_module, "_FIRST_WAIT", 0.02)
    monkeypatch.setattr(webhook_module, "ANSWER_SECONDS", 0.5)
    hook = Hook(0)
    server = hook.serve()
    yield hook
    hook.over.set()
    server.shutdown()
    server.server_close()


def posting(url: str, states: bool = False) -> Queued[Any]:
    return Queued(Webhook(url, states), 1000)


def test_an_event_is_one_post_of_json(hook: Hook) -> None:
    with posting(hook.url) as sink:
        sink.write(make_step())
        sink.write(make_step(1, events=(EVENT,)))
        wait_for(lambda: sink.counts.sent == 1)
    ((path, headers, body),) = hook.posts
    assert path == "/hook?token=t0p"
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == body.pop("id")
    assert body.pop("timestamp").endswith("Z")
    assert body == {**EVENT.to_json(), "source": "camera 0"}


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_an_address_of_ipv6_is_posted_to(hook: Hook) -> None:
    with (
        HostileServer(relays(hook.port), host="::1") as relay,
        posting(hook.url.replace(f"127.0.0.1:{hook.port}", f"[::1]:{relay.port}")) as sink,
    ):
        sink.write(make_step(events=(EVENT,)))
        wait_for(lambda: sink.counts.sent == 1)
    ((_, headers, _),) = hook.posts
    assert headers["Host"] == f"[::1]:{relay.port}"


def test_states_are_posted_with_the_option(hook: Hook) -> None:
    stalled = changed(SourceState("stalled", "timeout", "no frames for 3 s", 1.0))
    with posting(hook.url) as sink:
        sink.write(stalled)
    assert hook.posts == []
    with posting(hook.url, states=True) as sink:
        sink.write(stalled)
        wait_for(lambda: sink.counts.sent == 1)
    assert hook.posts[0][2]["state"] == "stalled"


def test_a_server_that_fails_then_works_gets_the_event_with_the_same_key(hook: Hook) -> None:
    hook.answers = lambda number: (500, 429, 503, 200)[number]
    with posting(hook.url) as sink:
        sink.write(make_step(events=(EVENT,)))
        wait_for(lambda: sink.counts.sent == 1)
    keys = {headers["Idempotency-Key"] for _, headers, _ in hook.posts}
    assert (len(hook.posts), len(keys)) == (4, 1)
    assert all(body == hook.posts[0][2] for _, _, body in hook.posts)


def test_a_hanging_server_is_retried_with_the_same_key(hook: Hook) -> None:
    hook.answers = lambda number: None if number < 2 else 200
    with posting(hook.url) as sink:
        sink.write(make_step(events=(EVENT,)))
        wait_for(lambda: sink.trouble == "no answer in time")
        wait_for(lambda: sink.counts.sent == 1)
    assert len({headers["Idempotency-Key"] for _, headers, _ in hook.posts}) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 302])
def test_a_refused_event_is_reported_lost_the_next_one_sent(hook: Hook, status: int) -> None:
    hook.answers = lambda number: status if number == 0 else 200
    with posting(hook.url) as sink:
        for step in events(2):
            sink.write(step)
        wait_for(lambda: sink.counts.sent == 1)
    assert sink.counts.failed == 1
    assert sink.last_error == f"the server answers {status}"
    assert [path for path, _, _ in hook.posts] == ["/hook?token=t0p"] * 2


def test_an_event_that_breaks_the_server_does_not_hold_up_the_others(hook: Hook) -> None:
    key = ""

    def answer(number: int) -> int:
        nonlocal key
        key = key or hook.posts[0][1]["Idempotency-Key"]
        return 500 if hook.posts[number][1]["Idempotency-Key"] == key else 200

    hook.answers = answer
    with posting(hook.url) as sink:
        for step in events(3):
            sink.write(step)
        wait_for(lambda: sink.counts.sent == 2)
    assert sink.counts.failed == 1


@pytest.mark.timed
def test_a_server_that_is_down_at_the_start_gets_all_thirty_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_module, "_FIRST_WAIT", 0.02)
    monkeypatch.setattr(webhook_module, "_LONGEST_WAIT", 0.2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        hook = Hook(free.getsockname()[1])
    with posting(hook.url) as sink:
        began = time.monotonic()
        for step in events(30):
            sink.write(step)
        assert quiet_seconds(began) < 1
        wait_for(lambda: sink.trouble == "connection refused")
        server = hook.serve()
        wait_for(lambda: sink.counts.sent == 30)
        assert sink.trouble == ""
    server.shutdown()
    server.server_close()
    assert [body["start"] for _, _, body in hook.posts] == list(range(30))


@pytest.mark.timed
def test_a_silent_server_does_not_hold_up_the_end(hook: Hook) -> None:
    hook.answers = lambda _: None
    sink = posting(hook.url).__enter__()
    for step in events(3):
        sink.write(step)
    wait_for(lambda: hook.posts)
    began = time.monotonic()
    sink.__exit__(None, None, None)
    assert quiet_seconds(began) < CLOSE_SECONDS + 0.5
    assert sink.counts.lost == 3


def test_user_and_password_are_sent_as_authorization_and_never_shown(hook: Hook) -> None:
    hook.answers = lambda _: 401
    with posting(hook.url.replace("//", "//me:s3%40cret@")) as sink:
        sink.write(make_step(events=(EVENT,)))
        wait_for(lambda: sink.counts.failed == 1)
    ((_, headers, _),) = hook.posts
    assert base64.b64decode(headers["Authorization"].split()[1]) == b"me:s3@cret"
    assert sink.name == f"--webhook http://127.0.0.1:{hook.port}"
    assert "s3" not in repr(Webhook("http://me:s3cret@x")._address)


@pytest.mark.parametrize("label", ["a/#", "\x1b[2J", "<img src=x>", "../x", 'say "é"', "a\r\nX: y"])
def test_any_label_arrives_as_it_is(hook: Hook, label: str) -> None:
    with posting(hook.url) as sink:
        sink.write(make_step(events=(Event(label, 0, 1, 0.5, 0.9, 1),)))
        wait_for(lambda: sink.counts.sent == 1)
    assert hook.labels == [label]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x",
        "file:///etc/passwd",
        "host/x",
        "http://",
        "http://host:99999/",
        "http://host:0/",
        "http://me:s3cret@/x",
        "http://host/a b",
        "http://host/\r\nX: y",
        "http://[::1/",
    ],
)
def test_an_invalid_url_is_one_error_line_without_secrets(url: str) -> None:
    with pytest.raises(SinkError, match=r"^--webhook: not a URL") as refused:
        Webhook(url)
    assert "s3cret" not in str(refused.value)
    assert "\n" not in str(refused.value)


GOOD = answers(b"HTTP/1.1 204 No Content\r\n\r\n")
BAD_ANSWERS = {
    "a header byte at a time": answers(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
    "a status byte at a time": answers(b"", b"H"),
    "100 Continue for ever": answers(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "100 Continue without a pause": answers(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50, 0),
    "nonsense": answers(b"\0\1\2\3\n"),
    "a million headers": answers(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100_000),
    "no answer, closed": answers(b""),
    "silence": lambda line: line.recv(1) and threading.Event().wait(20),
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_module, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(webhook_module, "_TRIES", 2)
    monkeypatch.setattr(webhook_module, "CONNECT_SECONDS", 0.4)
    monkeypatch.setattr(webhook_module, "ANSWER_SECONDS", 0.4)
    monkeypatch.setattr(webhook_module, "ATTEMPT_SECONDS", 0.6)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", BAD_ANSWERS)
def test_a_bad_answer_ends_at_the_deadline_and_the_next_event_goes_out(kind: str) -> None:
    bad = BAD_ANSWERS[kind]
    with HostileServer(bad, bad, GOOD) as server:
        with posting(f"http://127.0.0.1:{server.port}/") as sink:
            for step in events(2):
                sink.write(step)
            wait_for(lambda: sink.counts.sent == 1)
        assert (sink.counts.failed, server.connections) == (1, 3)


@pytest.mark.usefixtures("impatient")
def test_a_slow_body_does_not_change_the_status() -> None:
    endless = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x")
    with HostileServer(endless) as server:
        with posting(f"http://127.0.0.1:{server.port}/") as sink:
            for step in events(2):
                sink.write(step)
            wait_for(lambda: sink.counts.sent == 2)
        assert server.connections == 2


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("start", [b"", b"\x16\x03\x03\x40\x00"])
def test_a_handshake_that_drips_ends_at_the_deadline(start: bytes) -> None:
    """Nothing was posted yet: the event waits for a server that can be reached."""

    def treat(line: socket.socket) -> None:
        line.recv(1 << 16)
        line.sendall(start)
        for part in repeated(b"\x16", 0.03):
            line.sendall(part)

    with (
        HostileServer(treat) as server,
        posting(f"https://127.0.0.1:{server.port}/") as sink,
    ):
        sink.write(make_step(events=(EVENT,)))
        wait_for(lambda: server.connections >= 2 and sink.trouble)


@pytest.mark.usefixtures("impatient")
def test_the_end_of_a_run_ends_an_attempt_that_drips() -> None:
    with HostileServer(BAD_ANSWERS["a header byte at a time"]) as server:
        sink = posting(f"http://127.0.0.1:{server.port}/").__enter__()
        sink.write(make_step(events=(EVENT,)))
        wait_for(lambda: server.connections)
        sink.__exit__(None, None, None)
        assert sink.counts.lost == 1
    wait_for(lambda: not any(each.name == f"to {sink.name}" for each in threading.enumerate()))
