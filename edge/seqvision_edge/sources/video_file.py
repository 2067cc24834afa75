"""A video file, decoded in a background thread, frame by frame with its own timestamps.

FFmpeg decodes, through PyAV; the conversion to pictures is in video_decoding.py.

OpenCV and onnxruntime both release the GIL, so decoding and the model run in parallel.  Only files
are read ahead; of a camera only the newest frame counts.
"""

import contextlib
import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import NDArray
from typing_extensions import Self

from seqvision_edge.errors import SourceError
from seqvision_edge.frame import MAX_PIXELS, Frame, FrameRefused, FrameTooLarge
from seqvision_edge.preprocess import ValueRange

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# A demuxer may fail at damage and continue after it; only the end is final.
_TRIES = 30
_USUAL_FPS = 25.0
_MAX_FPS = 1000.0
# A longer gap in a file is a damaged timestamp; taken as real, it would become millions of ticks.
LONGEST_SILENCE = 3600.0
# A model runs at each tick of its clock, also while a picture is unchanged: so a few frames must
# not last for days.
STILL_SECONDS_PER_FRAME = 100.0
# A file's tables or edit list may show the same stored frame again and again, for a few bytes each
# time.  A loop of some turns is a video; so many are not.
_MOST_REPEATED = 16
_REPEATS_FREE = 100
_HEAD_BYTES = 1024
_MICROSECONDS = 1_000_000

Item = TypeVar("Item")

# Enough to smooth out slow frames, few enough that 4K frames take little memory.
DEPTH = 4
_PUT_SECONDS = 0.1


