"""A video file, decoded frame by frame with its own timestamps."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from typing_extensions import Self

from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame
from seqvision_edge.opencv import cv2

# OpenCV says "no frame" both at the end and in the middle of damage; only the end says it for ever.
_TRIES = 30
_USUAL_FPS = 25.0
_MAX_FPS = 1000.0
# A longer silence in a file is a damaged timestamp; believed, it would become millions of ticks.
_LONGEST_SILENCE = 3600.0
_HEAD_BYTES = 1024


class VideoFile:
    """A source: every frame of a video file that can be decoded."""

    live = False

    def __init__(self, path: Path) -> None:
        """Open a video.

        Raises:
            SourceError: no such file, or not a video that OpenCV can read.
        """
        self.name = str(path)
        if not path.is_file():
            raise SourceError(f"{self.name}: no such file")
        _refuse_text(path)
        # The absolute path of a file that is there cannot be read as one of FFmpeg's URLs.  One
        # thread decodes faster than several do on two cores, and leaves the other to the model.
        self._video = cv2.VideoCapture(
            str(path.absolute()), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1]
        )
        if not self._video.isOpened():
            raise SourceError(f"{self.name}: not a video that OpenCV can read")
        fps = self._video.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= _MAX_FPS else _USUAL_FPS
        count = self._video.get(cv2.CAP_PROP_FRAME_COUNT)
        self.claimed = int(count) if 0 < count < math.inf else None
        # (width, height) as the file says it, known before any frame is decoded for us.
        self.size = (
            int(self._video.get(cv2.CAP_PROP_FRAME_WIDTH)),
            int(self._video.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        )
        self.decoded = 0
        self.damaged = 0
        self._time = 0.0

    @property
    def incomplete(self) -> str | None:
        """After the last frame: "decoded 146 of 300 frames"; None when the video was whole.

        Some containers only estimate their count, so a video without damage counts as whole when it
        reaches its claimed end within 5 %, or two frames.
        """
        if self.claimed is None:
            return f"{self.damaged} frames were damaged" if self.damaged else None
        duration = self.claimed / self.fps
        missing = duration - (self._time + 1 / self.fps)
        is_short = self.decoded < self.claimed and missing > max(2 / self.fps, 0.05 * duration)
        if self.damaged or is_short:
            return f"decoded {self.decoded} of {self.claimed} frames"
        return None

    def stop(self) -> None:
        """Nothing waits: reading a file ends by itself."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._video.release()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; the first one is at time 0.

        Raises:
            SourceError: not one frame can be decoded.
        """
        start: float | None = None
        failed = 0
        while failed < _TRIES:
            good, bgr = self._video.read()
            if not good:
                failed += 1
                continue
            stamp = self._video.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if start is None:
                start = stamp
            else:
                self._time = _next_time(self._time, stamp - start, self.fps)
            self.damaged += failed
            failed = 0
            self.decoded += 1
            index = self.decoded + self.damaged - 1
            yield Frame(np.asarray(bgr, np.uint8), self._time, index)
        if not self.decoded:
            raise SourceError(f"{self.name}: a video, but not one of its frames can be decoded")


def _next_time(before: float, stamp: float, fps: float) -> float:
    """Return the stamp in seconds if it can follow `before`, else the time at constant fps."""
    if before < stamp <= before + _LONGEST_SILENCE:
        return stamp
    return before + 1 / fps


def _refuse_text(path: Path) -> None:
    """Refuse what FFmpeg would draw as a terminal (text) or follow to other files (playlists).

    Every video container has unprintable bytes at its start.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from None
    if not head:
        raise SourceError(f"{path}: not a video that OpenCV can read, it is empty")
    # A multi-byte character may be cut at the end of the head.
    text = head.decode("utf-8", errors="ignore")
    if all(character.isprintable() or character.isspace() for character in text) and (
        len(text.encode()) > len(head) - 4
    ):
        raise SourceError(f"{path}: not a video that OpenCV can read, it is text")
