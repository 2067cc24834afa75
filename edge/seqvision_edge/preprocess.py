"""Convert one frame as OpenCV reads it to one step of the model's input.

Training, evaluation, the verification at export and the live runner all call `prepare`, so they
cannot differ.  Normalisation is not here: it is inside the graph.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.frame import Image
from seqvision_edge.opencv import cv2

if TYPE_CHECKING:
    from seqvision_edge.card import ImageSpec

# The values that become black and white.
ValueRange = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Sizing:
    """The fields of a card's `ImageSpec`, for a process that does not import cards."""

    height: int
    width: int
    channels: Literal[1, 3]
    fit: Literal["stretch", "crop", "pad"]


def to_8_bit(image: NDArray[Any], value_range: ValueRange | None) -> Image:
    """Return a picture with 8 bits per value, as frames have.

    Args:
        image: of any shape; uint8 is returned unchanged.  NaN, such as missing depth, is black.
        value_range: the values that become 0 and 255; values outside are clipped.  None: the
            upper 8 bits of whole numbers, or 0 to 1.
    """
    if image.dtype == np.uint8:
        return np.asarray(image, np.uint8)
    if value_range is None:
        if image.dtype.kind == "u":
            return (image >> (8 * image.dtype.itemsize - 8)).astype(np.uint8)
        if image.dtype.kind == "i":
            return (image.clip(0) >> (8 * image.dtype.itemsize - 9)).astype(np.uint8)
        value_range = 0.0, 1.0
    if image.dtype == np.uint16:
        return _table(value_range)[image]
    return _scaled(image, value_range)


def depth_text(value_range: ValueRange | None) -> str:
    """Return a sentence about how pictures with more than 8 bits are read."""
    if value_range is None:
        return (
            "more than 8 bits: only the upper 8 are read, because the model was trained on 8-bit "
            "pictures"
        )
    low, high = value_range
    return f"more than 8 bits: values from {low:g} (black) to {high:g} (white) are read"


@lru_cache(maxsize=8)
def _table(value_range: ValueRange) -> Image:
    """Return a lookup table for the 16-bit values: faster than computing."""
    return _scaled(np.arange(1 << 16), value_range)


def _scaled(image: NDArray[Any], value_range: ValueRange) -> Image:
    low, high = value_range
    shares = (np.nan_to_num(image.astype(np.float64), nan=low) - low) / (high - low)
    return np.rint(255 * shares.clip(0, 1)).astype(np.uint8)


def prepare(bgr: Image, spec: "ImageSpec | Sizing") -> Image:
    """Return a frame as a model step.

    Args:
        bgr: `(height, width)` grey, `(height, width, 3)` BGR or `(height, width, 4)` BGRA, uint8.
        spec: the target size, from the model's card.

    Returns:
        `(spec.height, spec.width, spec.channels)` uint8, RGB or grey, contiguous.
    """
    if bgr.ndim == 2:
        bgr = cv2.cvtColor(bgr, cv2.COLOR_GRAY2BGR)
    elif bgr.shape[2] == 4:
        bgr = cv2.cvtColor(bgr, cv2.COLOR_BGRA2BGR)
    if spec.fit == "crop":
        bgr = _centre_crop(bgr, spec.width / spec.height)
    sized = _pad(bgr, spec) if spec.fit == "pad" else _resize(bgr, spec.width, spec.height)
    if spec.channels == 1:
        return cv2.cvtColor(sized, cv2.COLOR_BGR2GRAY)[:, :, None]
    return cv2.cvtColor(sized, cv2.COLOR_BGR2RGB)


def _resize(image: Image, width: int, height: int) -> Image:
    """Resize without aliasing, at a thirtieth of the cost of INTER_AREA.

    A plain linear shrink by more than two skips pixels and flickers; INTER_AREA on a whole camera
    frame costs more than a small network.  Linear to twice the size, then an exact 2 x 2 mean, is
    within 2 grey levels of INTER_AREA on photographs.
    """
    source_height, source_width = image.shape[:2]
    if (source_width, source_height) == (width, height):
        return image
    if source_width >= 2 * width and source_height >= 2 * height:
        image = cv2.resize(image, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    if source_width >= width and source_height >= height:
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def _centre_crop(image: Image, aspect: float) -> Image:
    """Return the largest centred part whose width / height is `aspect`."""
    height, width = image.shape[:2]
    crop_width = min(width, max(1, round(height * aspect)))
    crop_height = min(height, max(1, round(width / aspect)))
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    return image[top : top + crop_height, left : left + crop_width]


def _pad(image: Image, spec: "ImageSpec | Sizing") -> Image:
    """Return the whole frame, its aspect ratio kept, centred between black bars."""
    height, width = image.shape[:2]
    scale = min(spec.width / width, spec.height / height)
    inner_width = min(spec.width, max(1, round(width * scale)))
    inner_height = min(spec.height, max(1, round(height * scale)))
    canvas = np.zeros((spec.height, spec.width, 3), np.uint8)
    top, left = (spec.height - inner_height) // 2, (spec.width - inner_width) // 2
    canvas[top : top + inner_height, left : left + inner_width] = _resize(
        image, inner_width, inner_height
    )
    return canvas
