"""Open a network stream with FFmpeg (PyAV), restricted to the protocols its URL needs.

FFmpeg follows whatever a server sends: redirects, playlists that name local files, other protocols.
So each kind of URL is allowed only its own protocols and formats.  FFmpeg's log is dropped (PyAV's
default): it may contain a URL with its password.
"""

import os
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import av

from seqvision_edge.sources.address import is_playlist
from seqvision_edge.sources.faults import StreamFault, of_error
from seqvision_edge.sources.http_stream import HttpStream
from seqvision_edge.sources.image_files import START
from seqvision_edge.sources.network import check_tls
from seqvision_edge.sources.stream_video import JpegVideo, StreamVideo, Video
from seqvision_edge.sources.video_decoding import decoder_options
from seqvision_edge.tls import CA_FILE

if TYPE_CHECKING:
    from av.container import InputContainer

_PROTOCOLS = {"rtsp": "tcp", "rtsps": "tls,tcp"}
# FFmpeg would read twenty frames to estimate the rate: nothing depends on a nominal frame rate.
_PROMPT = {"fpsprobesize": "0"}
# Opening takes less time in all than the parent waits for it.
_HEAD_LONGER = 1.5
# FFmpeg reads bytes that we pass to it, and opens no other resource.
_CLOSED = {"protocol_whitelist": ""}
# FFmpeg decodes the first pictures itself, to learn properties the stream does not declare.
_BOUNDED = {**decoder_options(), "max_streams": "32"}


def ffmpeg_options(url: str) -> dict[str, str]:
    """Return FFmpeg's options for an RTSP or HTTP Live Streaming URL."""
    if is_playlist(url):
        # Its segments may be on other hosts and encrypted, but never local files.
        protocols = "http,https,httpproxy,crypto,tls,tcp"
        kind = {"format_whitelist": "hls,mpegts,mov,mp4,aac,mp3,webvtt"}
    else:
        protocols = _PROTOCOLS[urlsplit(url).scheme]
        kind = {"format_whitelist": "rtsp", "rtsp_transport": "tcp", **_PROMPT}
    options = {"protocol_whitelist": protocols, **kind, **_BOUNDED}
    file = os.environ.get(CA_FILE)
    # Without a CA file no certificate is checked: cameras have self-signed ones.
    return {**options, "tls_verify": "1", "ca_file": file} if file else options


def open_stream(url: str, open_timeout: float, read_timeout: float) -> Video:
    """Return an opened stream, whose first picture has been received; timeouts in seconds.

    Raises:
        StreamFault: it cannot be opened, with the reason.
    """
    if urlsplit(url).scheme in ("rtsp", "rtsps") or is_playlist(url):
        return StreamVideo(_open_url(url, open_timeout, read_timeout), open_timeout)
    body = HttpStream(url, open_timeout, read_timeout)
    if _is_jpeg(body):
        return JpegVideo(body)
    # FFmpeg keeps reading until it knows the size of a picture, whatever it receives.
    body.deadline = time.monotonic() + _HEAD_LONGER * open_timeout
    try:
        options = {"format_whitelist": "mpegts", **_CLOSED, **_PROMPT, **_BOUNDED}
        container = av.open(body, "r", options=options)
    except (av.error.FFmpegError, OSError, ValueError):
        raise body.fault or StreamFault("unreadable") from None
    video = StreamVideo(container, open_timeout, body)
    body.deadline = None
    return video


def _open_url(url: str, open_timeout: float, read_timeout: float) -> "InputContainer":
    try:
        return av.open(url, "r", options=ffmpeg_options(url), timeout=(open_timeout, read_timeout))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = of_error(error)
    if reason == "unreadable" and urlsplit(url).scheme in ("rtsps", "https"):
        # FFmpeg has a single error code for everything that can go wrong in a handshake.
        reason = check_tls(url, open_timeout) or reason
    # FFmpeg's own error is not chained, as it contains the URL.
    raise StreamFault(reason)


def _is_jpeg(body: HttpStream) -> bool:
    """Return whether the body is JPEG pictures, by its media type or its first bytes."""
    if body.kind.startswith("multipart/") or "jpeg" in body.kind or "jpg" in body.kind:
        return True
    # The boundary of a multipart body whose server declares another media type.
    return body.peek(3) == START or body.peek(64).lstrip().startswith(b"--")
