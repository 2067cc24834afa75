"""Convert a decoded video frame to the picture a player shows: upright, unmirrored, in square
pixels.

    pictures = Pictures(stream)
    for frame in container.decode(stream):
        bgr = pictures.to_bgr(frame)

Files and network streams are converted here, so that they cannot differ.  Importing this module
imports PyAV, which takes a tenth of a second: import it where a video is opened.

FFmpeg allocates some 32 bytes for each sample that a table declares, even if one number describes
all of them: a file of 700 bytes can claim 4 GB.  An edit list may repeat them all.  Here the boxes
are walked as FFmpeg walks them, but only counted.
"""

import contextlib
import ctypes
import math
import os
import platform
import re
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Final

import av
import av.filter
import av.logging
import numpy as np
from av.container import InputContainer
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from seqvision_edge.errors import SourceError
from seqvision_edge.frame import MAX_PIXELS, FrameRefused, FrameTooLarge, Image
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import ValueRange, to_8_bit

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT_BYTES = 64 << 20
_LARGEST_KEPT = 32 << 20

# The versions that determine the pixels of a decoded video.
DECODER = "libavcodec {}.{}.{} libswscale {}.{}.{}".format(
    *av.library_versions["libavcodec"], *av.library_versions["libswscale"]
)

# Each stream's first frame is decoded: a file of many streams would take memory for them all.
_MAX_STREAMS = 32

# A file must not open other files or the network.
_FILE_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": (
        "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,mjpeg,h264,hevc,m4v,"
        "dv,mxf,ivf,obu,nut,yuv4mpegpipe,"
        # Only to distinguish an audio file from a damaged video.
        "mp3,flac,wav,aac"
    ),
    "max_streams": str(_MAX_STREAMS),
}

_MP4_BEGINS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp")
_LISTING = (
    b"\x1aE\xdf\xa3",
    b"RIFF",
    b"GIF8",
    b"OggS",
    b"nut/multimedia",
    b"0&\xb2u",
    b"YUV4MPEG2",
)
# Old MPEG and Flash codecs, whose rate or size no parser reports.
_MUST_BE_DECODED = "mpeg1video,mpeg2video,h261,h263,flv,vp6,vp6a,vp6f"

# FFmpeg's own flags for changing pixel formats.  For progressive frames the result is bit-identical
# to that of OpenCV's reader.
_BICUBIC = int(Interpolation.BICUBIC)
# Before PyAV 15 the conversion has one thread and no such option.
_ONE_THREAD: dict[str, Any] = (
    {"threads": 1} if "threads" in (VideoReformatter.reformat.__doc__ or "") else {}
)
# A larger pixel aspect is a damaged header, not a picture format.
_MOST_STRETCHED = 8

# 77 hours of video at 30 frames per second with sound; FFmpeg's index of it takes 0.5 GB.
MAX_SAMPLES: Final = 1 << 24
_MAX_BOXES: Final = 1 << 20
_MAX_DEPTH: Final = 16
# The boxes in which FFmpeg looks for others; `free` may hide a header.
_CONTAINERS: Final = frozenset(
    b"moov trak mdia minf stbl edts moof traf mvex udta meta wave sinf schi dinf free hoov".split()
)
_TRUN_FIELDS: Final = 0xF00  # flags of a run that has values for each sample

# FFmpeg and x264 write to stderr by themselves; our own one-line errors are enough.
av.logging.set_level(None)


def _keep_freed_frames() -> None:
    """Make glibc keep the memory of a frame for the next one, which has the same size.

    By default it returns each to the kernel, which clears every page again: a quarter of the
    decoding time.  Settings made by the user in `MALLOC_…_` or `GLIBC_TUNABLES` are kept.
    """
    own = {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"}
    if platform.libc_ver()[0] != "glibc" or own & os.environ.keys():
        return
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)


_keep_freed_frames()


def decoder_options(max_pixels: int = MAX_PIXELS) -> dict[str, str]:
    """Return the options that make a decoder refuse larger frames before allocating one."""
    return {"max_pixels": str(max_pixels)}


