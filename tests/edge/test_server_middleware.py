"""Access control and limits of the server."""

import asyncio
import contextlib
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from colour_model import picture
from fastapi.routing import APIWebSocketRoute
from served import Running, encoded, files, jpeg, message, serving, until
from starlette.routing import BaseRoute
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from seqvision_edge.server import transport as bounded
from seqvision_edge.server.auth import LOCAL, AllowedHosts, Key, is_same_origin
from seqvision_edge.server.limits import MIB, Limits
from seqvision_edge.server.middleware import HEADERS
from seqvision_edge.server.recorder import Recorder
from seqvision_edge.server.transport import BoundedTransport
from seqvision_edge.server.upload_decoding import picture_size
from seqvision_edge.session import Session

TOKEN = "a token of this test"
BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def locked(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    recorder = Recorder(tmp_path_factory.mktemp("record") / "takes")
    with serving(session, key=Key(TOKEN), recorder=recorder) as running:
        yield running


def receive_all(connection: socket.socket) -> bytes:
    """Return everything that comes until the server ends the connection."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def routes(running: Running) -> list[BaseRoute]:
    """Return every route, those of routers inside of routers too."""
    found: list[BaseRoute] = []

    def walk(within: list[BaseRoute]) -> None:
        for route in within:
            inner = getattr(route, "routes", None) or getattr(
                getattr(route, "original_router", None), "routes", None
            )
            if inner:
                walk(inner)
            else:
                found.append(route)

    walk(running.served.inside.routes)
    return found


def test_every_route_requires_the_token(locked: Running) -> None:
    walked = set()
    with locked.client() as client:
        for route in routes(locked):
            path = getattr(route, "path", "")
            walked.add(path)
            if isinstance(route, APIWebSocketRoute):
                with (
                    pytest.raises(InvalidStatus) as refused,
                    connect(f"ws://{locked.address}{path}"),
                ):
                    pass
                assert refused.value.response.status_code == 401
                continue
            for method in getattr(route, "methods", None) or {"GET"}:
                if (method, path) == ("POST", "/v1/login"):
                    continue
                for headers in ({}, {"authorization": "Bearer wrong"}, {"cookie": "seqvision=x"}):
                    answer = client.request(method, path, headers=headers)
                    assert answer.status_code == 401, (method, path)
        assert client.get("/nothing").status_code == 401
        assert client.post("/v1/login", json={"token": "wrong"}).status_code == 401
    assert {
        "/", "/docs", "/healthz", "/metrics", "/openapi.json", "/page/{name:path}", "/record",
        "/v1/live", "/v1/record", "/v1/takes", "/v1/takes/film",
        "/v1/login", "/v1/model", "/v1/predict", "/v1/sources", "/v1/sources/{name:path}/events",
        "/v1/sources/{name:path}/picture", "/v1/streams", "/v1/streams/{id}",
        "/v1/streams/{id}/events", "/v1/streams/{id}/frames",
    } <= walked  # fmt: skip


def test_the_token_allows_every_route(locked: Running) -> None:
    with locked.client(headers=BEARER) as client:
        for path in ("/", "/docs", "/healthz", "/metrics", "/openapi.json", "/v1/model"):
            assert client.get(path).status_code == 200
        assert client.post("/v1/predict", files=files([jpeg("red")])).status_code == 200
    with connect(locked.live, additional_headers=BEARER) as opened:
        opened.send(message(0.0, jpeg("red")))
        assert "waiting" in str(opened.recv(timeout=120))


def shown(html: str) -> str:
    """Return a page without its hidden parts."""
    return re.sub(r"<(\w+)[^>]* hidden>.*?</\1>", "", html)


def test_a_browser_gives_the_token_once_and_keeps_a_cookie(locked: Running) -> None:
    with locked.client(headers={"accept": "text/html"}) as client:
        form = client.get("/")
        assert form.status_code == 401
        assert 'action="/v1/login"' in form.text
        assert "That is not the token" not in shown(form.text)
        wrong = client.post("/v1/login", data={"token": "another-token-than-this"})
        assert wrong.status_code == 401
        assert wrong.headers["content-type"].startswith("text/html")
        assert 'action="/v1/login"' in wrong.text
        assert "That is not the token" in shown(wrong.text)
        assert "set-cookie" not in wrong.headers
        sent = client.post("/v1/login", data={"token": TOKEN})
        assert (sent.status_code, sent.headers["location"]) == (303, "/")
        kept = sent.headers["set-cookie"]
        assert "HttpOnly" in kept
        assert "SameSite=strict" in kept
        assert TOKEN not in kept
        assert client.get("/").status_code == 200
        cookie = f"seqvision={client.cookies['seqvision']}"
        with connect(locked.live, additional_headers={"cookie": cookie}):
            pass
    with locked.client() as client:
        assert client.post("/v1/login", json={"token": TOKEN}).status_code == 204
        assert client.get("/v1/model").status_code == 200
        assert client.post("/v1/login", json={"t": 1}).status_code == 422
        assert client.post("/v1/login", content=b"token").status_code == 415


@pytest.mark.parametrize(
    "host",
    ["evil.com", "127.0.0.1.evil.com", "evil.com:8000", "", "127.0.0.1@evil.com", "10.0.0.1"],
)
def test_a_foreign_name_is_refused(server: Running, host: str) -> None:
    with server.client() as client:
        answer = client.get("/v1/model", headers={"host": host})
        assert answer.status_code == 421
    with server.raw() as raw:
        raw.sendall(
            f"GET /v1/live HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert b" 421 " in raw.recv(4096).split(b"\r\n")[0]


def test_two_host_headers_are_refused(server: Running) -> None:
    with server.raw() as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.com\r\n\r\n")
        assert raw.recv(4096).split(b" ")[1] in (b"400", b"421")


def test_the_server_accepts_its_own_host_names() -> None:
    local = AllowedHosts(LOCAL)
    for host in ("127.0.0.1", "127.0.0.1:8000", "localhost:1", "LOCALHOST", "[::1]:8000"):
        assert local.allow(host)
    assert not local.allow("192.168.1.2")
    assert AllowedHosts(LOCAL, addresses=True).allow("192.168.1.2:80")
    assert not AllowedHosts(LOCAL, addresses=True).allow("evil.com")
    for host in ("", "a b", "localhost/x", "[::1", "localhost:99999", "x@localhost"):
        assert not AllowedHosts(LOCAL, addresses=True).allow(host)


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://localhost:8000", "localhost:8000", True),
        ("http://localhost", "localhost:80", True),
        ("https://cam.example", "cam.example", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://localhost:8001", "localhost:8000", False),
        ("http://evil.com", "localhost:8000", False),
        ("http://localhost:8000.evil.com", "localhost:8000", False),
        ("http://localhost:8000@evil.com", "localhost:8000", False),
        ("null", "localhost:8000", False),
        ("", "localhost:8000", False),
        ("file://", "localhost:8000", False),
        ("http://", "localhost:8000", False),
    ],
)
def test_the_origin_decides_whether_a_page_is_ours(origin: str, host: str, same: bool) -> None:
    assert is_same_origin(origin, host) is same


@pytest.mark.parametrize("origin", ["http://evil.com", "null", "http://localhost:1"])
def test_another_sites_page_changes_nothing(server: Running, origin: str) -> None:
    headers = {"origin": origin}
    with server.client(headers=headers) as client:
        assert client.post("/v1/streams").status_code == 403
        assert client.post("/v1/predict", files=files([jpeg("red")])).status_code == 403
        assert client.delete("/v1/streams/x").status_code == 403
        assert client.post("/v1/login", json={"token": ""}).status_code == 403
        read = client.get("/v1/model")
        assert read.headers["cross-origin-resource-policy"] == "same-origin"
        assert not [name for name in read.headers if name.startswith("access-control")]
        requested = {"access-control-request-method": "POST"}
        assert client.options("/v1/predict", headers=requested).status_code == 405
    with pytest.raises(InvalidStatus) as refused, connect(server.live, additional_headers=headers):
        pass
    assert refused.value.response.status_code == 403
    with server.client(headers={"sec-fetch-site": "cross-site"}) as client:
        assert client.post("/v1/streams").status_code == 403


def test_the_own_page_may_do_everything(server: Running) -> None:
    headers = {"origin": server.url, "sec-fetch-site": "same-origin"}
    with server.client(headers=headers) as client:
        assert client.post("/v1/streams").status_code == 201
    with connect(server.live, additional_headers={"origin": server.url}):
        pass


def test_every_answer_has_the_headers_that_protect_a_browser(locked: Running) -> None:
    with locked.client() as client:
        for answer in (
            client.get("/"),
            client.get("/", headers=BEARER),
            client.get("/nothing", headers=BEARER),
            client.get("/v1/model", headers={"host": "evil.com"}),
            client.post("/v1/login", content=bytes(Limits.small_bytes + 1)),
            client.get("/metrics", headers=BEARER),
        ):
            for name, value in HEADERS:
                assert answer.headers[name.decode()] == value.decode()
            assert "server" not in answer.headers
            assert answer.headers["cache-control"] in ("no-cache", "no-store")
    with locked.raw() as raw:
        raw.sendall(b"nonsense\r\n\r\n")
        assert b"nosniff" in receive_all(raw)


def memory() -> int:
    """Return the most memory that this process has had since `forget`, in bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads /proc")
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_400_mb_is_refused_early_and_never_held(server: Running, chunked: bool) -> None:
    part = bytes(MIB)
    head = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {400 * MIB}"
    before = 0
    sent = 0
    with server.raw() as raw:
        Path("/proc/self/clear_refs").write_text("5")
        before = memory()
        raw.sendall(
            f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n{head}\r\n"
            "Content-Type: application/json\r\n\r\n".encode()
        )
        answer = b""
        raw.setblocking(False)
        deadline = time.monotonic() + 30
        line = f"{MIB:x}\r\n".encode() if chunked else b""
        data = memoryview(line + part + (b"\r\n" if chunked else b""))
        left = data
        while not answer and sent < 400 * MIB and time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                answer = raw.recv(4096)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                count = raw.send(left)
                sent += count
                left = left[count:] or data
    assert answer.startswith(b"HTTP/1.1 413")
    assert sent < Limits.json_bytes + 40 * MIB
    assert memory() - before < 3 * Limits.json_bytes + 32 * MIB


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of few bytes that claims many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 << 20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_an_image_bomb_is_not_decoded(server: Running) -> None:
    large = jpeg("red", (4000, 3000))
    many_scans = jpeg("red")[:-2] + 100 * b"\xff\xda\x00\x02" + b"\xff\xd9"
    with server.client() as client:
        stream = f"/v1/streams/{client.post('/v1/streams').json()['id']}/frames"
        for data in (bomb(20_000, 20_000), bomb(1 << 30, 1 << 30), large, many_scans):
            assert client.post("/v1/predict", files=files([data])).status_code == 413
            assert client.post(stream, content=data).status_code == 413
        refused = client.post(stream, content=many_scans)
        assert refused.json()["detail"] == "the JPEG has more than 64 scans"
        too_long = jpeg("red") + bytes(Limits.picture_bytes)
        assert client.post(stream, content=too_long).status_code == 413
        assert client.post("/v1/predict", files=files([too_long])).status_code == 413
        assert client.post("/v1/predict", files=files([bomb(0, 5)])).status_code == 422
        many = files([b"\xff\xd8\xff"] * (Limits.pictures + 1))
        assert client.post("/v1/predict", files=many).status_code in (400, 413)


def test_a_png_whose_bytes_look_like_scans_is_a_picture(server: Running) -> None:
    png = encoded(".png", picture("red", (64, 48)))
    text = b"\xff\xda" * 100
    chunk = struct.pack(">I", len(text)) + b"teXt" + text
    chunk += struct.pack(">I", zlib.crc32(chunk[4:]))
    end = png.rindex(b"IEND") - 4
    with server.client() as client:
        answer = client.post("/v1/predict", files=files([png[:end] + chunk + png[end:]]))
        assert answer.status_code == 200, answer.text
        assert answer.json()["predictions"][0]["label"] == "red"


def test_the_size_of_a_picture_is_in_its_head() -> None:
    data = jpeg("red", (33, 21))
    assert picture_size(data) == (33, 21)
    padded = data[:2] + b"\xff\xff\xff\xe2\x00\x04ab" + data[2:]
    assert picture_size(padded) == (33, 21)
    assert picture_size(bomb(7, 9)) == (7, 9)
    for length in range(len(data)):
        assert picture_size(data[:length]) in (None, (33, 21))


@pytest.mark.timed
def test_a_slow_sender_is_disconnected(session: Session) -> None:
    limits = Limits(head_seconds=0.4, stall_seconds=0.4, body_seconds=1.0)
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    loud = head.replace(b"application/json", b"APPLICATION/JSON")
    with serving(session, limits=limits) as running:
        with running.raw() as large:
            large.sendall(loud + f"Content-Length: {Limits.json_bytes + 1}\r\n\r\n".encode())
            assert large.recv(4096).startswith(b"HTTP/1.1 413")
        with running.raw() as silent:
            assert receive_all(silent).startswith(b"HTTP/1.1 408")
        with running.raw() as half_head:
            half_head.sendall(head)
            assert receive_all(half_head).startswith(b"HTTP/1.1 408")
        with running.raw() as half_body:
            half_body.sendall(head + b'Content-Length: 100\r\n\r\n{"inst')
            assert receive_all(half_body).startswith(b"HTTP/1.1 408")
        with running.raw() as drip:
            drip.sendall(head + b"Content-Length: 1000\r\n\r\n")
            began = time.monotonic()
            with contextlib.suppress(ConnectionError):
                while time.monotonic() < began + 20:
                    drip.sendall(b"[")
                    time.sleep(0.1)
            assert time.monotonic() - began < 15
        with running.client() as client:
            assert client.get("/healthz").status_code == 200
            time.sleep(0.6)
            assert client.get("/healthz").status_code == 200, "a kept connection may pause"


def test_a_second_request_on_a_connection_must_come_whole_too(session: Session) -> None:
    limits = Limits(head_seconds=0.4)
    with serving(session, limits=limits) as running, running.raw() as raw:
        raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        first = b""
        while b'"ok"' not in first:
            first += raw.recv(4096)
        assert first.startswith(b"HTTP/1.1 200")
        raw.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        assert receive_all(raw).startswith(b"HTTP/1.1 408")


def test_clients_above_the_limit_are_refused(session: Session) -> None:
    with serving(session, limits=Limits(clients=2)) as running:
        with contextlib.ExitStack() as opened, running.client() as client:
            for _ in range(2):
                opened.enter_context(connect(running.live))
            assert client.get("/healthz").status_code == 429
            more = opened.enter_context(connect(running.live))
            with contextlib.suppress(ConnectionClosed):
                more.recv(timeout=120)
            assert more.close_code == 1013
            silent = [opened.enter_context(running.raw()) for _ in range(20)]
            ends = [receive_all(each) for each in silent[8:]]
            assert ends == [b""] * len(ends)
        with running.client() as client:
            until(lambda: client.get("/healthz").status_code == 200)


def test_concurrent_bodies_share_one_limit(session: Session) -> None:
    limits = Limits(bytes_at_once=3 * MIB)
    head = (
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        + f"Content-Length: {4 * MIB}\r\n\r\n".encode()
    )
    with serving(session, limits=limits) as running:
        with running.raw() as first, running.raw() as second:
            first.sendall(head + bytes(2 * MIB))
            until(lambda: running.served.app._bytes >= 2 * MIB)
            second.sendall(head + bytes(2 * MIB))
            assert b" 429 " in second.recv(4096).split(b"\r\n")[0]
        until(lambda: running.served.app._bytes == 0)


def test_few_long_clips_may_wait(session: Session, video: Path) -> None:
    content = video.read_bytes()
    limits = Limits(clips=2)
    codes = []

    def post() -> None:
        with running.client() as client:
            query = {"timeline": True}
            codes.append(client.post("/v1/predict", files={"f": content}, params=query).status_code)

    with serving(session, limits=limits) as running:
        threads = [threading.Thread(target=post) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(codes) == {200, 429}
        with running.client() as client:
            assert client.post("/v1/predict", files={"f": content}).status_code == 200


def test_a_disconnect_cancels_the_work(
    session: Session, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    plain = Session.run

    def slow(self: Session, *given: Any, **more: Any) -> Any:
        calls.append(1)
        time.sleep(0.05)
        return plain(self, *given, **more)

    with serving(session) as running, running.client() as client:
        monkeypatch.setattr(Session, "run", slow)
        post = client.build_request(
            "POST", "/v1/predict?timeline=true", files={"file": video.read_bytes()}
        )
        head = f"POST {post.url.raw_path.decode()} HTTP/1.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in post.headers.items()
        )
        with running.raw() as raw:
            raw.sendall(head.encode() + b"\r\n" + post.read())
            until(lambda: len(calls) > 3)
        until(lambda: running.served.service.batcher.reserved == 0)
        time.sleep(0.5)
        count = len(calls)
        time.sleep(0.3)
        assert len(calls) == count < 45


def test_a_clip_has_a_bound_in_time_and_in_size(session: Session, video: Path) -> None:
    content = {"file": video.read_bytes()}
    for limits, words in (
        (Limits(clip_seconds=0.0), "longer than 0 s"),
        (Limits(clip_bytes=5000), "send it in parts"),
        (Limits(pixels=64 * 48 - 1), "64 x 48"),
    ):
        with serving(session, limits=limits) as running, running.client() as client:
            answer = client.post("/v1/predict", files=content)
            assert answer.status_code == 413
            assert words in answer.json()["detail"]


def test_the_page_is_served_with_types_and_tags(server: Running) -> None:
    with server.client() as client:
        page = client.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        script = client.get("/page/main.mjs")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        again = client.get("/page/main.mjs", headers={"if-none-match": script.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        for path in ("/page/../app.py", "/page/..%2fapp.py", "/page/%2e%2e/app.py", "/page//etc/x"):
            assert client.get(path).status_code == 404
        for path in ("/", "/docs", "/page/login.html"):
            text = client.get(path).text
            assert "http:" not in text.replace("http://www.w3.org", "")
            assert "https:" not in text
            assert "<script>" not in text
            assert "style=" not in text


def test_the_documents_name_every_route(server: Running) -> None:
    with server.client() as client:
        document = client.get("/openapi.json").json()
        page = client.get("/docs").text
    assert "/v1/predict" in document["paths"]
    for path in (*document["paths"], "/v1/live"):
        assert path in page


class Connection(asyncio.Protocol):
    """A server's end of a connection whose client may be in the middle of a request."""

    def __init__(self) -> None:
        self.made, self.lost = asyncio.Event(), asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        loop = asyncio.get_running_loop()
        self.transport = BoundedTransport(transport, loop, 0.1, lambda: True)
        self.made.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()


async def connected() -> tuple[Connection, socket.socket]:
    """Return both ends of a new connection, the client's with a small buffer."""
    connection = Connection()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: connection, "127.0.0.1", 0)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await loop.sock_connect(client, server.sockets[0].getsockname())
    await connection.made.wait()
    server.close()
    return connection, client


def test_a_client_that_has_reset_the_connection_is_closed_without_a_fault() -> None:
    async def reset() -> None:
        connection, client = await connected()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        connection.transport.close()
        await asyncio.wait_for(connection.lost.wait(), 60)

    asyncio.run(reset())


def test_a_client_that_stops_taking_its_last_answer_loses_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounded, "_LINGER_SECONDS", 0.05)

    async def stall() -> None:
        connection, client = await connected()
        with client:
            connection.transport.write(bytes(16 << 20))
            connection.transport.close()
            connection.transport.resume_writing()  # it took something, and then nothing more
            assert connection.transport.get_write_buffer_size()
            await asyncio.wait_for(connection.lost.wait(), 30)

    asyncio.run(stall())


def test_the_metrics_count_by_pattern_and_not_by_what_a_client_writes(server: Running) -> None:
    with server.client() as client:
        client.get("/v1/streams/secret-name/events")
        client.get("/secret-path")
        client.request("SECRETMETHOD", "/healthz")
        text = client.get("/metrics").text
    assert 'route="/v1/streams/{id}/events"' in text
    assert "secret" not in text.lower()


def test_a_dead_model_is_reported_by_healthz(session: Session) -> None:
    with serving(session) as running, running.client() as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        running.served.service.batcher.close()
        assert client.get("/healthz").status_code == 503
        body = {"instances": [[[1, 2], [3, 4]]]}
        assert client.post("/v1/predict", json=body).status_code in (429, 503)
