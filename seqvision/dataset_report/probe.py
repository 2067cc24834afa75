"""Header, first frame and hashes of each clip; clips that are the same or stand on two sides.

Bytes are compared only where file sizes are equal, and frames only where number and first frame
are: a large data set is not read from end to end to find out that all its clips differ.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqvision.console import progress
from seqvision.data import parallel
from seqvision.data.clip_cuts import clip_frames
from seqvision.data.clips import Clip, Cut
from seqvision.data.datasets.mnist import idx_images
from seqvision.data.decode import Store, decode_all
from seqvision.data.near_duplicates import NearDuplicate, find_near_duplicates
from seqvision.data.parallel import check_cancelled
from seqvision_edge.errors import SourceError
from seqvision_edge.opencv import cv2
from seqvision_edge.regions import cropped
from seqvision_edge.sources.factory import open_path
from seqvision_edge.sources.image_files import ImageFiles
from seqvision_edge.vector_files import read_vectors

_CHUNK = 64
GLANCE = 16
Item = TypeVar("Item")
Answer = TypeVar("Answer")

# Grey levels between the first pictures of clips that may be copies: one may begin a little later.
_ALIKE = 20.0


@dataclass(frozen=True)
class Probe:
    """What a clip is, as far as was looked.

    Attributes:
        frames: how many; None if a video's header lacks it.
        seconds: how long; 0 for a still image, None if a video's header lacks it.
        size: width and height of the first frame, in pixels.
        first: hash of the first frame.
        weight: clips of equal bytes have equal weights: sizes of files.
        digest: hash of the bytes, where it cost nothing.
        content: hash of all frames as the model sees them, where they were decoded.
        glance: the first frame at 16×16, where it is the clip's own.
        note: its source's remark.
        short: why some frames are missing, where they were decoded.
    """

    frames: int | None
    seconds: float | None
    size: tuple[int, int]
    first: str
    weight: tuple[int, ...] = ()
    digest: str | None = None
    content: str | None = None
    short: str | None = None
    glance: bytes | None = None
    note: str = ""

    @property
    def is_still(self) -> bool:
        """Whether it is one image, which has no time."""
        return self.seconds == 0

    @property
    def fps(self) -> float | None:
        """Frames per second."""
        return self.frames / self.seconds if self.frames and self.seconds else None


def look(clip: Clip, image_fps: float, vectors: bool = False) -> Probe | str:
    """Return what a clip's header and first frame show, or why it cannot be read."""
    if vectors:
        return _look_at_vectors(clip, image_fps)
    if clip.index is not None:
        pixels = idx_images(clip.path)[clip.index]
        digest = hash_array(pixels)
        return Probe(1, 0.0, (pixels.shape[1], pixels.shape[0]), digest, (), digest)
    try:
        with open_path(clip.path, clip.fps or image_fps) as source:
            frame = next(cropped(source, clip.region, source.name), None)
            if frame is None:
                return f"{clip.path}: no frames in it"
            count = source.claimed
            seconds = None if count is None else count / source.fps
            if isinstance(source, ImageFiles):
                ends = {source.files[0], source.files[-1]}
                weight = (len(source.files), *sorted(path.stat().st_size for path in ends))
                seconds = 0.0 if len(source.files) == 1 else seconds
            else:
                weight = (clip.path.stat().st_size,)
            if clip.is_part:
                return _part(clip, clip.cut or Cut(0.0), frame.bgr, count, source.fps)
    except SourceError as error:
        return str(error)
    except OSError as error:
        return f"{clip.path}: cannot be read ({error.strerror})"
    height, width = frame.bgr.shape[:2]
    small = cv2.resize(frame.bgr, (GLANCE, GLANCE), interpolation=cv2.INTER_AREA).tobytes()
    first = hash_array(frame.bgr)
    return Probe(count, seconds, (width, height), first, weight, glance=small, note=source.note)


def _look_at_vectors(clip: Clip, rate: float) -> Probe | str:
    """Return what a clip of vectors is: it is read whole, and its features are its width."""
    try:
        found = read_vectors(clip.path, clip.fps or rate)
    except SourceError as error:
        return str(error)
    count, features = found.values.shape
    digest = hash_array(found.values)
    missing = int(np.isnan(found.values).sum())
    note = found.note
    if missing:
        note = f"{missing / found.values.size:.1%} of its values are missing"
    return Probe(count, count / found.fps, (features, 1), digest, (), digest, digest, note=note)


