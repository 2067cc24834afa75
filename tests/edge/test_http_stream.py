"""The client of HTTP streams: passwords, proxies, and which server gets them."""

import base64
import hashlib
import secrets
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from urllib.request import parse_http_list, parse_keqv_list

import pytest
from served import has_ipv6
from servers import web
from servers.hostile import HostileServer, relays
from servers.web import WebServer, content, status

from seqvision_edge.sources.faults import StreamFault
from seqvision_edge.sources.http_stream import HttpStream, authorization

USER, PASSWORD = "viewer", "p@s/s:w#1?é"
QUOTED = "viewer:p%40s%2Fs%3Aw%231%3F%C3%A9"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def read_all(url: str) -> bytes:
    stream = HttpStream(url, 5, 5)
    try:
        return b"".join(iter(stream.read, b""))
    finally:
        stream.close()


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_a_stream_under_an_address_of_ipv6_is_read() -> None:
    with WebServer({"/video": content(b"yes")}) as server:
        port = int(server.url.rpartition(":")[2])
        with HostileServer(relays(port), host="::1") as relay:
            assert read_all(f"http://[::1]:{relay.port}/video") == b"yes"


def guarded(*demands: str, accept: Callable[[str, str], bool]) -> web.Route:
    """Answer `yes` to a request whose Authorization is accepted; else demand one."""

    def route(handler: BaseHTTPRequestHandler) -> None:
        if accept(handler.headers.get("Authorization", ""), handler.path):
            content(b"yes")(handler)
            return
        handler.send_response(401)
        for demand in demands:
            handler.send_header("WWW-Authenticate", demand)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return route


def proves(make: Callable[..., "hashlib._Hash"], session: bool, qop: bool) -> Callable[..., bool]:
    """Return what checks a Digest header, by the letters of RFC 7616."""

    def digest(*parts: str) -> str:
        return make(":".join(parts).encode()).hexdigest()

    def accept(header: str, path: str) -> bool:
        scheme, _, rest = header.partition(" ")
        if scheme != "Digest":
            return False
        given = parse_keqv_list(parse_http_list(rest))
        assert (given["username"], given["uri"], given["opaque"]) == (USER, path, "kept")
        account = digest(USER, "a, camera", PASSWORD)
        if session:
            account = digest(account, "n0nce", given["cnonce"])
        middle = [given["nc"], given["cnonce"], "auth"] if qop else []
        return given["response"] == digest(account, "n0nce", *middle, digest("GET", path))

    return accept


DIGEST = 'Digest realm="a, camera", nonce="n0nce", opaque="kept"'


def test_each_authentication_scheme_is_answered() -> None:
    quality = ', qop="auth,auth-int"'
    routes = {
        "/basic": guarded('Basic realm="x"', accept=lambda header, _: header == BASIC),
        "/small": guarded('basic realm="x"', accept=lambda header, _: header == BASIC),
        "/old": guarded(DIGEST, accept=proves(hashlib.md5, False, False)),
        "/md5": guarded(f"{DIGEST}{quality}", accept=proves(hashlib.md5, False, True)),
        "/session": guarded(
            f"{DIGEST}{quality}, algorithm=MD5-sess", accept=proves(hashlib.md5, True, True)
        ),
        "/both": guarded(
            'Basic realm="x"',
            f"{DIGEST}{quality}, algorithm=MD5",
            f"{DIGEST}{quality}, algorithm=SHA-256",
            accept=proves(hashlib.sha256, False, True),
        ),
        "/strange-first": guarded(
            "Negotiate", 'Basic realm="x"', accept=lambda header, _: header == BASIC
        ),
    }
    with WebServer(routes) as server:
        host = server.url.removeprefix("http://")
        for path in routes:
            assert read_all(f"http://{QUOTED}@{host}{path}?a=1&b=c%20d") == b"yes", path
            with pytest.raises(StreamFault, match="the user or password is missing or wrong"):
                HttpStream(f"http://viewer:wrong@{host}{path}", 5, 5)
            with pytest.raises(StreamFault, match="the user or password is missing or wrong"):
                HttpStream(f"http://{host}{path}", 5, 5)
        # One request to be asked, one to answer: who guesses on is locked out.
        assert len(server.hits) == (2 + 2 + 1) * len(routes)


def test_the_examples_of_the_standards(monkeypatch: pytest.MonkeyPatch) -> None:
    # RFC 7616, 3.9.1.
    monkeypatch.setattr(
        secrets, "token_hex", lambda _: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    )
    nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
    for algorithm, proof in (
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ):
        demand = (
            f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
            f'nonce="{nonce}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
        )
        header = authorization([demand], "GET", "/dir/index.html", "Mufasa", "Circle of Life")
        assert header is not None
        assert f'response="{proof}"' in header
    assert authorization(["Bearer x"], "GET", "/", "a", "b") is None


def test_a_password_is_sent_only_after_a_challenge() -> None:
    seen: list[str | None] = []

    def route(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers.get("Authorization"))
        content(b"yes")(handler)

    with WebServer({"/open": route}) as server:
        elsewhere = f"{server.url}/open"
        with WebServer({"/there": status(302, Location=elsewhere)}) as first:
            host = first.url.removeprefix("http://")
            with pytest.raises(StreamFault, match="it redirects to another address"):
                HttpStream(f"http://{QUOTED}@{host}/there", 5, 5)
        assert seen == []
        assert read_all(elsewhere.replace("http://", f"http://{QUOTED}@")) == b"yes"
    assert seen == [None]


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with WebServer({"http://camera.example:8080/video": content(b"by proxy")}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        assert read_all("http://camera.example:8080/video") == b"by proxy"
        with WebServer({"/video": content(b"direct")}) as server:
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            assert read_all(f"{server.url}/video") == b"direct"


def test_a_server_of_another_protocol_has_one_error_code() -> None:
    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"RTSP/1.0 400 Bad Request\r\n\r\n")
        handler.close_connection = True

    with WebServer({"/video": route}) as server, pytest.raises(StreamFault) as caught:
        HttpStream(f"{server.url}/video", 5, 5)
    assert caught.value.reason == "unreadable"


def test_a_stream_in_chunks_comes_as_it_is_sent() -> None:
    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"5\r\nfirst\r\n")
        handler.closing.wait(30)  # type: ignore[attr-defined]

    with WebServer({"/video": route}) as server:
        stream = HttpStream(f"{server.url}/video", 5, 5)
        assert stream.peek(3) == b"fir"
        assert stream.read(2) == b"fi"
        assert stream.read() == b"rst"
        stream.close()
