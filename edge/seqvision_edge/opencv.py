"""Configure OpenCV before its first import: quiet, and with limits.

OpenCV and its FFmpeg write to stderr by themselves (11 lines for a missing camera, hundreds for a
damaged video); our own one-line errors are enough.  The settings are read only once, when cv2 is
imported, so every module of the project imports cv2 from here.
"""

import os
from typing import Any

os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
# Qt warns about fonts that its windows do not use.
os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")
# A 50 kB PNG can claim gigabytes; 32 Mpx is twice the largest camera frame.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 25))
# V4L2 blocks for 10 s by default when a camera stops sending.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "2")
# A file must not open other files or the network; a stream has its own process, and options.
os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = (
    "protocol_whitelist;file|format_whitelist;"
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,mjpeg,h264,hevc,m4v"
)

import cv2 as _cv2

# Its stubs type every image as a union that no NumPy annotation accepts.
cv2: Any = _cv2

__all__ = ["cv2"]