def open_file(path: Path, max_pixels: int = MAX_PIXELS) -> InputContainer:
    """Open a local file, and nothing else.

    FFmpeg decodes the first frames itself, to learn properties the file does not declare: the limit
    applies there too.

    Raises:
        SourceError: it is not a video, or may not be read.
    """
    # The absolute path of an existing file cannot be taken for an FFmpeg URL.
    name = f"file:{path.absolute()}"
    options = {**_FILE_OPTIONS, **decoder_options(max_pixels)}
    try:
        check_tables(path)
        if not _names_its_streams(path):
            # FFmpeg ignores the limits for streams that it discovers while reading: for codecs with
            # huge pictures it uses their parsers, and decodes none to learn more.
            with av.open(name, options={**options, "codec_whitelist": "none"}) as container:
                for stream in _decodable(container):
                    check_size(stream.width, stream.height, max_pixels)
                _check_first_flash(container, max_pixels)
            options["codec_whitelist"] = _MUST_BE_DECODED
        container = av.open(name, options=options)
        if max_pixels < MAX_PIXELS and not all(each.width for each in _decodable(container)):
            # FFmpeg discards a size that it may not decode: so the limit is raised a little.
            with av.open(name, options={**options, **decoder_options(MAX_PIXELS)}) as larger:
                for stream in _decodable(larger):
                    check_size(stream.width, stream.height, max_pixels)
        return container
    except FrameTooLarge:
        raise
    except PermissionError as error:
        raise SourceError(f"cannot be read ({error.strerror})") from None
    except (av.FFmpegError, OSError, ValueError):
        raise SourceError("not a video that can be read") from None


def _check_first_flash(container: InputContainer, max_pixels: int) -> None:
    """Refuse a Flash video whose first frame is too large; only the frames declare their size.

    Its decoder allocates that size before it checks a limit.

    Raises:
        FrameTooLarge: it is too large.
    """
    streams = [each for each in _decodable(container) if each.codec_context.name == "flv"]
    for packet in container.demux(streams) if streams else ():
        if packet.size:
            check_size(*_flash_size(bytes(packet)), max_pixels)
            return


def _flash_size(frame: bytes) -> tuple[int, int]:
    """Return the width and height in the header of a Sorenson H.263 frame; 0, 0 for a preset.

    17 bits of a start code, 5 of a version, 8 of a time, 3 of a kind of size, then the size.
    """
    bits = int.from_bytes(frame[:9].ljust(9, b"\0"), "big")
    kind = bits >> 72 - 33 & 7
    if kind > 1:
        return 0, 0
    length = 16 if kind else 8
    mask = (1 << length) - 1
    return bits >> 72 - 33 - length & mask, bits >> 72 - 33 - 2 * length & mask


def _decodable(container: InputContainer) -> list[VideoStream]:
    """Return the video streams that have a decoder here: the others have no known size."""
    return [stream for stream in container.streams.video if stream.codec_context]


def _names_its_streams(path: Path) -> bool:
    """Return whether a file's container lists its streams in the header, as nearly all do."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] in _MP4_BEGINS or head.startswith(_LISTING)


def codec_name(stream: VideoStream) -> str:
    """Return FFmpeg's name of a codec without a decoder here, else its FourCC."""
    try:
        # Only FFmpeg's own log of a file has it.
        av.logging.set_level(av.logging.INFO)
        container: Any = stream.container
        about = container.dumps_format()
    finally:
        av.logging.set_level(None)
    found = re.search(rf"Stream #0:{stream.index}\b.*?: Video: (\w+)(?: \((\w+))?", about)
    names = [name for name in found.groups() if name and name != "none"] if found else []
    return names[0] if names else "unknown"