class VideoFile:
    """A source: every decodable frame of a video file.

    Attributes:
        size: coded width and height, before a frame is turned or stretched.
        deep: whether its frames are grey with more than 8 bits, such as depth.
        note: a note for the user, "2 video streams; …"; "" if there is none.
    """

    live = False

    def __init__(
        self, path: Path, value_range: ValueRange | None = None, max_pixels: int = MAX_PIXELS
    ) -> None:
        """Open a video; `value_range` holds the black and white values of deep grey frames.

        Frames of more than `max_pixels` are refused before memory is allocated for them.

        Raises:
            SourceError: no such file, or no video that can be decoded here.
        """
        self.name = str(path)
        self._max_pixels = max_pixels
        self._opened = contextlib.ExitStack()
        with contextlib.ExitStack() as failed:
            failed.push(self._opened)
            self._container = self._open(path)
            self._stream, self.note = _choose(self._container, self.name)
            self._prepare_decoder()
            failed.pop_all()
        self.fps = _fps_of(self._stream)
        self.size = self._stream.width, self._stream.height
        self.claimed, self._ends_at, is_shared = _length(self._container, self._stream, self.fps)
        self._others = list(self._container.streams.audio) if is_shared else []
        self.decoded = 0
        self.damaged = 0
        self.deep = self._is_deep()
        self._value_range = value_range
        self._time = 0.0
        self._reached = 0.0

    def _open(self, path: Path) -> "InputContainer":
        if not path.is_file():
            raise SourceError(f"{self.name}: no such file")
        _refuse_text(path)
        # The import is slow, and not needed for a run on a camera.
        from seqvision_edge.sources.video_decoding import open_file

        try:
            return self._opened.enter_context(open_file(path, self._max_pixels))
        except SourceError as error:
            raise type(error)(f"{self.name}: {error}") from None

    def _prepare_decoder(self) -> None:
        """Set the decoder's limits.

        Raises:
            SourceError: the frames are too large.
        """
        from seqvision_edge.sources.video_decoding import check_size, decoder_options

        try:
            check_size(self._stream.width, self._stream.height, self._max_pixels)
        except FrameTooLarge as error:
            raise FrameTooLarge(f"{self.name}: {error}") from None
        context = self._stream.codec_context
        # One thread decodes faster than several on two cores, and leaves a core to the model.
        context.thread_count = 1
        context.options = {**context.options, **decoder_options(self._max_pixels)}

    def _is_deep(self) -> bool:
        from seqvision_edge.sources.video_decoding import is_deep

        return is_deep(self._stream.format)

    def values(self) -> Iterator[NDArray[Any]]:
        """Yield the frames of a deep video as stored, `(height, width)`."""
        from seqvision_edge.sources.video_decoding import deep_values

        for decoded in self._decode():
            yield deep_values(decoded)

    @property
    def incomplete(self) -> str | None:
        """After the last frame: "decoded 146 of 300 frames"; None if the video was complete.

        Some containers only estimate their count, so a video without damage counts as complete when
        it reaches its claimed end within 5 %, or two frames.
        """
        if self.claimed is None:
            return f"{self.damaged} frames were damaged" if self.damaged else None
        duration = self.claimed / self.fps
        missing = self._ends_at - self._reached
        is_short = self.decoded < self.claimed and missing > max(2.5 / self.fps, 0.05 * duration)
        if self.damaged or is_short:
            return f"decoded {self.decoded} of {self.claimed} frames"
        return None

    def stop(self) -> None:
        """Do nothing: reading a file never blocks for long."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; the first one is at time 0.

        Raises:
            SourceError: no frame can be decoded, they are too large, or a few of them are shown
                again and again.
        """
        from seqvision_edge.sources.video_decoding import Pictures

        pictures = Pictures(self._stream, self._value_range, self._max_pixels)
        start: float | None = None
        for decoded in self._decode():
            try:
                bgr = pictures.to_bgr(decoded)
            except FrameRefused as error:
                raise type(error)(f"{self.name}: {error}") from None
            expected = self._time + 1 / self.fps if self.decoded else 0.0
            stamp, duration = _stamp(decoded), _duration(decoded)
            if stamp is None:
                self._time = expected
            else:
                start = stamp - expected if start is None else start
                self._time = self._next_time(stamp - start, expected)
                self._reached = max(self._reached, stamp + (duration or 1 / self.fps))
            self.decoded += 1
            refuse_stills(self.name, self.decoded, self._time)
            index = self.decoded + self.damaged - 1
            yield Frame(bgr, self._time, index, duration=duration)
        if not self.decoded:
            raise SourceError(
                f"{self.name}: a video, but not one of its frames can be decoded "
                f"(damaged, or above {self._max_pixels >> 20} Mpx)"
            )

    def _next_time(self, stamp: float, expected: float) -> float:
        """Return the stamp in seconds if it can follow the last frame's, else the expected time."""
        if not self.decoded or self._time < stamp <= self._time + LONGEST_SILENCE:
            return stamp
        return expected

    def _decode(self) -> "Iterator[VideoFrame]":
        """Yield the decodable frames, and count the others."""
        from av import FFmpegError

        # A sound track that lasts until the end of the file shows that nothing is missing.
        streams = [self._stream, *self._others]
        failed = 0
        reached, stored, repeated = -1, 0, 0
        # Other containers are read sequentially.
        by_tables = self._container.format.name.startswith(("mov", "avi"))
        packets = self._container.demux(streams)
        while failed < _TRIES:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except FFmpegError:
                failed += 1
                packets = self._container.demux(streams)
                continue
            failed = 0
            if packet.stream_index != self._stream.index:
                self._see_end(packet)
                continue
            if by_tables and packet.pos is not None and packet.size:
                repeated += packet.pos <= reached
                stored += packet.pos > reached
                reached = max(reached, packet.pos)
                if repeated > _REPEATS_FREE + _MOST_REPEATED * stored:
                    raise SourceError(
                        f"{self.name}: it repeats {stored} stored frames, "
                        f"{repeated} times so far; re-encode it: ffmpeg -i IN -t SECONDS OUT.mp4"
                    )
            try:
                frames: list[Any] = packet.decode()
            except FFmpegError:
                self.damaged += packet.size > 0
                continue
            for frame in frames:
                if frame.is_corrupt:
                    # The decoder has concealed a loss; the model would take it for a real picture.
                    self.damaged += 1
                else:
                    yield frame

    def _see_end(self, packet: Any) -> None:
        if packet.pts is not None and packet.time_base:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            self._reached = max(self._reached, end)


def refuse_stills(name: str, frames: int, seconds: float) -> None:
    """Refuse a recording whose few frames last for days by their times.

    Raises:
        SourceError: they do.
    """
    if seconds > LONGEST_SILENCE + STILL_SECONDS_PER_FRAME * frames:
        raise SourceError(
            f"{name}: {frames} frames last {seconds / 3600:.0f} hours by their times; cut it, or "
            "give it other times: ffmpeg -i IN -vf setpts=N/25/TB OUT.mp4"
        )


