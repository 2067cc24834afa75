"""A server that takes connections and treats them badly: it drips, floods, or speaks nonsense."""

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

Treatment = Callable[[socket.socket], None]


class HostileServer:
    """Each connection gets the treatment of its number; the last one is for all that follow."""

    def __init__(self, *treatments: Treatment, host: str = "127.0.0.1", port: int = 0) -> None:
        self._treatments = treatments
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=2000)
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.closing = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> "HostileServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            treat = self._treatments[min(self.connections, len(self._treatments) - 1)]
            self.connections += 1
            threading.Thread(target=self._treat, args=(treat, line), daemon=True).start()

    def _treat(self, treat: Treatment, line: socket.socket) -> None:
        # A client may leave when it likes.
        with contextlib.suppress(OSError, ssl.SSLError, StopIteration), line:
            line.settimeout(30)
            treat(line)


def read_request(line: socket.socket) -> bytes:
    """Return a request of HTTP with its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(line)
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"\ncontent-length: *(\d+)", head, re.IGNORECASE)
    length = int(found[1]) if found else 0
    while len(body) < length:
        body += _some(line)
    return head + b"\r\n\r\n" + body


def answers(first: bytes, then: bytes = b"", seconds: float = 0.03) -> Treatment:
    """Read a request and answer it; repeat the second part for ever, so often."""

    def treat(line: socket.socket) -> None:
        read_request(line)
        line.sendall(first)
        for part in repeated(then, seconds):
            line.sendall(part)

    return treat


def drips(data: bytes, seconds: float = 0.03) -> Treatment:
    """Send some bytes again and again, without reading anything."""

    def treat(line: socket.socket) -> None:
        for part in repeated(data, seconds):
            line.sendall(part)

    return treat


def relays(port: int) -> Treatment:
    """Hand on what comes to a server of this machine, and its answers back."""

    def copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def treat(line: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port), 30) as other:
            back = threading.Thread(target=copy, args=(other, line), daemon=True)
            back.start()
            copy(line, other)
            back.join(30)

    return treat


def closes(line: socket.socket) -> None:
    """Hang up at once."""


def repeated(data: bytes, seconds: float) -> Iterator[bytes]:
    pause = threading.Event()
    while data:
        yield data
        pause.wait(seconds)


def _some(line: socket.socket) -> bytes:
    data = line.recv(1 << 16)
    if not data:
        raise OSError("the client left")
    return data
