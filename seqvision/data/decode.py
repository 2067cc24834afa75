"""Clips decoded once: frames sized for the model, in a cache of memory-mapped files.

Decoding and resizing are the edge package's own functions, so that training sees the frames that
the live runner will see.  A still image is kept as one frame, whole: it is varied before it is cut.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from seqvision.data.cache import Cache, touch
from seqvision.data.clip_cuts import Cutter
from seqvision.data.clips import Clip, Cut
from seqvision.data.datasets.mnist import idx_images
from seqvision.data.parallel import check_cancelled, in_threads
from seqvision.errors import DataError
from seqvision_edge.card import ImageSpec, SequenceSpec, TimedSequence, VectorSequence
from seqvision_edge.errors import SourceError
from seqvision_edge.files import atomic_write
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import prepare
from seqvision_edge.regions import Region, crop, cropped
from seqvision_edge.sampling import FrameArray
from seqvision_edge.sources.factory import RecordedSource, open_path
from seqvision_edge.sources.video_decoding import DECODER
from seqvision_edge.sources.video_file import refuse_stills
from seqvision_edge.still_images import sized
from seqvision_edge.vector_files import read_vectors

_Picture = tuple[NDArray[np.uint8], float, float]
"""A sized frame, when it is shown, and how long, in seconds."""

# A part of a video that is written holds a file open.
_PARTS_AT_ONCE = 100
_WHOLE = Cut(0.0)
# Raise it when decoding or resizing changes: cached clips are then made anew.
_VERSION = 4


@dataclass(frozen=True)
class Decoded:
    """A clip's frames `(time, height, width, channels)` uint8 and their times in seconds.

    Of vectors they are `(time, features)` float32.

    A still image is a clip of one frame.

    `key` is the same for the same frames at the same times, wherever they lie and whatever the list
    or the order they come in: what a training draws for a clip follows from it.
    `source_fps` is the rate that a file claims, `end` until when its last frame is shown, in
    seconds; both None where that is not known.
    `note` is the source's remark on a file, "2 video streams; number 1 is read (…)".
    `incomplete` is what is missing from a damaged or short file, "decoded 146 of 300 frames".
    `deep` is whether its pictures have more than 8 bits for each value.
    """

    frames: FrameArray
    times: NDArray[np.float64]
    key: str = "0"
    incomplete: str | None = None
    source_fps: float | None = None
    end: float | None = None
    deep: bool = False
    note: str = ""

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

    A clip's key in the cache is a hash of what it is made from: path, size and change time of its
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
        if isinstance(self.sequence, VectorSequence):
            return self._vectors(clip, self.sequence)
        if clip.index is not None:
            return self._image(clip, clip.index)
        frames = self._file(clip)
        try:
            decoded = self._open(clip, frames)
        except (OSError, ValueError, KeyError):
            self._decode([clip])
            decoded = self._open(clip, frames)
        times = decoded.times
        refuse_stills(str(clip.path), len(times), float(times[-1] - times[0]))
        return decoded

    def load_parts(self, clips: Sequence[Clip]) -> list[Decoded | SourceError]:
        """Return clips that are parts of one video, decoded in one pass as far as they are new.

        Raises:
            DataError: the cache cannot be written.
        """
        try:
            new = [] if self._reads_vectors else [c for c in clips if not self._is_kept(c)]
            new.sort(key=lambda clip: clip.cut.start if clip.cut else 0.0)
            for begin in range(0, len(new), _PARTS_AT_ONCE):
                self._decode(new[begin : begin + _PARTS_AT_ONCE])
        except SourceError:
            pass  # reported for each clip below
        answers: list[Decoded | SourceError] = []
        for clip in clips:
            try:
                answers.append(self.load(clip))
            except SourceError as error:
                answers.append(error)
        return answers

    @property
    def _reads_vectors(self) -> bool:
        return isinstance(self.sequence, VectorSequence)

    def _vectors(self, clip: Clip, sequence: VectorSequence) -> Decoded:
        """Read a clip of vectors, which are small and fast to read: no cache has them."""
        if clip.region is not None:
            raise DataError(
                f"{clip.path}: a region is a part of a picture, and the clip is vectors; leave the "
                "region out"
            )
        rate = clip.fps or self.image_fps
        found = read_vectors(clip.path, rate, sequence.names)
        if found.values.shape[1] != sequence.features:
            raise OtherFeatures(
                f"{clip.path}: {found.values.shape[1]} features, the model reads "
                f"{sequence.features}"
            )
        values, times = found.values, found.times
        if clip.cut is not None:
            positions = np.arange(len(times)) if clip.cut.in_frames else times
            end = np.inf if clip.cut.end is None else clip.cut.end
            inside = (positions >= clip.cut.start) & (positions < end)
            if not inside.any():
                raise SourceError(f"{clip.cut.where}: {clip.path} has no vector in that part")
            values, times = values[inside], times[inside] - times[inside][0]
        about = hashlib.sha256(json.dumps([values.shape, times.tolist(), found.fps]).encode())
        about.update(np.ascontiguousarray(values).data)
        note = found.note
        if not found.timed and clip.fps is None:
            note = (
                f"no times in it, taken as {rate:g} vectors per second; set another with "
                "--image-fps, a column fps in a list, or a column time"
            )
        end_time = float(times[-1]) + 1 / found.fps
        return Decoded(values, times, about.hexdigest()[:40], None, found.fps, end_time, note=note)

    def _file(self, clip: Clip) -> Path:
        return self.cache.file(self._made_from(clip), ".u8")

    def _is_kept(self, clip: Clip) -> bool:
        try:
            self._open(clip, self._file(clip))
        except (OSError, ValueError, KeyError):
            return False
        return True

    def _image(self, clip: Clip, index: int) -> Decoded:
        image = IdxImage(self, clip.path, index)
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
        pixels = StoredClip(self, clip, frames, shape)
        return Decoded(
            pixels,
            times,
            kept["content"],
            kept.get("incomplete"),
            kept["source_fps"],
            kept["end"],
            kept.get("deep", False),
            kept.get("note", ""),
        )

    def _decode(self, clips: Sequence[Clip]) -> None:
        """Write a clip, or parts of one video, frame by frame: a long one needs no more memory.

        Raises:
            SourceError: the video cannot be read, or one of the clips has no frame; those that have
                some are written all the same.
        """
        path, rate = clips[0].path, clips[0].fps or self.image_fps
        cutter = Cutter([clip.cut or _WHOLE for clip in clips])
        regions = dict.fromkeys(clip.region for clip in clips)
        wrong: dict[Region | None, str] = {}
        about = json.dumps(self._about())
        written = [_Written(self._file(clip), about, clip.cut) for clip in clips]
        before: dict[Region | None, _Picture] = {}
        try:
            with contextlib.ExitStack() as files:
                source = files.enter_context(open_path(path, rate, self.spec.value_range))
                for frame in source:
                    check_cancelled()
                    for index in cutter.take(frame.time):
                        written[index].add(before.get(clips[index].region))
                    if cutter.is_over:
                        break
                    if not before and not wrong:
                        wrong = _misplaced(regions, frame.bgr)
                    before = {
                        region: (self.size(_part(frame.bgr, region)), frame.time, frame.duration)
                        for region in regions
                        if region not in wrong
                    }
                for index in cutter.end():
                    written[index].add(before.get(clips[index].region))
                for index, each in enumerate(written):
                    why = cutter.why_short(index) if clips[index].cut else source.incomplete
                    each.close(source, why)
        except OSError as error:
            raise self.cache.error(error) from None
        finally:
            for each in written:
                each.discard()
        for region, problem in wrong.items():
            raise SourceError(f"{path}: region {region}: {problem}")
        for index in cutter.empty():
            if clips[index].cut is None:
                raise SourceError(f"{path}: no frames in it")
            raise SourceError(cutter.why_empty(index, path))

    def size(self, bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a picture as OpenCV reads it, grey or not, at the size that is kept."""
        if self.sequence is None or isinstance(self.sequence, TimedSequence):
            return prepare(bgr, self.spec)
        return sized(bgr, self.spec, self.sequence)

    def _made_from(self, clip: Clip) -> list[Any]:
        rate = clip.fps or self.image_fps
        part = [clip.fragment] if clip.region else [] if clip.cut is None else [str(clip.cut)]
        return [*self._about(), *part, rate, str(clip.path.resolve()), *_stamps(clip.path)]

    def _about(self) -> list[Any]:
        """Return what any sized frame depends on."""
        # What is None changes nothing: clips decoded before there was such a key stay good.
        spec = self.spec.model_dump(exclude_none=True)
        if self.sequence is not None and not isinstance(self.sequence, TimedSequence):
            # How far windows are apart and how many are read changes nothing of the whole image.
            spec |= self.sequence.model_dump(exclude={"steps", "longer", "stride", "order"})
        # FFmpeg decodes videos; OpenCV decodes images, and resizes all of them.
        return [_VERSION, DECODER, cv2.__version__, spec]


