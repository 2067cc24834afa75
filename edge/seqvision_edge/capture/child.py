"""The process that holds one camera: it reads always, and gives the newest frame when asked.

OpenCV blocks for seconds when a camera stalls, and crashes its process when it is interrupted there
or closed from another thread.  Here nothing else is lost by that, and the parent can end it at any
moment.  The main thread reads; a second one talks with the parent:

    child  → Opened, or the OSError that hindered it
    parent → Layout: a shared memory, and how a frame lies in it
    child  → None: it is mapped
    parent → None: "the newest frame, please"
    child  → Grabbed, the pixels are in the shared memory; or the OSError that ended the frames

A frame is made as the model reads it here, and reduced to what people look at: the parent copies
little, and its one model never waits for a large picture to shrink.

Only the child writes there between request and answer, only the parent reads after it, so no frame
is torn and no lock is left behind by a killed child.
"""

import contextlib
import errno
import os
import signal
import threading
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.capture import v4l2
from seqvision_edge.capture.address import Address
from seqvision_edge.capture.backlog import Backlog
from seqvision_edge.capture.ffmpeg import is_playlist
from seqvision_edge.capture.opening import Timeouts, open_video
from seqvision_edge.capture.pace import Pace
from seqvision_edge.capture.stream_fault import StreamFault
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import Image, Sizing, prepare

_USUAL_FPS = 30.0
_MAX_FPS = 1000.0
_PAUSE = 0.02
# A stream that gives no frame so many times in a row has ended; one damaged packet is no end.
_TRIES = 30
_WATCH_PARENT = 0.2


@dataclass(frozen=True, slots=True)
class Opened:
    """A camera is open: what it promises, and the monotonic time of that."""

    height: int
    width: int
    fps: float
    time: float


@dataclass(frozen=True, slots=True)
class Grabbed:
    """A frame: its number since the source was opened, and its monotonic arrival time."""

    index: int
    arrived: float


@dataclass(frozen=True, slots=True)
class Layout:
    """How a frame lies in the shared memory: the picture for people, then the model's.

    Attributes:
        memory: the name of the shared memory.
        height, width: of the picture for people, `(height, width, 3)` BGR.
        image: what the model reads, `(height, width, channels)`; None where it is not wanted.
    """

    memory: str
    height: int
    width: int
    image: Sizing | None

    @property
    def bytes(self) -> int:
        """How much memory a frame takes."""
        spec = self.image
        own = spec.height * spec.width * spec.channels if spec else 0
        return self.height * self.width * 3 + own

    def views(self, memory: SharedMemory) -> tuple[Image, Image | None]:
        """Return the two pictures as they lie in the memory."""
        bgr: Image = np.ndarray((self.height, self.width, 3), np.uint8, memory.buf)
        spec = self.image
        if spec is None:
            return bgr, None
        shape = (spec.height, spec.width, spec.channels)
        return bgr, np.ndarray(shape, np.uint8, memory.buf, bgr.nbytes)


def main(connection: Connection, address: Address, timeouts: Timeouts) -> None:
    """Hold a camera or stream until the parent closes its end of the connection, or dies."""
    # Ctrl-C goes to every process of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    newest = _Newest()
    threading.Thread(target=_answer, args=(connection, newest), daemon=True).start()
    try:
        video = open_video(address, timeouts)
        opened = _describe(video)
        _tell(connection, opened)
    except OSError as error:
        _tell(connection, error)
    else:
        newest.fail(_read(video, address, newest, _timing(address, opened, timeouts)))
    # The other thread ends this process.
    threading.Event().wait()


