"""Slow, flooding, lying and vanishing brokers: a run continues, and a good one gets its events."""

import json
import re
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from servers.hostile import HostileServer, drips
from steps import EVENT, SOURCE, events, make_step, wait_for

from seqvision_edge.sinks import mqtt as mqtt_module
from seqvision_edge.sinks.mqtt import Mqtt
from seqvision_edge.sinks.outlet import Queued

WELCOME = b"\x20\x02\x00\x00"
Treatment = Callable[[socket.socket], None]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_module, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(mqtt_module, "_LONGEST_WAIT", 0.02)
    monkeypatch.setattr(mqtt_module, "WELCOME_SECONDS", 0.5)
    monkeypatch.setattr(mqtt_module, "CONFIRM_SECONDS", 0.5)


def packets(line: socket.socket) -> Any:
    """Yield the first byte and the content of each packet."""
    with line.makefile("rb") as stream:
        while head := stream.read(1):
            length, shift = 0, 0
            while True:
                (byte,) = stream.read(1)
                length |= (byte & 127) << shift
                shift += 7
                if not byte & 128:
                    break
            yield head[0], stream.read(length)


class GoodBroker:
    """Confirms whatever comes; `got` are the payloads by topic."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []

    def __call__(self, line: socket.socket) -> None:
        for head, content in packets(line):
            kind = head >> 4
            if kind == 1:
                line.sendall(WELCOME)
            elif kind == 12:
                line.sendall(b"\xd0\x00")
            elif kind == 3:
                (length,) = struct.unpack(">H", content[:2])
                topic = content[2 : 2 + length].decode()
                self.got.append((topic, content[4 + length :].decode()))
                line.sendall(b"\x40\x02" + content[2 + length : 4 + length])

    def labels(self) -> list[str]:
        return [json.loads(text)["label"] for topic, text in self.got if topic.endswith("/event")]


def after_connect(treat: Treatment, welcome: bytes = WELCOME) -> Treatment:
    def treatment(line: socket.socket) -> None:
        line.recv(1 << 16)
        line.sendall(welcome)
        treat(line)

    return treatment


def silence(line: socket.socket) -> None:
    while line.recv(1 << 16):
        pass


HUGE = b"\x30\xff\xff\xff\x7f"  # a message of 256 MB
BROKERS: dict[str, Treatment] = {
    "never answers": silence,
    "drips its welcome": drips(b"\x20"),
    "drips a huge packet before its welcome": lambda line: (
        line.sendall(HUGE),
        drips(b"x")(line),
    )[1],
    "floods before its welcome": drips(HUGE + b"x" * 60_000, 0),
    "never confirms": after_connect(silence),
    "drips a huge packet instead of confirming": after_connect(
        lambda line: (line.sendall(HUGE), drips(b"x")(line))[1]
    ),
    "floods": after_connect(drips(b"\x30\x80\x80\x04" + b"x" * 65_536, 0)),
    "speaks HTTP": after_connect(silence, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "a packet of no kind": after_connect(silence, WELCOME + b"\xf0\x00\x00\x00"),
    "a confirmation too short": after_connect(silence, WELCOME + b"\x40\x00"),
    "a topic of bad text": after_connect(silence, WELCOME + b"\x30\x04\x00\x02\xff\xfe"),
    "a subscription that nobody asked for": after_connect(silence, WELCOME + b"\x90\x03\x00\x01"),
    "a welcome too short": after_connect(silence, b"\x20\x00"),
    "refuses": after_connect(silence, b"\x20\x02\x00\x05"),
    "closes at once": lambda line: None,
}


@pytest.mark.parametrize("kind", BROKERS)
def test_a_good_broker_that_comes_later_gets_the_events(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = GoodBroker(), BROKERS[kind]
    sizes: list[int] = []
    receive = Client._sock_recv

    def counted(client: Client, size: int) -> bytes:
        data = bytes(receive(client, size))
        sizes.append(len(data))
        return data

    monkeypatch.setattr(Client, "_sock_recv", counted)
    with (
        HostileServer(bad, bad, good) as server,
        Queued(Mqtt(f"mqtt://127.0.0.1:{server.port}", (SOURCE,)), 100) as sink,
    ):
        for step in events(3):
            sink.write(step)
        wait_for(lambda: sink.counts.sent == 3, 30)
    assert len(good.labels()) >= 3
    # Two connections may send 64 kB each, then 16 kB/s; a packet of 256 MB was read as a whole.
    assert sum(sizes) < 2_000_000


def test_a_broker_that_leaves_200_times_costs_nothing() -> None:
    good = GoodBroker()
    leaves = after_connect(lambda line: None)
    count = 200
    with (
        HostileServer(*[leaves] * count, good) as server,
        Queued(Mqtt(f"mqtt://127.0.0.1:{server.port}", (SOURCE,)), 100) as sink,
    ):
        sink.write(make_step(events=(EVENT,)))
        wait_for(lambda: sink.counts.sent == 1, 60)
        assert server.connections > count
        # Not one more for each connection.
        outlet: Any = sink._outlet
        assert len(outlet._client._out_messages) <= 4
    assert [topic for topic, _ in good.got].count("seqvision/status") <= 4
    waiting = [each for each in threading.enumerate() if each.name.startswith("connected to")]
    wait_for(lambda: not any(each.is_alive() for each in waiting))


def test_one_message_that_is_never_confirmed_does_not_hold_up_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mqtt_module, "TRIES", 2)
    monkeypatch.setattr(mqtt_module, "CONFIRM_SECONDS", 0.3)
    with (
        HostileServer(after_connect(silence)) as server,
        Queued(Mqtt(f"mqtt://127.0.0.1:{server.port}", (SOURCE,)), 100) as sink,
    ):
        for step in events(2):
            sink.write(step)
        wait_for(lambda: sink.counts.failed == 2, 30)
    assert sink.last_error == "the broker confirms nothing"


def test_an_outage_does_not_count_as_connections_that_confirm_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mqtt_module, "TRIES", 2)
    monkeypatch.setattr(mqtt_module, "CONFIRM_SECONDS", 0.2)
    has_message, closed = threading.Event(), threading.Event()

    def leaves_on_an_event(line: socket.socket) -> None:
        for head, content in packets(line):
            if head >> 4 == 1:
                line.sendall(WELCOME)
            elif b"/event" in content:
                has_message.set()
                closed.wait(20)  # nothing more is welcomed
                return

    good = GoodBroker()
    with HostileServer(leaves_on_an_event) as first:
        sink = Queued(Mqtt(f"mqtt://127.0.0.1:{first.port}", (SOURCE,)), 100)
        sink.__enter__()
        sink.write(make_step(events=(EVENT,)))
        assert has_message.wait(20)
    closed.set()
    try:
        time.sleep(2)  # five times what all tries take
        assert sink.counts.failed == 0
        with HostileServer(good, port=first.port):
            wait_for(lambda: sink.counts.sent == 1, 30)
        assert good.labels() == [EVENT.label]
    finally:
        sink.__exit__(None, None, None)


def certificate(folder: Path, name: str) -> Path:
    """Write a certificate of its own for a name, and its key, into one file."""
    path = folder / f"{name}.pem"
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    command = ["openssl", "req", "-x509", *key, "-keyout", str(path), "-days", "2",
               "-out", str(path.with_suffix(".crt")), "-subj", f"/CN={name}",
               "-addext", f"subjectAltName={name}"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


@pytest.mark.parametrize(
    ("name", "trusted", "output"),
    [
        ("IP:127.0.0.1", True, ""),
        ("IP:127.0.0.1", False, "certificate"),
        ("DNS:elsewhere.example", True, "certificate"),
    ],
)
@pytest.mark.parametrize("scheme", ["mqtts", "https"])
def test_certificates_are_checked_and_a_private_authority_is_a_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    name: str,
    trusted: bool,
    output: str,
) -> None:
    from seqvision_edge.sinks.webhook import Webhook

    file = certificate(tmp_path, name)
    monkeypatch.delenv("SEQVISION_CA_FILE", raising=False)
    if trusted:
        monkeypatch.setenv("SEQVISION_CA_FILE", str(file.with_suffix(".crt")))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    good = GoodBroker()

    def treat(line: socket.socket) -> None:
        with context.wrap_socket(line, server_side=True) as secure:
            if scheme == "mqtts":
                good(secure)
            else:
                # All of it: what is left unread when the line is closed would reset it.
                request = secure.makefile("rb")
                head = b"".join(iter(request.readline, b"\r\n"))
                length = re.search(rb"(?i)content-length: (\d+)", head)
                assert length is not None
                request.read(int(length[1]))
                secure.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with HostileServer(treat) as server:
        url = f"{scheme}://127.0.0.1:{server.port}/x"
        outlet: Any = Mqtt(url, (SOURCE,)) if scheme == "mqtts" else Webhook(url)
        with Queued(outlet, 10) as sink:
            sink.write(make_step(events=(EVENT,)))
            if output:
                wait_for(lambda: server.connections >= 2 and output in sink.trouble)
                assert sink.counts.sent == 0
                assert good.got == []
            else:
                wait_for(lambda: sink.counts.sent == 1)
