"""A camera or stream in a process of its own, seen from the parent: what hangs there costs
nothing else.
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
from seqvision_edge.interrupts import Held
from seqvision_edge.preprocess import Sizing
from seqvision_edge.sources import capture_worker, v4l2
from seqvision_edge.sources.address import Address
from seqvision_edge.sources.capture_worker import Grabbed, Layout, Opened, Timeouts
from seqvision_edge.sources.faults import CaptureFault, Silent, error_code
from seqvision_edge.sources.network import check_reachable

# How long each way of ending the child may take: by itself, SIGTERM, SIGKILL.
_PATIENCE = 0.3
# A frame that is on its way is waited for this long, even by a reader that comes late.
_GRACE = 1.0
# So soon a waiting reader sees that it is asked to leave.
_LOOK = 0.1

_starting = threading.Lock()


@dataclass(frozen=True, slots=True)
class FrameFormat:
    """How a captured frame is to be made.

    Attributes:
        image: as the model reads it; None where it is not wanted.
        longest: the longest side, in pixels, of the picture for people; None takes every pixel.
    """

    image: Sizing | None = None
    longest: int | None = None

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width of the picture for people."""
        scale = min(1.0, self.longest / max(height, width, 1)) if self.longest else 1.0
        return max(1, round(scale * height)), max(1, round(scale * width))


WHOLE = FrameFormat()


class Capture:
    """A child process that holds a camera or stream: `start`, `read` the newest frame, `stop`.

    It can be started again after it was stopped.
    """

    def __init__(
        self,
        address: Address,
        wanted: FrameFormat = WHOLE,
        stall_timeout: float = 3.0,
        open_timeout: float = 10.0,
    ) -> None:
        """Describe it; nothing is opened yet.

        Args:
            address: of the camera or stream.
            wanted: how the frames are to be made.
            stall_timeout: seconds without a frame after which an open source counts as stalled.
            open_timeout: seconds that opening may take; some drivers need several.
        """
        self.address = address
        self.wanted = wanted
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
        """The process id of the child; None when there is none."""
        return self._process.pid if self._process else None

    def start(self) -> Opened:
        """Open the camera in a new process and return what it promises.

        Raises:
            CaptureFault: it is missing, forbidden, in use, not a camera, or does not answer.
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
            assert isinstance(opened, Opened)
            self._share_memory(opened)
        except BaseException:
            self.kill()
            raise
        self._latest = opened.time
        return opened

    def read(self) -> tuple[Image, Image | None, Grabbed]:
        """Return the newest frame that was not returned before; wait for it where there is none.

        Returns:
            The picture for people `(height, width, 3)` BGR, the model's `(height, width, channels)`
            where it is wanted, and what is known of the frame.

        Raises:
            CaptureFault: it was disconnected, stalled, or its process crashed.  The child has ended
                then.
        """
        try:
            grabbed = self._ask()
        except SourceError:
            self.kill()
            raise
        assert self._memory is not None
        assert self._layout is not None
        bgr, image = self._layout.views(self._memory)
        return bgr.copy(), None if image is None else image.copy(), grabbed

    def leave(self) -> None:
        """End a `read` or `start` that waits in another thread; nothing works after it."""
        self._left.set()

    def stop(self) -> None:
        """End the child: by itself where it listens, by signals where it does not."""
        if self._process and self._connection:
            # The child sees its end of the pipe close.
            self._connection.close()
            self._process.join(_PATIENCE)
            if self._process.is_alive():
                self._process.terminate()
                self._process.join(_PATIENCE)
        self.kill()

    def kill(self) -> None:
        """End the child at once."""
        if self._connection:
            self._connection.close()
        if self._process and self._process.pid is not None:
            self._process.kill()
            # Only a process that is stuck inside its driver outlives this.
            self._process.join(_PATIENCE)
        if self._memory:
            self._memory.close()
        self._process = self._connection = self._memory = None

    def refuse_missing(self) -> None:
        """Say at once what would fail after the start of a process."""
        device = v4l2.device_of(self.address)
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
            args=(theirs, self.address, Timeouts(self.open_timeout, self.stall_timeout)),
            name=f"seqvision {self.address.name}",
            daemon=True,
        )
        with theirs, clean_spawn():
            self._process.start()

    def _share_memory(self, opened: Opened) -> None:
        height, width = self.wanted.size(opened.height, opened.width)
        layout = Layout("", height, width, self.wanted.image)
        with Held():
            self._memory = SharedMemory(create=True, size=layout.bytes)
        self._layout = replace(layout, memory=self._memory.name)
        try:
            self._send(self._layout)
            self._receive(self.open_timeout, "its process does not answer", "disconnected")
        finally:
            # Both have mapped it; without a name it cannot outlive them.
            self._memory.unlink()

    def _ask(self) -> Grabbed:
        """Have the child put a frame into the shared memory."""
        deadline = max(self._latest + self.stall_timeout, time.monotonic() + _GRACE)
        late = f"stalled, no frame for {self.stall_timeout:g} s"
        while True:
            self._send(None)
            reply = self._receive(deadline - time.monotonic(), late, "stalled")
            if isinstance(reply, OSError):
                raise self._lost(f"disconnected ({reply.strerror})", error_code(reply))
            assert isinstance(reply, Grabbed)
            # A reader that was away finds the last frame before the camera fell silent.
            if time.monotonic() - reply.arrived <= self.stall_timeout:
                self._latest = reply.arrived
                return reply

    def _send(self, message: Layout | None) -> None:
        if self._connection is None:
            raise ValueError(f"{self.address.name} is closed")
        # A child that has died is told by what it does not answer.
        with contextlib.suppress(ConnectionError):
            self._connection.send(message)

    def _receive(self, timeout: float, late: str, state: Silent) -> Any:
        """Return the child's next message; `late` and `state` say what its silence means."""
        assert self._connection is not None
        deadline = time.monotonic() + max(timeout, 0)
        try:
            while True:
                if self._left.is_set():
                    raise self._lost("left", "left")
                if self._connection.poll(min(_LOOK, max(deadline - time.monotonic(), 0))):
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
        self._process.join(_PATIENCE)
        code = self._process.exitcode
        if code is not None and code < 0:
            return signal.Signals(-code).name
        return f"exit code {code}"


@contextlib.contextmanager
def clean_spawn() -> Iterator[None]:
    """Let a child start without this program's main module and without Ctrl-C.

    multiprocessing runs the parent's script again in each child: slow where it imports much, and
    endless where it has no `if __name__ == "__main__"`.  Our child needs none of it.
    """
    # A process that is half started is lost, and would print a traceback.  Blocking SIGINT is not
    # enough: any other thread may take the signal for this one.
    with _starting, Held(), _inherited_block():
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


@contextlib.contextmanager
def _inherited_block() -> Iterator[None]:
    """Start processes with SIGINT blocked, so that it cannot come before they ignore it."""
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
