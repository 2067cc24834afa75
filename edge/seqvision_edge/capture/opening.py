"""Open a camera or stream with OpenCV, in the process that holds it."""

import errno
from dataclasses import dataclass
from typing import Any

from seqvision_edge.capture import v4l2
from seqvision_edge.capture.address import Address
from seqvision_edge.capture.ffmpeg import open_stream
from seqvision_edge.opencv import cv2

# A server that is there answers sooner.
_STREAM_OPENS = 5.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How many seconds the opening of a source may take, and one reading from it."""

    open: float = 10.0
    read: float = 3.0


def open_video(address: Address, timeouts: Timeouts) -> Any:
    """Return an open `cv2.VideoCapture`.

    Raises:
        OSError: it cannot be opened; `strerror` says why.
    """
    if address.kind == "stream":
        seconds = min(_STREAM_OPENS, timeouts.open)
        return open_stream(str(address.where), seconds, timeouts.read)
    device = v4l2.device_of(address)
    # A text that any backend may read could be a pipeline, or a URL.
    backend = cv2.CAP_V4L2 if device else cv2.CAP_ANY
    video = cv2.VideoCapture(address.where, backend)
    if not video.isOpened():
        if device:
            v4l2.check_streams(device)
        raise OSError(errno.EIO, "OpenCV cannot open it")
    return video
