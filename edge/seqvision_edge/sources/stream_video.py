"""Decode the pictures of a stream, and drop damaged ones.

A stream is read like a camera: `grab` waits for the next picture, `retrieve` converts its pixels,
so that a dropped picture costs no conversion.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import av

from seqvision_edge.frame import FrameRefused, Image
from seqvision_edge.sources.faults import StreamFault, of_error
from seqvision_edge.sources.http_stream import HttpStream
from seqvision_edge.sources.image_files import LARGEST, pictures
from seqvision_edge.sources.video_decoding import Pictures, decoder_options

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

# Of a stream without a declared rate; only displays depend on it.
USUAL_FPS = 25.0
_MAX_FPS = 1000.0
# From AVCodecContext: return each picture as soon as it is decoded.
_LOW_DELAY = 1 << 19
# So many undecodable packets in a row are more than a transmission error.
_TRIES = 30
# Its decoder knows when a picture is complete without a key frame (intra refresh).
_SELF_RECOVERING = ("h264",)
# Most streams send a key frame within this time; after it a damaged picture is better than none.
_LONGEST_DAMAGE = 2.0


class Video(Protocol):
    """A sequence of pictures.

    Attributes:
        height, width: of its pictures, at opening.
        fps: nominal frames per second.
        damaged: number of incomplete pictures that were dropped.
        stamp: the grabbed picture's own time in seconds.
        waited: seconds spent waiting for the grabbed picture.
    """

    height: int
    width: int
    fps: float
    damaged: int
    stamp: float
    waited: float

    def grab(self) -> bool:
        """Wait for the next picture; return False if it is missing or damaged, but not the last.

        Raises:
            OSError: no more can come.
        """

    def retrieve(self) -> Image | None:
        """Return the grabbed picture, `(height, width, 3)` BGR; None if it cannot be converted."""


class Wholeness:
    """Decide which decoded pictures are complete: those before the first key frame are not.

    A damaged picture is dropped, and so are those predicted from it: until the next key frame, but
    for two seconds at most.
    """

    def __init__(self, codec: str) -> None:
        """Begin with a stream joined at any moment."""
        self._recovers = codec in _SELF_RECOVERING
        self._begun = False
        self._damaged_at: float | None = None

    def accept(self, is_key: bool, is_corrupt: bool, now: float) -> bool:
        """Return whether a picture is complete; `now` in seconds by the monotonic clock."""
        if is_corrupt:
            if self._damaged_at is None:
                self._damaged_at = now
            return False
        if is_key:
            self._begun, self._damaged_at = True, None
        elif not self._begun:
            self._begun = self._recovers
            return self._begun
        elif self._damaged_at is not None:
            if now - self._damaged_at < _LONGEST_DAMAGE:
                return False
            self._damaged_at = None
        return True


class StreamVideo:
    """The pictures that FFmpeg decodes from a container; a `Video`."""

    def __init__(
        self, container: "InputContainer", seconds: float, body: HttpStream | None = None
    ) -> None:
        """Read until the first complete picture, which `grab` returns once more.

        Args:
            container: its best video is read.
            seconds: time limit for the first complete picture.
            body: the source of the container's bytes; None if FFmpeg reads the URL itself.

        Raises:
            StreamFault: there is no video, it cannot be decoded, or no complete picture comes.
        """
        self._container, self._body = container, body
        self._stream = _choose(container)
        self.fps = _rate(self._stream)
        self.damaged = 0
        self.stamp = self.waited = 0.0
        self._whole = Wholeness(self._stream.codec_context.name)
        self._converter = Pictures(self._stream)
        self._packets = container.demux(self._stream)
        self._waited, self._failed = 0.0, 0
        self._decoded: list[Any] = []
        self._frame: Any = None
        self._is_ahead = False
        deadline = time.monotonic() + seconds
        while not self.grab():
            if time.monotonic() > deadline:
                raise StreamFault("no_keyframe")
        self._is_ahead = True
        self.height, self.width = self.retrieve().shape[:2]

    def grab(self) -> bool:
        """Read the next picture; return False if it is not complete.

        Raises:
            StreamFault: the stream ended.
        """
        if self._is_ahead:
            self._is_ahead, self.waited = False, 0.0
            return True
        if not self._decoded:
            self._decoded = self._decode_next()
        if not self._decoded:
            return False
        frame = self._decoded.pop(0)
        self.waited, self._waited = self._waited, 0.0
        if not self._whole.accept(frame.key_frame, frame.is_corrupt, time.monotonic()):
            self.damaged += 1
            return False
        self._frame = frame
        self.stamp = self.stamp + 1 / self.fps if frame.time is None else frame.time
        return True

    def retrieve(self) -> Image:
        """Return the grabbed picture, `(height, width, 3)` BGR."""
        return _convert(self._converter, self._frame)

    def _decode_next(self) -> list[Any]:
        """Return the frames that the next packet completes.

        Raises:
            StreamFault: there is no next packet.
        """
        began = time.monotonic()
        try:
            packet = next(self._packets, None)
        except av.error.InvalidDataError:
            self._failed += 1
            if self._failed >= _TRIES:
                raise StreamFault("unreadable") from None
            self._packets = self._container.demux(self._stream)
            return []
        except (av.error.FFmpegError, OSError) as error:
            raise StreamFault("timeout" if of_error(error) == "timeout" else "ended") from None
        if packet is None:
            raise (self._body and self._body.fault) or StreamFault("ended")
        self._waited += time.monotonic() - began
        self._failed = 0
        try:
            return list(packet.decode())
        except av.error.FFmpegError:
            # The following frames show the damage.
            return []


class JpegVideo:
    """Concatenated JPEG pictures, with any bytes between them; a `Video`."""

    def __init__(self, body: HttpStream) -> None:
        """Read until the first complete picture, which `grab` returns once more.

        Raises:
            StreamFault: no picture comes, or only one.
        """
        self.fps = USUAL_FPS
        self.damaged = 0
        self.stamp = self.waited = 0.0
        self._body = body
        self._waited, self._since = 0.0, 0
        self._pictures = pictures(self._chunks())
        self._decoder = _jpeg_decoder(strict=True)
        # Pixel aspect as for a stream.
        self._converter = Pictures(self._decoder)
        self._frame: Any = None
        self._is_ahead = False
        for _ in range(2 * _TRIES):
            if self.grab():
                break
            if self.damaged == _TRIES:
                # A camera that writes every picture slightly wrong is accepted.
                self._decoder = _jpeg_decoder(strict=False)
        else:
            raise StreamFault("unreadable", "damaged JPEG")
        self._is_ahead = True
        if not body.kind.startswith("multipart/"):
            self._refuse_snapshot()
        self.height, self.width = self.retrieve().shape[:2]

    def grab(self) -> bool:
        """Read the next picture; return False if it is not complete.

        Raises:
            StreamFault: the stream ended.
        """
        if self._is_ahead:
            self._is_ahead, self.waited = False, 0.0
            return True
        picture = next(self._pictures, None)
        if picture is None:
            raise self._body.fault or StreamFault("ended" if self._frame else "unreadable")
        self.waited, self._waited, self._since = self._waited, 0.0, 0
        try:
            frames = self._decoder.decode(av.Packet(picture[0])) if picture[0] else []
        except av.error.FFmpegError:
            frames = []
        if not frames:
            self.damaged += 1
            return False
        self._frame = frames[-1]
        self.stamp += 1 / self.fps
        return True

    def retrieve(self) -> Image:
        """Return the grabbed picture, `(height, width, 3)` BGR."""
        return _convert(self._converter, self._frame)

    def _chunks(self) -> Iterator[bytes]:
        while True:
            began = time.monotonic()
            chunk = self._body.read()
            self._waited += time.monotonic() - began
            self._since += len(chunk)
            if not chunk or self._since > LARGEST:
                return
            yield chunk

    def _refuse_snapshot(self) -> None:
        """Read one more picture: a snapshot server ends after the first."""
        try:
            self._is_ahead = False
            while not self.grab():
                pass
        except StreamFault as fault:
            raise StreamFault("one_picture") if fault.reason == "ended" else fault from None
        self._is_ahead = True


def _jpeg_decoder(strict: bool) -> Any:
    """Return a decoder; a strict one refuses a truncated picture, another fills it with grey."""
    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.options = {**decoder_options(), **({"err_detect": "explode"} if strict else {})}
    return decoder


def _choose(container: "InputContainer") -> Any:
    """Return the best decodable video stream, prepared; the other streams are discarded.

    Raises:
        StreamFault: there is none.
    """
    try:
        stream = container.streams.best("video")
    except av.error.FFmpegError:
        stream = None
    if stream is None:
        videos = container.streams.video
        raise StreamFault("codec") if videos else StreamFault("unreadable", "no video in it")
    if stream.codec_context is None:
        raise StreamFault("codec")
    for other in container.streams:
        if other is not stream and hasattr(other, "discard"):
            # Otherwise every quality of a playlist would be downloaded.
            other.discard = type(other.discard).all
    decoder: Any = stream.codec_context
    decoder.flags |= _LOW_DELAY
    decoder.options = {**decoder.options, **decoder_options()}
    return stream


def _rate(stream: "VideoStream") -> float:
    """Return the nominal frames per second."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < rate <= _MAX_FPS:
            return float(rate)
    return USUAL_FPS


def _convert(pictures: Pictures, frame: Any) -> Image:
    """Return a frame as a player shows it.

    Raises:
        StreamFault: it is too large, or of an unsupported pixel format.
    """
    try:
        return pictures.to_bgr(frame)
    except FrameRefused as error:
        raise StreamFault("unreadable", str(error)) from None
