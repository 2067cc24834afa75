"""The newest pictures of a source, as JPEG in memory, and how they become a film."""

import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import Image
from seqvision_edge.result import utc
from seqvision_edge.sampler import Sampler
from seqvision_edge.sinks.film import Film
from seqvision_edge.sources import Source

Picture = tuple[float, bytes]

# What is remembered of one source at most; beyond it the pictures before a moment are fewer.
MOST_BYTES = 64 << 20
_QUALITY = 95
_LONGEST_STILL_SECONDS = 1.0
# Times are sums of periods.
_HAIR = 1e-6


class FrameBuffer:
    """The pictures of the last seconds, bounded in seconds and in bytes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._pictures: deque[Picture] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._pictures)

    def add(self, at: float, picture: bytes) -> None:
        """Remember a picture; one of a time before the newest one begins anew."""
        if self._pictures and at < self._pictures[-1][0]:
            self._pictures.clear()
            self.bytes = 0
        self._pictures.append((at, picture))
        self.bytes += len(picture)
        oldest = at - self._seconds
        while self._pictures[0][0] < oldest or self.bytes > MOST_BYTES:
            self.bytes -= len(self._pictures.popleft()[1])

    def since(self, at: float, until: float = float("inf")) -> list[Picture]:
        """Return what is remembered of the pictures from one time to another, both included."""
        return [picture for picture in self._pictures if at - _HAIR <= picture[0] <= until + _HAIR]


class ConstantRateWriter:
    """Put pictures into a film of constant rate at their times."""

    def __init__(self, film: Film, fps: float) -> None:
        self._film = film
        self._clock = Sampler(fps, fps)
        self._longest = int(_LONGEST_STILL_SECONDS * fps) + 1

    def add(self, at: float, picture: bytes) -> None:
        """Add a picture as often as its time wants it; a silence is not filled for long."""
        ticks = self._clock.take(at)
        image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        for _ in range(min(ticks, self._longest)):
            self._film.write(image)

    def add_all(self, pictures: Iterable[Picture]) -> None:
        """Add pictures in the order of their times."""
        for at, picture in pictures:
            self.add(at, picture)


def jpeg(bgr: Image) -> bytes:
    """Return a picture as it is remembered."""
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1])


def timestamp_name(source: Source, at: float, now: float) -> str:
    """Return a moment of a source, as names of files have it.

    That is the wall clock, or the place in a recording; `now` is the time of its newest picture.
    """
    if not source.live:
        return f"{at:010.3f}s"
    return utc(time.time() - (now - at)).replace("-", "").replace(":", "")


def free_path(folder: Path, stem: str) -> Path:
    """Return the path of a clip that is not there yet."""
    path, number = folder / f"{stem}.mp4", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.mp4"
    return path