class _Newest:
    """The newest frame, handed from the thread that reads to the one that answers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._bgr: NDArray[np.uint8] | None = None
        self._grabbed = Grabbed(-1, 0.0)
        self._error: OSError | None = None

    def put(self, bgr: NDArray[np.uint8], arrived: float) -> None:
        with self._changed:
            self._bgr = bgr
            self._grabbed = Grabbed(self._grabbed.index + 1, arrived)
            self._changed.notify()

    def fail(self, error: OSError) -> None:
        with self._changed:
            self._error = error
            self._changed.notify()

    def after(self, index: int, connection: Connection) -> tuple[NDArray[np.uint8], Grabbed]:
        """Wait for a frame newer than number `index`.

        Raises:
            OSError: there will be none.
            EOFError: the parent left.
        """
        with self._changed:
            while self._bgr is None or self._grabbed.index <= index:
                if self._error is not None:
                    raise self._error
                # The parent sends nothing while it waits, so whatever comes is its end.
                if connection.poll():
                    raise EOFError
                self._changed.wait(_WATCH_PARENT)
            return self._bgr, self._grabbed


def _describe(video: Any) -> Opened:
    fps = video.get(cv2.CAP_PROP_FPS)
    return Opened(
        height=int(video.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        width=int(video.get(cv2.CAP_PROP_FRAME_WIDTH)),
        fps=fps if 0 < fps <= _MAX_FPS else _USUAL_FPS,
        time=time.monotonic(),
    )


def _timing(address: Address, opened: Opened, timeouts: Timeouts) -> Backlog | Pace | None:
    """Return what tells frames that come too late or too early; None where none do."""
    if address.kind != "stream":
        return None
    if is_playlist(str(address.where)):
        return Pace()
    return Backlog(opened.fps, timeouts.read, opened.time)


def _read(video: Any, address: Address, newest: _Newest, timing: Backlog | Pace | None) -> OSError:
    """Read frames for ever; return why no more can come."""
    device = v4l2.device_of(address)
    failed = 0
    try:
        while True:
            began = time.monotonic()
            good = video.grab()
            arrived = time.monotonic()
            if good and timing:
                stamp = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
                hold = timing.hold(stamp, arrived - began, arrived)
                if hold is None:
                    continue
                time.sleep(hold)
                arrived += hold
            if good:
                good, bgr = video.retrieve()
            if good:
                newest.put(np.asarray(bgr, np.uint8), arrived)
                failed = 0
                continue
            failed += 1
            if address.kind == "stream" and failed >= _TRIES:
                raise StreamFault("ended")
            # OpenCV calls a camera that was pulled out open.  One that is there and only sends
            # nothing is for the parent to judge: it sees how old the newest frame is.
            if device:
                v4l2.check_there(device)
            time.sleep(_PAUSE)
    except OSError as error:
        return error
    except cv2.error as error:
        return OSError(errno.EIO, f"OpenCV cannot read it ({error.err})")


def _answer(connection: Connection, newest: _Newest) -> None:
    """Talk with the parent until it leaves, then end the process, whatever it is blocked in."""
    try:
        layout: Layout = connection.recv()
        memory = SharedMemory(layout.memory)
        connection.send(None)
        _hand_over(connection, newest, layout.views(memory), layout.image)
    except (EOFError, ConnectionError):
        pass
    except Exception:
        traceback.print_exc()
    finally:
        # Leaving Python in the usual way aborts while a thread is blocked in OpenCV.
        os._exit(0)


def _hand_over(
    connection: Connection,
    newest: _Newest,
    places: tuple[Image, Image | None],
    spec: Sizing | None,
) -> None:
    shown, read = places
    size = (shown.shape[1], shown.shape[0])
    index = -1
    while True:
        connection.recv()
        try:
            bgr, grabbed = newest.after(index, connection)
        except (ConnectionError, EOFError):
            raise
        except OSError as error:
            connection.send(error)
            continue
        if read is not None and spec is not None:
            read[:] = prepare(bgr, spec)
        # A source may change its size while it runs; people see the size that it began with.
        same = bgr.shape == shown.shape
        shown[:] = bgr if same else cv2.resize(bgr, size, interpolation=cv2.INTER_LINEAR)
        index = grabbed.index
        connection.send(grabbed)


def _tell(connection: Connection, message: object) -> None:
    # A parent that has left is the other thread's business.
    with contextlib.suppress(ConnectionError):
        connection.send(message)
