"""Open a camera or stream, in the process that holds it."""

import errno
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seqvision_edge.capture import v4l2
from seqvision_edge.capture.address import Address
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import Image

if TYPE_CHECKING:
    from seqvision_edge.capture.video import Video

# A server that is there answers sooner.
_STREAM_OPENS = 5.0
# The parent notices a silence first: it says how long one may last.
_READ_LONGER = 2.0
_USUAL_FPS = 30.0
_MAX_FPS = 1000.0
_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How many seconds the opening of a source may take, and one reading from it."""

    open: float = 10.0
    read: float = 3.0


class CameraVideo:
    """The pictures of a local camera, by OpenCV; a `Video`."""

    def __init__(self, address: Address) -> None:
        """Open it.

        Raises:
            OSError: it cannot be opened; `strerror` says why.
        """
        self._device = device = v4l2.device_of(address)
        # A text that any backend may read could be a pipeline, or a URL.
        backend = cv2.CAP_V4L2 if device else cv2.CAP_ANY
        self._video: Any = cv2.VideoCapture(address.where, backend)
        if not self._video.isOpened():
            if device:
                v4l2.check_streams(device)
            raise OSError(errno.EIO, "OpenCV cannot open it")
        fps = self._video.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= _MAX_FPS else _USUAL_FPS
        self.height = int(self._video.get(cv2.CAP_PROP_FRAME_HEIGHT))
        self.width = int(self._video.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.damaged = 0
        self.stamp = self.waited = 0.0
        self._shape = (self.height, self.width, 3)

    def grab(self) -> bool:
        """Wait for the next picture; False where none came and the next may.

        Raises:
            OSError: the camera is gone.
        """
        began = time.monotonic()
        try:
            good = self._video.grab()
        except cv2.error as error:
            raise _cannot_read(error) from None
        self.waited = time.monotonic() - began
        if not good:
            # OpenCV calls a camera that was pulled out open.  One that is there and only sends
            # nothing is for the parent to judge: it sees how old the newest picture is.
            if self._device:
                v4l2.check_there(self._device)
            time.sleep(_PAUSE)
        return bool(good)

    def retrieve(self) -> Image | None:
        """Return the grabbed picture, `(height, width, 3)` BGR; None where it was not written."""
        marked = Marked(self._shape)
        try:
            good, bgr = self._video.retrieve(marked.memory)
        except cv2.error as error:
            raise _cannot_read(error) from None
        if not good or not isinstance(bgr, np.ndarray) or bgr.ndim != 3:
            return None
        self._shape = bgr.shape
        if not marked.was_written(bgr):
            self.damaged += 1
            return None
        return np.asarray(bgr, np.uint8)


class Marked:
    """Memory for a picture that shows whether a decoder wrote into it, whatever it claims.

    OpenCV can answer "here is a frame" and leave its memory as it was.  A few pixels hold chance
    values that no picture repeats.
    """

    _PIXELS = 16

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Make it for `(height, width, 3)`."""
        self.memory: Image = np.empty(shape, np.uint8)
        probes = np.linspace(0, max(self.memory.size - 1, 0), 3 * self._PIXELS).astype(int)
        self._places = np.unique(probes)
        self._values = np.frombuffer(secrets.token_bytes(len(self._places)), np.uint8)
        if self.memory.size:
            self.memory.reshape(-1)[self._places] = self._values

    def was_written(self, bgr: Image) -> bool:
        """Return whether a decoder that returned `bgr` filled it."""
        if bgr.size != self.memory.size or not np.shares_memory(bgr, self.memory):
            return True
        return not np.array_equal(bgr.reshape(-1)[self._places], self._values)


def open_video(address: Address, timeouts: Timeouts) -> "Video":
    """Return the pictures of a camera or stream.

    Raises:
        OSError: it cannot be opened; `strerror` says why.
    """
    if address.kind != "stream":
        return CameraVideo(address)
    # A camera's process does without PyAV.
    from seqvision_edge.capture.ffmpeg import open_stream

    seconds = min(_STREAM_OPENS, timeouts.open)
    return open_stream(str(address.where), seconds, _READ_LONGER * timeouts.read)


def _cannot_read(error: Exception) -> OSError:
    return OSError(errno.EIO, f"OpenCV cannot read it ({getattr(error, 'err', error)})")