def _part(
    clip: Clip, cut: Cut, picture: NDArray[np.uint8], count: int | None, fps: float
) -> Probe | str:
    """Return what is known of a part of a video before it is decoded."""
    height, width = picture.shape[:2]
    whole = math.inf if count is None else count if cut.in_frames else count / fps
    if cut.start >= whole:
        amount = f"{whole:g} frames" if cut.in_frames else f"{whole:.2f} s"
        return f"{cut.where}: begins at {cut.start:g}, after the end of {clip.path} ({amount})"
    length = min(whole, math.inf if cut.end is None else cut.end) - cut.start
    frames = length if cut.in_frames else length * fps
    known = math.isfinite(frames)
    # The same part of the same file is the same clip; others are compared when they are decoded.
    part = f"{clip.path.resolve()}{clip.fragment}"
    return Probe(
        max(1, round(frames)) if known else None,
        frames / fps if known else None,
        (width, height),
        part,
        (),
        part,
    )


def probe_pixels(clip: Clip, probe: Probe, store: Store) -> Probe | str:
    """Decode a clip as training does, and correct the figures of its header."""
    try:
        decoded = store.load(clip)
    except SourceError as error:
        return str(error)
    digest = hashlib.sha256(str(decoded.frames.shape).encode())
    for begin in range(0, len(decoded.times), _CHUNK):
        digest.update(np.ascontiguousarray(decoded.frames[begin : begin + _CHUNK]).data)
    count = len(decoded.times)
    short = None
    # Some containers only estimate their count: the same tolerance as in a video that is run.
    if probe.frames and probe.frames - count > max(2, 0.05 * probe.frames):
        short = f"{clip.path}: decoded {count} of {probe.frames} frames"
    seconds = 0.0 if probe.is_still else decoded.seconds
    return replace(probe, frames=count, seconds=seconds, content=digest.hexdigest(), short=short)


def hash_bytes(path: Path) -> str:
    """Return a hash of a file, or of the files of a folder in their order.

    Raises:
        OSError: it cannot be read.
    """
    if path.is_dir():
        whole = hashlib.sha256()
        for file in ImageFiles(str(path), path.iterdir(), 1.0).files:
            whole.update(hash_bytes(file).encode())
        return whole.hexdigest()
    with path.open("rb") as content:
        return _digest(iter(lambda: content.read(1 << 20), b""))


def hash_frames(clip: Clip) -> str:
    """Return a hash of all decoded frames, at their full size.

    Raises:
        SourceError: it cannot be read.
    """
    return _digest(hash_array(frame.bgr).encode() for frame in clip_frames(clip, 30.0))


