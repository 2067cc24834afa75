"""The process that holds one camera: it opens it, reads always, gives the newest frame.

OpenCV and FFmpeg block for seconds when a camera stalls, and may crash their process when they are
interrupted there or closed from another thread.  Here nothing else is lost by that, and the parent
can end it at any moment.  The main thread reads; a second one talks with the parent:

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
import secrets
import signal
import threading
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.child_process import limit_memory
from seqvision_edge.frame import Image
from seqvision_edge.http_client import set_ffmpeg_proxy
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import Sizing, prepare
from seqvision_edge.sources import v4l2
from seqvision_edge.sources.address import Address, is_playlist
from seqvision_edge.sources.stream_timing import Backlog, Pace

if TYPE_CHECKING:
    from seqvision_edge.sources.stream_video import Video

_WATCH_PARENT = 0.2
# Of what a camera or server sends: 17 pictures of 8K video are 0.9 GB.
_MOST_MEMORY = 3 << 29

# A server that is there answers sooner.
_STREAM_OPENS = 5.0
# The parent notices a silence first: it says how long one may last.
_READ_LONGER = 2.0
_USUAL_FPS = 30.0
_MAX_FPS = 1000.0
_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Opened:
    """A camera is open: what it promises, and the monotonic time of that."""

    height: int
    width: int
    fps: float
    time: float


@dataclass(frozen=True, slots=True)
class Grabbed:
    """A frame: its number since the source was opened, and its monotonic arrival time.

    `damaged` counts the frames that had come until then and were not whole.
    """

    index: int
    arrived: float
    damaged: int = 0


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


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How many seconds the opening of a source may take, and one reading from it."""

    open: float = 10.0
    read: float = 3.0


def main(connection: Connection, address: Address, timeouts: Timeouts) -> None:
    """Hold a camera or stream until the parent closes its end of the connection, or dies."""
    # Ctrl-C goes to every process of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit_memory(_MOST_MEMORY)
    newest = _Newest()
    threading.Thread(target=_answer, args=(connection, newest), daemon=True).start()
    try:
        if is_playlist(str(address.where)):
            parts = urlsplit(str(address.where))
            set_ffmpeg_proxy(parts.scheme, parts.hostname or "")
        video = open_video(address, timeouts)
        opened = Opened(video.height, video.width, video.fps, time.monotonic())
        _tell(connection, opened)
    except OSError as error:
        _tell(connection, error)
    else:
        newest.fail(_read(video, newest, _timing(address, opened, timeouts)))
    # The other thread ends this process.
    threading.Event().wait()


class _Newest:
    """The newest frame, handed from the thread that reads to the one that answers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._bgr: NDArray[np.uint8] | None = None
        self._grabbed = Grabbed(-1, 0.0)
        self._error: OSError | None = None

    def put(self, bgr: NDArray[np.uint8], arrived: float, damaged: int) -> None:
        with self._changed:
            self._bgr = bgr
            self._grabbed = Grabbed(self._grabbed.index + 1, arrived, damaged)
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


def _timing(address: Address, opened: Opened, timeouts: Timeouts) -> Backlog | Pace | None:
    """Return what tells frames that come too late or too early; None where none do."""
    if address.kind != "stream":
        return None
    if is_playlist(str(address.where)):
        return Pace()
    return Backlog(opened.fps, timeouts.read, opened.time)


def _read(video: "Video", newest: _Newest, timing: Backlog | Pace | None) -> OSError:
    """Read frames for ever; return why no more can come."""
    try:
        while True:
            if not video.grab():
                continue
            arrived = time.monotonic()
            if timing:
                hold = timing.hold(video.stamp, video.waited, arrived)
                if hold is None:
                    continue
                time.sleep(hold)
                arrived += hold
            bgr = video.retrieve()
            if bgr is not None:
                newest.put(bgr, arrived, video.damaged)
    except OSError as error:
        return error


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
    buffers: tuple[Image, Image | None],
    spec: Sizing | None,
) -> None:
    shown, read = buffers
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


class CameraVideo:
    """The pictures of a local camera, by OpenCV; a `Video`."""

    def __init__(self, address: Address) -> None:
        """Open it.

        Raises:
            OSError: it cannot be opened; `strerror` says why.
        """
        self._device = device = v4l2.device_of(address)
        # A text that any backend may read could be a pipeline, or a URL.
        backend = cv2.CAP_V4L2 if device else cv2.CAP_ANY
        self._video: Any = cv2.VideoCapture(address.where, backend)
        if not self._video.isOpened():
            if device:
                v4l2.check_streams(device)
            raise OSError(errno.EIO, "OpenCV cannot open it")
        fps = self._video.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= _MAX_FPS else _USUAL_FPS
        self.height = int(self._video.get(cv2.CAP_PROP_FRAME_HEIGHT))
        self.width = int(self._video.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.damaged = 0
        self.stamp = self.waited = 0.0
        self._shape = (self.height, self.width, 3)

    def grab(self) -> bool:
        """Wait for the next picture; False where none came and the next may.

        Raises:
            OSError: the camera is gone.
        """
        began = time.monotonic()
        try:
            good = self._video.grab()
        except cv2.error as error:
            raise _cannot_read(error) from None
        self.waited = time.monotonic() - began
        if not good:
            # OpenCV calls a camera that was pulled out open.  One that is there and only sends
            # nothing is for the parent to judge: it sees how old the newest picture is.
            if self._device:
                v4l2.check_there(self._device)
            time.sleep(_PAUSE)
        return bool(good)

    def retrieve(self) -> Image | None:
        """Return the grabbed picture, `(height, width, 3)` BGR; None where it was not written."""
        marked = Marked(self._shape)
        try:
            good, bgr = self._video.retrieve(marked.memory)
        except cv2.error as error:
            raise _cannot_read(error) from None
        if not good or not isinstance(bgr, np.ndarray) or bgr.ndim != 3:
            return None
        self._shape = bgr.shape
        if not marked.was_written(bgr):
            self.damaged += 1
            return None
        return np.asarray(bgr, np.uint8)


class Marked:
    """Memory for a picture that shows whether a decoder wrote into it, whatever it claims.

    OpenCV can answer "here is a frame" and leave its memory as it was.  A few pixels hold chance
    values that no picture repeats.
    """

    _PIXELS = 16

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Make it for `(height, width, 3)`."""
        self.memory: Image = np.empty(shape, np.uint8)
        probes = np.linspace(0, max(self.memory.size - 1, 0), 3 * self._PIXELS).astype(int)
        self._places = np.unique(probes)
        self._values = np.frombuffer(secrets.token_bytes(len(self._places)), np.uint8)
        if self.memory.size:
            self.memory.reshape(-1)[self._places] = self._values

    def was_written(self, bgr: Image) -> bool:
        """Return whether a decoder that returned `bgr` filled it."""
        if bgr.size != self.memory.size or not np.shares_memory(bgr, self.memory):
            return True
        return not np.array_equal(bgr.reshape(-1)[self._places], self._values)


def open_video(address: Address, timeouts: Timeouts) -> "Video":
    """Return the pictures of a camera or stream.

    Raises:
        OSError: it cannot be opened; `strerror` says why.
    """
    if address.kind != "stream":
        return CameraVideo(address)
    # A camera's process does without PyAV.
    from seqvision_edge.sources.ffmpeg import open_stream

    seconds = min(_STREAM_OPENS, timeouts.open)
    return open_stream(str(address.where), seconds, _READ_LONGER * timeouts.read)


def _cannot_read(error: Exception) -> OSError:
    return OSError(errno.EIO, f"OpenCV cannot read it ({getattr(error, 'err', error)})")
