"""The pictures of all sources side by side, each with its overlay, as one picture."""

import math
from collections.abc import Mapping
from dataclasses import replace
from time import monotonic

import numpy as np

from seqvision_edge.notice import SHOWN, age
from seqvision_edge.overlay import Overlay
from seqvision_edge.preprocess import Image
from seqvision_edge.result import SourceState
from seqvision_edge.step import Step

_WIDEST, _HIGHEST = 1920, 1080
_TILE = (640, 480)
_GAP = 4
# Older than this, a live picture is covered even before its source is known to be silent.
_OLD_SECONDS = 2.0
_SILENT = SourceState("stalled")


class Wall:
    """Keep the newest picture of each source; a single one has the whole wall."""

    def __init__(self, overlays: Mapping[str, Overlay]) -> None:
        self._overlays = overlays
        self._steps: dict[str, Step] = {}
        self._drawn: dict[str, Image] = {}
        self._columns = math.ceil(math.sqrt(len(overlays)))
        self._rows = math.ceil(len(overlays) / self._columns)
        self._tile = tile_size(self._columns, self._rows)

    def put(self, step: Step) -> None:
        """Take the newest step of a source."""
        if step.frame is None and step.state.state in SHOWN and step.source in self._steps:
            # Nothing new to look at: the picture stays with the state that it has now.
            step = replace(self._steps[step.source], state=step.state, events=step.events)
        self._steps[step.source] = step
        self._drawn.pop(step.source, None)

    def draw(self) -> Image:
        """Return the wall as it is now."""
        now = monotonic()
        tiles = {source: self._tile_of(source, now) for source in self._overlays}
        if len(tiles) == 1:
            return next(iter(tiles.values()))
        width, height = self._tile
        wall = np.zeros((self._rows * height, self._columns * width, 3), np.uint8)
        for number, tile in enumerate(tiles.values()):
            row, column = divmod(number, self._columns)
            top, left = row * height, column * width
            wall[top : top + height - _GAP, left : left + width - _GAP] = tile
        return wall

    def _tile_of(self, source: str, now: float) -> Image:
        step = self._steps.get(source, Step(source=source))
        if (age(step, now) or 0) > _OLD_SECONDS and step.state.state in SHOWN:
            step = replace(step, frame=None, state=_SILENT)
        if step.state.state not in SHOWN:
            # Its notice counts the seconds.
            return self._draw(step)
        if source not in self._drawn:
            self._drawn[source] = self._draw(step)
        return self._drawn[source]

    def _draw(self, step: Step) -> Image:
        alone = len(self._overlays) == 1
        size = None if alone else (self._tile[0] - _GAP, self._tile[1] - _GAP)
        return self._overlays[step.source].draw(step, size)


def tile_size(columns: int, rows: int) -> tuple[int, int]:
    """Return (width, height) of a tile, such that all of them fit on a usual screen."""
    scale = min(1.0, _WIDEST / (columns * _TILE[0]), _HIGHEST / (rows * _TILE[1]))
    return round(_TILE[0] * scale), round(_TILE[1] * scale)