def hash_array(pixels: NDArray[Any]) -> str:
    """Return a hash of a picture and its shape."""
    digest = hashlib.sha256(str(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def in_threads_with_progress(
    what: str, function: Callable[[Item], Answer], items: Sequence[Item]
) -> list[Answer]:
    """Return the answers for all items, in order; shows progress."""
    answers: list[Answer] = []
    with progress(what) as advance, parallel.in_threads(function, items) as found:
        for answer in found:
            answers.append(answer)
            advance(len(answers), len(items))
    return answers


def _digest(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        check_cancelled()
        digest.update(chunk)
    return digest.hexdigest()


@dataclass(frozen=True)
class Duplicates:
    """Places of clips that show the same: equal bytes, equal frames in other files, or copies.

    Copies are encoded anew, resized, cut, mirrored: see `seqvision.data.near_duplicates`.
    """

    clips: tuple[int, ...]
    how: Literal["bytes", "frames", "recording", "recording, mirrored"]


def find_same(clips: Sequence[Clip], probes: Sequence[Probe]) -> list[Duplicates]:
    """Return the sets of equal clips, in the order of their first one."""
    digests = _digests(clips, probes)
    contents = _contents(clips, probes, digests)
    sets: dict[str, list[int]] = defaultdict(list)
    for index in range(len(clips)):
        sets[contents[index]].append(index)
    return [
        Duplicates(tuple(indices), "bytes" if len({digests[i] for i in indices}) == 1 else "frames")
        for indices in sets.values()
        if len(indices) > 1
    ]


def find_copies(
    clips: Sequence[Clip], probes: Sequence[Probe], store: Store, closely: bool
) -> list[NearDuplicate]:
    """Return the pairs of clips that show the same recording; decodes those that may.

    Args:
        clips: clips that can be read.
        probes: what is known of each.
        store: where clips are decoded to, as training does.
        closely: compare all clips, not only those that begin alike.

    Raises:
        DataError: the cache cannot be written.
    """
    moving = [index for index, probe in enumerate(probes) if not probe.is_still]
    if not closely:
        moving = _beginning_alike(moving, probes)
    if len(moving) < 2:
        return []
    indices = {id(clips[index]): index for index in moving}
    with progress("decoding") as advance:
        read, decoded, _ = decode_all(store, [clips[index] for index in moving], advance)
    back = [indices[id(clip)] for clip in read]
    return [
        replace(copy, one=back[copy.one], other=back[copy.other])
        for copy in find_near_duplicates(read, decoded)
    ]


def as_same(copies: Sequence[NearDuplicate], same: Sequence[Duplicates]) -> list[Duplicates]:
    """Return the copies that are not equal anyway."""
    equal = [set(one.clips) for one in same]
    return [
        Duplicates(
            (copy.one, copy.other), "recording, mirrored" if copy.is_mirrored else "recording"
        )
        for copy in copies
        if not any({copy.one, copy.other} <= indices for indices in equal)
    ]


def _beginning_alike(indices: Sequence[int], probes: Sequence[Probe]) -> list[int]:
    """Return the clips whose first picture, or its mirror image, is near to that of another."""
    seen = [index for index in indices if probes[index].glance is not None]
    kept = [index for index in indices if probes[index].glance is None]
    if seen:
        rows = np.stack([np.frombuffer(probes[index].glance or b"", np.uint8) for index in seen])
        pictures = rows.reshape(len(seen), GLANCE, GLANCE, 3).astype(np.float32)
        flat = pictures.reshape(len(seen), -1)
        squares = (flat**2).sum(1)
        for number, index in enumerate(seen):
            for picture in (pictures[number], pictures[number, :, ::-1]):
                one = picture.reshape(-1)
                distances = squares + (one**2).sum() - 2 * flat @ one
                distances[number] = np.inf
                if distances.min() <= _ALIKE**2 * flat.shape[1]:
                    kept.append(index)
                    break
    return sorted(kept)


def groups_on_two_sides(clips: Sequence[Clip], parts: Mapping[int, str]) -> dict[str, Counter[str]]:
    """Return group → clips per part, for each group that is not in one part alone."""
    homes: dict[str, Counter[str]] = defaultdict(Counter)
    for index, part in parts.items():
        group = clips[index].group
        if group is not None:
            homes[group][part] += 1
    return {group: home for group, home in homes.items() if len(home) > 1}


def _digests(clips: Sequence[Clip], probes: Sequence[Probe]) -> list[str]:
    """Return a key of the file's bytes: a hash where other files have the same size."""
    weights = Counter(probe.weight for probe in probes)
    digests = [probe.digest or f"alone {index}" for index, probe in enumerate(probes)]
    doubtful = [
        i for i, probe in enumerate(probes) if not probe.digest and weights[probe.weight] > 1
    ]

    def digest(index: int) -> str:
        try:
            return hash_bytes(clips[index].path)
        except (OSError, SourceError):  # it has just vanished
            return digests[index]

    for index, answer in zip(
        doubtful, in_threads_with_progress("comparing files", digest, doubtful), strict=True
    ):
        digests[index] = answer
    return digests


def _contents(clips: Sequence[Clip], probes: Sequence[Probe], digests: Sequence[str]) -> list[str]:
    """Return a key of the clip's frames."""
    if all(probe.content for probe in probes):
        return [probe.content or "" for probe in probes]
    alike: dict[Hashable, dict[str, int]] = defaultdict(dict)
    for index, probe in enumerate(probes):
        # One clip of each set of equal files is enough.
        alike[probe.frames, probe.first].setdefault(digests[index], index)
    doubtful = [index for ones in alike.values() if len(ones) > 1 for index in ones.values()]

    def content(index: int) -> str:
        try:
            return f"frames {hash_frames(clips[index])}"
        except SourceError:
            return digests[index]

    answers = in_threads_with_progress("comparing frames", content, doubtful)
    known = dict(zip((digests[index] for index in doubtful), answers, strict=True))
    return [known.get(digest, digest) for digest in digests]
