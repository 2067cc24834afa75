"""Clips decoded once: frames sized for the model, in a cache of memory-mapped files.

Decoding and resizing are the edge package's own functions, so that training sees the frames that
the live runner will see.  A still image is kept as one frame, whole: it is varied before it is cut.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvision.data.cache import Cache, touch
from seqvision.data.clips import Clip
from seqvision.data.readers.idx import idx_images
from seqvision_edge.card import ImageSpec
from seqvision_edge.clip import Frames
from seqvision_edge.cut import sized
from seqvision_edge.errors import SourceError
from seqvision_edge.files import replacing
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import prepare
from seqvision_edge.sequence import SequenceSpec, VideoSequence
from seqvision_edge.sources import open_path
from seqvision_edge.sources.video_decoding import DECODER

# Raise it when decoding or resizing changes: cached clips are then made anew.
_VERSION = 4


@dataclass(frozen=True)
class Decoded:
    """A clip's frames `(time, height, width, channels)` uint8 and their times in seconds.

    A still image is a clip of one frame.

    `key` is the same for the same frames at the same times, wherever they lie and whatever the list
    or the order they come in: what a training draws for a clip follows from it.
    `source_fps` is the rate that a file claims, `end` until when its last frame is shown, in
    seconds; both None where that is not known.
    `incomplete` says what is missing from a damaged or short file, "decoded 146 of 300 frames".
    """

    frames: Frames
    times: NDArray[np.float64]
    key: str = "0"
    incomplete: str | None = None
    source_fps: float | None = None
    end: float | None = None

    @property
    def seconds(self) -> float:
        """How long the clip shows something: the last frame stands for one period too."""
        if self.end is not None:
            return self.end - float(self.times[0])
        if len(self.times) < 2:
            return 0.0
        return float(self.times[-1] - self.times[0]) * len(self.times) / (len(self.times) - 1)


@dataclass(frozen=True)
class Store:
    """Decodes clips and keeps the result.

    A clip's place in the cache is a hash of what it is made from: path, size and change time of its
    file or images, the size of a step, how still images are cut, and the frame rate.
    """

    cache: Cache
    spec: ImageSpec
    image_fps: float
    sequence: SequenceSpec | None = None

    def load(self, clip: Clip) -> Decoded:
        """Return a clip, memory-mapped; decode it first if it is new.

        Raises:
            SourceError: it cannot be read, or has no frames.
            DataError: the cache cannot be written.
        """
        if clip.index is not None:
            return self._image(clip, clip.index)
        frames = self.cache.file(self._made_from(clip), ".u8")
        try:
            return self._open(clip, frames)
        except (OSError, ValueError, KeyError):
            self._decode(clip, frames)
            return self._open(clip, frames)

    def _image(self, clip: Clip, index: int) -> Decoded:
        image = Held(self, clip.path, index)
        pixels = image.pixels()
        about = hashlib.sha256(json.dumps([*self._about(), pixels.shape]).encode())
        about.update(np.ascontiguousarray(pixels).data)
        return Decoded(image, np.zeros(1), about.hexdigest()[:40])

    def _open(self, clip: Clip, frames: Path) -> Decoded:
        index = frames.with_suffix(".json")
        kept = json.loads(index.read_text())
        times = np.asarray(kept["times"], np.float64)
        shape = (len(times), *kept["frame"])
        if frames.stat().st_size != np.prod(shape):
            raise ValueError("torn file")
        touch(frames)
        touch(index)
        pixels = Kept(self, clip, frames, shape)
        return Decoded(
            pixels,
            times,
            kept["content"],
            kept.get("incomplete"),
            kept["source_fps"],
            kept["end"],
        )

    def _decode(self, clip: Clip, frames: Path) -> None:
        """Write a clip frame by frame, so that a long one needs no more memory than a short one."""
        times: list[float] = []
        shape: tuple[int, ...] = ()
        end: float | None = None
        content = hashlib.sha256(json.dumps(self._about()).encode())
        try:
            frames.parent.mkdir(parents=True, exist_ok=True)
            with replacing(frames) as unfinished:
                with (
                    unfinished.open("wb") as file,
                    open_path(clip.path, clip.fps or self.image_fps) as source,
                ):
                    for frame in source:
                        image = self.size(frame.bgr)
                        shape = image.shape
                        pixels = np.ascontiguousarray(image).data
                        file.write(pixels)
                        content.update(pixels)
                        times.append(frame.time)
                        end = frame.time + frame.duration if frame.duration else None
                if not times:
                    raise SourceError(f"{clip.path}: no frames in it")
                with replacing(frames.with_suffix(".json")) as unfinished_index:
                    content.update(json.dumps([times, source.fps, end, shape]).encode())
                    about = {
                        "times": times,
                        "source_fps": source.fps,
                        "end": end,
                        "frame": shape,
                        "content": content.hexdigest()[:40],
                        "incomplete": source.incomplete,
                    }
                    unfinished_index.write_text(json.dumps(about))
        except OSError as error:
            raise self.cache.error(error) from None

    def size(self, bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a picture as OpenCV reads it, grey or not, at the size that is kept."""
        if self.sequence is None or isinstance(self.sequence, VideoSequence):
            return prepare(bgr, self.spec)
        return sized(bgr, self.spec, self.sequence)

    def _made_from(self, clip: Clip) -> list[Any]:
        rate = clip.fps or self.image_fps
        return [*self._about(), rate, str(clip.path.resolve()), *_stamps(clip.path)]

    def _about(self) -> list[Any]:
        """Return what any sized frame depends on."""
        spec = self.spec.model_dump()
        if self.sequence is not None and not isinstance(self.sequence, VideoSequence):
            # How far windows are apart and how many are read changes nothing of the whole image.
            spec |= self.sequence.model_dump(exclude={"steps", "longer", "stride", "order"})
        # FFmpeg decodes videos; OpenCV decodes images, and resizes all of them.
        return [_VERSION, DECODER, cv2.__version__, spec]


