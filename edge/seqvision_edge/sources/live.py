"""Live sources: a camera, and any source that is connected again after a loss."""

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from typing_extensions import Self

from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame, Image
from seqvision_edge.sources.address import Address, camera
from seqvision_edge.sources.capture_process import Capture, FrameFormat
from seqvision_edge.sources.faults import CaptureFault
from seqvision_edge.types import SourceState

_USUAL_FPS = 30.0
_HEALTHY_SECONDS = 10.0
# A server that restarts is back within seconds: so long it is asked often; that is cheap while
# nobody answers.
_FIRST_WAIT, _SHORT_WAIT, _SHORT_SECONDS, _LONG_WAIT = 0.5, 1.0, 300.0, 30.0
# A camera locks out who tries a wrong password too often, and no address mends itself.
_REFUSED_WAIT = 60.0
_REFUSED = ("unauthorized", "forbidden", "not_found", "one_picture")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a live source may be silent, and how often it is connected again.

    Attributes:
        stall: seconds without a frame after which it counts as stalled.
        open: seconds that opening may take.
        frozen: seconds of one and the same picture after which a warning is told.
        retries: how many times in a row it is connected again before it is given up; None: always.
    """

    stall: float = 3.0
    open: float = 10.0
    frozen: float = 10.0
    retries: int | None = None


class Watched:
    """A source: the newest frames of a camera or stream, and its states between them.

    Times go on over a new connection: they are seconds since the first one was tried, by the
    monotonic clock.
    """

    live = True

    def __init__(
        self, address: Address, wanted: FrameFormat, patience: Timeouts | None = None
    ) -> None:
        """Describe it.

        Raises:
            SourceError: it is a camera of this machine and cannot be opened: that is a mistake
                rather than a fault.  A stream may come later.
        """
        self.name = address.name
        self.fps = _USUAL_FPS
        self.claimed: int | None = None
        self.decoded = self.damaged = 0
        self._patience = patience or Timeouts()
        self.capture = Capture(address, wanted, self._patience.stall, self._patience.open)
        self._left = threading.Event()
        self._picture = _Picture(self._patience.frozen)
        self._next = 0
        self._began = time.monotonic()
        self._is_stream = address.kind == "stream"
        self._opened = address.kind == "camera"
        if self._opened:
            self.fps = self.capture.start().fps

    @property
    def incomplete(self) -> str | None:
        """None: a live source promises no number of frames."""
        return None

    def stop(self) -> None:
        """Let an iteration that waits in another thread end."""
        self._left.set()
        self.capture.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.capture.stop()

    def __iter__(self) -> Iterator[Frame | SourceState]:
        """Yield frames and states until it is stopped, or given up.

        Raises:
            GaveUp: it was connected again in vain as often as `retries` says.
        """
        attempt, lost_at = 0, time.monotonic()
        while not self._left.is_set():
            attempt += 1
            yield SourceState("connecting", attempt=attempt)
            began = time.monotonic()
            try:
                if not self._opened:
                    self.fps = self.capture.start().fps
                self._opened = False
                yield from self._frames()
            except CaptureFault as fault:
                if self._left.is_set():
                    return
                now = time.monotonic()
                if self._next and now - began > _HEALTHY_SECONDS:
                    attempt, lost_at = 0, now
                yield SourceState(fault.state, fault.reason, str(fault), attempt=attempt)
                retries = self._patience.retries
                if retries is not None and attempt > retries:
                    raise GaveUp(f"{fault}; given up after {_times(retries)}") from None
                # A device of this machine locks nobody out, and gets its rights a moment late.
                reason = fault.reason if self._is_stream else ""
                self._left.wait(wait_before(attempt, now - lost_at, reason))

    def _frames(self) -> Iterator[Frame | SourceState]:
        """Yield the frames of one connection.

        Raises:
            CaptureFault: it was lost.
        """
        first, silent, damaged = self._next, True, self.damaged
        while True:
            bgr, image, grabbed = self.capture.read()
            if silent:
                yield SourceState("live")
                silent = False
            frozen = self._picture.look(bgr, grabbed.arrived)
            if frozen is not None:
                yield frozen
            self.decoded += 1
            self.damaged = damaged + grabbed.damaged
            index = first + grabbed.index
            self._next = index + 1
            time = grabbed.arrived - self._began
            yield Frame(bgr, time, index, image=image, arrived=grabbed.arrived)


class GaveUp(SourceError):  # noqa: N818
    """A live source could not be reconnected within --max-retries attempts."""


def wait_before(attempt: int, lost: float, reason: str) -> float:
    """Return how many seconds to wait before the next attempt, with jitter.

    Args:
        attempt: attempts in a row that failed, from 0: the connection had held.
        lost: seconds since it was lost.
        reason: why the last one failed.
    """
    if reason in _REFUSED:
        longest = _REFUSED_WAIT
    else:
        most = _SHORT_WAIT if lost < _SHORT_SECONDS else _LONG_WAIT
        longest = min(most, _FIRST_WAIT * 2 ** min(attempt, 10))
    # Many devices that lost one server must not all come back at the same moment.
    return longest * random.uniform(0.7, 1.0)


class _Picture:
    """Notice that a source sends the same picture for long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last: Image | None = None
        self._since = 0.0
        self._frozen = False

    def look(self, bgr: Image, now: float) -> SourceState | None:
        """Take the next picture and return the state that begins with it, if any does."""
        if self._last is None or not _same(bgr, self._last):
            self._last, self._since = bgr, now
            if self._frozen:
                self._frozen = False
                return SourceState("live")
        elif not self._frozen and now - self._since >= self._seconds:
            self._frozen = True
            message = f"the same picture for {self._seconds:g} s"
            return SourceState("frozen", "same_picture", message)
        return None


def _same(one: Image, other: Image) -> bool:
    # Noise makes nearly every picture another one within a few of its pixels.
    few = slice(None, None, 16)
    return np.array_equal(one[few, few], other[few, few]) and np.array_equal(one, other)


def _times(retries: int) -> str:
    return f"{retries} more attempt{'' if retries == 1 else 's'}"


class CameraSource:
    """A source: always the newest frame; the ones that nobody waited for are skipped.

    `began` is the monotonic time of a frame at time 0, so `monotonic() - began - frame.time` is how
    old a frame is.
    """

    live = True

    def __init__(self, index: int, stall_timeout: float = 3.0) -> None:
        """Open a camera.

        Raises:
            SourceError: it cannot be opened.
        """
        address = camera(index)
        self.name = address.name
        self.capture = Capture(address, stall_timeout=stall_timeout)
        opened = self.capture.start()
        self.fps = opened.fps
        self.began = opened.time
        self.claimed: int | None = None
        self.decoded = 0
        self.damaged = 0

    @property
    def incomplete(self) -> str | None:
        """None: a camera promises no number of frames."""
        return None

    def stop(self) -> None:
        """Let an iteration that waits in another thread end."""
        self.capture.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.capture.stop()

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the camera is lost.

        Raises:
            SourceError: it was disconnected or stalled.
        """
        while True:
            bgr, _, grabbed = self.capture.read()
            self.decoded += 1
            self.damaged = grabbed.damaged
            time = grabbed.arrived - self.began
            yield Frame(bgr, time, grabbed.index, arrived=grabbed.arrived)
