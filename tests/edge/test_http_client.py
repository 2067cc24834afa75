"""Proxies of the environment, and the requests that never use one."""

import json
import os
from typing import Any

import pytest
from servers.hostile import HostileServer, answers, read_request
from steps import EVENT, make_step, wait_for

from seqvision_edge.errors import SinkError
from seqvision_edge.http_client import is_private_host, proxy_of, set_ffmpeg_proxy
from seqvision_edge.sinks.outlet import Queued
from seqvision_edge.sinks.webhook import Webhook
from seqvision_edge.sources.capture_process import Capture
from seqvision_edge.sources.faults import CaptureFault
from seqvision_edge.sources.parse import parse_source

NAMES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "request_method")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower() in NAMES:
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("::1", True),
        ("[::1]", True),
        ("192.168.1.20", True),
        ("10.0.0.7", True),
        ("172.16.0.1", True),
        ("169.254.3.4", True),
        ("fe80::1%eth0", True),
        ("fd00::5", True),
        ("0.0.0.0", True),
        ("camera", True),
        ("camera.local", True),
        ("nas.home.arpa", True),
        ("hooks.example.org", False),
        ("8.8.8.8", False),
        ("2606:4700::1111", False),
        ("172.32.0.1", False),
        ("local.example.org", False),
    ],
)
def test_local_addresses_never_use_a_proxy(
    monkeypatch: pytest.MonkeyPatch, host: str, local: bool
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("https_proxy", "http://me:s3cret@proxy.example:3128")
    assert is_private_host(host) is local
    for scheme in ("http", "https"):
        assert (proxy_of(scheme, host) is None) is local


@pytest.mark.parametrize("without", ["hooks.example.org", "example.org", ".example.org", "*"])
def test_no_proxy_is_respected(monkeypatch: pytest.MonkeyPatch, without: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert proxy_of("https", "hooks.example.org") is not None
    monkeypatch.setenv("NO_PROXY", without if without == "*" else f"elsewhere.example,{without}")
    assert proxy_of("https", "hooks.example.org") is None


@pytest.mark.parametrize("proxy", ["socks5://h:1080", "https://h:443", "http://", "http://h:99999"])
def test_an_unreachable_proxy_is_never_bypassed(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(OSError, match=r"^the proxy of HTTP_PROXY is not http://HOST:PORT$"):
        proxy_of("http", "hooks.example.org")
    with Queued(Webhook("http://hooks.example.org/x"), 10) as sink:
        sink.write(make_step(events=(EVENT,)))
        wait_for(lambda: "the proxy of HTTP_PROXY" in sink.trouble)


def test_a_webhook_uses_the_proxy_and_its_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[bytes] = []

    def treat(line: Any) -> None:
        seen.append(read_request(line))
        line.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with HostileServer(treat) as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:pw@127.0.0.1:{proxy.port}")
        with Queued(Webhook("http://hooks.example.org/x?y=1"), 10) as sink:
            sink.write(make_step(events=(EVENT,)))
            wait_for(lambda: sink.counts.sent == 1)
        # Of the own network, although the environment names a proxy.
        with Queued(Webhook(f"http://127.0.0.1:{proxy.port}/local"), 10) as sink:
            sink.write(make_step(events=(EVENT,)))
            wait_for(lambda: sink.counts.sent == 1)
    public, local = seen
    assert public.startswith(b"POST http://hooks.example.org:80/x?y=1 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6cHc=\r\n" in public
    assert json.loads(public.partition(b"\r\n\r\n")[2])["label"] == EVENT.label
    assert local.startswith(b"POST /local HTTP/1.1\r\n")
    assert b"proxy-" not in local.lower()


def test_https_uses_a_proxy_tunnel_and_leaks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[bytes] = []

    def treat(line: Any) -> None:
        seen.append(read_request(line))
        line.sendall(b"HTTP/1.1 403 no\r\n\r\n")

    with HostileServer(treat) as proxy:
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{proxy.port}")
        with Queued(Webhook("https://user:s3cret@hooks.example.org/t0p"), 10) as sink:
            sink.write(make_step(events=(EVENT,)))
            wait_for(lambda: seen)
    assert seen[0].startswith(b"CONNECT hooks.example.org:443 HTTP/1.")
    assert b"t0p" not in seen[0]
    assert b"Authorization" not in seen[0]


def test_ffmpeg_gets_the_same_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "proxy.example:3128")
    monkeypatch.setenv("http_proxy", "http://other.example:3128")
    set_ffmpeg_proxy("https", "cams.example.org")
    assert os.environ["http_proxy"] == "http://proxy.example:3128"
    set_ffmpeg_proxy("https", "192.168.1.20")
    assert "http_proxy" not in os.environ


JPEG_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=f\r\n\r\n"
TS_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n"


@pytest.mark.timed
@pytest.mark.parametrize(
    "treat",
    [
        answers(b"HTTP/1.1 200 OK\r\nX: ", b"a"),
        answers(JPEG_HEAD, b"--f\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8"),
        answers(TS_HEAD, b"\x47"),
    ],
    ids=["head", "torn jpeg", "mpeg-ts"],
)
def test_a_slowly_dripping_stream_ends_at_the_deadline(treat: Any) -> None:
    """Whatever comes, a picture is missing; the process that reads it ends with the attempt."""
    with HostileServer(lambda line: line.recv(0), treat) as server:
        address = parse_source(f"http://127.0.0.1:{server.port}/video")
        capture = Capture(address, stall_timeout=1, open_timeout=2)
        with pytest.raises(CaptureFault):
            capture.start()
        assert capture.pid is None


def test_proxy_credentials_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks5://me:s3cret@h:1080")
    with pytest.raises(OSError, match="HTTP_PROXY") as refused:
        proxy_of("http", "hooks.example.org")
    assert "s3cret" not in str(refused.value)
    assert not isinstance(refused.value, SinkError)
