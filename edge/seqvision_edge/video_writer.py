"""Write one video file: complete under its name, or absent.

Browsers play files written as .mp4 and .webm: H.264 if PyAV has x264, as its wheels do, else VP9.
Encoding uses one thread and costs what MPEG-4 part 2 by OpenCV did, so that a live run keeps its
pace.
"""

import contextlib
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqvision_edge.errors import SinkError, SourceError
from seqvision_edge.files import atomic_write, output_error, why_not_whole
from seqvision_edge.frame import Image
from seqvision_edge.opencv import cv2
from seqvision_edge.sinks import Quit

if TYPE_CHECKING:
    pass

ENDINGS = (".mp4", ".webm", ".mkv", ".avi")
_FORMATS = {".mp4": "mp4", ".webm": "webm", ".mkv": "matroska", ".avi": "avi"}
_BICUBIC = 4
_SECONDS_BETWEEN_KEYS = 5
# MPEG-4 part 2 has no finer clock.
_FINEST = 65535


@dataclass(frozen=True, slots=True)
class VideoEncoder:
    """An encoder and its settings.

    Attributes:
        name: FFmpeg's name of the encoder.
        pixels: its input pixel format.
        options: its options.
        plays: whether browsers play it.
    """

    name: str
    pixels: str
    options: dict[str, str] = field(default_factory=dict)
    plays: bool = True


# Declared in the file: without it players assume BT.709 for large videos.
_COLOURS = {
    "colorspace": "smpte170m",
    "color_primaries": "smpte170m",
    "color_trc": "smpte170m",
    "color_range": "tv",
}
_H264 = VideoEncoder("libx264", "yuv420p", {"preset": "ultrafast", "crf": "20", **_COLOURS})
_VP9 = VideoEncoder(
    "libvpx-vp9",
    "yuv420p",
    {"deadline": "realtime", "cpu-used": "8", "crf": "30", "b": "0", **_COLOURS},
)
_MPEG4 = VideoEncoder("mpeg4", "yuv420p", {"qmin": "3", "qmax": "3"}, plays=False)
_LOSSLESS = VideoEncoder("ffv1", "bgr0", plays=False)
# The first available one is used.
_ENCODERS = {
    ".mp4": (_H264, _VP9, _MPEG4),
    ".webm": (_VP9,),
    ".mkv": (_H264, _VP9, _MPEG4),
    ".avi": (_MPEG4,),
}


class VideoWriter:
    """Pictures at a constant rate; the first one sets the size."""

    def __init__(self, path: Path, name: str, fps: float, *, lossless: bool = False) -> None:
        """`name` is the prefix of messages, `lossless` keeps every pixel (.mkv or .avi)."""
        self.path = path
        self.pictures = 0
        self._name = name
        self._rate = Fraction(fps).limit_denominator(min(1001, max(1, int(_FINEST / fps))))
        self._lossless = lossless
        self._coded: _Coded | None = None
        self._is_broken = False
        self._size = (0, 0)

    def open(self) -> None:
        """Create the temporary file, and find the encoder.

        Raises:
            SinkError: it cannot be written here.
        """
        why = output_error(self.path)
        if why is not None:
            raise SinkError(f"{self._name}: {why}")
        encoder = _LOSSLESS if self._lossless else encoder_for(self.path)
        if encoder is None or not is_there(encoder):
            raise SinkError(f"{self._name}: this PyAV cannot write {self.path.suffix} video")
        self._encoder = encoder
        self._target = atomic_write(self.path)
        try:
            self._partial = self._target.__enter__()
        except OSError as error:
            raise SinkError(f"{self._name}: cannot be written ({error.strerror})") from None

    def write(self, picture: Image) -> None:
        """Add a picture, resized if necessary; errors are reported by `close`.

        Raises:
            SinkError: this size cannot be encoded.
        """
        if self._is_broken:
            return
        if self._coded is None:
            height, width = picture.shape[:2]
            # Chroma subsampling needs even sides.
            self._size = max(2, width - width % 2), max(2, height - height % 2)
            self._coded = self._begin()
        self.pictures += 1
        try:
            self._coded.write(_fitted(picture, self._size))
        except _failures():
            self._is_broken = True

    def close(self) -> bool:
        """Finish the file and rename it; return False without any picture, then nothing stays.

        Raises:
            SinkError: not all of it could be written, as on a full disk; then nothing stays either.
        """
        if self._coded is None:
            self.discard()
            return False
        coded, self._coded = self._coded, None
        try:
            self._is_broken = not coded.close() or self._is_broken
        except _failures():
            self._is_broken = True
        if self._is_broken or _count(self._partial) != self.pictures:
            why = why_not_whole(self._partial)
            self.discard()
            reason = f": {why}" if why else "; is the disk full?"
            raise SinkError(f"{self.path} could not be written whole{reason}")
        try:
            self._target.__exit__(None, None, None)
        except OSError as error:
            raise SinkError(f"{self.path}: {error.strerror}") from None
        return True

    def discard(self) -> None:
        """Remove the temporary file."""
        if self._coded is not None:
            coded, self._coded = self._coded, None
            with contextlib.suppress(*_failures()):
                coded.discard()
        self._target.__exit__(Quit, Quit(), None)

    def _begin(self) -> "_Coded":
        try:
            kind = _FORMATS[self.path.suffix.lower()]
            return _Coded(self._partial, kind, self._encoder, self._rate, self._size)
        except _failures() as error:
            self._is_broken = True
            width, height = self._size
            raise SinkError(
                f"{self._name}: {width} x {height} pixels cannot be written ({error})"
            ) from None


