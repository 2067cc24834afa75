"""Live sources: a camera, and any source that reconnects after a loss."""

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
# A restarting server is back within seconds: at first it is retried often, which is cheap while
# it is down.
_FIRST_WAIT, _SHORT_WAIT, _SHORT_SECONDS, _LONG_WAIT = 0.5, 1.0, 300.0, 30.0
# A camera locks out clients after repeated wrong passwords, and a wrong URL stays wrong.
_REFUSED_WAIT = 60.0
_REFUSED = ("unauthorized", "forbidden", "not_found", "one_picture")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts of a live source, and its number of reconnects.

    Attributes:
        stall: seconds without a frame after which it counts as stalled.
        open: seconds that opening may take.
        frozen: seconds of an unchanged picture after which a warning is reported.
        retries: number of consecutive reconnects before it gives up; None: unlimited.
    """

    stall: float = 3.0
    open: float = 10.0
    frozen: float = 10.0
    retries: int | None = None


class LiveSource:
    """A source: the newest frames of a camera or stream, and its state changes between them.

    Times continue over a reconnect: they are seconds since the first attempt, by the monotonic
    clock.
    """

    live = True

    def __init__(
        self, address: Address, frame_format: FrameFormat, timeouts: Timeouts | None = None
    ) -> None:
        """Store the settings, and refuse a local camera that cannot be opened.

        Raises:
            SourceError: it is a local camera and cannot be opened: that is a user's mistake.  A
                stream may be reachable later.
        """
        self.name = address.name
        self.fps = _USUAL_FPS
        self.claimed: int | None = None
        self.decoded = self.damaged = 0
        self._timeouts = timeouts or Timeouts()
        self.capture = Capture(address, frame_format, self._timeouts.stall, self._timeouts.open)
        self._left = threading.Event()
        self._picture = _Picture(self._timeouts.frozen)
        self._next = 0
        self._began = time.monotonic()
        self._is_stream = address.kind == "stream"
        self._opened = address.kind == "camera"
        self.size: tuple[int, int] | None = None
        if self._opened:
            opened = self.capture.start()
            self.fps, self.size = opened.fps, (opened.height, opened.width)

    @property
    def incomplete(self) -> str | None:
        """None: a live source declares no number of frames."""
        return None

    def stop(self) -> None:
        """End an iteration that waits in another thread."""
        self._left.set()
        self.capture.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.capture.stop()

    def __iter__(self) -> Iterator[Frame | SourceState]:
        """Yield frames and states until it is stopped, or given up.

        Raises:
            GaveUp: reconnecting failed `retries` times in a row.
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
                retries = self._timeouts.retries
                if retries is not None and attempt > retries:
                    raise GaveUp(f"{fault}; given up after {_times(retries)}") from None
                # A local device has no lockout, and gets its permissions a moment late.
                reason = fault.reason if self._is_stream else ""
                self._left.wait(wait_before(attempt, now - lost_at, reason))

    def _frames(self) -> Iterator[Frame | SourceState]:
        """Yield the frames of one connection.

        Raises:
            CaptureFault: it was lost.
        """
        first, silent, damaged = self._next, True, self.damaged
        while True:
            bgr, read, grabbed = self.capture.read()
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
            has_regions = bool(self.capture.frame_format.regions)
            yield Frame(
                bgr,
                time,
                index,
                image=None if read is None or has_regions else read[0],
                arrived=grabbed.arrived,
                images=tuple(read) if read is not None and has_regions else (),
                size=grabbed.size,
            )


class GaveUp(SourceError):  # noqa: N818
    """A live source could not be reconnected within --max-retries attempts."""


def wait_before(attempt: int, lost: float, reason: str) -> float:
    """Return how many seconds to wait before the next attempt, with jitter.

    Args:
        attempt: consecutive failed attempts; 0 after a working connection.
        lost: seconds since the connection was lost.
        reason: the error code of the last failure.
    """
    if reason in _REFUSED:
        longest = _REFUSED_WAIT
    else:
        most = _SHORT_WAIT if lost < _SHORT_SECONDS else _LONG_WAIT
        longest = min(most, _FIRST_WAIT * 2 ** min(attempt, 10))
    # Many devices that lost one server must not all retry at the same moment.
    return longest * random.uniform(0.7, 1.0)


class _Picture:
    """Detect that a source repeats the same picture for long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last: Image | None = None
        self._since = 0.0
        self._frozen = False

    def look(self, bgr: Image, now: float) -> SourceState | None:
        """Compare the next picture and return the state that begins with it, if any."""
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
    # Noise changes nearly every picture within a few of its pixels.
    few = slice(None, None, 16)
    return np.array_equal(one[few, few], other[few, few]) and np.array_equal(one, other)


def _times(retries: int) -> str:
    return f"{retries} more attempt{'' if retries == 1 else 's'}"


class CameraSource:
    """A source: always the newest frame; frames that were not read in time are dropped.

    `began` is the monotonic time of a frame at time 0, so `monotonic() - began - frame.time` is the
    age of a frame.
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
        """None: a camera declares no number of frames."""
        return None

    def stop(self) -> None:
        """End an iteration that waits in another thread."""
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
