"""Decode uploaded videos and pictures into frames, as for a local file."""

import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from seqvision_edge.card import ModelCard, TimedSequence
from seqvision_edge.errors import SourceError
from seqvision_edge.files import temporary_folder
from seqvision_edge.frame import Frame, FrameTooLarge, Image
from seqvision_edge.preprocess import ValueRange, prepare
from seqvision_edge.regions import Region, crop, named, parse_region
from seqvision_edge.sampling import Sampler, Steps, refuse_long
from seqvision_edge.server.job import Job
from seqvision_edge.server.limits import MIB, Limits
from seqvision_edge.session import step_dtype
from seqvision_edge.sources.decoder_process import Decoders, Isolated, NoDecoder, TooMuchMemory
from seqvision_edge.sources.image_files import (
    JPEG,
    MOST_SCANS,
    PNG,
    decode_image,
    has_too_many_scans,
)
from seqvision_edge.sources.vectors import NO_PICTURE
from seqvision_edge.sources.video_file import VideoFile
from seqvision_edge.still_images import sized

FPS = 30.0

# Signatures of picture formats that are not accepted: name, offset, bytes.
_OTHERS = (
    ("WebP", 8, b"WEBP"),
    ("GIF", 0, b"GIF8"),
    ("TIFF", 0, b"II*\0"),
    ("TIFF", 0, b"MM\0*"),
    ("Radiance HDR", 0, b"#?"),
    ("BMP", 0, b"BM"),
    ("JPEG 2000", 4, b"jP  "),
    ("AVIF", 4, b"ftypavif"),
    ("HEIC", 4, b"ftyphei"),
    ("OpenEXR", 0, b"v/1\1"),
)
# Start-of-frame markers, which hold the size.  C4, C8 and CC have other meanings.
_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class UploadSource:
    """Source interface of a pipeline."""

    name: str
    fps: float
    live: bool = False


@dataclass
class UploadedClip:
    """One uploaded clip: frames that can be read once.

    `incomplete` returns, after the last frame, what is missing from a damaged video.
    """

    frames: Iterable[Frame]
    fps: float
    incomplete: Callable[[], str | None] = lambda: None


def cut(sent: UploadedClip, region: Region | None) -> UploadedClip:
    """Return a clip of the part of the picture that a region is; None: all of it."""
    return sent if region is None else replace(sent, frames=_parts(sent.frames, region))


def _parts(frames: Iterable[Frame], region: Region) -> Iterator[Frame]:
    for number, frame in enumerate(frames):
        problem = "" if number else region.problem((frame.bgr.shape[0], frame.bgr.shape[1]))
        if problem:
            raise HTTPException(422, f"region {region}: {problem}")
        yield replace(frame, bgr=crop(frame.bgr, region), image=None)


def region_of(text: str | None) -> Region | None:
    """Return the region of a query, `0.1,0.2,0.4,0.9`; None without one.

    Raises:
        HTTPException: 422, it is none.
    """
    try:
        return None if text is None else parse_region(text, "region")
    except SourceError as error:
        raise HTTPException(422, str(error)) from None


def regions_of(texts: Sequence[str]) -> tuple[Region, ...]:
    """Return the regions of a query, `door=0.1,0.2,0.4,0.9`.

    Raises:
        HTTPException: 422, one is none, or two have one name.
    """
    try:
        return named((parse_region(text, "region") for text in texts), "region")
    except SourceError as error:
        raise HTTPException(422, str(error)) from None


@dataclass(frozen=True)
class DecodedUpload:
    """A decoded clip at the size of the model's steps, with the frames that answer a tick."""

    frames: Steps
    times: NDArray[np.float64]
    source_fps: float | None = None
    end: float | None = None


def from_pixels(pixels: NDArray[np.uint8], fps: float) -> UploadedClip:
    """Return pixels `(time, height, width, channels)`, RGB or grey, as a clip of this rate."""
    bgr = pixels[..., ::-1] if pixels.shape[-1] == 3 else np.repeat(pixels, 3, axis=-1)
    frames = (
        Frame(np.ascontiguousarray(each), index / fps, index) for index, each in enumerate(bgr)
    )
    return UploadedClip(frames, fps)


def from_vectors(values: NDArray[np.float32], fps: float) -> UploadedClip:
    """Return vectors `(time, features)` as a clip of this rate."""
    frames = (
        Frame(NO_PICTURE, index / fps, index, image=each, duration=1 / fps)
        for index, each in enumerate(values)
    )
    return UploadedClip(frames, fps)


