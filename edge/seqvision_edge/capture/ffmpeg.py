"""A stream of the network, opened by FFmpeg with only what its kind of address needs.

FFmpeg follows whatever a server sends: redirects, playlists that name files of this machine, other
protocols.  So each kind of address is allowed its own protocols and formats and no others.
"""

import contextlib
import ctypes
import itertools
import os
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from seqvision_edge.capture.http_status import ask
from seqvision_edge.capture.stream_fault import StreamFault, of_log
from seqvision_edge.opencv import cv2
from seqvision_edge.trust import CA_FILE

_PLAIN, _SAFE = "tcp", "tls,tcp"
_PROTOCOLS = {
    "rtsp": _PLAIN,
    "rtsps": _SAFE,
    "http": f"http,{_PLAIN}",
    "https": f"https,httpproxy,{_SAFE}",
}
# Give each frame as soon as it is decoded.  FFmpeg's `nobuffer` is not for us: it throws the first
# packets away, and nothing can be decoded before the next whole picture, which may be minutes off.
_PROMPT = {"flags": "low_delay"}
_WARNING = "24"


def is_playlist(url: str) -> bool:
    """Whether a URL is one of HTTP Live Streaming: a list of short files."""
    return urlsplit(url).path.lower().endswith(".m3u8")


def options_of(url: str) -> dict[str, str]:
    """Return what FFmpeg is told for a URL."""
    scheme = urlsplit(url).scheme
    if scheme in ("rtsp", "rtsps"):
        kind = {"format_whitelist": "rtsp", "rtsp_transport": "tcp", **_PROMPT}
    elif is_playlist(url):
        # Its segments may be elsewhere and encrypted; they are never files of this machine.
        protocols = "http,https,httpproxy,crypto,tls,tcp"
        formats = "hls,mpegts,mov,mp4,aac,mp3,webvtt"
        return _trusting({"protocol_whitelist": protocols, "format_whitelist": formats})
    else:
        kind = {"format_whitelist": "mpjpeg,mjpeg,mpegts", "max_redirects": "0", **_PROMPT}
    return _trusting({"protocol_whitelist": _PROTOCOLS[scheme], **kind})


def open_stream(url: str, open_timeout: float, read_timeout: float) -> Any:
    """Return an open `cv2.VideoCapture`; timeouts in seconds.

    It changes this process: what FFmpeg writes to stderr is gone from here on.

    Raises:
        StreamFault: it cannot be opened, and why.
    """
    options = (f"{name};{value}" for name, value in options_of(url).items())
    # OpenCV reads it at each opening.
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "|".join(options)
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = _WARNING
    timeouts = (
        (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(1000 * open_timeout)),
        (cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(1000 * read_timeout)),
    )
    began = time.monotonic()
    video, said = _overhear(
        lambda: cv2.VideoCapture(url, cv2.CAP_FFMPEG, [*itertools.chain(*timeouts)])
    )
    if video.isOpened():
        return video
    reason = of_log(said)
    if reason is None and time.monotonic() - began > 0.9 * open_timeout:
        reason = "timeout"
    if reason is None and urlsplit(url).scheme in ("http", "https"):
        reason = ask(url, open_timeout)
    raise StreamFault(reason or "unreadable")


def _trusting(options: dict[str, str]) -> dict[str, str]:
    """Return the options with what must vouch for servers of rtsps:// and https://, if anything.

    Without a file none is checked, as the certificates of cameras are their own.
    """
    file = os.environ.get(CA_FILE)
    return {**options, "tls_verify": "1", "ca_file": file} if file else options


def _overhear(work: Callable[[], Any]) -> tuple[Any, str]:
    """Do the work, and return what came of it and what C code wrote to the terminal meanwhile.

    After it that goes nowhere: FFmpeg tells of every damaged packet, and its words may hold a URL
    with its password.  Python's own stderr stays.
    """
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    listening, speaking = os.pipe()
    # Nobody listens before the end: what is too much must be lost, not waited for.
    with contextlib.suppress(AttributeError, OSError):
        os.set_blocking(speaking, False)
    _redirect(speaking)
    try:
        done = work()
    finally:
        _redirect(os.open(os.devnull, os.O_WRONLY))
        with os.fdopen(listening, "rb") as ear:
            said = ear.read()
    return done, said.decode(errors="replace")


def _redirect(handle: int) -> None:
    """Send stdout and stderr of C code to `handle` from here on, and close it."""
    # OpenCV writes FFmpeg's words to C's own stdout, which keeps them until it is asked.
    with contextlib.suppress(OSError, TypeError):
        ctypes.CDLL(None).fflush(None)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
