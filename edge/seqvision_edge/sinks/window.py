"""A desktop window with the pictures of all sources side by side.

`r` marks a region: a rectangle is drawn with the mouse, and what to write for it is printed.
"""

import contextlib
import ctypes
import ctypes.util
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from time import monotonic
from types import TracebackType

import numpy as np
from typing_extensions import Self

from seqvision_edge.command_line import print_message
from seqvision_edge.drawing import fitted, put_panel, put_text, text_width
from seqvision_edge.frame import Image, Step
from seqvision_edge.opencv import cv2
from seqvision_edge.overlay import SHOWN, Overlay, age, inner_box
from seqvision_edge.sinks import Quit
from seqvision_edge.types import SourceState

TITLE = "seqvision"
_ESCAPE = 27
_SLACK_SECONDS = 1.0
_REFRESH_SECONDS = 0.2

_WIDEST, _HIGHEST = 1920, 1080
_TILE = (640, 480)
_GAP = 4
# A live picture older than this is dimmed, even before its source is reported as stalled.
_OLD_SECONDS = 2.0
_MARKING = "draw a region with the mouse; r or Esc cancels"
# A smaller rectangle is a click.
_LEAST_SHARE = 0.02
_SILENT = SourceState("stalled")


def can_show() -> bool:
    """Return whether a window can be opened: OpenCV has GUI support, and a display answers.

    This must be checked first: without a display Qt ends the whole process.
    """
    # OpenCV 4.5 has no such query; there the first imshow shows whether it works.
    framework = getattr(cv2, "currentUIFramework", lambda: "unknown")()
    if not framework:
        return False
    if not sys.platform.startswith("linux"):
        return True
    if framework.startswith("QT") and not os.environ.get("QT_QPA_PLATFORM"):
        return _x11_answers()
    return _x11_answers() or bool(os.environ.get("WAYLAND_DISPLAY"))


class WindowSink:
    """Show every source with its overlay; q, Esc or the window's close button ends the run, r marks
    a region.

    Several sources share one window, side by side.  A file plays at its own speed if the model
    keeps up.  If the window fails, the run continues without it.
    """

    def __init__(self, overlays: Mapping[str, Overlay]) -> None:
        """Show the sources of `overlays`, by their names."""
        self._wall = Wall(overlays)
        self._drawing = RegionDrawing(self._wall)
        self._works = True
        self._is_open = False
        self._shown = -_REFRESH_SECONDS
        self._starts: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def write(self, step: Step) -> None:
        """Show the step's picture.  Raises Quit when the user closes the window."""
        if not self._works:
            return
        self._wall.put(step)
        if step.frame is None:
            self.idle()
        else:
            self._show(self._wait(step))

    def idle(self) -> None:
        """Update the seconds shown for silent sources, while nothing else arrives.

        Raises:
            Quit: the user closed the window.
        """
        if self._works and monotonic() - self._shown >= _REFRESH_SECONDS:
            self._show(1)

    def _show(self, milliseconds: int) -> None:
        self._shown = monotonic()
        picture = self._drawing.draw(self._wall.draw())
        try:
            if not self._is_open:
                flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
                cv2.namedWindow(TITLE, flags)
                cv2.resizeWindow(TITLE, picture.shape[1], picture.shape[0])
                cv2.setMouseCallback(TITLE, self._drawing.mouse)
                self._is_open = True
            cv2.imshow(TITLE, picture)
            key = cv2.waitKey(milliseconds) & 0xFF
            closed = cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:
            self._works = False
            return
        if key == ord("r") or (key == _ESCAPE and self._drawing.is_armed):
            self._drawing.arm(not self._drawing.is_armed)
        elif key in (ord("q"), _ESCAPE) or closed:
            # Raised once: later steps of the run are not shown.
            self._works = False
            raise Quit

    def _wait(self, step: Step) -> int:
        """Return how many milliseconds early a frame is, at least 1: the window needs one."""
        assert step.frame is not None, "only a frame can be early"
        if step.frame.arrived is not None:
            return 1
        now, time = monotonic(), step.frame.time
        start = self._starts.setdefault(step.source, now - time)
        early = start + time - now
        # A model that is too slow, or timestamps that restarted: continue from here.
        if abs(early) > _SLACK_SECONDS:
            self._starts[step.source], early = now - time, 0.0
        return max(1, round(1000 * early))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_open:
            with contextlib.suppress(cv2.error):
                cv2.destroyWindow(TITLE)