def _choose(container: "InputContainer", name: str) -> "tuple[VideoStream, str]":
    """Return the video stream that a player shows, and a note if there are several.

    Raises:
        SourceError: none, or none that can be decoded.
    """
    from av.stream import Disposition

    from seqvision_edge.sources.video_decoding import codec_name

    videos = container.streams.video
    hidden = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    shown = [stream for stream in videos if not stream.disposition & hidden]
    if not shown:
        if videos:
            raise SourceError(f"{name}: its only picture is a cover image; give a video")
        if container.streams.audio:
            raise SourceError(f"{name}: contains only sound; give a video")
        raise SourceError(f"{name}: contains no video")
    decodable = [stream for stream in shown if stream.codec_context is not None]
    if not decodable:
        codecs = " or ".join(sorted({codec_name(stream) for stream in shown}))
        raise SourceError(f"{name}: codec {codecs} cannot be decoded here; convert it to H.264")
    best = max(
        decodable,
        key=lambda stream: (
            bool(stream.disposition & Disposition.default),
            stream.width * stream.height,
        ),
    )
    note = ""
    if len(shown) > 1:
        number = shown.index(best) + 1
        note = f"{len(shown)} video streams; number {number} is read ({best.width} x {best.height})"
    return best, note


def _fps_of(stream: "VideoStream") -> float:
    """Return the declared frame rate, 25 if it is impossible."""
    if stream.frames == 1:
        # For a single picture it is the display time.
        return _USUAL_FPS
    for rate in (stream.guessed_rate, stream.average_rate):
        if rate and 0 < rate <= _MAX_FPS:
            return float(rate)
    return _USUAL_FPS


def _length(
    container: "InputContainer", stream: "VideoStream", fps: float
) -> tuple[int | None, float, bool]:
    """Return the claimed number of frames, their end, and whether other streams count too.

    The end is in seconds of the file's own clock.
    """
    base = float(stream.time_base or 0)
    begin = base * (stream.start_time or 0)
    end, is_shared = None, False
    tag = stream.metadata.get("DURATION")
    if stream.duration:
        end = begin + base * stream.duration
    elif tag and (seconds := _clock(tag)):
        # Matroska's, of a single track.
        end = seconds
    elif container.duration:
        end = ((container.start_time or 0) + container.duration) / _MICROSECONDS
        is_shared = True
    if stream.frames and not container.format.name.startswith("mov"):
        # The duration of a truncated AVI is that of the rest.  An MP4's edit list may hide frames.
        end = max(end or 0.0, begin + stream.frames / fps)
    if end is None or end <= begin:
        return stream.frames or None, 0.0, False
    return stream.frames or round((end - begin) * fps), end, is_shared


def _clock(text: str) -> float | None:
    """Return `00:01:02.500000000` in seconds; None for any other text."""
    try:
        hours, minutes, seconds = text.split(":")
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        return None


def _stamp(frame: "VideoFrame") -> float | None:
    """Return when a frame is shown, in seconds of the file's clock; None if unknown."""
    stamp = frame.pts if frame.pts is not None else frame.dts
    return None if stamp is None or frame.time_base is None else float(stamp * frame.time_base)


def _duration(frame: "VideoFrame") -> float:
    """Return how long a frame is shown, in seconds; 0 if unknown."""
    if not frame.duration or frame.time_base is None:
        return 0.0
    duration = float(frame.duration * frame.time_base)
    return duration if duration <= LONGEST_SILENCE else 0.0


def _refuse_text(path: Path) -> None:
    """Refuse text, which FFmpeg may draw as a terminal, and playlists, which open other files.

    Every video container has unprintable bytes at its start.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from None
    if not head:
        raise SourceError(f"{path}: not a video that can be read, it is empty")
    # A multi-byte character may be cut at the end of the head.
    text = head.decode("utf-8", errors="ignore")
    if all(character.isprintable() or character.isspace() for character in text) and (
        len(text.encode()) > len(head) - 4
    ):
        raise SourceError(f"{path}: not a video that can be read, it is text")


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None = None


def ahead(items: Iterable[Item], depth: int = DEPTH) -> Generator[Item, None, None]:
    """Yield the items, up to `depth` of them prepared by a background thread.

    Exceptions of the iterable are raised here, after the items before them.  The thread has ended
    when the generator has: close it (`contextlib.closing`) before the items' own source.
    """
    box: queue.Queue[Item | _End] = queue.Queue(depth)
    left = threading.Event()

    def put(item: Item | _End) -> None:
        while not left.is_set():
            try:
                box.put(item, timeout=_PUT_SECONDS)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for item in items:
                put(item)
                if left.is_set():
                    return
            put(_End())
        except BaseException as error:
            put(_End(error))

    thread = threading.Thread(target=work, name="decode-ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := box.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        left.set()
        thread.join()
