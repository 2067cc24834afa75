"""A camera in a process of its own, seen from the parent."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.shared_memory import SharedMemory
from types import ModuleType
from typing import Any

import numpy as np

from seqvision_edge import capture_child, v4l2
from seqvision_edge.capture_child import Grabbed, Opened
from seqvision_edge.errors import SourceError
from seqvision_edge.preprocess import Image

# How long each way of ending the child may take: by itself, SIGTERM, SIGKILL.
_PATIENCE = 0.3
# A frame that is on its way is waited for this long, even by a reader that comes late.
_GRACE = 1.0
_BYTES_PER_PIXEL = 3


class Capture:
    """A child process that holds one camera; `start` it, `read` the newest frame, `stop` it.

    It can be started again after it was stopped.
    """

    def __init__(self, index: int, stall_timeout: float = 3.0, open_timeout: float = 10.0) -> None:
        """Describe a camera; nothing is opened yet.

        Args:
            index: number of the camera, from 0.
            stall_timeout: seconds without a frame after which an open camera counts as stalled.
            open_timeout: seconds that opening may take; some drivers need several.
        """
        self.index = index
        self.stall_timeout = stall_timeout
        self.open_timeout = open_timeout
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._memory: SharedMemory | None = None
        self._latest = 0.0

    @property
    def pid(self) -> int | None:
        """The process id of the child; None when there is none."""
        return self._process.pid if self._process else None

    def start(self) -> Opened:
        """Open the camera in a new process and return what it promises.

        Raises:
            SourceError: it is missing, forbidden, in use, not a camera, or does not answer.
        """
        if self._process:
            raise ValueError(f"camera {self.index} is already open")
        if self.index < 0:
            raise SourceError(f"camera {self.index}: cameras are numbered from 0")
        self._refuse_missing()
        try:
            self._spawn()
            late = f"did not open within {self.open_timeout:g} s"
            opened = self._receive(self.open_timeout, late)
            if isinstance(opened, OSError):
                raise self._cannot_open(opened)
            assert isinstance(opened, Opened)
            self._share_memory(opened)
        except BaseException:
            self.kill()
            raise
        self._latest = opened.time
        return opened

    def read(self) -> tuple[Image, Grabbed]:
        """Return the newest frame that was not returned before; wait for it where there is none.

        Raises:
            SourceError: the camera was disconnected, stalled, or its process crashed.  The child
                has ended then.
        """
        try:
            grabbed = self._ask()
        except SourceError:
            self.kill()
            raise
        assert self._memory is not None
        shared: Image = np.ndarray(grabbed.shape, np.uint8, self._memory.buf)
        return shared.copy(), grabbed

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

    def _refuse_missing(self) -> None:
        """Say at once what would fail after the start of a process."""
        device = v4l2.device_of(self.index)
        if device:
            try:
                v4l2.check_there(device)
            except OSError as error:
                raise self._cannot_open(error) from None

    def _spawn(self) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=capture_child.main,
            args=(theirs, self.index),
            name=f"seqvision-camera-{self.index}",
            daemon=True,
        )
        with theirs, _bare_start():
            self._process.start()

    def _share_memory(self, opened: Opened) -> None:
        size = opened.height * opened.width * _BYTES_PER_PIXEL
        self._memory = SharedMemory(create=True, size=max(size, 1))
        try:
            self._send(self._memory.name)
            self._receive(self.open_timeout, "its process does not answer")
        finally:
            # Both have mapped it; without a name it cannot outlive them.
            self._memory.unlink()

    def _ask(self) -> Grabbed:
        """Have the child put a frame into the shared memory."""
        deadline = max(self._latest + self.stall_timeout, time.monotonic() + _GRACE)
        late = f"stalled, no frame for {self.stall_timeout:g} s"
        while True:
            self._send(None)
            reply = self._receive(deadline - time.monotonic(), late)
            if isinstance(reply, OSError):
                raise self._lost(f"disconnected ({reply.strerror})")
            assert isinstance(reply, Grabbed)
            # A reader that was away finds the last frame before the camera fell silent.
            if time.monotonic() - reply.arrived <= self.stall_timeout:
                self._latest = reply.arrived
                return reply

    def _send(self, message: str | None) -> None:
        if self._connection is None:
            raise ValueError(f"camera {self.index} is closed")
        # A child that has died is told by what it does not answer.
        with contextlib.suppress(ConnectionError):
            self._connection.send(message)

    def _receive(self, timeout: float, late: str) -> Any:
        """Return the child's next message; `late` says what its silence means."""
        assert self._connection is not None
        try:
            if self._connection.poll(max(timeout, 0)):
                return self._connection.recv()
        except (EOFError, ConnectionError):
            raise self._lost(f"its process ended ({self._ending()})") from None
        raise self._lost(late)

    def _cannot_open(self, error: OSError) -> SourceError:
        reason = error.strerror or str(error)
        return SourceError(v4l2.explain(self.index, reason, v4l2.advice(error)))

    def _lost(self, reason: str) -> SourceError:
        return SourceError(v4l2.explain(self.index, reason, "connect it again"))

    def _ending(self) -> str:
        assert self._process is not None
        self._process.join(_PATIENCE)
        code = self._process.exitcode
        if code is not None and code < 0:
            return signal.Signals(-code).name
        return f"exit code {code}"


_starting = threading.Lock()


@contextlib.contextmanager
def _bare_start() -> Iterator[None]:
    """Let a child start without this program's main module and without Ctrl-C.

    multiprocessing runs the parent's script again in each child: slow where it imports much, and
    endless where it has no `if __name__ == "__main__"`.  Our child needs none of it.
    """
    with _starting, _no_ctrl_c():
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


@contextlib.contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """Hold Ctrl-C back: a process that is half started is lost, and would print a traceback."""
    held: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if is_main else None
    if handler is not None:
        # Blocking it is not enough here: any other thread may take the signal for this one.
        signal.signal(signal.SIGINT, lambda number, _frame: held.append(number))
    try:
        with _inherited_block():
            yield
    finally:
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
            if held:
                signal.raise_signal(signal.SIGINT)


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
