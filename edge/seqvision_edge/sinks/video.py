"""The annotated video: what the window shows, as a file that plays in real time."""

from pathlib import Path
from types import TracebackType

import numpy as np
from typing_extensions import Self

from seqvision_edge.errors import SinkError
from seqvision_edge.files import replacing
from seqvision_edge.opencv import cv2
from seqvision_edge.overlay import Overlay
from seqvision_edge.preprocess import Image
from seqvision_edge.sampler import Sampler
from seqvision_edge.sinks import Quit
from seqvision_edge.step import Step

# MPEG-4 part 2 is the one codec that every OpenCV build writes into these containers.
_CODEC = "mp4v"
_ENDINGS = (".mp4", ".avi", ".mkv")
_LONGEST_STILL_SECONDS = 5


class VideoFile:
    """Write every frame with its overlay, at a constant rate.

    Frames are placed by their timestamps: a camera that drops some leaves pictures that stand
    still, not a film that runs faster.  The file has its asked name only when it is whole.
    """

    def __init__(self, path: Path, overlay: Overlay, fps: float) -> None:
        self._path = path
        self._overlay = overlay
        self._fps = fps
        self._clock = Sampler(fps, fps)
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def __enter__(self) -> Self:
        if self._path.suffix.lower() not in _ENDINGS:
            raise SinkError(f"--save {self._path}: name a file that ends in {', '.join(_ENDINGS)}")
        if self._path.is_dir():
            raise SinkError(f"--save {self._path}: is a folder")
        self._place = replacing(self._path)
        try:
            self._partial = self._place.__enter__()
        except OSError as error:
            raise SinkError(f"--save {self._path}: cannot be written ({error.strerror})") from None
        try:
            # The size is known with the first frame; whether the codec is there can be known now.
            self._open((64, 64)).release()
        except SinkError:
            self._discard()
            raise
        return self

    def write(self, step: Step) -> None:
        """Write the step's picture as often as its place in time asks for."""
        if step.frame is None:
            return
        # Drawn even when there is no room for it in the film: its events stay on the timeline.
        picture = self._overlay.draw(step)
        ticks = self._clock.take(step.frame.time)
        if self._writer is None:
            height, width = picture.shape[:2]
            self._size = (width - width % 2, height - height % 2)
            self._writer = self._open(self._size)
        for _ in range(min(ticks, int(_LONGEST_STILL_SECONDS * self._fps) + 1)):
            self._writer.write(_fitted(picture, self._size))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is None:
            self._discard()
            return
        self._writer.release()
        self._place.__exit__(None, None, None)

    def _discard(self) -> None:
        """Take the temporary file away: not one frame came."""
        self._place.__exit__(Quit, Quit(), None)

    def _open(self, size: tuple[int, int]) -> cv2.VideoWriter:
        writer = cv2.VideoWriter(
            str(self._partial), cv2.VideoWriter.fourcc(*_CODEC), self._fps, size
        )
        if not writer.isOpened():
            raise SinkError(f"--save {self._path}: this OpenCV cannot write {_CODEC} video")
        return writer


def _fitted(picture: Image, size: tuple[int, int]) -> Image:
    """Return the picture at the video's size, which is even and cannot change."""
    width, height = size
    if picture.shape[1] - width in (0, 1) and picture.shape[0] - height in (0, 1):
        return np.ascontiguousarray(picture[:height, :width])
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