class Pictures:
    """Convert the frames of one video stream, whose size and format may change."""

    def __init__(
        self,
        stream: VideoStream,
        value_range: ValueRange | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        """Use the pixel aspect of the stream, if it has one.

        `value_range` holds the black and white values of deep grey frames; a frame above
        `max_pixels` is refused, also if only its stretched size is.
        """
        self._max_pixels = max_pixels
        self._value_range = value_range
        self._stream = stream
        self._reformatter = VideoReformatter()
        self._progressive: _Progressive | None = None
        self._coded: tuple[int, int, Fraction | None] = (0, 0, None)
        self._size = (0, 0)
        self._turns: dict[int, tuple[bool, bool, bool]] = {}

    def to_bgr(self, frame: VideoFrame) -> Image:
        """Return `(height, width, 3)` BGR uint8, contiguous, writable, as a player shows the frame.

        The pixel aspect is applied by enlarging the side that is too short, then the display
        matrix: its quarter turns and mirrors.  Colours are converted by the frame's own matrix and
        range, BT.601 and limited where it names none.  Interlaced frames stay whole.

        Raises:
            FrameRefused: the frame is too large, or cannot be converted.
        """
        width, height = self._size_of(frame)
        if self._value_range is not None and is_deep(frame.format):
            grey = to_8_bit(deep_values(frame), self._value_range)
            bgr = cv2.cvtColor(cv2.resize(grey, (width, height)), cv2.COLOR_GRAY2BGR)
            return _turned(bgr, self._orientation(frame))
        if frame.interlaced_frame:
            # swscale would convert each field separately, and colours would differ from FFmpeg's.
            frame = self._as_progressive(frame)
        try:
            converted = self._reformatter.reformat(
                frame, width, height, "bgr24", interpolation=_BICUBIC, **_ONE_THREAD
            )
        except (av.FFmpegError, ValueError) as error:
            kind = frame.format.name
            raise FrameRefused(f"{kind} frames cannot be converted ({error})") from None
        return _turned(_pixels(converted), self._orientation(frame))

    def _orientation(self, frame: VideoFrame) -> tuple[bool, bool, bool]:
        """Return how a frame is turned, computed only if its display matrix changes.

        A frame whose side data was read references itself: hundreds of them would wait for the
        garbage collector.
        """
        angle = frame.rotation
        if angle not in self._turns:
            self._turns[angle] = orientation(frame)
        return self._turns[angle]

    def _size_of(self, frame: VideoFrame) -> tuple[int, int]:
        coded = frame.width, frame.height, self._stream.sample_aspect_ratio
        if coded != self._coded:
            width, height = square_pixels(*coded)
            check_size(width, height, self._max_pixels)
            self._coded, self._size = coded, (width, height)
        return self._size

    def _as_progressive(self, frame: VideoFrame) -> VideoFrame:
        if self._progressive is None or not self._progressive.fits(frame):
            self._progressive = _Progressive(frame)
        return self._progressive(frame)


def is_deep(kind: VideoFormat | None) -> bool:
    """Return whether frames are grey with more than 8 bits, such as those of depth cameras."""
    name = kind.name.removesuffix("le").removesuffix("be") if kind is not None else ""
    return name in ("gray9", "gray10", "gray12", "gray14", "gray16", "grayf32")


def deep_values(frame: VideoFrame) -> NDArray[Any]:
    """Return the values of a deep frame as stored, `(height, width)`.

    Raises:
        FrameRefused: they cannot be read.
    """
    try:
        values = frame.to_ndarray()
    except (av.FFmpegError, ValueError) as error:
        raise FrameRefused(f"{frame.format.name} frames cannot be read ({error})") from None
    return values.astype(values.dtype.newbyteorder("="))


class _Progressive:
    """Mark interlaced frames as progressive, without changing their pixels."""

    def __init__(self, frame: VideoFrame) -> None:
        self._kind = frame.width, frame.height, frame.format.name
        self._graph = av.filter.Graph()
        source = self._graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=frame.time_base or Fraction(1, 1000),
        )
        self._graph.link_nodes(
            source, self._graph.add("setfield", "prog"), self._graph.add("buffersink")
        ).configure()

    def fits(self, frame: VideoFrame) -> bool:
        return self._kind == (frame.width, frame.height, frame.format.name)

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        self._graph.vpush(frame)
        return self._graph.vpull()