@dataclass(frozen=True)
class Kept:
    """A clip's frames in the cache: mapped when they are asked for, and let go again.

    A mapping holds a file descriptor, and a large data set has more clips than a process may have
    of those.  What another training has trimmed away meanwhile is decoded anew.
    """

    store: Store
    clip: Clip
    path: Path
    shape: tuple[int, ...]

    def __getitem__(self, index: Any, /) -> NDArray[np.uint8]:
        return np.array(self._map()[index])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.uint8]:
        return np.array(self._map(), dtype)

    def _map(self) -> NDArray[np.uint8]:
        try:
            return np.memmap(self.path, np.uint8, "r", shape=self.shape)
        except (OSError, ValueError):
            self.store.load(self.clip)
            return np.memmap(self.path, np.uint8, "r", shape=self.shape)


class Held:
    """An image of a file of many, sized whenever it is asked for.

    That is faster than to open a file of its own, and 70,000 of them need no memory.
    """

    def __init__(self, store: Store, path: Path, index: int) -> None:
        self._store = store
        self._path = path
        self._index = index
        self.shape = self[:].shape

    def pixels(self) -> NDArray[np.uint8]:
        """Return the image as the file has it, `(height, width)`."""
        return idx_images(self._path)[self._index]

    def __getitem__(self, index: Any, /) -> NDArray[np.uint8]:
        return self._store.size(self.pixels())[None][index]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.uint8]:
        return np.array(self[:], dtype)


def picture_size(clip: Clip) -> tuple[int, int] | None:
    """Return height and width of a still image (or a clip's first frame); None: not readable."""
    if clip.index is not None:
        height, width = idx_images(clip.path)[clip.index].shape
        return height, width
    try:
        with open_path(clip.path) as source:
            frame = next(iter(source), None)
    except SourceError:
        return None
    return None if frame is None else frame.bgr.shape[:2]


def _stamps(path: Path) -> Iterable[tuple[str, int, int]]:
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        for file in files:
            stat = file.stat()
            yield file.name, stat.st_size, stat.st_mtime_ns
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from None


def decode_all(
    store: Store, clips: Sequence[Clip], progress: Callable[[int, int], None]
) -> tuple[list[Clip], list[Decoded], list[str]]:
    """Decode clips on all cores.

    Args:
        progress: called with the number done and the total.

    Returns:
        The clips that can be read, what is in them, and one line for each that cannot.
    """
    store.cache.check()

    def load(clip: Clip) -> Decoded | str:
        try:
            return store.load(clip)
        except SourceError as error:
            return str(error)

    readable: list[Clip] = []
    decoded: list[Decoded] = []
    broken: list[str] = []
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    # Images of one big file are in memory already: threads would only pass them around.
    answers = map if all(clip.index is not None for clip in clips) else pool.map
    try:
        for done, (clip, result) in enumerate(zip(clips, answers(load, clips), strict=True), 1):
            if isinstance(result, str):
                broken.append(result)
            else:
                readable.append(clip)
                decoded.append(result)
            progress(done, len(clips))
    finally:
        pool.shutdown(cancel_futures=True)
    store.cache.trim()
    return readable, decoded, broken
