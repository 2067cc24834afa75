"""Standard input as a source: raw frames, or JPEG pictures one behind the other.

ffmpeg -i … -f rawvideo -pix_fmt bgr24 - | edge-run --source - --stdin-size 640x480
ffmpeg -i … -f image2pipe -c:v mjpeg - | edge-run --source -
"""

import itertools
import os
import select
import sys
import threading
from collections.abc import Iterator

import numpy as np
from typing_extensions import Self

from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import Image
from seqvision_edge.sources.jpeg_stream import START, pictures

_CHUNK = 1 << 16
# So soon a reader that waits sees that it is asked to leave.
_LOOK = 0.1


class Pipe:
    """A source: every frame that comes through a pipe, `1 / fps` apart.

    A frame that is torn or cannot be read leaves its place in time empty and is counted in
    `damaged`.
    """

    live = False

    def __init__(
        self, name: str, handle: int, fps: float, size: tuple[int, int] | None = None
    ) -> None:
        """Take the pipe; nothing is read yet.

        Args:
            name: what it is called.
            handle: its file descriptor; it stays open.
            fps: frames per second.
            size: width and height of raw BGR frames; None: it brings JPEG pictures.
        """
        if not fps > 0:
            raise ValueError(f"fps is {fps}, must be above 0")
        self.name = name
        self.fps = fps
        self.claimed: int | None = None
        self.decoded = 0
        self.damaged = 0
        self._handle = handle
        self._size = size
        self._left = threading.Event()

    @property
    def incomplete(self) -> str | None:
        """After the last frame: how many of them were whole; None when all were."""
        if not self.damaged:
            return None
        return f"decoded {self.decoded} of {self.decoded + self.damaged} frames"

    def stop(self) -> None:
        """Let an iteration that waits in another thread end."""
        self._left.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the pipe to whom it belongs."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; the first one is at time 0.

        Raises:
            SourceError: it brings something else, or not one whole frame.
        """
        chunks = self._chunks()
        frames = self._jpeg(chunks) if self._size is None else _raw(chunks, *self._size)
        for index, bgr in enumerate(frames):
            if bgr is None:
                self.damaged += 1
                continue
            self.decoded += 1
            yield Frame(bgr, index / self.fps, index)
        if not self.decoded and not self._left.is_set():
            raise SourceError(f"{self.name}: it ended without one whole frame")

    def _chunks(self) -> Iterator[bytes]:
        """Yield what comes, until the other side closes the pipe or this one is asked to leave."""
        while not self._left.is_set():
            # Windows can only wait for a pipe by reading from it.
            if sys.platform != "win32" and not select.select([self._handle], [], [], _LOOK)[0]:
                continue
            chunk = os.read(self._handle, _CHUNK)
            if not chunk:
                return
            yield chunk

    def _jpeg(self, chunks: Iterator[bytes]) -> Iterator[Image | None]:
        head = b""
        while len(head) < len(START) and (chunk := next(chunks, b"")):
            head += chunk
        if head and not head.startswith(START):
            raise SourceError(
                f"{self.name}: these are no JPEG pictures; of raw frames say the size: "
                "--stdin-size 640x480"
            )
        for data, is_whole in pictures(itertools.chain([head], chunks)):
            yield _decode(data) if is_whole else None


def open_standard_input(name: str, fps: float, size: tuple[int, int] | None) -> Pipe:
    """Return standard input as a source; see `Pipe`.

    Raises:
        SourceError: nothing is piped in.
    """
    try:
        handle = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        raise SourceError(
            f"{name}: it is closed; pipe frames in: … | edge-run --source -"
        ) from None
    if os.isatty(handle):
        raise SourceError(f"{name}: it is a terminal; pipe frames in: … | edge-run --source -")
    return Pipe(name, handle, fps, size)


def _raw(chunks: Iterator[bytes], width: int, height: int) -> Iterator[Image | None]:
    """Yield the `(height, width, 3)` frames; None for a last one that is torn."""
    size = width * height * 3
    data = bytearray()
    for chunk in chunks:
        data += chunk
        while len(data) >= size:
            # A frame keeps its own bytes: what is drawn into it must not reach the next one.
            yield np.frombuffer(data[:size], np.uint8).reshape(height, width, 3)
            del data[:size]
    if data:
        yield None


def _decode(data: bytes) -> Image | None:
    """Return a JPEG as `(height, width, 3)` BGR; None where it cannot be read."""
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return np.asarray(bgr, np.uint8) if isinstance(bgr, np.ndarray) else None
