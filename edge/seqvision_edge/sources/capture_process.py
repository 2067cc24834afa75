"""A camera or stream in a child process, seen from the parent, which survives its hangs and
crashes.
"""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.shared_memory import SharedMemory
from types import ModuleType
from typing import Any

from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Image
from seqvision_edge.interrupts import DeferredSignals
from seqvision_edge.preprocess import Sizing
from seqvision_edge.regions import Region
from seqvision_edge.sources import capture_worker, v4l2
from seqvision_edge.sources.address import Address
from seqvision_edge.sources.capture_worker import Grabbed, Layout, OpenedCamera, ReadTimeouts
from seqvision_edge.sources.faults import CaptureFault, Silent, error_code
from seqvision_edge.sources.network import check_reachable

# Seconds for each step of ending the child: by itself, SIGTERM, SIGKILL.
_STOP_SECONDS = 0.3
# Seconds to wait for a frame in transit, even for a late reader.
_GRACE = 1.0
# Poll interval of a waiting reader, to notice that it should stop.
_POLL_SECONDS = 0.1

_starting = threading.Lock()


@dataclass(frozen=True, slots=True)
class FrameFormat:
    """The requested format of captured frames.

    Attributes:
        image: the model's image specification; None makes no model input.
        longest: the longest side, in pixels, of the picture for display; None keeps every pixel.
        regions: the parts of the picture that the model reads; none: all of it.
    """

    image: Sizing | None = None
    longest: int | None = None
    regions: tuple[Region, ...] = ()

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width of the picture for display."""
        scale = min(1.0, self.longest / max(height, width, 1)) if self.longest else 1.0
        return max(1, round(scale * height)), max(1, round(scale * width))


WHOLE = FrameFormat()


class Capture:
    """A child process that reads a camera or stream: `start`, `read` the newest frame, `stop`.

    It can be started again after a stop.
    """

    def __init__(
        self,
        address: Address,
        frame_format: FrameFormat = WHOLE,
        stall_timeout: float = 3.0,
        open_timeout: float = 10.0,
    ) -> None:
        """Store the settings; nothing is opened yet.

        Args:
            address: of the camera or stream.
            frame_format: the format of the frames.
            stall_timeout: seconds without a frame after which an open source counts as stalled.
            open_timeout: seconds that opening may take; some drivers need several.
        """
        self.address = address
        self.frame_format = frame_format
        self.stall_timeout = stall_timeout
        self.open_timeout = open_timeout
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._memory: SharedMemory | None = None
        self._layout: Layout | None = None
        self._left = threading.Event()
        self._latest = 0.0

    @property
    def pid(self) -> int | None:
        """The process id of the child; None if there is none."""
        return self._process.pid if self._process else None

    def start(self) -> OpenedCamera:
        """Open the camera in a new process and return its properties.

        Raises:
            CaptureFault: it is missing, forbidden, in use, not a camera, or does not respond.
        """
        if self._process:
            raise ValueError(f"{self.address.name} is already open")
        where = self.address.where
        if isinstance(where, int) and where < 0:
            raise SourceError(f"{self.address.name}: cameras are numbered from 0")
        self.refuse_missing()
        try:
            self._spawn()
            late = f"did not open within {self.open_timeout:g} s"
            opened = self._receive(self.open_timeout, late, "disconnected")
            if isinstance(opened, OSError):
                raise self._cannot_open(opened)
            assert isinstance(opened, OpenedCamera)
            self._share_memory(opened)
        except BaseException:
            self.kill()
            raise
        self._latest = opened.time
        return opened

    def read(self) -> tuple[Image, Image | None, Grabbed]:
        """Return the newest frame not yet returned; wait for one if there is none.

        Returns:
            The picture for display `(height, width, 3)` BGR, the model's `(regions, height, width,
            channels)` if requested, and the frame's metadata.  Without regions there is one.

        Raises:
            CaptureFault: it was disconnected, stalled, or its process crashed.  The child has then
                ended.
        """
        try:
            grabbed = self._request_frame()
        except SourceError:
            self.kill()
            raise
        assert self._memory is not None
        assert self._layout is not None
        bgr, image = self._layout.views(self._memory)
        return bgr.copy(), None if image is None else image.copy(), grabbed

    def leave(self) -> None:
        """Cancel a `read` or `start` that waits in another thread; nothing works after it."""
        self._left.set()

    def stop(self) -> None:
        """End the child: by request if it responds, else by signals."""
        if self._process and self._connection:
            # The child sees its end of the pipe close.
            self._connection.close()
            self._process.join(_STOP_SECONDS)
            if self._process.is_alive():
                self._process.terminate()
                self._process.join(_STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the child at once."""
        if self._connection:
            self._connection.close()
        if self._process and self._process.pid is not None:
            self._process.kill()
            # Only a process stuck inside its driver survives this.
            self._process.join(_STOP_SECONDS)
        if self._memory:
            self._memory.close()
        self._process = self._connection = self._memory = None

    def refuse_missing(self) -> None:
        """Raise at once what would fail after starting a process."""
        device = v4l2.device_path(self.address)
        try:
            if device:
                v4l2.check_there(device)
            elif self.address.kind == "stream":
                check_reachable(str(self.address.where), self.open_timeout, self._left)
        except OSError as error:
            raise self._cannot_open(error) from None

    def _spawn(self) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=capture_worker.main,
            args=(theirs, self.address, ReadTimeouts(self.open_timeout, self.stall_timeout)),
            name=f"seqvision {self.address.name}",
            daemon=True,
        )
        with theirs, clean_spawn():
            self._process.start()

    def _share_memory(self, opened: OpenedCamera) -> None:
        height, width = self.frame_format.size(opened.height, opened.width)
        layout = Layout("", height, width, self.frame_format.image, self.frame_format.regions)
        with DeferredSignals():
            self._memory = SharedMemory(create=True, size=layout.bytes)
        self._layout = replace(layout, memory=self._memory.name)
        try:
            self._send(self._layout)
            self._receive(self.open_timeout, "its process does not answer", "disconnected")
        finally:
            # Both have mapped it; once unlinked it cannot outlive them.
            self._memory.unlink()

    def _request_frame(self) -> Grabbed:
        """Request the newest frame in the shared memory."""
        deadline = max(self._latest + self.stall_timeout, time.monotonic() + _GRACE)
        late = f"stalled, no frame for {self.stall_timeout:g} s"
        while True:
            self._send(None)
            reply = self._receive(deadline - time.monotonic(), late, "stalled")
            if isinstance(reply, OSError):
                raise self._lost(f"disconnected ({reply.strerror})", error_code(reply))
            assert isinstance(reply, Grabbed)
            # After a pause of the reader, the last frame before the camera stalled is returned.
            if time.monotonic() - reply.arrived <= self.stall_timeout:
                self._latest = reply.arrived
                return reply

    def _send(self, message: Layout | None) -> None:
        if self._connection is None:
            raise ValueError(f"{self.address.name} is closed")
        # A dead child is noticed when it does not reply.
        with contextlib.suppress(ConnectionError):
            self._connection.send(message)

    def _receive(self, timeout: float, late: str, state: Silent) -> Any:
        """Return the child's next message; `late` and `state` describe a timeout."""
        assert self._connection is not None
        deadline = time.monotonic() + max(timeout, 0)
        try:
            while True:
                if self._left.is_set():
                    raise self._lost("left", "left")
                if self._connection.poll(min(_POLL_SECONDS, max(deadline - time.monotonic(), 0))):
                    return self._connection.recv()
                if time.monotonic() >= deadline:
                    raise self._lost(late, "timeout", state)
        except (EOFError, ConnectionError):
            raise self._lost(f"its process ended ({self._ending()})", "crashed") from None

    def _cannot_open(self, error: OSError) -> CaptureFault:
        reason = error.strerror or str(error)
        return CaptureFault(self._explain(reason, v4l2.advice(error)), error_code(error))

    def _lost(self, reason: str, code: str, state: Silent = "disconnected") -> CaptureFault:
        return CaptureFault(self._explain(reason, "connect it again"), code, state)

    def _explain(self, reason: str, advice: str) -> str:
        if self.address.kind == "camera":
            return v4l2.explain(self.address, reason, advice)
        return f"{self.address.name}: {reason}"

    def _ending(self) -> str:
        assert self._process is not None
        self._process.join(_STOP_SECONDS)
        code = self._process.exitcode
        if code is not None and code < 0:
            return signal.Signals(-code).name
        return f"exit code {code}"


@contextlib.contextmanager
def clean_spawn() -> Iterator[None]:
    """Start a child without this program's main module, and immune to Ctrl-C.

    multiprocessing runs the parent's script again in each child: slow if it imports much, and
    endless without `if __name__ == "__main__"`.  Our child needs none of it.
    """
    # Interrupting a half-started process would lose it and print a traceback.  Blocking SIGINT is
    # not enough: any other thread may take the signal for this one.
    with _starting, DeferredSignals(), _inherited_block():
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


@contextlib.contextmanager
def _inherited_block() -> Iterator[None]:
    """Start processes with SIGINT blocked, so that it cannot arrive before they ignore it."""
    if sys.platform == "win32":
        yield
        return
    # Its own start unblocks SIGINT, so it comes first.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
