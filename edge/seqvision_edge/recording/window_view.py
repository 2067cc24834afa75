"""Recording in a window: the mirrored frame, the prompt and the countdown."""

import contextlib
import math
from collections.abc import Sequence
from time import monotonic
from types import TracebackType

import numpy as np
from typing_extensions import Self

from seqvision_edge.background_label import backgrounds
from seqvision_edge.drawing import (
    BACKGROUND,
    Colour,
    colours,
    fitted,
    put_panel,
    put_text,
    text_width,
)
from seqvision_edge.frame import Frame, Image
from seqvision_edge.opencv import cv2
from seqvision_edge.recording.session import Command, RecordingStatus
from seqvision_edge.recording.terminal_view import COMMANDS

TITLE = "seqvision record"
# A screen shows no more, and drawing must not cost frames of the camera.
_PICTURES_PER_SECOND = 30.0

# People stand metres away: text is large, and the picture is enlarged for them.
_SMALLEST = 480
_INK: Colour = (15, 18, 26)
_WHITE: Colour = (255, 255, 255)
_SOFT: Colour = (176, 186, 200)
_RED: Colour = (239, 68, 68)
_GLASS = 0.72
_NO_PICTURE = (480, 640)
KEYS = "Enter: begin, pause    r: repeat    s: put off    q: stop"


class Pane:
    """A window that shows pictures and reads keys; if it fails it is closed."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._is_open = False
        self._works = True

    def is_there(self) -> bool:
        """Whether it is visible: not closed, not failed."""
        return self._works

    def put(self, picture: Image, milliseconds: int = 1) -> str:
        """Show a picture for so long and return the key that was pressed, or `""`.

        The window's close button counts as Escape.
        """
        if not self._works:
            return ""
        try:
            if not self._is_open:
                flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
                cv2.namedWindow(self._title, flags)
                cv2.resizeWindow(self._title, picture.shape[1], picture.shape[0])
                self._is_open = True
            cv2.imshow(self._title, picture)
            key = cv2.waitKey(milliseconds)
            closed = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:
            self._works = False
            return ""
        if closed:
            self._works = False
            return "\x1b"
        return chr(key & 0xFF) if key >= 0 else ""

    def close(self) -> None:
        """Close the window."""
        if self._is_open:
            with contextlib.suppress(cv2.error):
                cv2.destroyWindow(self._title)


class Mirror:
    """The window of a recording session."""

    def __init__(self, labels: Sequence[str], mirror: bool = True) -> None:
        self._colours = colours(labels, next(iter(backgrounds(labels)), None))
        self._mirror = mirror
        self._pane = Pane(TITLE)
        self._shown = 0.0
        self._pressed: list[Command] = []

    def __enter__(self) -> Self:
        return self

    def commands(self) -> list[Command]:
        """Return the commands since the last call."""
        pressed, self._pressed = self._pressed, []
        return pressed

    def show(self, status: RecordingStatus, frame: Frame | None) -> None:
        """Show the state, unless the last one was shown just now."""
        now = monotonic()
        if not self._pane.is_there() or now - self._shown < 1 / _PICTURES_PER_SECOND:
            return
        self._shown = now
        colour = self._colours.get(status.label, BACKGROUND)
        bgr = frame.bgr if frame is not None and status.phase != "away" else None
        key = self._pane.put(draw_status(status, bgr, colour, self._mirror))
        if key and (command := COMMANDS.get(key.lower())):
            self._pressed.append(command)

    def print_line(self, line: str) -> None:
        """Do nothing: the terminal prints the line."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pane.close()


def draw_status(
    status: RecordingStatus, bgr: Image | None, colour: Colour, mirror: bool = True
) -> Image:
    """Return a picture of the state.

    Args:
        status: the state to show.
        bgr: the newest frame, `(height, width, 3)`; None if there is none.
        colour: of the label.
        mirror: mirror the frame, but not the text.
    """
    picture = _enlarged(bgr, mirror) if bgr is not None else _nothing()
    height, width = picture.shape[:2]
    unit = min(height, width) / _SMALLEST
    _label(picture, status, colour, unit)
    if status.phase == "countdown":
        _count(picture, status.seconds, unit)
    elif status.phase in ("ready", "away"):
        line = "press Enter to begin" if status.phase == "ready" else status.trouble
        _middle(picture, line, unit)
    _foot(picture, status, unit)
    if status.phase == "recording":
        cv2.rectangle(picture, (0, 0), (width - 1, height - 1), _RED[::-1], round(10 * unit))
    return picture


def draw_clip(
    bgr: Image | None,
    title: tuple[str, Colour],
    about: tuple[str, str],
    offered: Sequence[str],
    foot: str,
) -> Image:
    """Return a picture of a clip under review.

    Args:
        bgr: a frame of it, `(height, width, 3)`; None if there is none.
        title: its label, and the label's colour.
        about: the text at the right: the count, and below it further information.
        offered: labels to choose from, each with its key.
        foot: the line at the bottom.
    """
    picture = _enlarged(bgr, mirror=False) if bgr is not None else _nothing()
    height, width = picture.shape[:2]
    unit = min(height, width) / _SMALLEST
    _head(picture, *title, about, unit)
    top = 92 * unit
    for number, line in enumerate(offered):
        text, size = fitted(line, 180 * unit, 17 * unit)
        left, y = 16 * unit, top + 32 * unit * number
        wide = text_width(text, size) + 20 * unit
        put_panel(picture, (left, y, wide, 28 * unit), _INK, _GLASS, 8 * unit)
        put_text(picture, text, (left + 10 * unit, y + 20 * unit), size, _WHITE)
    if bgr is None:
        _middle(picture, "cannot be read", unit)
    _line(picture, foot, unit)
    return picture


