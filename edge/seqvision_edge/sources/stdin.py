"""Standard input as a source: a container with its own times, or pictures at a given rate.

ffmpeg -i clip.mp4 -f nut -c:v rawvideo - | edge-run --source -
ffmpeg -i clip.mp4 -r 15 -f image2pipe -c:v mjpeg - | edge-run --source - --image-fps 15
ffmpeg -i clip.mp4 -r 15 -s 640x480 -f rawvideo -pix_fmt bgr24 - |
  edge-run --source - --stdin-size 640x480 --image-fps 15
rpicam-vid -t 0 --codec mjpeg -o - | edge-run --source - --image-fps arrival

Pictures without times have no rate that could be guessed: a wrong one makes every gesture faster or
slower than in the training.
"""

import os
import select
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from typing_extensions import Self

from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame, FrameRefused, Image
from seqvision_edge.sources.image_files import START, decode_image, pictures
from seqvision_edge.sources.stream_timing import Backlog
from seqvision_edge.sources.video_file import VideoFile

if TYPE_CHECKING:
    from av.container import InputContainer

Rate = float | Literal["arrival"]

_CHUNK = 1 << 16
# Poll interval of a waiting reader, to notice that it should stop.
_LOOK = 0.1
# Shown if frames have the times of their arrival.
_USUAL_FPS = 30.0
# After a pause, frames older than half of it were queued in the pipe.
_SILENCE = 3.0
# Three packets of MPEG-TS: a single 0x47 may be a coincidence.
_HEAD = 400

