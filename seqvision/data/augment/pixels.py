"""A clip under way: random draws, one warp and one value table for all its frames.

Several warps in a row are one matrix, and several changes of brightness one table: each frame is
interpolated once and looked up once, however many augmenters there are.

imgaug draws arrays for batches of images; a draw of one number costs it 20 to 50 µs.  A clip needs
about ten, so the usual parameters are read once and drawn from Python's own generator.
"""

import contextlib
import functools
import math
import warnings
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqvision.compat import imgaug
from seqvision_edge.opencv import cv2

Frames = NDArray[np.uint8]
Matrix = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]

IDENTITY: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

# With this many pixels or more, OpenCV's warp of four channels is faster than that of three or one.
_LARGE = 1600
# A border that makes a frame this many times larger costs more than it saves.
_MOST_BORDER = 4

_iap = imgaug.parameters

Drawn = Callable[[Random], Any]

"""Where a pixel `(x, y, 1)` goes."""


class Edge(NamedTuple):
    """How a warp reads between and beyond pixels.

    Attributes:
        border: OpenCV's border mode.
        fill: what a constant border shows, per channel; four, as OpenCV has it.
        flags: OpenCV's interpolation.
    """

    border: int = cv2.BORDER_REPLICATE
    fill: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    flags: int = cv2.INTER_LINEAR


def mirror_matrix(width: int) -> Matrix:
    """Return the matrix that exchanges left and right."""
    return (-1.0, 0.0, width - 1.0), IDENTITY[1], IDENTITY[2]


def multiply(second: Matrix, first: Matrix) -> Matrix:
    """Return the matrix that does `first`, then `second`."""
    (a, b, c), (d, e, f), (g, h, i) = first
    rows = [
        (x * a + y * d + z * g, x * b + y * e + z * h, x * c + y * f + z * i) for x, y, z in second
    ]
    return rows[0], rows[1], rows[2]


def warped(frames: Frames, matrix: Matrix, edge: Edge) -> Frames:
    """Return `(time, height, width, channels)` frames, moved by a matrix."""
    time, height, width, channels = frames.shape
    result = np.empty(frames.shape, np.uint8)
    if matrix[0][0] in (1, -1) and (code := _mirror(matrix, height, width)) is not None:
        for source, target in zip(frames, result, strict=True):
            cv2.flip(source, code, dst=target)
        return result
    # A grey frame has the first channel's fill, also where it is one channel of four.
    edge = edge._replace(fill=edge.fill if channels > 1 else edge.fill[:1] * 4)
    if height * width >= _LARGE and channels == 3:
        _warp_colour(frames, result, _bordered(matrix, (width, height), edge))
    elif height * width >= _LARGE and time >= 4 and channels == 1:
        _warp_grey(frames, result, _bordered(matrix, (width, height), edge))
    else:
        move = _mover(matrix, (width, height), edge)
        for source, target in zip(frames, result, strict=True):
            move(source, dst=target)
    return result


def looked_up(frames: Frames, table: NDArray[np.uint8], result: Frames) -> Frames:
    """Replace each pixel by the entry of a table, `(256,)` or `(256, channels)`.

    `result` takes the frames; it may be the given ones themselves.
    """
    time, height, width, channels = frames.shape
    rows: tuple[int, ...] = (time * height, width * channels)
    if table.ndim > 1:
        rows = (time * height, width, channels)
        table = np.ascontiguousarray(table).reshape(1, 256, channels)
    cv2.LUT(np.ascontiguousarray(frames).reshape(rows), table, dst=result.reshape(rows))
    return result


def _mirror(matrix: Matrix, height: int, width: int) -> int | None:
    """Return OpenCV's code where a matrix only mirrors: that is exact, and much faster."""
    across, down = (-1.0, 0.0, width - 1.0), (0.0, -1.0, height - 1.0)
    codes = {(across, IDENTITY[1]): 1, (IDENTITY[0], down): 0, (across, down): -1}
    return codes.get(matrix[:2]) if matrix[2] == IDENTITY[2] else None