class OtherFeatures(DataError):  # noqa: N818
    """A clip of vectors has another number of features than the others."""


def _misplaced(
    regions: Iterable[Region | None], bgr: NDArray[np.uint8]
) -> dict[Region | None, str]:
    """Return what is wrong with each region that does not fit a picture."""
    size = bgr.shape[0], bgr.shape[1]
    return {each: why for each in regions if each is not None and (why := each.problem(size))}


def _part(bgr: NDArray[np.uint8], region: Region | None) -> NDArray[np.uint8]:
    return bgr if region is None else crop(bgr, region)


class _Written:
    """A clip on its way into the cache; there is nothing of it before it is closed."""

    def __init__(self, path: Path, about: str, cut: Cut | None) -> None:
        self._path = path
        self._cut = cut
        self._times: list[float] = []
        self._end: float | None = None
        self._shape: tuple[int, ...] = ()
        self._content = hashlib.sha256(about.encode())
        self._open = contextlib.ExitStack()
        self._file: IO[bytes] | None = None

    def add(self, frame: "_Picture | None") -> None:
        """Write a frame: its picture, when it is shown, and how long; 0 if unknown.

        None: the picture has no such region, which is reported in the end.
        """
        if frame is None:
            return
        image, time, duration = frame
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = self._open.enter_context(atomic_write(self._path))
            self._file = self._open.enter_context(unfinished.open("wb"))
        self._shape = image.shape
        pixels = np.ascontiguousarray(image).data
        self._file.write(pixels)
        self._content.update(pixels)
        self._times.append(time)
        self._end = time + duration if duration else None

    def close(self, source: RecordedSource, incomplete: str | None) -> None:
        """Move the file to its final path, with its index; nothing without a frame."""
        if self._file is None:
            return
        start = 0.0 if self._cut is None else self._times[0]
        times, end = [time - start for time in self._times], self._end
        if self._cut and self._cut.end and end is not None and not self._cut.in_frames:
            end = max(min(end, self._cut.end), self._times[-1])
        end = None if end is None else end - start
        self._content.update(json.dumps([times, source.fps, end, self._shape]).encode())
        about = {
            "times": times,
            "source_fps": source.fps,
            "end": end,
            "note": source.note,
            "frame": self._shape,
            "content": self._content.hexdigest()[:40],
            "incomplete": incomplete,
            "deep": source.deep,
        }
        with atomic_write(self._path.with_suffix(".json")) as unfinished:
            unfinished.write_text(json.dumps(about))
        self._file = None
        self._open.close()

    def discard(self) -> None:
        """Remove what was not closed."""
        if self._file is not None:
            self._file = None
            # What the file still buffers is not needed, and a full disk would refuse it once more.
            with contextlib.suppress(OSError):
                self._open.__exit__(SourceError, SourceError(), None)


