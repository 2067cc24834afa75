"""The child process of one camera: it reads continuously, and sends the newest frame on request.

OpenCV and FFmpeg block for seconds when a camera stalls, and may crash their process when they are
interrupted or closed from another thread.  In a child process nothing else is lost by that, and the
parent can end it at any moment.  The main thread reads; a second one serves the parent:

    child  → Opened, or the OSError that prevented it
    parent → Layout: a shared memory, and the layout of a frame in it
    child  → None: it is mapped
    parent → None: requests the newest frame
    child  → Grabbed: the pixels are in the shared memory; or the OSError that ended the frames

The child computes the model's image and a reduced picture for display: the parent copies little,
and its one model never waits for a large picture to be resized.

Only the child writes to the memory between request and reply, only the parent reads after it, so no
frame is torn and a killed child leaves no lock behind.
"""

import contextlib
import errno
import os
import secrets
import signal
import threading
import time
import traceback
from dataclasses import dataclass, replace
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
from seqvision_edge.regions import Region, crop
from seqvision_edge.sources import v4l2
from seqvision_edge.sources.address import Address, is_playlist
from seqvision_edge.sources.stream_timing import Backlog, Pace

if TYPE_CHECKING:
    from seqvision_edge.sources.stream_video import Video

_WATCH_PARENT = 0.2
# Limit on decoded frames of a camera or server: 17 pictures of 8K video are 0.9 GB.
_MOST_MEMORY = 3 << 29

# A server that is up responds sooner.
_STREAM_OPENS = 5.0
# The parent notices a stall first: it knows the timeout.
_READ_LONGER = 2.0
_USUAL_FPS = 30.0
_MAX_FPS = 1000.0
_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class OpenedCamera:
    """An open camera: its properties, and the monotonic time of the opening."""

    height: int
    width: int
    fps: float
    time: float


@dataclass(frozen=True, slots=True)
class Grabbed:
    """A frame: its number since the source was opened, and its monotonic arrival time.

    `damaged` counts the incomplete frames received so far; `size` is the height and width of the
    picture as it came.
    """

    index: int
    arrived: float
    damaged: int = 0
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a frame in the shared memory: the picture for display, then the model's.

    Attributes:
        memory: the name of the shared memory.
        height, width: of the picture for display, `(height, width, 3)` BGR.
        image: the model's input, `(height, width, channels)`; None if not requested.
        regions: the parts of the picture that the model reads, each; none: all of it.
    """

    memory: str
    height: int
    width: int
    image: Sizing | None
    regions: tuple[Region, ...] = ()

    @property
    def bytes(self) -> int:
        """The size of a frame in bytes."""
        spec = self.image
        own = spec.height * spec.width * spec.channels if spec else 0
        return self.height * self.width * 3 + own * max(1, len(self.regions))

    def views(self, memory: SharedMemory) -> tuple[Image, Image | None]:
        """Return the picture, and the model's `(regions, height, width, channels)`, as views of the
        memory.  Without regions there is one, of the whole picture.
        """
        bgr: Image = np.ndarray((self.height, self.width, 3), np.uint8, memory.buf)
        spec = self.image
        if spec is None:
            return bgr, None
        shape = (max(1, len(self.regions)), spec.height, spec.width, spec.channels)
        return bgr, np.ndarray(shape, np.uint8, memory.buf, bgr.nbytes)


@dataclass(frozen=True, slots=True)
class ReadTimeouts:
    """Seconds that opening a source may take, and one read from it."""

    open: float = 10.0
    read: float = 3.0


def main(connection: Connection, address: Address, timeouts: ReadTimeouts) -> None:
    """Read a camera or stream until the parent closes its end of the connection, or dies."""
    # Ctrl-C goes to every process of a terminal; only the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit_memory(_MOST_MEMORY)
    newest = _Newest()
    threading.Thread(target=_answer, args=(connection, newest), daemon=True).start()
    try:
        if is_playlist(str(address.where)):
            parts = urlsplit(str(address.where))
            set_ffmpeg_proxy(parts.scheme, parts.hostname or "")
        video = open_video(address, timeouts)
        opened = OpenedCamera(video.height, video.width, video.fps, time.monotonic())
        _send(connection, opened)
    except OSError as error:
        _send(connection, error)
    else:
        newest.fail(_read(video, newest, _timing(address, opened, timeouts)))
    # The other thread ends this process.
    threading.Event().wait()


class _Newest:
    """The newest frame, passed from the reading thread to the serving one."""

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
            EOFError: the parent closed the connection.
        """
        with self._changed:
            while self._bgr is None or self._grabbed.index <= index:
                if self._error is not None:
                    raise self._error
                # The parent sends nothing while it waits, so any input is the end.
                if connection.poll():
                    raise EOFError
                self._changed.wait(_WATCH_PARENT)
            return self._bgr, self._grabbed