class RegionDrawing:
    """Mark a rectangle with the mouse, and print what to write for it as a region."""

    def __init__(self, wall: "Wall") -> None:
        """Draw on the pictures of `wall`."""
        self._wall = wall
        self._from: tuple[int, int] | None = None
        self._to = 0, 0
        self.is_armed = False
        self.drawn = 0

    def arm(self, armed: bool) -> None:
        """Begin to wait for a rectangle, or give up."""
        self.is_armed = armed
        self._from = None

    def mouse(self, event: int, x: int, y: int, _flags: int = 0, _data: object = None) -> None:
        """Handle the mouse; `x` and `y` are pixels of the drawn picture."""
        if not self.is_armed:
            return
        if event == cv2.EVENT_LBUTTONDOWN:
            self._from = x, y
        self._to = x, y
        if event == cv2.EVENT_LBUTTONUP and self._from is not None:
            begin, self._from = self._from, None
            self._finish(begin, (x, y))

    def draw(self, picture: Image) -> Image:
        """Return the picture with the rectangle, and what to do; unchanged while not armed."""
        if not self.is_armed:
            return picture
        picture = picture.copy()
        unit = min(picture.shape[:2]) / 480
        words, size = fitted(_MARKING, picture.shape[1] - 40 * unit, 16 * unit)
        wide = text_width(words, size) + 20 * unit
        left, top = (picture.shape[1] - wide) / 2, picture.shape[0] / 2
        if self._from is None:
            put_panel(picture, (left, top, wide, 34 * unit), (15, 18, 26), 0.8, 8 * unit)
            put_text(picture, words, (left + 10 * unit, top + 22 * unit), size, (255, 255, 255))
        else:
            cv2.rectangle(picture, self._from, self._to, (255, 255, 255), max(1, round(2 * unit)))
        return picture

    def _finish(self, begin: tuple[int, int], end: tuple[int, int]) -> None:
        one, other = self._wall.locate(*begin), self._wall.locate(*end)
        if one is None or other is None or one[0] != other[0]:
            return
        source, xs, ys = one[0], sorted((one[1], other[1])), sorted((one[2], other[2]))
        if xs[1] - xs[0] < _LEAST_SHARE or ys[1] - ys[0] < _LEAST_SHARE:
            return
        self.drawn += 1
        self.is_armed = False
        name = f"region {self._wall.views_of(source) + self.drawn}"
        numbers = [f"{value:.3f}" for value in (xs[0], ys[0], xs[1], ys[1])]
        print_message(f'{source}: --region "{name}={",".join(numbers)}"')
        print_message(f'  in a YAML file, below regions: "{name}": [{", ".join(numbers)}]')


def _x11_answers() -> bool:
    """Return whether the X server of DISPLAY accepts a connection."""
    if not os.environ.get("DISPLAY"):
        return False
    name = ctypes.util.find_library("X11")
    if name is None:
        return False
    x11 = ctypes.CDLL(name)
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XOpenDisplay.argtypes = [ctypes.c_char_p]
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    display = x11.XOpenDisplay(None)
    if not display:
        return False
    x11.XCloseDisplay(display)
    return True


class Wall:
    """Tile the newest picture of each source; a single one takes the whole area."""

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
            # No new picture: keep the old one with the new state.
            step = replace(self._steps[step.source], state=step.state, events=step.events)
        self._steps[step.source] = step
        self._drawn.pop(step.source, None)

    def draw(self) -> Image:
        """Return the tiled picture."""
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

    def locate(self, x: float, y: float) -> tuple[str, float, float] | None:
        """Return the source whose picture is at a point, and where in it, as fractions of it.

        None where there is none.  A point beside the picture, in its tile, is at its edge.
        """
        sources = list(self._overlays)
        number, left, top = 0, 0, 0
        if len(sources) > 1:
            width, height = self._tile
            row, column = int(y // height), int(x // width)
            number, left, top = row * self._columns + column, column * width, row * height
            if not (0 <= column < self._columns and 0 <= number < len(sources)):
                return None
        source = sources[number]
        frame = self._steps[source].frame if source in self._steps else None
        if frame is None or source not in self._drawn:
            return None
        inner = inner_box(self._drawn[source], frame.bgr.shape)
        shares = (x - left - inner[0]) / inner[2], (y - top - inner[1]) / inner[3]
        across, down = (min(1.0, max(0.0, share)) for share in shares)
        return source, across, down

    def views_of(self, source: str) -> int:
        """Return how many regions a source has."""
        return len(self._steps[source].views) if source in self._steps else 0

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