@dataclass(frozen=True)
class StoredClip:
    """A clip's frames in the cache: mapped when they are read, and unmapped again.

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


class IdxImage:
    """An image of a file of many, sized whenever it is read.

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


def frame_shape(clip: Clip) -> tuple[int, int] | None:
    """Return height and width of a still image (or a clip's first frame); None: not readable."""
    if clip.index is not None:
        height, width = idx_images(clip.path)[clip.index].shape
        return height, width
    try:
        with open_path(clip.path) as source:
            frame = next(cropped(source, clip.region, source.name), None)
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

    def load(indices: Sequence[int]) -> list[Decoded | SourceError]:
        if clips[indices[0]].is_part:
            return store.load_parts([clips[index] for index in indices])
        try:
            return [store.load(clips[indices[0]])]
        except SourceError as error:
            return [error]

    results: dict[int, Decoded | SourceError] = {}
    together = _together(clips)
    # Images of one big file are in memory already: threads would only pass them around.
    in_memory = all(clip.index is not None for clip in clips)
    pool = contextlib.nullcontext(map(load, together)) if in_memory else in_threads(load, together)
    with pool as answers:
        for indices, answer in zip(together, answers, strict=True):
            results |= zip(indices, answer, strict=True)
            progress(len(results), len(clips))
    store.cache.trim()
    good = [(clip, found) for index, clip in enumerate(clips)
            if isinstance(found := results[index], Decoded)]  # fmt: skip
    broken = [str(found) for _, found in sorted(results.items()) if isinstance(found, SourceError)]
    return [clip for clip, _ in good], [found for _, found in good], broken


def _together(clips: Sequence[Clip]) -> list[list[int]]:
    """Return the indices of clips that are decoded in one pass: parts of one video or picture."""
    passes: dict[object, list[int]] = {}
    for index, clip in enumerate(clips):
        passes.setdefault((clip.path, clip.fps) if clip.is_part else index, []).append(index)
    return list(passes.values())