def check_size(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse frames above the limit.

    Raises:
        FrameTooLarge: the frame is larger.
    """
    if width * height > max_pixels:
        raise FrameTooLarge(
            f"frames of {width} x {height} pixels; the most that is read is {max_pixels >> 20} Mpx"
        )


def square_pixels(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """Return the size of a frame in square pixels: the side that is too short is enlarged.

    Args:
        width: pixels in a row, as coded.
        height: rows, as coded.
        aspect: width / height of one pixel; None or 0 where it is not known.
    """
    if not aspect or not 1 / _MOST_STRETCHED <= aspect <= _MOST_STRETCHED:
        return width, height
    if aspect > 1:
        return math.floor(width * aspect + Fraction(1, 2)), height
    return width, math.floor(height / aspect + Fraction(1, 2))


def orientation(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """Return the orientation of a frame: transposed first, then flipped in x, then in y.

    The eight orientations of phones and browsers are supported; other angles count as the nearest.
    """
    data: Any = frame.side_data.get("DISPLAYMATRIX") if frame.side_data else None
    if data is None:
        return False, False, False
    # A pixel at (x, y) is shown at (a x + c y, b x + d y).
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data)[:36])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, c < 0, b < 0
    return False, a < 0, d < 0


def _pixels(frame: VideoFrame) -> Image:
    """Return the pixels of a bgr24 frame; they share its memory if its rows are contiguous."""
    plane: Any = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8)[: frame.height * plane.line_size]
    packed = rows.reshape(frame.height, plane.line_size)[:, : 3 * frame.width]
    return np.ascontiguousarray(packed).reshape(frame.height, frame.width, 3)


def _turned(bgr: Image, how: tuple[bool, bool, bool]) -> Image:
    transpose, flip_x, flip_y = how
    if transpose:
        bgr = cv2.transpose(bgr)
    if flip_x or flip_y:
        bgr = cv2.flip(bgr, -1 if flip_x and flip_y else int(flip_x))
    return bgr


class _TooMany(Exception):  # noqa: N818
    pass


class _Counts:
    """The counts so far, of the whole file and of the current track."""

    def __init__(self) -> None:
        self.boxes = self.total = self.samples = self.edits = 0
        self.is_sound = self.is_even = False

    def end_track(self) -> None:
        """Add a track, whose samples each edit may repeat; FFmpeg indexes plain sound by chunks."""
        if not (self.is_sound and self.is_even):
            self.total += self.samples * max(1, self.edits)
        self.samples = self.edits = 0
        self.is_sound = self.is_even = False
        if self.total > MAX_SAMPLES:
            raise _TooMany(f"it claims {self.total} frames and sounds, at most are {MAX_SAMPLES}")


def check_tables(path: Path) -> None:
    """Refuse a file whose tables claim more than a real video has; only MP4-like files have them.

    Raises:
        SourceError: it claims too much, or its header is compressed or has too many parts.
        OSError: it cannot be read.
    """
    counts = _Counts()
    with path.open("rb") as file:
        try:
            _walk(file, 0, os.fstat(file.fileno()).st_size, counts, 0)
            counts.end_track()
        except _TooMany as reason:
            raise SourceError(f"not a video that can be read, {reason}") from None
        except struct.error:  # truncated in the middle of a box
            pass


def _walk(file: BinaryIO, at: int, end: int, counts: _Counts, depth: int) -> None:
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        begin = at + 8
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
            begin += 8
        if size == 0:
            size = end - at
        if size < begin - at:
            return
        counts.boxes += 1
        if counts.boxes > _MAX_BOXES:
            raise _TooMany(f"it has more than {_MAX_BOXES} parts")
        _see(file, kind, begin, min(end, at + size), counts, depth)
        at += size


def _see(file: BinaryIO, kind: bytes, begin: int, end: int, counts: _Counts, depth: int) -> None:
    if kind == b"cmov":
        raise _TooMany("its header is compressed")
    if kind in (b"trak", b"traf"):
        counts.end_track()
    if kind in _CONTAINERS:
        if depth < _MAX_DEPTH:
            _walk(file, begin, end, counts, depth + 1)
    elif kind in (b"stsz", b"stz2"):
        _, same, count = struct.unpack(">III", file.read(12))
        # Sizes stored in the file cannot outnumber its bytes.
        room = count if kind == b"stsz" and same else 2 * (end - begin)
        counts.samples += min(count, room)
    elif kind == b"hdlr":
        of = file.read(12)[8:]
        # Another handler is that of the data, not of the track.
        counts.is_sound = of == b"soun" or (counts.is_sound and of != b"vide")
    elif kind == b"stts":
        _, entries, _, duration = struct.unpack(">IIII", file.read(16))
        counts.is_even = (entries, duration) == (1, 1)
    elif kind == b"trun":
        flags, count = struct.unpack(">II", file.read(8))
        counts.samples += min(count, end - begin) if flags & _TRUN_FIELDS else count
    elif kind == b"elst":
        _, count = struct.unpack(">II", file.read(8))
        counts.edits += min(count, (end - begin) // 12)