@contextmanager
def from_pictures(
    pictures: Sequence[bytes],
    fps: float,
    limits: Limits,
    value_range: ValueRange | None,
    decoders: Decoders,
    job: Job,
) -> Iterator[UploadedClip]:
    """Yield JPEG or PNG files as a clip of this rate.

    Raises:
        HTTPException: 413 one is too large, 422 one is no picture.
    """

    def checked() -> Iterator[bytes]:
        for data in pictures:
            check_picture(data, limits)
            yield data

    def times(frames: Iterable[Frame]) -> Iterator[Frame]:
        for index, frame in enumerate(frames):
            yield replace(frame, time=index / fps, index=index)

    with (
        refusals(),
        decoders.pictures(checked(), value_range, job.check, job.seconds_left) as decoded,
    ):
        if decoded is not None:
            yield UploadedClip(times(decoded), fps)
            return
        here = (decode_picture(data, limits, value_range) for data in pictures)
        yield UploadedClip(times(Frame(bgr, 0.0, 0) for bgr in here), fps)


@contextmanager
def from_video(
    content: BinaryIO,
    limits: Limits,
    value_range: ValueRange | None,
    decoders: Decoders,
    job: Job,
) -> Iterator[UploadedClip]:
    """Yield the clip of a video file's content, which is stored in a temporary file meanwhile.

    Raises:
        HTTPException: 413 its frames are too large or take too much memory, 422 not a video, 507 no
            disk space.
    """
    with ExitStack() as opened:
        try:
            # What a killed server leaves in such a folder is removed by the next one.
            path = opened.enter_context(temporary_folder()) / "a.video"
            with path.open("xb") as file:
                while part := content.read(MIB):
                    file.write(part)
        except OSError:
            raise HTTPException(507, "no disk space for the video") from None
        with (
            refusals(str(path)),
            decoders.video(path, value_range, job.check, job.seconds_left) as decoded,
            _opened(path, value_range, limits.pixels, decoded) as video,
        ):
            yield UploadedClip(video, video.fps, lambda: video.incomplete)


@contextmanager
def _opened(
    path: Path, value_range: ValueRange | None, pixels: int, decoded: Isolated | None
) -> Iterator[Isolated | VideoFile]:
    """Open a video in a decoding child process, or here if there can be none."""
    if decoded is not None:
        yield decoded
        return
    with VideoFile(path, value_range, pixels) as video:
        yield video


@contextmanager
def refusals(name: str = "") -> Iterator[None]:
    """Turn errors into HTTP responses, without the `name` of our temporary file."""
    try:
        yield
    except NoDecoder as error:
        raise HTTPException(503, str(error), headers={"retry-after": "5"}) from None
    except (FrameTooLarge, TooMuchMemory) as error:
        raise HTTPException(413, _plain(error, name)) from None
    except SourceError as error:
        raise HTTPException(422, _plain(error, name)) from None


def _plain(error: Exception, name: str) -> str:
    return str(error).replace(name, "the video") if name else str(error)


@contextmanager
def decoded_upload(
    sent: UploadedClip,
    card: ModelCard,
    limits: Limits,
    job: Job,
    see: Callable[[Frame], Iterable[object]] | None = None,
) -> Iterator[DecodedUpload]:
    """Decode a clip to the size of the model's steps, stored in a temporary file.

    Args:
        sent: the uploaded clip.
        card: the model's.
        limits: the bounds on the stored bytes, and on the ticks of the model's clock per request.
        job: the request's work.
        see: called with every decoded frame; yields after each piece of its work.

    Raises:
        HTTPException: too long (413), wrong for this model (422), no disk space (507), and what
            the job raises.
    """
    clock = _Clock(card, sent.fps, limits.ticks, job)
    times: list[float] = []
    shape: tuple[int, ...] = ()
    size = 0
    last: Frame | None = None
    left_out: Frame | None = None
    with tempfile.TemporaryFile(prefix="seqvision-") as file:

        def keep(frame: Frame) -> None:
            nonlocal shape, size
            image = _step(frame, card)
            shape = image.shape
            size += image.nbytes
            if size > limits.clip_bytes:
                raise HTTPException(413, f"clip longer than {frame.time:.0f} s: send it in parts")
            times.append(frame.time)
            try:
                file.write(np.ascontiguousarray(image).data)
            except OSError:
                raise HTTPException(507, "no disk space for the frames") from None

        for frame in sent.frames:
            job.check()
            if times and not isinstance(card.sequence, TimedSequence):
                raise HTTPException(422, "not a still image, and the model accepts no other input")
            ticks = clock.take(frame)
            for _ in see(frame) if see is not None else ():
                job.check()
            last = frame
            if not ticks:
                left_out = frame
                continue
            if ticks > 1 and left_out is not None:
                # It may be the previous frame, shown on.
                keep(left_out)
            left_out = None
            keep(frame)
        if last is None:
            raise HTTPException(422, "no frames in it")
        end = last.time + last.duration if last.duration else None
        if end is not None:
            clock.end(end)
            if left_out is not None:
                keep(left_out)
        file.flush()
        frames = np.memmap(file, step_dtype(card), "r", shape=(len(times), *shape))
        yield DecodedUpload(frames, np.asarray(times), sent.fps, end)


