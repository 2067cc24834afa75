"""Damaged pictures and videos: `mutated(kind, seed)`, the same for the same seed."""

import random
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import av
import numpy as np

from seqvision_edge.opencv import cv2

# Values at the borders of what a size, a count or an offset can be.
ODD = (0, 1, 7, 0xFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF0, 1 << 28)
VIDEOS = (
    ("mp4", "mpeg4", "yuv420p"), ("mp4", "libx264", "yuv420p"), ("mov", "mjpeg", "yuvj420p"),
    ("mov", "png", "rgb24"), ("mkv", "ffv1", "yuv420p"), ("mkv", "libx264", "yuv420p"),
    ("avi", "mpeg4", "yuv420p"), ("avi", "mjpeg", "yuvj420p"), ("avi", "png", "rgb24"),
    ("webm", "libvpx", "yuv420p"), ("webm", "libvpx-vp9", "yuv420p"),
    ("ts", "mpeg2video", "yuv420p"), ("ts", "libx264", "yuv420p"), ("gif", "gif", "rgb8"),
    ("flv", "flv1", "yuv420p"), ("nut", "rawvideo", "rgb24"), ("mpg", "mpeg1video", "yuv420p"),
    ("mxf", "mpeg2video", "yuv420p"),
)  # fmt: skip
PICTURES = (
    ".jpg",
    ".png",
    ".bmp",
    ".webp",
    ".gif",
    ".tiff",
    ".pgm",
    ".jp2",
    ".hdr",
    ".avif",
    ".sr",
)


def _pixels(number: int) -> "np.ndarray":
    generator = np.random.default_rng(number)
    frame = generator.integers(0, 60, (48, 64, 3), np.uint8)
    frame[8:24, 6 * number : 6 * number + 16] = (250, 200, 90)
    return frame


@cache
def videos() -> tuple[bytes, ...]:
    """Return one sound video of each kind that this PyAV can write."""
    made = []
    for suffix, codec, pixels in VIDEOS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"a.{suffix}"
            try:
                with av.open(str(path), "w") as container:
                    stream = container.add_stream(codec, rate=25)
                    stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
                    for number in range(6):
                        frame = av.VideoFrame.from_ndarray(_pixels(number), "bgr24")
                        container.mux(stream.encode(frame))
                    container.mux(stream.encode())
            except (av.FFmpegError, ValueError):
                continue
            made.append(path.read_bytes())
    return tuple(made)


@cache
def pictures() -> tuple[bytes, ...]:
    """Return sound pictures of each kind that this OpenCV can write."""
    frame, made = _pixels(2), []
    for suffix in PICTURES:
        for image in (frame, frame[..., 0], np.dstack([frame, frame[..., :1]])):
            try:
                good, data = cv2.imencode(suffix, image)
            except cv2.error:
                continue
            # A file is named so, and what is in it is known by its first bytes.
            if good and cv2.imdecode(data, cv2.IMREAD_COLOR) is not None:
                made.append(data.tobytes())
    progressive = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    made.append(cv2.imencode(".jpg", frame, progressive)[1].tobytes())
    made.append(cv2.imencode(".png", frame.astype(np.uint16) * 256)[1].tobytes())
    return tuple(made)


def mutated(kind: str, seed: int) -> bytes:
    """Return a video or picture with one to six things wrong."""
    choice = random.Random(seed)
    sound = {"videos": videos, "pictures": pictures}[kind]()
    content = bytearray(choice.choice(sound))
    for _ in range(choice.choice((1, 1, 2, 3, 6))):
        choice.choice(MUTATIONS)(content, choice)
        if not content:
            break
    return bytes(content)


def _offset(content: bytearray, choice: random.Random) -> int:
    """Return an offset, more often one in the header, where the sizes are."""
    head = choice.random() < 0.6
    return choice.randrange(min(len(content), 700) if head else len(content))


def _flip(content: bytearray, choice: random.Random) -> None:
    for _ in range(choice.choice((1, 1, 4, 30))):
        content[_offset(content, choice)] ^= 1 << choice.randrange(8)


def _number(content: bytearray, choice: random.Random) -> None:
    """Put an odd number somewhere, of 2, 4 or 8 bytes."""
    form = choice.choice((">H", "<H", ">I", ">I", "<I", ">Q"))
    size = struct.calcsize(form)
    at = _offset(content, choice)
    content[at : at + size] = struct.pack(form, choice.choice(ODD) & ((1 << 8 * size) - 1))


def _box_size(content: bytearray, choice: random.Random) -> None:
    """Give a box or chunk, known by its four letters, another size."""
    names = [
        location
        for location in range(4, len(content) - 8)
        if content[location : location + 4].isalpha()
    ]
    if names:
        at = choice.choice(names) + choice.choice((-4, 4))
        content[at : at + 4] = struct.pack(choice.choice((">I", "<I")), choice.choice(ODD))


def _truncate(content: bytearray, choice: random.Random) -> None:
    del content[choice.randrange(1, len(content) + 1) :]


def _cut_out(content: bytearray, choice: random.Random) -> None:
    at = _offset(content, choice)
    del content[at : at + choice.choice((1, 4, 100, 1000))]


def _repeat(content: bytearray, choice: random.Random) -> None:
    at = _offset(content, choice)
    part = content[at : at + choice.choice((4, 64, 900))]
    content[at:at] = part * choice.choice((1, 3, 50))


def _blank(content: bytearray, choice: random.Random) -> None:
    at, count = _offset(content, choice), choice.choice((4, 32, 400))
    content[at : at + count] = bytes([choice.choice((0, 0xFF))]) * count


def _splice(content: bytearray, choice: random.Random) -> None:
    other = choice.choice((*videos(), *pictures()))
    at = _offset(content, choice)
    content[at:] = other[choice.randrange(len(other)) :]


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _flip, _number, _number, _box_size, _box_size, _truncate, _cut_out, _repeat, _blank,
    _splice,
)  # fmt: skip
