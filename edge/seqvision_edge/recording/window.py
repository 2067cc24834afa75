"""The mirror: a window on the desktop in which a person sees himself and what to show."""

import contextlib
from collections.abc import Sequence
from time import monotonic
from types import TracebackType

from typing_extensions import Self

from seqvision_edge.background import backgrounds
from seqvision_edge.frame import Frame
from seqvision_edge.opencv import cv2
from seqvision_edge.palette import BACKGROUND, colours
from seqvision_edge.preprocess import Image
from seqvision_edge.recording.picture import draw
from seqvision_edge.recording.session import Command, Moment
from seqvision_edge.recording.terminal import COMMANDS

TITLE = "seqvision record"
# A screen shows no more, and drawing must not cost frames of the camera.
_PICTURES_PER_SECOND = 30.0


class Pane:
    """A window that shows pictures and takes keys; where it fails there is none."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._is_open = False
        self._works = True

    def is_there(self) -> bool:
        """Whether it can still be seen: not closed, not failed."""
        return self._works

    def put(self, picture: Image, milliseconds: int = 1) -> str:
        """Show a picture for so long and return the key that was pressed, or `""`.

        Escape stands for the window's own button too.
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
    """The window of a sitting."""

    def __init__(self, labels: Sequence[str], mirror: bool = True) -> None:
        self._colours = colours(labels, next(iter(backgrounds(labels)), None))
        self._mirror = mirror
        self._pane = Pane(TITLE)
        self._shown = 0.0
        self._pressed: list[Command] = []

    def __enter__(self) -> Self:
        return self

    def commands(self) -> list[Command]:
        """Return what was asked for since the call before."""
        pressed, self._pressed = self._pressed, []
        return pressed

    def show(self, moment: Moment, frame: Frame | None) -> None:
        """Show the moment, unless the last one was shown just now."""
        now = monotonic()
        if not self._pane.is_there() or now - self._shown < 1 / _PICTURES_PER_SECOND:
            return
        self._shown = now
        colour = self._colours.get(moment.label, BACKGROUND)
        bgr = frame.bgr if frame is not None and moment.phase != "away" else None
        key = self._pane.put(draw(moment, bgr, colour, self._mirror))
        if key and (command := COMMANDS.get(key.lower())):
            self._pressed.append(command)

    def say(self, line: str) -> None:
        """Nothing: the terminal says it."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pane.close()
