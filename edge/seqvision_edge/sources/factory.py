"""Open a source by its address: camera, stream, video file, images, standard input.

    with open_path("clip.mp4") as source:
        for frame in source:
            ...

A source is open once it is created, is read once from its beginning, and is closed by its context.
Training decodes its clips with `open_path` too, so that a clip gives the same frames at the same
times in training and at run time.
"""

import contextlib
import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from seqvision_edge.card import VectorSequence
from seqvision_edge.errors import SourceError
from seqvision_edge.files import IMAGE_SUFFIXES
from seqvision_edge.frame import Frame
from seqvision_edge.hints import archive, path_error
from seqvision_edge.preprocess import ValueRange
from seqvision_edge.regions import check_size
from seqvision_edge.sanitize import deduplicate
from seqvision_edge.sources.address import Address
from seqvision_edge.sources.capture_process import WHOLE, Capture, FrameFormat
from seqvision_edge.sources.image_files import ImageFiles, read_values
from seqvision_edge.sources.live import CameraSource, LiveSource, Timeouts
from seqvision_edge.sources.stdin import Rate, open_standard_input
from seqvision_edge.sources.v4l2 import list_cameras
from seqvision_edge.sources.video_file import VideoFile
from seqvision_edge.types import SourceState

__all__ = [
    "IMAGE_FPS",
    "Frame",
    "ImageFiles",
    "RecordedSource",
    "Source",
    "deep_pictures",
    "list_cameras",
    "open_camera",
    "open_path",
]

# Of images, which have no frame rate.
IMAGE_FPS = 30.0

_VIDEOS = (".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg")


