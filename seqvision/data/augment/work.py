"""A clip under way: its frames, and the warp and the table that wait to be applied.

Several warps in a row are one matrix, and several changes of brightness one table: each frame is
interpolated once and looked up once, however many augmenters there are.
"""

import functools
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.opencv import cv2

Frames = NDArray[np.uint8]
Matrix = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]
"""Where a pixel `(x, y, 1)` goes."""

IDENTITY: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

# With this many pixels or more, OpenCV's warp of four channels is faster than that of three or one.
_LARGE = 1600


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


class Work:
    """Frames on their way through the augmenters of a clip."""

    def __init__(self, frames: Frames, random: Random) -> None:
        """Begin with `(time, height, width, channels)` frames, which are never written to."""
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

    def frames(self) -> Frames:
        """Return the frames with everything that waited applied; they may be the given ones."""
        self._flush()
        return self._frames

    def replace(self, frames: Frames) -> None:
        """Go on with other frames, made of what `frames()` gave."""
        self._frames = frames

    def _flush(self) -> None:
        if self._matrix != IDENTITY:
            self._frames = _warped(self._frames, self._matrix, self._edge or Edge())
            self._matrix = IDENTITY
        self._edge = None
        if self._table is not None:
            self._frames = _looked_up(self._frames, self._table)
            self._table = None


Step = Callable[[Work], None]
"""What an augmenter does to a clip: draws, and changes the work."""


def multiply(second: Matrix, first: Matrix) -> Matrix:
    """Return the matrix that does `first`, then `second`."""
    (a, b, c), (d, e, f), (g, h, i) = first
    rows = [
        (x * a + y * d + z * g, x * b + y * e + z * h, x * c + y * f + z * i) for x, y, z in second
    ]
    return rows[0], rows[1], rows[2]


def _warped(frames: Frames, matrix: Matrix, edge: Edge) -> Frames:
    time, height, width, channels = frames.shape
    result = np.empty(frames.shape, np.uint8)
    if matrix[0][0] in (1, -1) and (code := _mirror(matrix, height, width)) is not None:
        for source, target in zip(frames, result, strict=True):
            cv2.flip(source, code, dst=target)
        return result
    # A grey frame has the first channel's fill, also where it is one channel of four.
    fill = edge.fill if channels > 1 else edge.fill[:1] * 4
    move = _mover(matrix, (width, height), edge._replace(fill=fill))
    if height * width >= _LARGE and channels == 3:
        _warp_colour(frames, result, move)
    elif height * width >= _LARGE and time >= 4 and channels == 1:
        _warp_grey(frames, result, move)
    else:
        for source, target in zip(frames, result, strict=True):
            move(source, dst=target)
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


def _looked_up(frames: Frames, table: NDArray[np.uint8]) -> Frames:
    time, height, width, channels = frames.shape
    result = np.empty(frames.shape, np.uint8)
    rows: tuple[int, ...] = (time * height, width * channels)
    if table.ndim > 1:
        rows = (time * height, width, channels)
        table = np.ascontiguousarray(table).reshape(1, 256, channels)
    cv2.LUT(np.ascontiguousarray(frames).reshape(rows), table, dst=result.reshape(rows))
    return result
