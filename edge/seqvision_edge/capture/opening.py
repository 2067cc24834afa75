"""Open a camera or stream with OpenCV, in the process that holds it."""

import errno
from typing import Any

from seqvision_edge.capture import v4l2
from seqvision_edge.capture.address import Address
from seqvision_edge.opencv import cv2


def open_video(address: Address) -> Any:
    """Return an open `cv2.VideoCapture`.

    Raises:
        OSError: it cannot be opened; `strerror` says why.
    """
    if address.kind == "stream":
        video = cv2.VideoCapture(str(address.where), cv2.CAP_FFMPEG)
    else:
        device = v4l2.device_of(address)
        backend = cv2.CAP_V4L2 if device else cv2.CAP_ANY
        video = cv2.VideoCapture(address.where, backend)
        if not video.isOpened() and device:
            v4l2.check_streams(device)
    if not video.isOpened():
        raise OSError(errno.EIO, "OpenCV cannot open it")
    return video
