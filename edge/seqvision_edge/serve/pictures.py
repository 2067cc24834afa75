"""Bytes of a client → a picture, once its head has said that it is one and not too large."""

import struct

import numpy as np
from fastapi import HTTPException

from seqvision_edge.preprocess import Image, ValueRange
from seqvision_edge.serve.limits import Limits
from seqvision_edge.sources.image_files import (
    JPEG,
    MOST_SCANS,
    PNG,
    decode_image,
    has_too_many_scans,
)

# Of pictures that are not read here: where in their head it stands, and what.
_OTHERS = (
    ("WebP", 8, b"WEBP"),
    ("GIF", 0, b"GIF8"),
    ("TIFF", 0, b"II*\0"),
    ("TIFF", 0, b"MM\0*"),
    ("Radiance HDR", 0, b"#?"),
    ("BMP", 0, b"BM"),
    ("JPEG 2000", 4, b"jP  "),
    ("AVIF", 4, b"ftypavif"),
    ("HEIC", 4, b"ftyphei"),
    ("OpenEXR", 0, b"v/1\1"),
)
# Start of frame: the marker that has the size.  C4, C8 and CC are other things.
_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def is_picture(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a JPEG or PNG."""
    return head.startswith((PNG, JPEG))


def other_picture(head: bytes) -> str | None:
    """Return what another kind of picture is called; None where the first bytes are of none."""
    return next((name for name, at, mark in _OTHERS if head[at:].startswith(mark)), None)


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) as the head of a JPEG or PNG says it; None where it says nothing."""
    if data.startswith(PNG) and data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    return _jpeg_size(data) if data.startswith(JPEG) else None


def decode_picture(data: bytes, limits: Limits, value_range: ValueRange | None = None) -> Image:
    """Return a JPEG or PNG as `(height, width, 3)` BGR, as a file with these bytes is read.

    Raises:
        HTTPException: 413 too large, 422 not a picture.
    """
    check_picture(data, limits)
    bgr = decode_image(np.frombuffer(data, np.uint8), value_range)
    if bgr is None:
        raise HTTPException(422, "the picture is damaged")
    return bgr


def check_picture(data: bytes, limits: Limits) -> None:
    """Refuse by its head what is no JPEG or PNG, or too large.

    Raises:
        HTTPException: 413 too large, 422 not a picture.
    """
    if len(data) > limits.picture_bytes:
        raise HTTPException(413, f"a picture has at most {limits.picture_bytes} bytes")
    size = picture_size(data)
    if size is None or 0 in size:
        other = other_picture(data[:16])
        raise HTTPException(
            422, f"a {other} picture: send JPEG or PNG" if other else "not a JPEG or PNG picture"
        )
    if size[0] * size[1] > limits.pixels:
        raise HTTPException(
            413, f"the picture has {size[0]} x {size[1]} pixels, at most are {limits.pixels}"
        )
    if has_too_many_scans(data):
        raise HTTPException(413, f"the JPEG has more than {MOST_SCANS} scans")


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker in _SIZES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # these have no length
            at += 2
            continue
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return None
