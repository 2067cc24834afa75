"""A real server on a free port of this machine, in a thread of the test."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from colour_model import picture
from numpy.typing import NDArray

from seqvision_edge.opencv import cv2
from seqvision_edge.server.app import Served
from seqvision_edge.server.http_server import Server, listen
from seqvision_edge.session import Session

# A machine with other work answers late; what is late for ever fails all the same.
SECONDS = 120.0


@dataclass(frozen=True)
class Running:
    """A server that runs."""

    served: Served
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def live(self) -> str:
        return f"ws://{self.address}/v1/live"

    def client(self, **more: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=SECONDS, **more)

    def raw(self) -> socket.socket:
        """Return a bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), SECONDS)


@contextlib.contextmanager
def serving(session: Session, **more: Any) -> Iterator[Running]:
    """Serve a model while the block runs."""
    served = Served(session, **more)
    server = Server(served)
    opened = listen("127.0.0.1", 0)
    port = opened.getsockname()[1]
    thread = threading.Thread(target=server.run, args=([opened],), name="server")
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        assert thread.is_alive()
        yield Running(served, port)
    finally:
        server.should_exit = True
        thread.join(SECONDS)
        assert not thread.is_alive()
        assert not served.service.batcher.is_alive


def has_ipv6() -> bool:
    """Whether this machine has the loopback address of IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as opened:
            opened.bind(("::1", 0))
    except OSError:
        return False
    return True


def until(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait for something to happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def jpeg(colour: str, size: tuple[int, int] = (64, 48)) -> bytes:
    """Return a picture of a colour as a JPEG file."""
    return encoded(".jpg", picture(colour, size))


def encoded(suffix: str, bgr: NDArray[np.uint8]) -> bytes:
    good, data = cv2.imencode(suffix, bgr)
    assert good
    return bytes(data.tobytes())


def message(stamp: float, data: bytes) -> bytes:
    """Return what /v1/live takes."""
    return struct.pack("<d", stamp) + data


def files(pictures: Sequence[bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    """Return pictures as the parts of a form."""
    return [("file", (f"{index}.jpg", data)) for index, data in enumerate(pictures)]