# First bytes → FFmpeg's name of a container, whose frames have times of their own.
_CONTAINERS = (
    (b"nut/multimedia container\0", "nut"),
    (b"\x1a\x45\xdf\xa3", "matroska"),
    (b"YUV4MPEG2 ", "yuv4mpegpipe"),
    (b"FLV\x01", "flv"),
    (b"DKIF", "ivf"),
    (b"OggS", "ogg"),
    (b"GIF8", "gif"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (b"\x00\x00\x01\xba", "mpeg"),
)
_JPEG = "mjpeg"
# First bytes → FFmpeg's name of concatenated pictures, which have no times.
_PICTURES = (
    (START, _JPEG),
    (b"\x89PNG\r\n\x1a\n", "png_pipe"),
    (b"P6", "ppm_pipe"),
    (b"BM", "bmp_pipe"),
)
_NAMES = {
    _JPEG: "JPEG pictures",
    "png_pipe": "PNG pictures",
    "ppm_pipe": "PPM pictures",
    "bmp_pipe": "BMP pictures",
    "h264": "bare H.264 pictures",
    "hevc": "bare H.265 pictures",
    "mpegvideo": "bare MPEG-2 pictures",
    "m4v": "bare MPEG-4 pictures",
}
# Piped data may open no file and no network connection.
_OPTIONS = {"protocol_whitelist": ""}

_WITH_TIMES = "ffmpeg -i clip.mp4 -f nut -c:v rawvideo - | edge-run --source -"


class Input:
    """The bytes of a pipe as they arrive; a file object for PyAV."""

    def __init__(self, handle: int) -> None:
        """Use a file descriptor, which is not closed."""
        self._handle = handle
        self._ahead = b""
        self._waited = 0.0
        self._left = threading.Event()
        self._interrupted: BaseException | None = None

    @property
    def was_left(self) -> bool:
        """Whether its reader was cancelled."""
        return self._left.is_set()

    def take_waited(self) -> float:
        """Return the seconds spent waiting since the last call."""
        waited, self._waited = self._waited, 0.0
        return waited

    def leave(self) -> None:
        """Cancel a `read` that waits in another thread, and every later one."""
        self._left.set()

    def peek(self, count: int) -> bytes:
        """Return the first `count` bytes, fewer at the end; `read` returns them again."""
        while len(self._ahead) < count and (more := self._receive(_CHUNK)):
            self._ahead += more
        return self._ahead[:count]

    def read(self, count: int = _CHUNK) -> bytes:
        """Return received data, at most `count` bytes; b"" at the end.

        An exception such as Ctrl-C is kept for `raise_interrupt`: FFmpeg, which reads through this,
        would lose it.
        """
        if self._ahead:
            ready, self._ahead = self._ahead[:count], self._ahead[count:]
            return ready
        try:
            return self._receive(count)
        except BaseException as error:
            self._interrupted = error
            return b""

    def raise_interrupt(self) -> None:
        """Raise the exception that interrupted a read, if any."""
        if self._interrupted is not None:
            raise self._interrupted

    def _receive(self, count: int) -> bytes:
        """Return b"" when the pipe is closed or the reader was cancelled."""
        began = time.monotonic()
        try:
            while not self._left.is_set():
                # Windows can only wait for a pipe by reading from it.
                if sys.platform != "win32" and not select.select([self._handle], [], [], _LOOK)[0]:
                    continue
                return os.read(self._handle, count)
            return b""
        finally:
            self._waited += time.monotonic() - began


class PipedVideo(VideoFile):
    """A source: a container that comes through a pipe, with its own times."""

    def __init__(self, name: str, source: Input, kind: str) -> None:
        """Read the header.

        Args:
            name: the name of the source.
            source: the bytes.
            kind: FFmpeg's name of the container.

        Raises:
            SourceError: it has no decodable video.
        """
        self._source, self._kind = source, kind
        super().__init__(Path(name))
        if kind == "avi":
            # A program that writes to a pipe cannot seek back to write the number of frames.
            self.claimed = None

    def _open(self, path: Path) -> "InputContainer":
        del path
        container = _open_bytes(self._source, self._kind)
        if container is None:
            hint = " (an MP4 with its index at the end must be a file)" * (self._kind == "mov")
            raise SourceError(
                f"{self.name}: the video in it cannot be read{hint}; use for example: {_WITH_TIMES}"
            )
        return self._opened.enter_context(container)

    def stop(self) -> None:
        """End an iteration that waits in another thread."""
        self._source.leave()


class Pipe:
    """A source: pictures that come through a pipe and have no times of their own.

    At a given rate every picture is read, `1 / fps` apart, and a damaged one leaves a gap at its
    time.  With arrival times the source is live: pictures that were in the pipe before it was read
    are dropped.
    """

    def __init__(
        self,
        name: str,
        source: Input,
        rate: Rate,
        kind: str = _JPEG,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Use the pipe.

        Args:
            name: the name of the source.
            source: the bytes.
            rate: frames per second; `arrival`: live, with arrival times.
            kind: FFmpeg's name of the pictures; ignored if `size` is given.
            size: width and height of raw BGR frames; None: not raw.
        """
        self.name = name
        self.live = isinstance(rate, str)
        self._rate = None if isinstance(rate, str) else rate
        self.fps = self._rate or _USUAL_FPS
        if not self.fps > 0:
            raise ValueError(f"fps is {rate}, must be above 0")
        self.claimed: int | None = None
        self.decoded = 0
        self.damaged = 0
        self._source, self._kind, self._size = source, kind, size

    @property
    def incomplete(self) -> str | None:
        """After the last frame: how many were complete; None if all were."""
        if not self.damaged:
            return None
        return f"decoded {self.decoded} of {self.decoded + self.damaged} frames"

    def stop(self) -> None:
        """End an iteration that waits in another thread."""
        self._source.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the pipe open."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; the first one is at time 0.

        Raises:
            SourceError: no complete frame was received.
        """
        images = enumerate(self._images())
        for frame in self._as_they_come(images) if self._rate is None else self._recorded(images):
            self.decoded += 1
            yield frame
        if self.decoded or self._source.was_left:
            return
        if self.live:
            raise SourceError(
                f"{self.name}: no pictures arrived at the pace of a live camera; "
                "give the rate of recorded ones: --image-fps 15"
            )
        raise SourceError(f"{self.name}: ended without a complete frame")

    def _recorded(self, images: Iterable[tuple[int, Image | None]]) -> Iterator[Frame]:
        for index, bgr in images:
            if bgr is None:
                self.damaged += 1
            else:
                yield Frame(bgr, index / self.fps, index)

    def _as_they_come(self, images: Iterable[tuple[int, Image | None]]) -> Iterator[Frame]:
        began: float | None = None
        backlog = Backlog(self.fps, _SILENCE, time.monotonic())
        for index, bgr in images:
            now, waited = time.monotonic(), self._source.take_waited()
            if bgr is None:
                self.damaged += 1
            elif backlog.hold(0.0, waited, now) is not None:
                began = now if began is None else began
                yield Frame(bgr, now - began, index, arrived=now)

    def _images(self) -> Iterator[Image | None]:
        """Yield each picture; None for one that is damaged."""
        if self._size is not None:
            return _raw(self._chunks(), *self._size)
        if self._kind == _JPEG:
            found = pictures(self._chunks())
            return (_decode(data) if is_whole else None for data, is_whole in found)
        return self._decode_video()

    def _chunks(self) -> Iterator[bytes]:
        while chunk := self._source.read():
            yield chunk

    def _decode_video(self) -> Iterator[Image | None]:
        """Yield the pictures decoded by FFmpeg."""
        from av import FFmpegError

        from seqvision_edge.sources.video_decoding import Pictures, decoder_options

        container = _open_bytes(self._source, self._kind)
        if container is None or not container.streams.video:
            return
        with container:
            stream = container.streams.video[0]
            stream.codec_context.options = {**stream.codec_context.options, **decoder_options()}
            converter = Pictures(stream)
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except FFmpegError:
                    yield None
                    continue
                for frame in frames:
                    try:
                        yield None if frame.is_corrupt else converter.to_bgr(frame)
                    except FrameRefused as error:
                        raise SourceError(f"{self.name}: {error}") from None


def open_standard_input(
    name: str, rate: Rate | None, size: tuple[int, int] | None
) -> Pipe | PipedVideo:
    """Return standard input as a source; see `open_pipe`.

    Raises:
        SourceError: nothing is piped in, or no frames.
    """
    try:
        handle = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        raise SourceError(f"{name}: it is closed; pipe a video in: {_WITH_TIMES}") from None
    if os.isatty(handle):
        raise SourceError(f"{name}: it is a terminal; pipe a video in: {_WITH_TIMES}")
    return open_pipe(name, handle, rate, size)


def open_pipe(
    name: str, handle: int, rate: Rate | None, size: tuple[int, int] | None
) -> Pipe | PipedVideo:
    """Return a pipe as a source, of the kind recognised by its first bytes.

    Args:
        name: the name of the source.
        handle: the file descriptor, which is not closed.
        rate: frames per second of frames without times; `arrival`: their arrival times.
        size: width and height of raw BGR frames; None: not raw.

    Raises:
        SourceError: unknown data, or the rate is not given.
    """
    source = Input(handle)
    if size is not None:
        return Pipe(name, source, _demand(rate, name, "raw frames"), size=size)
    head = source.peek(_HEAD)
    if not head:
        raise SourceError(f"{name}: ended without a complete frame")
    container = _container_of(head)
    if container:
        video = PipedVideo(name, source, container)
        if rate is not None:
            video.note = f"--image-fps {rate} has no effect: the frames come with their own times"
        return video
    kind = _pictures_of(head)
    if kind is None:
        raise SourceError(
            f"{name}: neither a video nor JPEG pictures; of raw frames give the size and rate: "
            "--stdin-size 640x480 --image-fps 15"
        )
    return Pipe(name, source, _demand(rate, name, _NAMES[kind]), kind)


def _demand(rate: Rate | None, name: str, what: str) -> Rate:
    """Return the rate.

    Raises:
        SourceError: it was not given.
    """
    if rate is None:
        raise SourceError(
            f"--image-fps: {name} brings {what}, which have no frame rate; give it (such as 15, or "
            f"arrival for a live camera), or pipe frames with their times: {_WITH_TIMES}"
        )
    return rate


def _container_of(head: bytes) -> str | None:
    """Return FFmpeg's name of the container with these first bytes; None for others."""
    for start, kind in _CONTAINERS:
        if head.startswith(start):
            return kind
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    if head[4:8] in (b"ftyp", b"styp", b"moov", b"free", b"wide", b"mdat"):
        return "mov"
    # 188 bytes a packet, 192 with a timestamp before each.
    for size, begin in ((188, 0), (192, 4)):
        marks = head[begin::size]
        if len(marks) >= 2 and set(marks) == {0x47}:
            return "mpegts"
    return None


def _pictures_of(head: bytes) -> str | None:
    """Return FFmpeg's name of pictures or a bare video with these first bytes; None for others."""
    for start, kind in _PICTURES:
        if head.startswith(start):
            return kind
    for start in (b"\x00\x00\x00\x01", b"\x00\x00\x01"):
        if head.startswith(start) and len(head) > len(start) + 1:
            return _bare_video(head[len(start)], head[len(start) + 1])
    return None


def _bare_video(first: int, second: int) -> str | None:
    """Return the bare video with these first bytes (ITU-T H.264, H.265, H.262; 14496-2)."""
    if first == 0xB3:
        return "mpegvideo"
    if first == 0xB0 or first < 0x06:
        return "m4v"
    # Types of units: parameter sets, access unit delimiters, messages.
    if second == 0x01 and first >> 1 in (32, 33, 34, 35, 39):
        return "hevc"
    return "h264" if first & 0x1F in (1, 5, 6, 7, 8, 9) else None


def _open_bytes(source: Input, kind: str) -> "InputContainer | None":
    """Return an FFmpeg container; None if it cannot be read."""
    import av

    from seqvision_edge.sources.video_decoding import decoder_options

    try:
        return av.open(source, "r", format=kind, options={**_OPTIONS, **decoder_options()})
    except (av.FFmpegError, OSError, ValueError):
        return None
    finally:
        source.raise_interrupt()


def _raw(chunks: Iterator[bytes], width: int, height: int) -> Iterator[Image | None]:
    """Yield the `(height, width, 3)` frames; None for an incomplete last one."""
    size = width * height * 3
    data = bytearray()
    for chunk in chunks:
        data += chunk
        while len(data) >= size:
            # Each frame has its own memory: drawing into it must not change the next one.
            yield np.frombuffer(data[:size], np.uint8).reshape(height, width, 3)
            del data[:size]
    if data:
        yield None


def _decode(data: bytes) -> Image | None:
    """Return a JPEG as `(height, width, 3)` BGR; None if it cannot be decoded."""
    return decode_image(np.frombuffer(data, np.uint8))
