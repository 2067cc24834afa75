"""Regions: named parts of a picture, `door=0.1,0.2,0.4,0.9`, and the one function that cuts them.

Training, `seqvision predict` and the live runner all call `crop`, so a region's pixels are the same
in all of them; `seqvision_edge.preprocess.prepare` then sizes a crop as it sizes a whole picture.

Four numbers are two opposite corners of a rectangle (x1,y1,x2,y2); six or more are the corners of
a polygon.  Numbers with a decimal point are fractions of the picture, whole numbers are pixels.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame, Image
from seqvision_edge.sanitize import printable, redact

Point = tuple[float, float]
Size = tuple[int, int]
"""Height and width of a picture, in pixels."""

# A smaller part of a picture shows nothing.
MIN_SIDE: Final = 8
MOST_REGIONS: Final = 64
MOST_CORNERS: Final = 64
_LONGEST_NAME = 60
# Of a fraction; beyond it a pixel was meant.
_LARGEST_FRACTION = 2.0
_LARGEST_PIXEL = 1 << 16

EXAMPLE: Final = "door=0.1,0.2,0.4,0.9"


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a picture.

    Attributes:
        name: its name in every output.
        corners: (x, y) of two opposite corners of a rectangle, or of all corners of a polygon.
        in_pixels: whether they are pixels; else fractions of the picture's width and height.
    """

    name: str
    corners: tuple[Point, ...]
    in_pixels: bool = False

    def __str__(self) -> str:
        return f"{self.name}={self.numbers}" if self.name else self.numbers

    @property
    def numbers(self) -> str:
        """Its corners as text, as `parse_region` reads them."""
        values = [value for corner in self.corners for value in corner]
        if self.in_pixels:
            return ",".join(f"{value:.0f}" for value in values)
        return ",".join(repr(round(float(value), 4)) for value in values)

    @property
    def is_polygon(self) -> bool:
        return len(self.corners) > 2

    def fractions(self, size: Size) -> tuple[Point, ...]:
        """Return its corners as fractions of a picture of `size`; those outside are not clipped."""
        if not self.in_pixels:
            return self.corners
        height, width = size
        return tuple((x / width, y / height) for x, y in self.corners)

    def outline(self, size: Size) -> tuple[Point, ...]:
        """Return all its corners as fractions of a picture of `size`, inside of it, to be drawn."""
        corners = self.fractions(size)
        if not self.is_polygon:
            (x1, y1), (x2, y2) = corners
            corners = (x1, y1), (x2, y1), (x2, y2), (x1, y2)
        return tuple((min(1.0, max(0.0, x)), min(1.0, max(0.0, y))) for x, y in corners)

    def box(self, size: Size, of: Size | None = None) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom in whole pixels of a picture, clipped to it.

        Args:
            size: of the picture in which the corners are measured.
            of: of the picture whose pixels are returned, which shows the same, reduced.

        Right is at most left where all of the region is outside.
        """
        height, width = of or size
        corners = self.fractions(size)
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        left, right = (min(width, max(0, round(x * width))) for x in (min(xs), max(xs)))
        top, bottom = (min(height, max(0, round(y * height))) for y in (min(ys), max(ys)))
        return left, top, right, bottom

    def problem(self, size: Size) -> str:
        """Return what is wrong with it in a picture of `size`; "" if nothing is."""
        height, width = size
        left, top, right, bottom = self.box(size)
        xs, ys = zip(*self.fractions(size), strict=True)
        if max(xs) <= 0 or min(xs) >= 1 or max(ys) <= 0 or min(ys) >= 1:
            return f"outside the picture of {width}x{height}"
        if right - left < MIN_SIDE or bottom - top < MIN_SIDE:
            return (
                f"only {right - left}x{bottom - top} pixels of the picture of {width}x{height}; "
                f"a region has at least {MIN_SIDE}x{MIN_SIDE}"
            )
        return ""

    def is_clipped(self, size: Size) -> bool:
        """Return whether a part of it is outside a picture of `size`."""
        # Half a pixel is rounded away.
        slack_y, slack_x = 0.5 / size[0], 0.5 / size[1]
        return any(
            not (-slack_x <= x <= 1 + slack_x and -slack_y <= y <= 1 + slack_y)
            for x, y in self.fractions(size)
        )


def crop(bgr: Image, region: Region, size: Size | None = None) -> Image:
    """Return the part of a picture that a region shows; outside a polygon it is black.

    Args:
        bgr: `(height, width, channels)` uint8.
        region: the part.
        size: of the picture in which the region is measured, if `bgr` shows it reduced.

    Returns:
        `(rows, columns, channels)` uint8: a view of `bgr` for a rectangle.  A region of which
        nothing is inside gives one black pixel.
    """
    own = bgr.shape[0], bgr.shape[1]
    size = size or own
    left, top, right, bottom = region.box(size, own)
    if right <= left or bottom <= top:
        if size == own:
            return np.zeros((1, 1, *bgr.shape[2:]), np.uint8)
        # A reduced picture may have no pixel of its own for it.
        left, top = min(left, own[1] - 1), min(top, own[0] - 1)
        right, bottom = max(right, left + 1), max(bottom, top + 1)
    part = bgr[top:bottom, left:right]
    if not region.is_polygon:
        return part
    corners = np.array(region.fractions(size)) * (own[1], own[0]) - (left, top)
    # Not above: options are checked before OpenCV is imported.
    from seqvision_edge.opencv import cv2

    mask = np.zeros(part.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(corners).astype(np.int32)], 255)
    return cv2.bitwise_and(part, part, mask=mask)


def cropped(frames: Iterable[Frame], region: Region | None, name: str) -> Iterator[Frame]:
    """Yield the frames of a recording with a region's part of the picture each; None: all of it.

    `name` is that of the recording, for messages.

    Raises:
        SourceError: the region is outside the first picture, or too small in it.
    """
    is_first = True
    for frame in frames:
        if region is None:
            yield frame
            continue
        if is_first and (problem := region.problem((frame.bgr.shape[0], frame.bgr.shape[1]))):
            raise SourceError(f"{name}: region {region}: {problem}")
        is_first = False
        yield replace(frame, bgr=crop(frame.bgr, region), image=None)


def parse_region(text: str, flag: str = "--region") -> Region:
    """Parse `name=x1,y1,x2,y2`, or with the corners of a polygon; the name may be left out.

    Raises:
        SourceError: it is not a region.
    """
    name, equals, numbers = text.rpartition("=")
    where = f"{flag} {printable(redact(text[:80]))}"
    if equals and not name.strip():
        raise SourceError(f"{where}: the name is missing; give such as {EXAMPLE}")
    parts = [part.strip() for part in numbers.replace(";", ",").split(",")]
    if len(parts) == 1:
        parts = numbers.split()
    return make_region(name.strip(), parts, where)


def make_region(name: str, numbers: Sequence[object], where: str) -> Region:
    """Return the region of a name and its numbers, x1, y1, x2, y2, …, as numbers or texts.

    `where` is the beginning of messages.

    Raises:
        SourceError: they are not a region.
    """
    if len(name) > _LONGEST_NAME or not name.isprintable() or "=" in name:
        raise SourceError(
            f"{where}: a name has at most {_LONGEST_NAME} printable characters and no ="
        )
    if len(numbers) < 4 or len(numbers) % 2:
        raise SourceError(
            f"{where}: give two corners x1,y1,x2,y2, or the corners of a polygon x,y,x,y,x,y…; "
            f"such as {EXAMPLE}"
        )
    if len(numbers) > 2 * MOST_CORNERS:
        raise SourceError(f"{where}: more than {MOST_CORNERS} corners")
    values = [_number(each, where) for each in numbers]
    # 0 and 1 are both: the whole picture is 0,0,1,1.
    is_fraction = any(map(_has_point, numbers)) or all(value in (0, 1) for value in values)
    largest = _LARGEST_FRACTION if is_fraction else _LARGEST_PIXEL
    if any(abs(value) > largest for value in values):
        if is_fraction:
            raise SourceError(
                f"{where}: some numbers are fractions of the picture (0.25), others are pixels "
                "(160); give one kind"
            )
        raise SourceError(f"{where}: no picture has so many pixels")
    corners = tuple(zip(values[::2], values[1::2], strict=True))
    region = Region(name, corners, not is_fraction)
    _refuse_empty(region, where)
    if is_fraction and region.problem((_LARGEST_PIXEL, _LARGEST_PIXEL)).startswith("outside"):
        raise SourceError(f"{where}: outside the picture, which is from 0.0 to 1.0")
    return region


def from_size(name: str, numbers: Sequence[object], where: str) -> Region:
    """Return the region of x, y, width and height, as in the columns of a list.

    Raises:
        SourceError: they are not a region.
    """
    x, y, width, height = (_number(each, where) for each in numbers)
    if width <= 0 or height <= 0:
        raise SourceError(f"{where}: its width and height are above 0")
    corners = x, y, x + width, y + height
    if any(map(_has_point, numbers)) or all(value in (0, 1) for value in (x, y, width, height)):
        return make_region(name, corners, where)
    return make_region(name, [int(value) for value in corners], where)


def named(regions: Iterable[Region], flag: str = "--region") -> tuple[Region, ...]:
    """Return regions with names: those without one are numbered.

    Raises:
        SourceError: two have the same name, or there are too many.
    """
    found = [
        region if region.name else replace(region, name=f"region {number}")
        for number, region in enumerate(regions, start=1)
    ]
    if len(found) > MOST_REGIONS:
        raise SourceError(f"{flag}: more than {MOST_REGIONS} regions of one source")
    for number, region in enumerate(found):
        if any(region.name == other.name for other in found[:number]):
            raise SourceError(f"{flag} {region}: there are two regions of this name")
    return tuple(found)


def read_regions(content: Any, where: str) -> tuple[Region, ...]:
    """Return the regions of a YAML mapping from names to corners: a text, numbers, or pairs.

    Raises:
        SourceError: it is not such a mapping.
    """
    if not isinstance(content, dict) or not content:
        raise SourceError(f"{where}: give names and corners, such as door: [0.1, 0.2, 0.4, 0.9]")
    found = []
    for name, value in content.items():
        at = f"{where}: {printable(redact(str(name)[:80]))}"
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",")]
        if isinstance(value, list) and all(isinstance(pair, list) for pair in value):
            value = [number for pair in value for number in pair[:3]]
        if not isinstance(value, list):
            raise SourceError(f"{at}: give corners, such as [0.1, 0.2, 0.4, 0.9]")
        found.append(make_region(str(name), value, at))
    return named(found, where)


def check_size(regions: Iterable[Region], size: Size, where: str) -> list[str]:
    """Return a note for each region that is partly outside a picture of `size`.

    `where` is the name of the source.

    Raises:
        SourceError: a region is outside of it, or too small.
    """
    notes = []
    for region in regions:
        if problem := region.problem(size):
            raise SourceError(f"--region {region}: {problem} ({where})")
        if region.is_clipped(size):
            left, top, right, bottom = region.box(size)
            notes.append(
                f"{where}: region {region.name or region} is partly outside the picture of "
                f"{size[1]}x{size[0]}; clipped to {left},{top},{right},{bottom} pixels"
            )
    return notes


def _refuse_empty(region: Region, where: str) -> None:
    """Refuse a region without an area.

    Raises:
        SourceError: it has none.
    """
    if region.is_polygon:
        xs, ys = (np.array(each) for each in zip(*region.corners, strict=True))
        area = abs(float(np.dot(xs, np.roll(ys, 1)) - np.dot(ys, np.roll(xs, 1)))) / 2
        spread = float(np.ptp(xs) * np.ptp(ys))
        if area <= 1e-3 * spread or not area:
            raise SourceError(f"{where}: its corners are on one line; give the corners in order")
        return
    (x1, y1), (x2, y2) = region.corners
    if x2 <= x1 or y2 <= y1:
        is_size = x1 + x2 > x1 and y1 + y2 > y1
        hint = "; the last two are a corner, not a width and height" if is_size else ""
        raise SourceError(
            f"{where}: empty: x2 must be above x1, and y2 above y1, in x1,y1,x2,y2{hint}"
        )


def _number(value: object, where: str) -> float:
    """Return a number.

    Raises:
        SourceError: it is none, or not finite.
    """
    if isinstance(value, bool):
        number = None
    elif isinstance(value, int | float):
        number = float(value)
    else:
        # Not above: the process of a camera imports this file, and needs no pydantic.
        from seqvision_edge.number_parsing import parse_number

        number = parse_number(str(value).strip())
    if number is None or not math.isfinite(number):
        shown = printable(redact(str(value)[:40])) or "nothing"
        raise SourceError(f"{where}: {shown} is not a number; give such as {EXAMPLE}")
    return number


def _has_point(value: object) -> bool:
    if isinstance(value, float):
        return True
    return isinstance(value, str) and any(letter in value for letter in ".eE")
