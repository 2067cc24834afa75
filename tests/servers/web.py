"""HTTP servers for tests: each path does what its route says, and every request is counted."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from seqvision_edge.opencv import cv2
from servers import clock_code

Route = Callable[[BaseHTTPRequestHandler], None]
Draw = Callable[[int], NDArray[np.uint8]]


class WebServer:
    """A server on a free port; `hits` are the paths that were asked for."""

    def __init__(self, routes: dict[str, Route], certificate: Path | None = None) -> None:
        """Begin to listen; with a certificate (and its key in one file) by https."""
        self.hits: list[str] = []
        self.closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.hits.append(self.path)
                route = routes.get(self.path.partition("?")[0], status(404))
                self.closing = server.closing  # type: ignore[attr-defined]
                # A client may leave when it likes.
                try:
                    route(self)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def status(code: int, **headers: str) -> Route:
    """Answer with a status, and with headers (`WWW_Authenticate` → `WWW-Authenticate`)."""

    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return route


def content(data: bytes, kind: str = "application/octet-stream") -> Route:
    """Answer with some bytes."""

    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return route


def files(folder: Path) -> dict[str, Route]:
    """Return a route to each file of a folder."""
    return {f"/{path.name}": content(path.read_bytes()) for path in folder.iterdir()}


def clock(_number: int) -> NDArray[np.uint8]:
    """Return a picture of the clock."""
    width, height = clock_code.SIZE
    return np.frombuffer(clock_code.draw(clock_code.now()), np.uint8).reshape(height, width)


def mjpeg(
    draw: Draw = clock,
    count: int | None = None,
    fps: float = clock_code.FPS,
    ahead: int = 0,
    then: Literal["close", "torn", "stall"] = "close",
) -> Route:
    """Send pictures at a steady rate, as cameras do, for ever or `count` of them.

    Args:
        draw: the picture of a number, `(height, width)` grey or `(height, width, 3)` BGR.
        count: how many.
        fps: pictures per second.
        ahead: how many of them come at once.
        then: `close` the connection after them, leave it `torn` inside of one, or `stall`.
    """

    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        number = 0
        begun = time.monotonic()
        while count is None or number < count:
            part = _part(draw(number))
            handler.wfile.write(part)
            number += 1
            if _closing(handler, begun + (number - ahead) / fps - time.monotonic()):
                return
        if then == "torn":
            handler.wfile.write(_part(draw(number))[:200])
        if then == "stall":
            _closing(handler, 60)
        handler.close_connection = True

    return route


def silent(handler: BaseHTTPRequestHandler) -> None:
    """Take the request and answer nothing."""
    _closing(handler, 60)
    handler.close_connection = True


@contextmanager
def black_hole() -> Iterator[int]:
    """Give a port that takes no more connections and refuses none: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = int(listener.getsockname()[1])
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        try:
            yield port
        finally:
            for client in waiting:
                client.close()


def _part(picture: NDArray[np.uint8]) -> bytes:
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return head.encode() + jpeg + b"\r\n"


def _closing(handler: BaseHTTPRequestHandler, seconds: float) -> bool:
    """Wait; whether the server ends meanwhile."""
    closing: threading.Event = handler.closing  # type: ignore[attr-defined]
    return closing.wait(max(seconds, 0))
