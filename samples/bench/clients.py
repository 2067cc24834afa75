"""Clients of a server, as cheap as they can be: they share the machine with what they measure.

`python -m bench.clients` reads one line of JSON from stdin, `{"way", "port", "clients", "seconds",
"fps"}`, and prints one of what came of it.  One thread, bare sockets, requests made beforehand,
answers not parsed: about 0.1 ms of processor per frame.
"""

import json
import re
import selectors
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bench.cameras import pictures

SIZE = (640, 480)
CLIP_FRAMES = 16
PIXELS = 112
# As many as the page has: one is answered while the next one travels.
UNDER_WAY = 2
_WARM_UP_SECONDS = 1.5
# A refused client tries again; Retry-After is 1 to 5 s.
_REFUSED_SECONDS = 0.5
_REFUSALS = (408, 429, 503)
_PART = 1 << 16
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_REPORTED = (b'{"type":"prediction"', b'{"type":"waiting"')
_FRAME = re.compile(rb'"frame":(\d+)')


@dataclass
class Client:
    """One connection: what it sends, and what it takes for an answer."""

    stream: socket.socket
    next: Callable[[int], bytes]
    take: Callable[["Client", float], list[float]]
    fill: int
    came: bytearray = field(default_factory=bytearray)
    out: bytearray = field(default_factory=bytearray)
    sent: deque[float] = field(default_factory=deque)
    count: int = 0
    answered: int = 0
    refused: int = 0
    waits_until: float = 0.0
    ended: bool = False


def main() -> None:
    """Execute one command line."""
    settings = json.loads(sys.stdin.readline())
    print(json.dumps(drive(**settings)), flush=True)


def drive(way: str, port: int, clients: int, seconds: float, fps: float) -> dict[str, float]:
    """Let clients ask as fast as they are answered; return rates and waits."""
    scene = pictures(CLIP_FRAMES, SIZE)
    make = {"json": _json, "jpeg": _form, "websocket": _websocket}[way]
    opened = [make(port, scene, fps) for _ in range(clients)]
    began = time.perf_counter()
    start, end = began + _WARM_UP_SECONDS, began + _WARM_UP_SECONDS + seconds
    waits: list[float] = []
    with selectors.DefaultSelector() as waiting:
        for client in opened:
            client.stream.setblocking(False)
            waiting.register(client.stream, selectors.EVENT_READ, client)
        refused_before = 0
        while (now := time.perf_counter()) < end:
            if now < start:
                refused_before = sum(client.refused for client in opened)
            for client in opened:
                _fill(client, waiting, now)
            for key, events in waiting.select(0.05):
                client = key.data
                if events & selectors.EVENT_WRITE:
                    _send(client, waiting)
                if events & selectors.EVENT_READ:
                    took = _read(client, waiting)
                    waits += took if time.perf_counter() >= start else []
        refused = sum(client.refused for client in opened) - refused_before
    for client in opened:
        client.stream.close()
    p50, p95, p99 = np.percentile(waits, (50, 95, 99)) if waits else (np.nan,) * 3
    return {
        "per second": len(waits) / seconds,
        "all": sum(client.answered for client in opened),
        "p50, ms": 1000 * p50,
        "p95, ms": 1000 * p95,
        "p99, ms": 1000 * p99,
        "refused": refused / max(1, refused + len(waits)),
    }


def _fill(client: Client, waiting: selectors.BaseSelector, now: float) -> None:
    if client.ended or client.waits_until > now:
        return
    while len(client.sent) < client.fill:
        client.out += client.next(client.count)
        client.count += 1
        client.sent.append(time.perf_counter())
        _send(client, waiting)


def _send(client: Client, waiting: selectors.BaseSelector) -> None:
    """Send what the socket takes, and wait for it to take more."""
    try:
        while client.out:
            with memoryview(client.out) as view:
                sent = client.stream.send(view[: 16 * _PART])
            del client.out[:sent]
    except BlockingIOError:
        pass
    except OSError:
        client.ended = True
        client.out.clear()
    events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.out else 0)
    if waiting.get_key(client.stream).events != events:
        waiting.modify(client.stream, events, client)