def _timing(
    address: Address, opened: OpenedCamera, timeouts: ReadTimeouts
) -> Backlog | Pace | None:
    """Return the timing rule for frames that arrive late or early; None if none applies."""
    if address.kind != "stream":
        return None
    if is_playlist(str(address.where)):
        return Pace()
    return Backlog(opened.fps, timeouts.read, opened.time)


def _read(video: "Video", newest: _Newest, timing: Backlog | Pace | None) -> OSError:
    """Read frames for ever; return the error that ends them."""
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
    """Serve the parent until it disconnects, then end the process even if it is blocked."""
    try:
        layout: Layout = connection.recv()
        memory = SharedMemory(layout.memory)
        connection.send(None)
        _hand_over(connection, newest, layout, memory)
    except (EOFError, ConnectionError):
        pass
    except Exception:
        traceback.print_exc()
    finally:
        # A regular exit aborts while a thread is blocked in OpenCV.
        os._exit(0)


def _hand_over(
    connection: Connection, newest: _Newest, layout: Layout, memory: SharedMemory
) -> None:
    shown, read = layout.views(memory)
    spec = layout.image
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
            if not layout.regions:
                read[0] = prepare(bgr, spec)
            for number, region in enumerate(layout.regions):
                read[number] = prepare(crop(bgr, region), spec)
        # A source may change its size; the displayed picture keeps the first one.
        same = bgr.shape == shown.shape
        shown[:] = bgr if same else cv2.resize(bgr, size, interpolation=cv2.INTER_LINEAR)
        index = grabbed.index
        connection.send(replace(grabbed, size=(bgr.shape[0], bgr.shape[1])))


def _send(connection: Connection, message: object) -> None:
    # The other thread handles a parent that has disconnected.
    with contextlib.suppress(ConnectionError):
        connection.send(message)


class CameraVideo:
    """The pictures of a local camera, by OpenCV; a `Video`."""

    def __init__(self, address: Address) -> None:
        """Open it.

        Raises:
            OSError: it cannot be opened; `strerror` is the reason.
        """
        self._device = device = v4l2.device_path(address)
        # A text that any backend accepts could be a pipeline, or a URL.
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
        """Wait for the next picture; return False if none came but the next may.

        Raises:
            OSError: the camera is disconnected.
        """
        began = time.monotonic()
        try:
            good = self._video.grab()
        except cv2.error as error:
            raise _cannot_read(error) from None
        self.waited = time.monotonic() - began
        if not good:
            # OpenCV reports an unplugged camera as open.  One that is present but sends nothing is
            # left to the parent, which checks the age of the newest picture.
            if self._device:
                v4l2.check_there(self._device)
            time.sleep(_PAUSE)
        return bool(good)

    def retrieve(self) -> Image | None:
        """Return the grabbed picture, `(height, width, 3)` BGR; None if it was not written."""
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
    """Memory for a picture that shows whether a decoder really wrote into it.

    OpenCV can report a frame and leave the memory unchanged.  A few pixels hold random values that
    no picture repeats.
    """

    _PIXELS = 16

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Allocate it for `(height, width, 3)`."""
        self.memory: Image = np.empty(shape, np.uint8)
        probes = np.linspace(0, max(self.memory.size - 1, 0), 3 * self._PIXELS).astype(int)
        self._indices = np.unique(probes)
        self._values = np.frombuffer(secrets.token_bytes(len(self._indices)), np.uint8)
        if self.memory.size:
            self.memory.reshape(-1)[self._indices] = self._values

    def was_written(self, bgr: Image) -> bool:
        """Return whether a decoder that returned `bgr` filled it."""
        if bgr.size != self.memory.size or not np.shares_memory(bgr, self.memory):
            return True
        return not np.array_equal(bgr.reshape(-1)[self._indices], self._values)


def open_video(address: Address, timeouts: ReadTimeouts) -> "Video":
    """Return the pictures of a camera or stream.

    Raises:
        OSError: it cannot be opened; `strerror` is the reason.
    """
    if address.kind != "stream":
        return CameraVideo(address)
    # A camera's process does not import PyAV.
    from seqvision_edge.sources.ffmpeg import open_stream

    seconds = min(_STREAM_OPENS, timeouts.open)
    return open_stream(str(address.where), seconds, _READ_LONGER * timeouts.read)


def _cannot_read(error: Exception) -> OSError:
    return OSError(errno.EIO, f"OpenCV cannot read it ({getattr(error, 'err', error)})")
