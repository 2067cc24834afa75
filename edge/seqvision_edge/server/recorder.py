"""Takes recorded by a page: the folder, its limits, and the threads that decode and write."""

import shutil
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fastapi import HTTPException

from seqvision_edge.errors import RecordingError, SourceError
from seqvision_edge.opencv import cv2
from seqvision_edge.recording.take_folder import Takes
from seqvision_edge.recording.take_list import Take
from seqvision_edge.recording.writer import LONGEST_SECONDS
from seqvision_edge.server.limits import MIB
from seqvision_edge.sources.video_file import VideoFile

_THREADS = 2
_QUALITY = 80
_MOST_WIDE = 640


@dataclass(frozen=True)
class Bounds:
    """Limits on recording.

    Attributes:
        takes: in the folder.
        seconds: of one take.
        bytes: of the JPEGs of one take.
        free_bytes: that must stay free on the disk.
        at_once: takes being recorded or shown.
    """

    takes: int = 5000
    seconds: float = LONGEST_SECONDS
    bytes: int = 512 * MIB
    free_bytes: int = 512 * MIB
    at_once: int = 4


class Recorder:
    """A folder of takes, and the threads that read and write it."""

    def __init__(self, folder: Path, bounds: Bounds | None = None) -> None:
        """Open the folder, created if its parent exists.

        Raises:
            RecordingError: it cannot be written to, or contains clips that no list names.
        """
        self.takes = Takes(folder)
        self.takes.open()
        self.bounds = bounds or Bounds()
        self.threads = ThreadPoolExecutor(_THREADS, "takes")
        self._now = 0

    def close(self) -> None:
        """End the threads."""
        self.threads.shutdown(cancel_futures=True)

    def reserve_slot(self) -> None:
        """Count a take as being recorded or shown, until `release_slot`.

        Raises:
            HTTPException: 429, too many at once.
        """
        if self._now >= self.bounds.at_once:
            raise HTTPException(429, "too many takes at once", headers={"retry-after": "5"})
        self._now += 1

    def release_slot(self) -> None:
        """Release the slot."""
        self._now -= 1

    def refuse_when_full(self) -> None:
        """Refuse one more take if there is no space for it.

        Raises:
            HTTPException: 507, too many takes, or the disk is nearly full.
        """
        folder, bounds = self.takes.folder, self.bounds
        if len(self.takes.all()) >= bounds.takes:
            raise HTTPException(507, f"the folder has {bounds.takes} takes: use another one")
        if shutil.disk_usage(folder).free < bounds.free_bytes:
            raise HTTPException(
                507, f"less than {bounds.free_bytes // MIB} MB are free on the disk"
            )

    def refusal(self, error: RecordingError) -> HTTPException:
        """Return the HTTP error for a refused take, without the folder's location."""
        folder = self.takes.folder
        return HTTPException(422, str(error).replace(str(folder), folder.name))

    def find(self, path: str) -> Take:
        """Return the take that the list has under this path: no other path is ever opened.

        Raises:
            HTTPException: 404, there is none.
        """
        for take in self.takes.all():
            if take.path == path:
                return take
        raise HTTPException(404, "no such take")

    def film(self, take: Take) -> Generator[tuple[float, bytes], None, None]:
        """Yield the pictures of a take with their times, as JPEGs at most 640 pixels wide.

        Raises:
            HTTPException: 404, its file is missing, or outside the folder.
        """
        path = self.takes.path_of(take)
        if not path.resolve().is_relative_to(self.takes.folder.resolve()):
            raise HTTPException(404, "the clip is outside the folder of takes")
        try:
            with VideoFile(path) as video:
                for frame in video:
                    yield frame.time, _jpeg(frame.bgr)
        except SourceError:
            raise HTTPException(404, "the take's file is missing or damaged") from None


def _jpeg(bgr: cv2.typing.MatLike) -> bytes:
    height, width = bgr.shape[:2]
    if width > _MOST_WIDE:
        bgr = cv2.resize(bgr, (_MOST_WIDE, max(1, round(height * _MOST_WIDE / width))))
    good, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert good, "every frame of a video is a picture"
    content: bytes = data.tobytes()
    return content