class Source(Protocol):
    """Frames in rising order of time, read once, and state changes between them.

    Attributes:
        name: the name given by the user.
        live: whether frames arrive in real time; a slow reader loses some.
        fps: nominal frames per second, above 0; the frames' own times are authoritative.
        claimed: the number of frames the source declares, if plausible.
        decoded: number of frames returned so far.
        damaged: number of frames that could not be decoded.
    """

    name: str
    live: bool
    fps: float
    claimed: int | None
    decoded: int
    damaged: int

    @property
    def incomplete(self) -> str | None:
        """After the last frame: why some are missing, "decoded 146 of 300 frames"; else None."""

    def stop(self) -> None:
        """End an iteration that waits in another thread; called before the context exits."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __iter__(self) -> Iterator[Frame | SourceState]: ...


class RecordedSource(Source, Protocol):
    """A recorded source: frames without states, all of them, as fast as they are read.

    Attributes:
        note: a note for the user, such as "2 video streams; …"; "" if there is none.
        deep: whether any picture so far had more than 8 bits per value.
    """

    note: str
    deep: bool

    def __iter__(self) -> Iterator[Frame]: ...


def open_path(
    path: str | Path, image_fps: float = IMAGE_FPS, value_range: ValueRange | None = None
) -> RecordedSource:
    """Open a video file, an image, a folder of images, or a glob pattern of images.

    Args:
        path: a path; or a pattern such as `"frames/*.png"` if no file has that very name.
        image_fps: frames per second of a sequence of images.
        value_range: the black and white values of pictures with more than 8 bits: the card's.

    Raises:
        SourceError: it does not exist, or cannot be read as frames.
    """
    where = str(path)
    path = Path(path)
    if path.is_dir():
        if video := _video_instead(path):
            raise SourceError(f"{where}: a folder of videos; give one of them, such as {video}")
        return ImageFiles(where, path.iterdir(), image_fps, value_range)
    if path.is_file():
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return ImageFiles(where, [path], image_fps, value_range)
        if packed := archive(path):
            raise SourceError(f"{where}: {packed}")
        return VideoFile(path, value_range)
    if path.exists():
        raise SourceError(f"{where}: neither a file nor a folder; give a video or images")
    if glob.has_magic(where):
        found = list(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        if not found:
            raise SourceError(f"{where}: no file matches this pattern")
        return ImageFiles(where, found, image_fps, value_range)
    raise SourceError(path_error(where))


def _video_instead(folder: Path) -> Path | None:
    """Return a video from a folder that has no images, or from a subfolder."""
    with contextlib.suppress(OSError):
        inside = sorted(folder.iterdir())
        if not any(child.suffix.lower() in IMAGE_SUFFIXES for child in inside):
            below = (child for each in inside if each.is_dir() for child in sorted(each.iterdir()))
            videos = (each for each in (*inside, *below) if each.suffix.lower() in _VIDEOS)
            return next(videos, None)
    return None


def deep_pictures(path: Path, most: int) -> Iterator[NDArray[Any]]:
    """Yield some pictures with more than 8 bits as stored; none for an 8-bit source.

    Raises:
        SourceError: it cannot be read.
    """
    source = open_path(path)
    with source:
        if isinstance(source, ImageFiles):
            every = max(1, len(source.files) // most)
            for file in source.files[::every][:most]:
                values = read_values(file)
                if values is None:
                    continue
                if values.dtype == np.uint8:
                    return
                yield values
        elif isinstance(source, VideoFile) and source.deep:
            for number, values in enumerate(islice(source.values(), 10 * most)):
                if number % 10 == 0:
                    yield values


def open_camera(index: int) -> CameraSource:
    """Open a local camera by its number, from 0.

    Raises:
        SourceError: no such camera, no permission, or another program uses it.
    """
    return CameraSource(index)


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """How to read sources.

    Attributes:
        image_fps: frames per second of sources without times: images, standard input; `arrival`:
            the arrival times of standard input.  None: 30 for images, an error for standard input.
        value_range: the black and white values of pictures with more than 8 bits.
        stdin_size: width and height of raw frames on standard input; None: not raw.
        vectors: what a model of vectors reads; None for one of pictures.
        stdin_floats: vectors on standard input are raw float32.
        frame_format: the format of the frames of live sources.
        timeouts: how long live sources may be silent.
    """

    image_fps: Rate | None = None
    value_range: ValueRange | None = None
    stdin_size: tuple[int, int] | None = None
    vectors: VectorSequence | None = None
    stdin_floats: bool = False
    frame_format: FrameFormat = WHOLE
    timeouts: Timeouts = field(default_factory=Timeouts)


def refuse_missing(addresses: Sequence[Address]) -> None:
    """Refuse a missing camera before a model is loaded.

    Raises:
        SourceError: a local camera is missing, or may not be opened.
    """
    for address in addresses:
        if address.kind == "camera":
            Capture(address).refuse_missing()


def open_sources(addresses: Sequence[Address], settings: ReadSettings) -> list[Source]:
    """Open all sources, under distinct names; if one fails, all are closed.

    Raises:
        SourceError: one of them cannot be opened.
    """
    if sum(address.kind == "pipe" for address in addresses) > 1:
        raise SourceError("standard input can be one source only; - is there more than once")
    names = deduplicate([address.name for address in addresses])
    with contextlib.ExitStack() as opened:
        sources = [
            # The run uses its context; here it is only closed if the next one fails.
            opened.push(_open(replace(address, name=name), settings))
            for address, name in zip(addresses, names, strict=True)
        ]
        opened.pop_all()
    return sources


def region_notes(address: Address, source: Source) -> list[str]:
    """Return notes about the regions of a source that is open: those partly outside its picture.

    Raises:
        SourceError: a region is outside the picture, or too small in it.
    """
    if not address.regions:
        return []
    size = source.size if isinstance(source, LiveSource) else None
    if address.kind == "path":
        # Not what a file declares: its pictures may be turned, or stretched.
        with open_path(str(address.where)) as opened:
            first = next(iter(opened), None)
            size = None if first is None else (first.bgr.shape[0], first.bgr.shape[1])
    if size is None:
        # Of a stream it is not known yet.
        return []
    return check_size(address.regions, size, source.name)


def _open(address: Address, settings: ReadSettings) -> Source:
    if settings.vectors is not None:
        return _open_vectors(address, settings.vectors, settings)
    if address.kind in ("camera", "stream"):
        form = replace(settings.frame_format, regions=address.regions)
        return LiveSource(address, form, settings.timeouts)
    if address.kind == "pipe":
        return open_standard_input(address.name, settings.image_fps, settings.stdin_size)
    if isinstance(settings.image_fps, str):
        raise SourceError(
            f"--image-fps {settings.image_fps}: only standard input has arrival times"
        )
    source = open_path(str(address.where), settings.image_fps or IMAGE_FPS, settings.value_range)
    source.name = address.name
    return source


def _open_vectors(address: Address, vectors: VectorSequence, settings: ReadSettings) -> Source:
    from seqvision_edge.sources.vectors import VectorFile, open_vector_pipe

    rate = settings.image_fps
    if address.kind == "pipe":
        return open_vector_pipe(address.name, vectors, rate, settings.stdin_floats)
    if address.kind != "path":
        raise SourceError(
            f"{address.name}: the model reads vectors, not pictures; give a file of them, or pipe "
            "them in: program | edge-run --source -"
        )
    if isinstance(rate, str):
        raise SourceError(f"--image-fps {rate}: only standard input has arrival times")
    source = VectorFile(Path(str(address.where)), vectors, rate)
    source.name = address.name
    return source