def _label(picture: Image, status: RecordingStatus, colour: Colour, unit: float) -> None:
    """Draw the label, the progress and the next label at the top."""
    after = f"then {status.after}" if status.after else ""
    count = f"{status.done} / {status.total}"
    _head(picture, status.label or "done", colour, (count, after), unit)


def _head(picture: Image, title: str, colour: Colour, about: tuple[str, str], unit: float) -> None:
    """Draw a title at the top, and two lines at its right."""
    count, below = about
    width = picture.shape[1]
    margin, pad = 16 * unit, 14 * unit
    put_panel(picture, (margin, margin, width - 2 * margin, 62 * unit), _INK, _GLASS, 12 * unit)
    count_width = text_width(count, 20 * unit)
    room = width - 2 * margin - 3 * pad - count_width
    text, size = fitted(title, room, 34 * unit, 650)
    put_text(picture, text, (margin + pad, margin + 43 * unit), size, colour, 650)
    right = width - margin - pad
    put_text(picture, count, (right - count_width, margin + 28 * unit), 20 * unit, _WHITE)
    left = room - text_width(text, size, 650) + count_width - pad
    below, size = fitted(below, max(left, count_width), 14 * unit)
    at = right - text_width(below, size), margin + 50 * unit
    put_text(picture, below, at, size, _SOFT)


def _count(picture: Image, seconds: float, unit: float) -> None:
    """Draw the remaining seconds, very large."""
    height, width = picture.shape[:2]
    text, size = str(math.ceil(seconds - 0.05)) if seconds > 0.05 else "now", 150 * unit
    box = 200 * unit
    path = (width - box) / 2, (height - box) / 2, box, box
    put_panel(picture, path, _INK, 0.5, box / 2)
    text, size = fitted(text, 0.8 * box, size, 650)
    at = (width - text_width(text, size, 650)) / 2, height / 2 + 0.36 * size
    put_text(picture, text, at, size, _WHITE, 650)


def _middle(picture: Image, line: str, unit: float) -> None:
    height, width = picture.shape[:2]
    text, size = fitted(line, width - 96 * unit, 26 * unit, 600)
    wide = text_width(text, size, 600) + 40 * unit
    path = (width - wide) / 2, height / 2 - 30 * unit, wide, 56 * unit
    put_panel(picture, path, _INK, _GLASS, 12 * unit)
    at = path[0] + 20 * unit, height / 2 + 7 * unit
    put_text(picture, text, at, size, _WHITE, 600)


def _foot(picture: Image, status: RecordingStatus, unit: float) -> None:
    """Draw the progress of the take at the bottom, or else the keys."""
    if status.phase != "recording":
        is_odd = status.trouble and status.phase != "away"
        _line(picture, status.trouble if is_odd else KEYS, unit)
        return
    height, width = picture.shape[:2]
    margin, pad = 16 * unit, 14 * unit
    top = height - margin - 34 * unit
    put_panel(picture, (margin, top, width - 2 * margin, 34 * unit), _INK, _GLASS, 10 * unit)
    seconds = f"{status.seconds:.1f} s"
    wide = text_width("100.0 s", 15 * unit)
    track = margin + pad, top + 12 * unit, width - 2 * margin - 3 * pad - wide, 10 * unit
    put_panel(picture, track, _WHITE, 0.2, 5 * unit)
    filled = (*track[:2], max(track[2] * status.share, 10 * unit), track[3])
    put_panel(picture, filled, _RED, 1.0, 5 * unit)
    at = width - margin - pad - text_width(seconds, 15 * unit), top + 22 * unit
    put_text(picture, seconds, at, 15 * unit, _WHITE)


def _line(picture: Image, line: str, unit: float) -> None:
    """Draw a line of text at the bottom."""
    height, width = picture.shape[:2]
    margin, pad = 16 * unit, 14 * unit
    top = height - margin - 34 * unit
    put_panel(picture, (margin, top, width - 2 * margin, 34 * unit), _INK, _GLASS, 10 * unit)
    text, size = fitted(line, width - 2 * margin - 2 * pad, 15 * unit)
    put_text(picture, text, (margin + pad, top + 22 * unit), size, _SOFT)


def _enlarged(bgr: Image, mirror: bool) -> Image:
    """Return a new picture whose shorter side has at least 480 pixels."""
    height, width = bgr.shape[:2]
    scale = max(1.0, _SMALLEST / min(height, width))
    size = max(_SMALLEST, round(width * scale)), round(height * scale)
    picture = cv2.resize(bgr, size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(picture[:, ::-1]) if mirror else picture


def _nothing() -> Image:
    dark: Image = np.full((*_NO_PICTURE, 3), _INK[::-1], np.uint8)
    return dark
