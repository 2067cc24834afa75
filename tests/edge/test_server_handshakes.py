"""Malformed WebSocket handshakes are refused or closed, and cookies are cheap to parse."""

import time

import pytest
from served import serving
from test_server_middleware import receive_all

from seqvision_edge.server.auth import COOKIE, Key
from seqvision_edge.server.limits import Limits
from seqvision_edge.session import Session

UPGRADE = (
    "GET /v1/live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\n"
)
KEYED = UPGRADE + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


@pytest.mark.parametrize(
    "head",
    [
        KEYED + "".join(f"X-{number}: 1\r\n" for number in range(200)) + "\r\n",
        KEYED + f"X-Long: {'x' * 20_000}\r\n\r\n",
        KEYED + f"Cookie: {'x' * 9_000}\r\n\r\n",
        KEYED.replace("/v1/live", "/" + "x" * 9_000) + "\r\n",
        KEYED + "Content-Length: 5\r\n\r\nhello",
        KEYED + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        KEYED.replace("GET", "POST") + "\r\n",
        UPGRADE + "\r\n",
        KEYED.replace("13", "12") + "\r\n",
        KEYED.replace("dGhlIHNhbXBsZSBub25jZQ==", "short") + "\r\n",
        KEYED + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        KEYED + "X-Odd: \x80\xff\r\n\r\n",
        KEYED + "Sec-WebSocket-Extensions: " + "a;" * 2_000 + "\r\n\r\n",
        KEYED + "Sec-WebSocket-Protocol: " + ",".join("abc" for _ in range(900)) + "\r\n\r\n",
    ],
    ids=[
        "headers", "long header", "long cookie", "long path", "body", "chunked body", "post",
        "no key", "version", "short key", "two keys", "odd bytes", "extensions", "protocols",
    ],
)  # fmt: skip
def test_an_invalid_handshake_is_refused_and_closed(session: Session, head: str) -> None:
    with serving(
        session, key=Key("a token of this test"), limits=Limits(head_seconds=2)
    ) as running:
        with running.raw() as raw:
            raw.sendall(head.encode("latin-1"))
            answer = receive_all(raw)  # the socket has a deadline, which fails the test
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
        with running.client() as client:
            assert client.get("/healthz", headers={"host": "localhost"}).status_code in (200, 401)


def test_unfinished_handshakes_lock_out_no_client(session: Session) -> None:
    limits = Limits(head_seconds=1, clients=4)
    with serving(session, limits=limits) as running:
        raws = [running.raw() for _ in range(16)]
        for raw in raws:
            raw.sendall((KEYED + "Content-Length: 100000\r\n\r\n").encode())
        for raw in raws:
            receive_all(raw)
            raw.close()
        with running.client() as client:
            assert client.get("/healthz").status_code == 200


def test_a_cookie_of_30_kb_costs_no_more_than_its_length() -> None:
    key = Key("a token of this test")
    hostile = COOKIE.encode() + b'="' + b"\\" * 30_000 + b'"'
    began = time.process_time()
    for _ in range(3):
        assert not key.opens({b"cookie": hostile})
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("cookies", "opens"),
    [
        ("{name}={value}", True),
        ("other=1; {name}={value}; more=2", True),
        ("other=1;{name}={value}", True),
        ("{name}=wrong; {name}={value}", True),
        ("x{name}={value}", False),
        ("{name}={value}x", False),
        ("{name}=", False),
        ("{name}", False),
        ("", False),
        (";" * 5_000 + "{name}={value}", False),
    ],
)
def test_the_own_cookie_is_found_among_others(cookies: str, opens: bool) -> None:
    key = Key("a token of this test")
    header = cookies.format(name=COOKIE, value=key.cookie).encode()
    assert key.opens({b"cookie": header}) is opens
