"""Outputs over TLS: to a real broker and a real server, with certificates of a private network."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.broker import Broker, missing
from steps import EVENT, SOURCE, make_step, wait_for

from seqvision_edge.errors import SinkError
from seqvision_edge.sinks.mqtt import Mqtt
from seqvision_edge.sinks.outlet import Queued
from seqvision_edge.sinks.webhook import Webhook
from seqvision_edge.tls import CA_FILE, trusting


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A folder with `ca.pem`, and with `key.pem` and `server.pem` of 127.0.0.1 that it signed."""
    trustme = pytest.importorskip("trustme", reason="trustme makes the certificates")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    for pem in issued.cert_chain_pems:
        pem.write_to_path(str(tmp_path / "server.pem"), append=True)
    return tmp_path


@pytest.fixture
def posts(certificates: Path) -> Iterator[tuple[str, list[bytes]]]:
    """The URL of an https server, and what was posted to it."""
    got: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}/hook", got
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def broker(certificates: Path) -> Iterator[Broker]:
    if missing():
        pytest.skip(str(missing()))
    folder = certificates / "broker"
    folder.mkdir()
    tls = f"certfile {certificates}/server.pem\nkeyfile {certificates}/key.pem\n"
    broker = Broker(folder, tls)
    yield broker
    broker.kill()


def send_event(outlet: Any) -> Queued[Any]:
    sink: Queued[Any] = Queued(outlet, 10)
    with sink:
        sink.write(make_step(events=(EVENT,)))
        wait_for(lambda: bool(sink.counts.sent or sink.trouble))
    return sink


def test_a_webhook_with_a_trusted_certificate_gets_events(
    posts: tuple[str, list[bytes]], certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, got = posts
    monkeypatch.setenv(CA_FILE, str(certificates / "ca.pem"))
    assert send_event(Webhook(url, False)).counts.sent == 1
    assert len(got) == 1


def test_a_webhook_with_an_untrusted_certificate_gets_nothing(
    posts: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, got = posts
    monkeypatch.delenv(CA_FILE, raising=False)
    sink = send_event(Webhook(url, False))
    assert sink.last_error.startswith("its certificate is refused (")
    assert not got


def test_a_broker_with_a_trusted_certificate_gets_events(
    broker: Broker, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CA_FILE, str(certificates / "ca.pem"))
    url = broker.url.replace("mqtt://", "mqtts://")
    assert send_event(Mqtt(url, (SOURCE,))).counts.sent == 1


def test_a_broker_with_an_untrusted_certificate_gets_nothing(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CA_FILE, raising=False)
    sink = send_event(Mqtt(broker.url.replace("mqtt://", "mqtts://"), (SOURCE,)))
    assert not sink.counts.sent


def test_a_file_without_certificates_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "notes.pem"
    file.write_text("shopping list\n")
    for path in (file, tmp_path / "missing.pem"):
        monkeypatch.setenv(CA_FILE, str(path))
        with pytest.raises(SinkError, match=f"^{CA_FILE} .*: no certificates can be read"):
            trusting()