def _mover(matrix: Matrix, size: tuple[int, int], edge: Edge) -> Callable[..., Any]:
    affine = matrix[2] == IDENTITY[2]
    return functools.partial(
        cv2.warpAffine if affine else cv2.warpPerspective,
        M=np.array(matrix[:2] if affine else matrix),
        dsize=size,
        flags=edge.flags,
        borderMode=edge.border,
        borderValue=edge.fill,
    )


def _bordered(matrix: Matrix, size: tuple[int, int], edge: Edge) -> Callable[..., Any]:
    """Return a warp that first gives the frame the border that it will read.

    OpenCV reads beyond an image pixel by pixel: where a fifth of the result comes from there, that
    takes as long as all the rest.
    """
    left, top, right, bottom = _beyond(matrix, size)
    width, height = size[0] + left + right, size[1] + top + bottom
    if (width, height) == size or width * height > _MOST_BORDER * size[0] * size[1]:
        return _mover(matrix, size, edge)
    shift: Matrix = ((1.0, 0.0, -left), (0.0, 1.0, -top), IDENTITY[2])
    move = _mover(multiply(matrix, shift), size, edge)
    wide = np.empty((height, width, 4), np.uint8)

    def warp(source: Frames, dst: Frames) -> None:
        cv2.copyMakeBorder(source, top, bottom, left, right, edge.border, dst=wide, value=edge.fill)
        move(wide, dst=dst)

    return warp


