"""A window on the desktop, where there is one."""

import contextlib
import ctypes
import ctypes.util
import os
import sys
from collections.abc import Mapping
from time import monotonic
from types import TracebackType

from typing_extensions import Self

from seqvision_edge.opencv import cv2
from seqvision_edge.overlay import Overlay
from seqvision_edge.sinks import Quit
from seqvision_edge.sinks.wall import Wall
from seqvision_edge.step import Step

TITLE = "seqvision"
_ESCAPE = 27
_SLACK_SECONDS = 1.0
_REFRESH_SECONDS = 0.2


def can_show() -> bool:
    """Return whether a window can be opened: OpenCV was built with one, and a display answers.

    Asking first is the only way: without a display Qt ends the whole process.
    """
    # OpenCV 4.5 has no such question; there the first imshow tells.
    framework = getattr(cv2, "currentUIFramework", lambda: "unknown")()
    if not framework:
        return False
    if not sys.platform.startswith("linux"):
        return True
    if framework.startswith("QT") and not os.environ.get("QT_QPA_PLATFORM"):
        return _x11_answers()
    return _x11_answers() or bool(os.environ.get("WAYLAND_DISPLAY"))


class WindowSink:
    """Show every source with its overlay; q, Esc or the window's own button ends the run.

    Several sources share one window, side by side.  A file plays at its own speed, as long as the
    model keeps up.  Where the window fails, the run goes on without it.
    """

    def __init__(self, overlays: Mapping[str, Overlay]) -> None:
        """Show the sources that `overlays` draws, by their names."""
        self._wall = Wall(overlays)
        self._works = True
        self._is_open = False
        self._shown = -_REFRESH_SECONDS
        self._starts: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def write(self, step: Step) -> None:
        """Show the step's picture.  Raises Quit when the person closes the window."""
        if not self._works:
            return
        self._wall.put(step)
        if step.frame is None:
            self.idle()
        else:
            self._show(self._wait(step))

    def idle(self) -> None:
        """Show how long silent sources have been silent, while nothing else comes.

        Raises:
            Quit: the person closed the window.
        """
        if self._works and monotonic() - self._shown >= _REFRESH_SECONDS:
            self._show(1)

    def _show(self, milliseconds: int) -> None:
        self._shown = monotonic()
        picture = self._wall.draw()
        try:
            if not self._is_open:
                flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
                cv2.namedWindow(TITLE, flags)
                cv2.resizeWindow(TITLE, picture.shape[1], picture.shape[0])
                self._is_open = True
            cv2.imshow(TITLE, picture)
            key = cv2.waitKey(milliseconds) & 0xFF
            closed = cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:
            self._works = False
            return
        if key in (ord("q"), _ESCAPE) or closed:
            # Asked for once: what the run still tells is not shown.
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
        # A model that cannot keep up, or time that started over: go on from here.
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


def _x11_answers() -> bool:
    """Return whether the X server of DISPLAY lets this process in."""
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
