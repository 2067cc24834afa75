"""Draw text, panels and one colour per label on a picture, anti-aliased and legible.

Every function draws in place on a BGR picture; colours are red, green, blue as in `palette`.
"""

import colorsys
import functools
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.frame import Image
from seqvision_edge.opencv import cv2

# OpenCV 5 has a font with Latin, Greek, Cyrillic, Arabic and CJK; OpenCV 4 only ASCII.
_HAS_FONT = hasattr(cv2, "FontFace")
_STROKES = cv2.FONT_HERSHEY_SIMPLEX
_BOLD = 600
ELLIPSIS = "…" if _HAS_FONT else "..."
_SMOOTH = 4
_OUTSIDE_FONT = 0xFFFF
_TONES = "".join(map(chr, range(0x1F3FB, 0x1F400)))
_REGIONS = "".join(map(chr, range(0x1F1E6, 0x1F200)))
_SOUND = re.compile(r"(?:LETTER|CHARACTER|SYLLABLE) (?:SMALL |CAPITAL )*([A-Z]+)")
# After such a character a label may be wrapped; between two CJK characters as well.
_BORDERS = re.compile(
    r"(?<=[\s_\-/.,:;|)\]])(?=\S)|(?<=[a-z0-9])(?=[A-Z])"
    r"|(?=[\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3])|(?<=[\u3041-\u30ff\u3400-\u9fff])"
)

Colour = tuple[int, int, int]

BACKGROUND: Colour = (148, 163, 184)
_FIRST: tuple[Colour, ...] = (
    (56, 189, 248),
    (251, 146, 60),
    (163, 230, 53),
    (244, 114, 182),
    (250, 204, 21),
    (167, 139, 250),
    (45, 212, 191),
    (248, 113, 113),
    (96, 165, 250),
    (217, 70, 239),
)
_GOLDEN = 0.618034


def text_width(text: str, size: float, weight: int = 400) -> int:
    """Return the width of a text in pixels, at a size in pixels."""
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
    """Draw one line; `at` is the left end of its base line, `weight` 400 is regular, 600 bold."""
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
    """Return the text, and the size at which it is at most `width` pixels wide.

    The size shrinks to two thirds; a text that is still too long is cut and ends in an ellipsis.
    """
    text = drawable(text)
    smallest = size * 2 / 3 if shrink else size
    while size > smallest and text_width(text, size, weight) > width:
        size = max(smallest, size - 1)
    if text_width(text, size, weight) <= width:
        return text, size
    while text and text_width(text + ELLIPSIS, size, weight) > width:
        text = text[:-1]
    return (text.rstrip() + ELLIPSIS if text else ""), size


@functools.lru_cache(maxsize=1024)  # few labels, drawn on every frame
def wrapped(
    text: str, width: float, size: float, weight: int = 400, *, most: int = 2
) -> tuple[tuple[str, ...], float]:
    """Return the text in at most `most` lines of `width` pixels, and the font size.

    Lines break between words, after `_` and the like, and at `camelCase`; never inside a word.  The
    size shrinks to three quarters before another line is used, and with the last one to 0.6; a text
    that is still too long is cut and ends in an ellipsis.
    """
    pieces = [piece for piece in _BORDERS.split(drawable(text)) if piece]
    for count in range(1, most + 1):
        smallest = size * (0.75 if count < most else 0.6)
        tried = size
        while True:
            lines = _lines(pieces, width, tried, weight)
            widest = max(text_width(line.strip(), tried, weight) for line in lines)
            if widest <= width and len(lines) <= count:
                return tuple(line.strip() for line in lines), tried
            if tried <= smallest:
                break
            tried = max(smallest, tried - 1)
    lines = [*lines[: most - 1], *filter(None, ["".join(lines[most - 1 :])])]
    cut = (fitted(line.strip(), width, tried, weight, shrink=False)[0] for line in lines)
    return tuple(cut), tried


def _lines(pieces: Sequence[str], width: float, size: float, weight: int) -> list[str]:
    """Return pieces joined into lines, as many in each as fit."""
    lines = [""]
    for piece in pieces:
        if lines[-1] and text_width((lines[-1] + piece).rstrip(), size, weight) > width:
            lines.append("")
        lines[-1] += piece
    return lines