def _read(client: Client, waiting: selectors.BaseSelector) -> list[float]:
    """Take what came; return the seconds that each answer took."""
    try:
        part = client.stream.recv(_PART)
    except OSError:
        part = b""
    if not part:
        client.ended = True
        client.refused += len(client.sent) or 1
        client.sent.clear()
        waiting.unregister(client.stream)
        return []
    client.came += part
    waits = client.take(client, time.perf_counter())
    client.answered += len(waits)
    return waits


def _websocket(port: int, scene: list[bytes], fps: float) -> Client:
    """Return a client of /v1/live, its window full of a scene that moves."""
    stream = _connect(port)
    stream.sendall(
        b"GET /v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: c2VxdmlzaW9uIGJlbmNoIQ==\r\n\r\n"
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += stream.recv(1)
    if b" 101 " not in head:
        raise RuntimeError(f"no WebSocket: {head.decode('latin-1')}")
    # A mask of zeros leaves the bytes as they are; the server unmasks them all the same.
    heads = [struct.pack(">BBQI", 0x82, 0xFF, 8 + len(data), 0) for data in scene]

    def message(number: int) -> bytes:
        index = number % len(scene)
        return heads[index] + struct.pack("<d", number / fps) + scene[index]

    return Client(stream, message, _records, UNDER_WAY)


def _records(client: Client, now: float) -> list[float]:
    """Take whole WebSocket messages; return how long their frames waited."""
    waits, came = [], client.came
    while len(came) >= 2:
        size, at = came[1] & 127, 2
        if size == 126:
            size, at = int.from_bytes(came[2:4], "big"), 4
        end = at + size
        if len(came) < max(4, end):
            break
        if came.startswith(_REPORTED, at):
            frame = _FRAME.search(came, at, end)
            assert frame is not None
            # Those before it were left out for newer ones.
            while client.count - len(client.sent) < int(frame[1]):
                client.sent.popleft()
                client.refused += 1
            waits.append(now - client.sent.popleft())
        del came[:end]
    return waits


def _json(port: int, _: list[bytes], __: float) -> Client:
    """Return a client that posts a clip as nested lists, already of the model's size."""
    pixels = np.random.default_rng(0).integers(0, 256, (CLIP_FRAMES, PIXELS, PIXELS, 3), np.uint8)
    body = json.dumps({"instances": [pixels.tolist()]}, separators=(",", ":")).encode()
    request = _post(body, "application/json")
    return Client(_connect(port), lambda _: request, _responses, 1)


def _form(port: int, scene: list[bytes], fps: float) -> Client:
    """Return a client that posts a clip as JPEG files."""
    parts = [
        b'--bench\r\nContent-Disposition: form-data; name="file"; filename="%d.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n%s\r\n" % (number, data)
        for number, data in enumerate(scene)
    ]
    body = b"".join(parts) + b"--bench--\r\n"
    request = _post(body, "multipart/form-data; boundary=bench", f"?fps={fps:g}")
    return Client(_connect(port), lambda _: request, _responses, 1)


def _post(body: bytes, kind: str, query: str = "") -> bytes:
    head = (
        f"POST /v1/predict{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _responses(client: Client, now: float) -> list[float]:
    """Take whole HTTP answers; return how long the good ones took."""
    waits, came = [], client.came
    while (end := came.find(b"\r\n\r\n")) >= 0:
        length = _LENGTH.search(came, 0, end)
        size = end + 4 + int(length[1] if length else 0)
        if len(came) < size:
            break
        code = int(came[9:12])
        del came[:size]
        waited = now - client.sent.popleft()
        if code == 200:
            waits.append(waited)
        elif code in _REFUSALS:
            client.refused += 1
            client.waits_until = now + _REFUSED_SECONDS
        else:
            raise RuntimeError(f"the server answers {code}")
    return waits


def _connect(port: int) -> socket.socket:
    stream = socket.create_connection(("127.0.0.1", port), 30)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


if __name__ == "__main__":
    main()
