"""Text and panels on a picture: what OpenCV draws, made smooth and legible.

Every function draws in place on a BGR picture; colours are red, green, blue as in `palette`.
"""

import functools
import unicodedata

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.opencv import cv2
from seqvision_edge.palette import Colour
from seqvision_edge.preprocess import Image

# OpenCV 5 brings a font with Latin, Greek, Cyrillic, Arabic and CJK letters; OpenCV 4 knows ASCII.
_HAS_FONT = hasattr(cv2, "FontFace")
_STROKES = cv2.FONT_HERSHEY_SIMPLEX
_BOLD = 600
_ELLIPSIS = "…" if _HAS_FONT else "..."
_SMOOTH = 4
_OUTSIDE_FONT = 0xFFFF


def text_width(text: str, size: float, weight: int = 400) -> int:
    """Return how many pixels wide the text is at a size in pixels."""
    text = drawable(text)
    if _HAS_FONT:
        box = cv2.getTextSize((0, 0), text, (0, 0), _font(), round(size), weight)
        return int(box[2])
    scale, thickness = _strokes(size, weight)
    return int(cv2.getTextSize(text, _STROKES, scale, thickness)[0][0])


def put_text(
    picture: Image,
    text: str,
    at: tuple[float, float],
    size: float,
    colour: Colour,
    weight: int = 400,
) -> None:
    """Write one line; `at` is the left end of its base line, `weight` 400 is regular, 600 bold."""
    where = round(at[0]), round(at[1])
    text = drawable(text)
    if _HAS_FONT:
        cv2.putText(picture, text, where, colour[::-1], _font(), round(size), weight)
        return
    scale, thickness = _strokes(size, weight)
    cv2.putText(picture, text, where, _STROKES, scale, colour[::-1], thickness, cv2.LINE_AA)


def fitted(
    text: str, width: float, size: float, weight: int = 400, *, shrink: bool = True
) -> tuple[str, float]:
    """Return the text and the size at which it is at most `width` pixels wide.

    Letters shrink to two thirds; what is still too long is cut and ends in an ellipsis.
    """
    smallest = size * 2 / 3 if shrink else size
    while size > smallest and text_width(text, size, weight) > width:
        size = max(smallest, size - 1)
    if text_width(text, size, weight) <= width:
        return text, size
    while text and text_width(text + _ELLIPSIS, size, weight) > width:
        text = text[:-1]
    return (text.rstrip() + _ELLIPSIS if text else ""), size


def put_panel(
    picture: Image,
    box: tuple[float, float, float, float],
    colour: Colour,
    alpha: float = 1.0,
    radius: float = 0.0,
) -> None:
    """Fill a rounded rectangle, `box` being left, top, width, height; cut at the picture's edge."""
    left, top = max(0, round(box[0])), max(0, round(box[1]))
    right = min(picture.shape[1], round(box[0] + box[2]))
    bottom = min(picture.shape[0], round(box[1] + box[3]))
    if right <= left or bottom <= top:
        return
    part = picture[top:bottom, left:right]
    size = min(round(radius), (right - left) // 2, (bottom - top) // 2)
    corners = [part[rows, columns] for rows, columns in _corners(size)]
    before = [corner.copy() for corner in corners]
    # Whole-array calls of OpenCV: blending with a mask of the panel's size costs ten times as much.
    paint = [alpha * channel for channel in colour[::-1]]
    cv2.add(cv2.convertScaleAbs(part, alpha=1 - alpha), (*paint, 0), dst=part)
    for corner, old, cover in zip(corners, before, _covers(size), strict=True):
        corner[:] = old + (corner.astype(np.float32) - old) * cover + 0.5


def drawable(text: str) -> str:
    """Return the text with what the font lacks told otherwise, never as a row of `?`.

    Beyond the font are emoji and rare scripts: they are given by name.  OpenCV 4 also lacks all but
    ASCII: accents are taken off, other letters become their code.
    """
    text = "".join(_named(letter) if ord(letter) > _OUTSIDE_FONT else letter for letter in text)
    if _HAS_FONT or text.isascii():
        return text
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", text)
        if not unicodedata.combining(letter)
    )
    return plain.encode("ascii", "backslashreplace").decode("ascii")


def _named(letter: str) -> str:
    return f"[{unicodedata.name(letter, f'U+{ord(letter):X}').lower()}]"


@functools.lru_cache(maxsize=1)
def _font() -> "cv2.FontFace":
    return cv2.FontFace("sans")


def _strokes(size: float, weight: int) -> tuple[float, int]:
    """Return the scale and thickness that make OpenCV 4's strokes as large as a font of `size`."""
    thickness = max(1, round(size / (13 if weight >= _BOLD else 18)))
    return cv2.getFontScaleFromHeight(_STROKES, max(1, round(0.72 * size)), thickness), thickness


def _corners(size: int) -> list[tuple[slice, slice]]:
    """Return where the four corners of a panel are, as rows and columns."""
    if not size:
        return []
    sides = slice(None, size), slice(-size, None)
    return [(rows, columns) for rows in sides for columns in sides]


@functools.lru_cache(maxsize=64)
def _covers(size: int) -> list[NDArray[np.float32]]:
    """Return how much of each pixel a round corner covers, `(size, size, 1)` for each corner."""
    if not size:
        return []
    steps = np.arange(size * _SMOOTH, dtype=np.float32) + 0.5
    inside = np.hypot(steps[:, None], steps[None, :]) <= size * _SMOOTH
    cover = inside.reshape(size, _SMOOTH, size, _SMOOTH).mean((1, 3), dtype=np.float32)[:, :, None]
    return [cover[::-1, ::-1], cover[::-1], cover[:, ::-1], cover]