def put_panel(
    picture: Image,
    box: tuple[float, float, float, float],
    colour: Colour,
    alpha: float = 1.0,
    radius: float = 0.0,
) -> None:
    """Fill a rounded rectangle, `box` being left, top, width, height; clipped to the picture."""
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
    """Return the text in characters that the font has, never as a row of `?`.

    Emoji are replaced by their names, characters of other scripts by their approximate sound:
    `\u0939\u093e\u0925` is `haaatha`.  OpenCV 4 also lacks all but ASCII: accents are removed,
    other characters become their code.
    """
    if text.isascii():
        return text
    letters = unicodedata.normalize("NFC", text)
    # Joiners and skin tones have no shape of their own.
    kept = [each for each in letters if unicodedata.category(each) != "Cf" and each not in _TONES]
    text = "".join(each if _has_shape(each) else _named(each) for each in kept)
    if _HAS_FONT or text.isascii():
        return text
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", text)
        if not unicodedata.combining(letter)
    )
    return plain.encode("ascii", "backslashreplace").decode("ascii")


def _has_shape(letter: str) -> bool:
    """Return whether a character is drawn as it is; OpenCV 4 may later replace it by its code."""
    if ord(letter) > _OUTSIDE_FONT:
        return False
    return letter.isascii() or not _HAS_FONT or _is_in_font(letter)


@functools.lru_cache(maxsize=4096)
def _is_in_font(letter: str) -> bool:
    return not np.array_equal(_shape_of(letter), _shape_of("?"))


def _shape_of(letter: str) -> NDArray[np.uint8]:
    canvas = np.zeros((40, 48), np.uint8)
    cv2.putText(canvas, letter, (8, 30), (255,), _font(), 24, 400)
    return canvas


def _named(letter: str) -> str:
    """Return the sound in a character's name, `DEVANAGARI LETTER HA`, or `[thumbs up sign]`."""
    if letter in _REGIONS:
        return chr(ord("A") + _REGIONS.index(letter))
    if (digit := unicodedata.digit(letter, -1)) >= 0:
        return str(digit)
    name = unicodedata.name(letter, f"U+{ord(letter):X}")
    kind = unicodedata.category(letter)
    if kind.startswith("L") and (found := _SOUND.search(name)):
        return found[1].lower()
    if kind.startswith("M"):  # the vowels of some scripts have a sound, other marks have none
        return name.partition("VOWEL SIGN ")[2].lower().replace(" ", "")
    return f"[{name.lower()}]"


@functools.lru_cache(maxsize=1)
def _font() -> "cv2.FontFace":
    return cv2.FontFace("sans")


def _strokes(size: float, weight: int) -> tuple[float, int]:
    """Return the scale and thickness of OpenCV 4's stroke font that match a font of `size`."""
    thickness = max(1, round(size / (13 if weight >= _BOLD else 18)))
    return cv2.getFontScaleFromHeight(_STROKES, max(1, round(0.72 * size)), thickness), thickness


def _corners(size: int) -> list[tuple[slice, slice]]:
    """Return the positions of a panel's four corners, as rows and columns."""
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


"""Red, green, blue, 0 to 255."""


def colours(labels: Sequence[str], background: str | None) -> dict[str, Colour]:
    """Return the colour of each label; the background's is grey."""
    hues = [label for label in labels if label != background]
    chosen = {label: _colour(number) for number, label in enumerate(hues)}
    if background is not None:
        chosen[background] = BACKGROUND
    return chosen


def hexadecimal(colour: Colour) -> str:
    """Return the colour as `#rrggbb`."""
    red, green, blue = colour
    return f"#{red:02x}{green:02x}{blue:02x}"


def _colour(number: int) -> Colour:
    if number < len(_FIRST):
        return _FIRST[number]
    # Steps of the golden section never return to a used hue.
    red, green, blue = colorsys.hls_to_rgb(number * _GOLDEN % 1, 0.65, 0.8)
    return round(255 * red), round(255 * green), round(255 * blue)