class _Clock:
    """Count the ticks of the model's clock that a clip lasts, before they are computed."""

    def __init__(self, card: ModelCard, source_fps: float, most: int, job: Job) -> None:
        sequence = card.sequence
        self._sampler: Sampler | None = None
        if isinstance(sequence, TimedSequence):
            self._sampler = Sampler(sequence.fps, source_fps)
        self._most, self._job = most, job

    def take(self, frame: Frame) -> int:
        """Return how many ticks a frame answers, including the stills before it."""
        if self._sampler is None:
            return 1
        return self._count(self._sampler.take, frame.time)

    def end(self, time: float) -> None:
        """Record that the last frame is shown until `time`."""
        if self._sampler is not None:
            self._count(self._sampler.take_stills, time)

    def _count(self, take: Callable[[float], int], time: float) -> int:
        assert self._sampler is not None
        try:
            ticks = take(time)
            self._job.ticks += ticks
            refuse_long(self._job.ticks, self._sampler.fps, self._most, "what was sent")
        except SourceError as error:
            raise HTTPException(413, str(error)) from None
        return ticks


def _step(frame: Frame, card: ModelCard) -> Steps:
    if card.vectors is not None:
        assert frame.image is not None
        return frame.image
    if isinstance(card.sequence, TimedSequence):
        return prepare(frame.bgr, card.image)
    return sized(frame.bgr, card.image, card.sequence)


def is_picture(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of a JPEG or PNG."""
    return head.startswith((PNG, JPEG))


def other_picture(head: bytes) -> str | None:
    """Return the name of another picture format with these first bytes; None if there is none."""
    return next((name for name, at, mark in _OTHERS if head[at:].startswith(mark)), None)


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) from the header of a JPEG or PNG; None if it has none."""
    if data.startswith(PNG) and data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    return _jpeg_size(data) if data.startswith(JPEG) else None


def decode_picture(data: bytes, limits: Limits, value_range: ValueRange | None = None) -> Image:
    """Return a JPEG or PNG as `(height, width, 3)` BGR, decoded like a file with these bytes.

    Raises:
        HTTPException: 413 too large, 422 not a picture.
    """
    check_picture(data, limits)
    bgr = decode_image(np.frombuffer(data, np.uint8), value_range)
    if bgr is None:
        raise HTTPException(422, "the picture is damaged")
    return bgr


def check_picture(data: bytes, limits: Limits) -> None:
    """Refuse by its header what is not a JPEG or PNG, or is too large.

    Raises:
        HTTPException: 413 too large, 422 not a picture.
    """
    if len(data) > limits.picture_bytes:
        raise HTTPException(413, f"a picture has at most {limits.picture_bytes} bytes")
    size = picture_size(data)
    if size is None or 0 in size:
        other = other_picture(data[:16])
        raise HTTPException(
            422, f"a {other} picture: send JPEG or PNG" if other else "not a JPEG or PNG picture"
        )
    if size[0] * size[1] > limits.pixels:
        raise HTTPException(
            413, f"the picture has {size[0]} x {size[1]} pixels, at most are {limits.pixels}"
        )
    if has_too_many_scans(data):
        raise HTTPException(413, f"the JPEG has more than {MOST_SCANS} scans")


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker in _SIZES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # these have no length
            at += 2
            continue
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return None