class _Coded:
    """An encoder and its container."""

    def __init__(
        self, path: Path, kind: str, encoder: VideoEncoder, rate: Fraction, size: tuple[int, int]
    ) -> None:
        import av
        from av.video.reformatter import VideoReformatter

        self._file = _File(path)
        # A web player starts before it has the whole file if its index comes first.
        options = {"movflags": "+faststart"} if kind == "mp4" else {}
        self._container = av.open(
            self._file, "w", format=kind, options=options, io_open=self._file.open_again
        )
        self._make_frame: Any = av.VideoFrame.from_ndarray
        self._reformatter = VideoReformatter()
        self._pixels = encoder.pixels
        self._next = 0
        try:
            stream: Any = self._container.add_stream(encoder.name, rate=rate)
            stream.width, stream.height = size
            stream.pix_fmt = encoder.pixels
            stream.options = dict(encoder.options)
            stream.codec_context.gop_size = max(1, round(_SECONDS_BETWEEN_KEYS * rate))
            stream.codec_context.thread_count = 1
            stream.codec_context.open()
            self._stream = stream
        except BaseException:
            self._file.close()
            raise

    def write(self, bgr: Image) -> None:
        """Encode one picture."""
        frame = self._make_frame(bgr, format="bgr24")
        frame = self._reformatter.reformat(frame, format=self._pixels, interpolation=_BICUBIC)
        frame.pts = self._next
        self._next += 1
        self._container.mux(self._stream.encode(frame))

    def close(self) -> bool:
        """Encode pending pictures and finish the file; return whether all of it is on the disk."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._file.close()
        return not self._file.is_broken

    def discard(self) -> None:
        """Close the file as it is."""
        self._container.close()
        self._file.close()


class _File:
    """A file for a muxer, which hides write errors from it.

    FFmpeg's muxers crash the process if a header or an index cannot be written.
    """

    def __init__(self, path: Path) -> None:
        # What FFmpeg calls it: PyAV before 18 reads the name as ASCII when it opens the file again.
        self.name = "video"
        self.is_broken = False
        self._path = path
        self._file = path.open("wb", buffering=0)

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        try:
            while rest and not self.is_broken:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self.is_broken = True
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        try:
            self._file.close()
        except OSError:
            self.is_broken = True

    def open_again(self, _url: str, _flags: int, _options: object) -> Any:
        """Open the file for the muxer, which reads it to move its index to the front."""
        return self._path.open("rb")


def encoder_for(path: Path) -> VideoEncoder | None:
    """Return the encoder for a file of this name, by its ending; None if there is none here."""
    encoders = _ENCODERS.get(path.suffix.lower(), ())
    return next((encoder for encoder in encoders if is_there(encoder)), None)


def playback_note(path: Path) -> str:
    """Return a note about the video's playback; "" if browsers will play it.

    Other endings than .mp4 are the user's choice.
    """
    encoder = encoder_for(path)
    if encoder is None or encoder.plays or path.suffix.lower() != ".mp4":
        return ""
    return f"{path}: MPEG-4 part 2, as this PyAV has neither x264 nor VP9; browsers do not play it"


def is_there(encoder: VideoEncoder) -> bool:
    """Return whether this PyAV has an encoder."""
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    try:
        Codec(encoder.name, "w")
    except UnknownCodecError:
        return False
    return True


def _failures() -> tuple[type[Exception], ...]:
    """Return the exception types of FFmpeg, also those while a video is read again."""
    from av import FFmpegError

    return FFmpegError, OSError, ValueError, SourceError


def _count(path: Path) -> int:
    """Return the number of pictures in a video file."""
    from seqvision_edge.sources.video_decoding import open_file

    try:
        with open_file(path) as container:
            return sum(packet.size > 0 for packet in container.demux(video=0))
    except _failures():
        return 0


def _fitted(picture: Image, size: tuple[int, int]) -> Image:
    """Return the picture at the video's size, which is even and cannot change."""
    width, height = size
    if picture.shape[1] - width in (0, 1) and picture.shape[0] - height in (0, 1):
        return np.ascontiguousarray(picture[:height, :width])
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
