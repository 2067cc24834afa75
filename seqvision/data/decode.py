"""Clips decoded once: frames sized for the model, in a cache of memory-mapped files.

Decoding and resizing are the edge package's own functions, so that training sees the frames that
the live runner will see.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqvision.data.clips import Clip
from seqvision.errors import DataError
from seqvision_edge.card import ImageSpec
from seqvision_edge.errors import SourceError
from seqvision_edge.files import replacing
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import prepare
from seqvision_edge.source import open_path

# Raise it when decoding or resizing changes: cached clips are then made anew.
_VERSION = 1


@dataclass(frozen=True)
class Decoded:
    """A clip's frames `(time, height, width, channels)` uint8 and their times in seconds."""

    frames: NDArray[np.uint8]
    times: NDArray[np.float64]

    @property
    def seconds(self) -> float:
        """How long the clip shows something: the last frame stands for one period too."""
        if len(self.times) < 2:
            return 0.0
        return float(self.times[-1] - self.times[0]) * len(self.times) / (len(self.times) - 1)


@dataclass(frozen=True)
class Store:
    """Decodes clips and keeps the result in `folder`.

    A clip's name there is a hash of what it is made from: path, size and change time of its file
    or images, the image spec and the frame rate.  Files appear by renaming, so a killed training
    leaves no half clip, and two trainings can share the folder.
    """

    folder: Path
    spec: ImageSpec
    image_fps: float

    def load(self, clip: Clip) -> Decoded:
        """Return a clip, memory-mapped; decode it first if it is new.

        Raises:
            SourceError: it cannot be read, or has no frames.
        """
        frames, index = self._files(clip)
        try:
            return self._open(frames, index)
        except (OSError, ValueError, KeyError):
            self._decode(clip, frames, index)
            return self._open(frames, index)

    def _open(self, frames: Path, index: Path) -> Decoded:
        times = np.asarray(json.loads(index.read_text())["times"], np.float64)
        shape = (len(times), self.spec.height, self.spec.width, self.spec.channels)
        if frames.stat().st_size != np.prod(shape):
            raise ValueError("torn file")
        return Decoded(np.memmap(frames, np.uint8, "r", shape=shape), times)

    def _decode(self, clip: Clip, frames: Path, index: Path) -> None:
        """Write a clip frame by frame, so that a long one needs no more memory than a short one."""
        times: list[float] = []
        try:
            frames.parent.mkdir(parents=True, exist_ok=True)
            with replacing(frames) as unfinished:
                with (
                    unfinished.open("wb") as file,
                    open_path(clip.path, clip.fps or self.image_fps) as source,
                ):
                    for frame in source:
                        file.write(np.ascontiguousarray(prepare(frame.bgr, self.spec)).data)
                        times.append(frame.time)
                if not times:
                    raise SourceError(f"{clip.path}: no frames in it")
                with replacing(index) as unfinished_index:
                    unfinished_index.write_text(json.dumps({"times": times}))
        except OSError as error:
            raise DataError(
                f"{frames.parent}: decoded clips cannot be kept ({error.strerror}); "
                "choose another folder with --cache"
            ) from None

    def _files(self, clip: Clip) -> tuple[Path, Path]:
        described = [
            _VERSION,
            cv2.__version__,
            self.spec.model_dump(),
            clip.fps or self.image_fps,
            str(clip.path.resolve()),
            *_stamps(clip.path),
        ]
        name = hashlib.sha256(json.dumps(described).encode()).hexdigest()[:40]
        folder = self.folder.expanduser() / name[:2]
        return folder / f"{name}.u8", folder / f"{name}.json"


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
    _check_room(store, clips)

    def load(clip: Clip) -> Decoded | str:
        try:
            return store.load(clip)
        except SourceError as error:
            return str(error)

    readable: list[Clip] = []
    decoded: list[Decoded] = []
    broken: list[str] = []
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        for done, (clip, result) in enumerate(zip(clips, pool.map(load, clips), strict=True), 1):
            if isinstance(result, str):
                broken.append(result)
            else:
                readable.append(clip)
                decoded.append(result)
            progress(done, len(clips))
    finally:
        pool.shutdown(cancel_futures=True)
    return readable, decoded, broken


def _check_room(store: Store, clips: Sequence[Clip]) -> None:
    """Say before the work, not in its middle, that the cache folder cannot be used."""
    folder = store.folder.expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise DataError(
            f"{folder}: decoded clips cannot be kept there ({error.strerror}); "
            "choose another folder with --cache"
        ) from None
    if shutil.disk_usage(folder).free < 1 << 20:
        raise DataError(f"{folder}: the disk is full; choose another folder with --cache")
