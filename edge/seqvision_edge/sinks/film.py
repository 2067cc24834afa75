"""One video file that is being written: whole under its name, or not there."""

from pathlib import Path

import numpy as np

from seqvision_edge.errors import SinkError
from seqvision_edge.files import replacing
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import Image
from seqvision_edge.sinks import Quit

# MPEG-4 part 2 is the one codec that every OpenCV build writes into these containers.
_CODEC, _LOSSLESS = "mp4v", "FFV1"
ENDINGS = (".mp4", ".avi", ".mkv")


class Film:
    """Pictures at a constant rate; the first one gives the size."""

    def __init__(self, path: Path, name: str, fps: float, *, lossless: bool = False) -> None:
        """Describe it; `name` begins its messages, `lossless` keeps every pixel (.mkv or .avi)."""
        self.path = path
        self.pictures = 0
        self._name = name
        self._fps = fps
        self._lossless = lossless
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def open(self) -> None:
        """Make the temporary file, and try the codec.

        Raises:
            SinkError: it cannot be written here.
        """
        if self.path.is_dir():
            raise SinkError(f"{self._name}: {self.path} is a folder")
        self._place = replacing(self.path)
        try:
            self._partial = self._place.__enter__()
        except OSError as error:
            raise SinkError(f"{self._name}: cannot be written ({error.strerror})") from None
        try:
            # The size is known with the first picture; whether the codec is there can be known now.
            self._open_writer((64, 64)).release()
        except SinkError:
            self.discard()
            raise

    def write(self, picture: Image) -> None:
        """Add a picture; one of another size is made to fit."""
        if self._writer is None:
            height, width = picture.shape[:2]
            self._size = (width - width % 2, height - height % 2)
            self._writer = self._open_writer(self._size)
        self._writer.write(_fitted(picture, self._size))
        self.pictures += 1

    def close(self) -> bool:
        """Finish the file and give it its name; False where no picture came, then nothing stays.

        Raises:
            SinkError: not all of it could be written, as on a full disk; then nothing stays either.
        """
        if self._writer is None:
            self.discard()
            return False
        self._writer.release()
        self._writer = None
        # OpenCV tells nobody that the disk is full.
        if not _is_whole(self._partial, self.pictures, count=self._lossless):
            self.discard()
            raise SinkError(f"{self.path} could not be written whole; is the disk full?")
        try:
            self._place.__exit__(None, None, None)
        except OSError as error:
            raise SinkError(f"{self.path}: {error.strerror}") from None
        return True

    def discard(self) -> None:
        """Take the temporary file away."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None
        self._place.__exit__(Quit, Quit(), None)

    def _open_writer(self, size: tuple[int, int]) -> cv2.VideoWriter:
        codec = _LOSSLESS if self._lossless else _CODEC
        writer = cv2.VideoWriter(
            str(self._partial), cv2.VideoWriter.fourcc(*codec), self._fps, size
        )
        if not writer.isOpened():
            raise SinkError(f"{self._name}: this OpenCV cannot write {codec} video")
        return writer


def _is_whole(path: Path, pictures: int, count: bool) -> bool:
    """Tell whether a video says that it has so many pictures, or nearly: some only estimate.

    With `count` they are counted: without its end, a Matroska file cannot say.
    """
    video = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    try:
        if count:
            return sum(1 for _ in iter(video.grab, False)) == pictures
        return video.isOpened() and video.get(cv2.CAP_PROP_FRAME_COUNT) >= pictures - 2
    finally:
        video.release()


def _fitted(picture: Image, size: tuple[int, int]) -> Image:
    """Return the picture at the video's size, which is even and cannot change."""
    width, height = size
    if picture.shape[1] - width in (0, 1) and picture.shape[0] - height in (0, 1):
        return np.ascontiguousarray(picture[:height, :width])
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
