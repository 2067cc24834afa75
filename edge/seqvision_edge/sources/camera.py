"""A camera of this machine, as a source."""

from collections.abc import Iterator

from typing_extensions import Self

from seqvision_edge.capture.address import camera
from seqvision_edge.capture.capture import Capture
from seqvision_edge.frame import Frame


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
