"""A clip under way: its frames, and the warp and the table that wait to be applied.

Several warps in a row are one matrix, and several changes of brightness one table: each frame is
interpolated once and looked up once, however many augmenters there are.
"""

from collections.abc import Callable
from random import Random

import numpy as np
from numpy.typing import NDArray

from seqvision.data.augment.pixels import (
    IDENTITY,
    Edge,
    Frames,
    Matrix,
    looked_up,
    multiply,
    warped,
)


class Work:
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


Step = Callable[[Work], None]
"""What an augmenter does to a clip: draws, and changes the work."""