def _beyond(matrix: Matrix, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return how far an affine warp reads beyond the left, top, right and bottom of a frame."""
    (a, b, c), (d, e, f), last = matrix
    determinant = a * e - b * d
    if last != IDENTITY[2] or abs(determinant) < 1e-6:
        return 0, 0, 0, 0
    ends = [(x - c, y - f) for x in (0, size[0] - 1) for y in (0, size[1] - 1)]
    across = [(e * x - b * y) / determinant for x, y in ends]
    down = [(a * y - d * x) / determinant for x, y in ends]
    reads = (-min(across), -min(down), max(across) - size[0] + 1, max(down) - size[1] + 1)
    # Cubic interpolation reads two pixels further.
    left, top, right, bottom = (math.ceil(far) + 2 if far > 0 else 0 for far in reads)
    return left, top, right, bottom


def _warp_colour(frames: Frames, result: Frames, move: Callable[..., Any]) -> None:
    """Warp RGB frames with a fourth channel: 1.5 to 1.8 times as fast."""
    height, width = frames.shape[1:3]
    wide, moved = np.empty((2, height, width, 4), np.uint8)
    for source, target in zip(frames, result, strict=True):
        cv2.cvtColor(source, cv2.COLOR_RGB2RGBA, dst=wide)
        move(wide, dst=moved)
        cv2.cvtColor(moved, cv2.COLOR_RGBA2RGB, dst=target)


def _warp_grey(frames: Frames, result: Frames, move: Callable[..., Any]) -> None:
    """Warp grey frames, four as the channels of one: three times as fast."""
    height, width = frames.shape[1:3]
    wide, moved = np.empty((2, height, width, 4), np.uint8)
    last = len(frames) - 1
    for begin in range(0, len(frames), 4):
        # The last group is filled up with the last frame.
        cv2.merge([frames[min(begin + i, last)] for i in range(4)], dst=wide)
        move(wide, dst=moved)
        for channel in range(min(4, len(frames) - begin)):
            cv2.extractChannel(moved, channel, dst=result[begin + channel])


class ClipEdit:
    """Frames on their way through the augmenters of a clip."""

    def __init__(self, frames: Frames, random: Random) -> None:
        """Begin with `(time, height, width, channels)` frames, which are never written to."""
        self._given = frames
        self._frames = frames
        self._random = random
        self._matrix = IDENTITY
        self._edge: Edge | None = None
        self._table: NDArray[np.uint8] | None = None

    @property
    def random(self) -> Random:
        """The clip's generator."""
        return self._random

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(time, height, width, channels)`."""
        time, height, width, channels = self._frames.shape
        return time, height, width, channels

    def warp(self, matrix: Matrix, edge: Edge | None = None) -> None:
        """Move the pixels of all frames by a matrix; a mirror needs no edge."""
        if self._table is not None:
            self._flush()
        if edge is not None:
            if self._edge not in (None, edge):
                self._flush()
            self._edge = edge
        self._matrix = matrix if self._matrix == IDENTITY else multiply(matrix, self._matrix)

    def look_up(self, table: NDArray[np.uint8]) -> None:
        """Replace each pixel by the entry of a table, `(256,)` or `(256, channels)`."""
        before = self._table
        if before is None:
            self._table = table
        elif table.ndim == 1:
            self._table = table[before]
        elif before.ndim == 1:
            self._table = table[before, :]
        else:
            self._table = np.take_along_axis(table, before.astype(np.intp), axis=0)

    def room(self) -> Frames:
        """Return where a step may write its frames: these themselves, unless they were given.

        A new array of half a megabyte costs as much as the work of many steps on it.
        """
        self._flush()
        return self._frames if self._frames is not self._given else np.empty(self.shape, np.uint8)

    def frames(self) -> Frames:
        """Return the frames with everything that waited applied; they may be the given ones."""
        self._flush()
        return self._frames

    def replace(self, frames: Frames) -> None:
        """Go on with other frames, made of what `frames()` gave."""
        self._frames = frames

    def _flush(self) -> None:
        if self._matrix != IDENTITY:
            self._frames = warped(self._frames, self._matrix, self._edge or Edge())
            self._matrix = IDENTITY
        self._edge = None
        if self._table is not None:
            table, self._table = self._table, None
            self._frames = looked_up(self._frames, table, self.room())


Step = Callable[[ClipEdit], None]

"""What an augmenter does to a clip: draws, and changes the work."""

"""Gives the parameter's next value."""


def drawn(parameter: Any) -> Drawn:
    """Return a function that draws a value of an imgaug parameter.

    The usual ones (a number, a range, one of several, a probability) are drawn directly; any other
    by its own `draw_sample`.
    """
    kind = type(parameter)
    if kind is _iap.Deterministic:
        value = parameter.value
        return lambda random: value
    if kind is _iap.Uniform and (bounds := _bounds(parameter)):
        low, span = bounds[0], bounds[1] - bounds[0]
        return lambda random: low + span * random.random()
    if kind is _iap.DiscreteUniform and (bounds := _bounds(parameter)):
        first, count = int(bounds[0]), int(bounds[1]) - int(bounds[0]) + 1
        return lambda random: first + int(count * random.random())
    if kind is _iap.Choice and parameter.p is None and _are_plain(parameter.a):
        values = list(parameter.a)
        return lambda random: values[int(len(values) * random.random())]
    if kind is _iap.Binomial and type(parameter.p) is _iap.Deterministic:
        share = parameter.p.value
        return lambda random: float(random.random() < share)
    if kind is _iap.Normal:
        loc, scale = drawn(parameter.loc), drawn(parameter.scale)
        return lambda random: random.gauss(loc(random), scale(random))
    return lambda random: parameter.draw_sample(imgaug.random.RNG(random.getrandbits(31)))


@contextlib.contextmanager
def seeded(augmenter: Any, seed: int) -> Iterator[None]:
    """Let imgaug run an augmenter on a seed, and leave its global generator as it is.

    Some augmenters make others while they run, and those ask the global generator for a seed.
    """
    with own_generator(seed):
        augmenter.seed_(seed)
        yield


@contextlib.contextmanager
def own_generator(seed: int) -> Iterator[None]:
    """Give imgaug another global generator for a while, and keep its warnings to itself.

    They are what newer libraries have against the way in which it calls them.
    """
    before = imgaug.random.GLOBAL_RNG
    imgaug.random.GLOBAL_RNG = imgaug.random.RNG(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        imgaug.random.GLOBAL_RNG = before


def _bounds(parameter: Any) -> tuple[float, float] | None:
    ends = parameter.a, parameter.b
    if any(type(end) is not _iap.Deterministic for end in ends):
        return None
    low, high = sorted(end.value for end in ends)
    return low, high


def _are_plain(values: Any) -> bool:
    return all(isinstance(value, int | float | str) for value in values)
