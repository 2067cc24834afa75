"""Clips that show the same recording: encoded anew, resized, cut a little, mirrored, or as frames.

A few frames of one clip, spread over its length, are looked for in another one, each reduced to
16×16 pixels.  A copy has all of them, in the same order, and what differs is small compared with
what moves.  Two takes before one background share the background alone, which is subtracted.  Clips
in which hardly anything moves are compared as they are only: an empty room looks alike in every
take.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from seqvision.console import progress
from seqvision.data.clips import Clip
from seqvision.data.decode import Decoded, StoredClip
from seqvision.data.splits import Split, split_clips
from seqvision.errors import DataError
from seqvision_edge.files import atomic_write
from seqvision_edge.opencv import cv2

_SIDE: Final = 16
_MOST_FRAMES: Final = 256
_LOOKED_FOR: Final = 12
_FEWEST_FRAMES: Final = 6
# A copy is among so many clips with the nearest mean picture.
_NEIGHBOURS: Final = 8
# In grey levels, and shares of what moves: chosen on 150 copies of 30 real clips (H.264 at CRF 35,
# MPEG-4 at half the size, cut by a quarter, another rate, mirrored) and on 364 clips of which none
# is a copy (fights of surveillance, signs of one person, drawn hands): see docs/training.md.
_LEAST_MOTION: Final = 1.5
_RESIDUAL: Final = 1.6
_RESIDUAL_SHARE: Final = 0.1
_MOST_SHARE: Final = 0.4
_MOST_BIAS: Final = 3.0
_ORDER: Final = 0.95

Sketch = NDArray[np.uint8]
"""A clip's frames `(time, 16, 16, channels)`."""


@dataclass(frozen=True)
class NearDuplicate:
    """Two clips, by their indices, that show the same recording."""

    one: int
    other: int
    is_mirrored: bool = False


def sketch(clip: Decoded) -> Sketch:
    """Return a clip's frames, at most 256 of them, at 16×16; kept next to the clip in the cache."""
    kept = clip.frames.path.with_suffix(".near") if isinstance(clip.frames, StoredClip) else None
    channels = clip.frames.shape[-1]
    if kept is not None:
        try:
            return np.fromfile(kept, np.uint8).reshape(-1, _SIDE, _SIDE, channels)
        except (OSError, ValueError):
            pass
    count = len(clip.times)
    chosen = np.linspace(0, count - 1, min(count, _MOST_FRAMES)).round().astype(int)
    small = np.empty((len(chosen), _SIDE, _SIDE, channels), np.uint8)
    for begin in range(0, len(chosen), _FRAMES_AT_ONCE):
        frames = clip.frames[chosen[begin : begin + _FRAMES_AT_ONCE]]
        for index, frame in enumerate(frames, begin):
            reduced = cv2.resize(frame, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
            small[index] = reduced.reshape(_SIDE, _SIDE, channels)
    if kept is not None:
        _keep(kept, small)
    return small


_FRAMES_AT_ONCE: Final = 64


def _keep(path: Path, small: Sketch) -> None:
    try:
        with atomic_write(path) as unfinished:
            small.tofile(unfinished)
    except OSError:  # it is made again where the disk is full
        pass


def find_near_duplicates(clips: Sequence[Clip], decoded: Sequence[Decoded]) -> list[NearDuplicate]:
    """Return the pairs of clips that show the same recording.

    Still images are not compared, and not the parts of one video with each other.
    """
    found = {(copy.one, copy.other): copy for copy in _equal(clips, decoded)}
    moving = [
        index
        for index, clip in enumerate(clips)
        if clip.index is None
        and len(decoded[index].times) >= _FEWEST_FRAMES
        and len(decoded[index].frames.shape) > 2  # vectors have no picture to compare
    ]
    sketches = dict(zip(moving, _sketches([decoded[index] for index in moving]), strict=True))
    moving = [index for index in moving if _motion(sketches[index]) >= _LEAST_MOTION]
    if len(moving) < 2:
        return list(found.values())
    means = np.stack([sketches[index].mean(0, dtype=np.float32) for index in moving])
    for is_mirrored in (False, True):
        seen = means[:, :, ::-1] if is_mirrored else means
        for row, near in _neighbours(seen.reshape(len(moving), -1), means.reshape(len(moving), -1)):
            one, other = moving[row], moving[near]
            pair = min(one, other), max(one, other)
            if pair in found or _are_parts_of_one(clips[one], clips[other]):
                continue
            looked_for = sketches[one][:, :, ::-1] if is_mirrored else sketches[one]
            if _is_found(looked_for, sketches[other]):
                found[pair] = NearDuplicate(*pair, is_mirrored)
    return [found[pair] for pair in sorted(found)]


def _equal(clips: Sequence[Clip], decoded: Sequence[Decoded]) -> list[NearDuplicate]:
    """Return each clip that has the same frames as an earlier one."""
    first: dict[str, int] = {}
    copies = []
    for index, clip in enumerate(clips):
        if clip.index is not None or len(decoded[index].times) < 2:
            continue
        earlier = first.setdefault(decoded[index].key, index)
        if earlier != index and not _are_parts_of_one(clips[earlier], clip):
            copies.append(NearDuplicate(earlier, index))
    return copies


def _sketches(decoded: Sequence[Decoded]) -> list[Sketch]:
    made = []
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        with progress("comparing clips") as advance:
            for done, small in enumerate(pool.map(sketch, decoded), 1):
                made.append(small)
                advance(done, len(decoded))
    finally:
        pool.shutdown(cancel_futures=True)
    return made


def _neighbours(rows: NDArray[np.float32], others: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Return the pairs of each row with the nearest others, itself left out."""
    squares = (others**2).sum(1)
    pairs = []
    for begin in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[begin : begin + _ROWS_AT_ONCE]
        distances = squares - 2 * some @ others.T
        distances[np.arange(len(some)), np.arange(begin, begin + len(some))] = np.inf
        count = min(_NEIGHBOURS, len(others) - 1)
        nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
        pairs += [(begin + row, int(near)) for row, some in enumerate(nearest) for near in some]
    return pairs


_ROWS_AT_ONCE: Final = 1024


def _is_found(one: Sketch, other: Sketch) -> bool:
    """Return whether frames of one clip are in another one, in their order."""
    if one.shape[-1] != other.shape[-1]:
        return False
    count = min(_LOOKED_FOR, len(one))
    chosen = np.linspace(0, len(one) - 1, count).round().astype(int)
    some = one[chosen].reshape(count, -1).astype(np.float32)
    all_of = other.reshape(len(other), -1).astype(np.float32)
    distances = (some**2).sum(1)[:, None] + (all_of**2).sum(1) - 2 * some @ all_of.T
    at = distances.argmin(1)
    if at.std() == 0 or np.corrcoef(at, np.arange(count))[0, 1] < _ORDER:
        return False
    difference = some - all_of[at]
    bias = difference.mean(0)
    residual = _rms(difference - bias)
    motion = _rms(some - some.mean(0))
    return bool(
        _rms(bias) <= _MOST_BIAS
        and residual <= max(_RESIDUAL, _RESIDUAL_SHARE * motion)
        and residual <= _MOST_SHARE * motion
    )


def _motion(small: Sketch) -> float:
    frames = small.astype(np.float32)
    return _rms(frames - frames.mean(0))


def _rms(values: NDArray[np.float32]) -> float:
    return float(np.sqrt((values**2).mean()))


def _are_parts_of_one(one: Clip, other: Clip) -> bool:
    return one.path == other.path and one.is_part and other.is_part


# What follows from them -------------------------------------------------------------------------


def divide(
    clips: Sequence[Clip],
    copies: Sequence[NearDuplicate],
    val: float,
    fold: str | None,
    seed: int,
    keep_groups: bool = True,
) -> tuple[Split, list[str]]:
    """Divide clips as `split_clips` does, copies on one side, and return notes on the copies.

    They are on one side also where groups are not kept apart.  Where nothing is left to divide so,
    copies are divided like other clips, and a note is made.

    Raises:
        DataError: too few clips or groups, or a label that has no clip left to learn from.
    """
    try:
        split = split_clips(joined_groups(clips, copies, keep_groups), val, fold, seed)
    except DataError:
        split = split_clips(clips, val, fold, seed, keep_groups)
    sides = (("train", split.train), ("val", split.val), ("test", split.test))
    parts = {index: part for part, indices in sides for index in indices}
    return split, copies_notes(clips, copies, parts)


def joined_groups(
    clips: Sequence[Clip], copies: Sequence[NearDuplicate], keep_groups: bool
) -> list[Clip]:
    """Return the clips with what must be on one side of a split as their group.

    Args:
        clips: all clips.
        copies: pairs of them.
        keep_groups: whether their own groups are kept apart too.
    """
    own = clips if keep_groups else [replace(clip, group=None) for clip in clips]
    return join_groups(own, copies)


def join_groups(clips: Sequence[Clip], copies: Sequence[NearDuplicate]) -> list[Clip]:
    """Return the clips such that copies, and the groups that they are in, are one group."""
    parent = list(range(len(clips)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    def join(one: int, other: int) -> None:
        first, second = sorted((root(one), root(other)))
        parent[second] = first

    touched = {index for copy in copies for index in (copy.one, copy.other)}
    names = {clips[index].group for index in touched} - {None}
    homes: dict[str, int] = {}
    for index, clip in enumerate(clips):
        if clip.group in names and clip.group is not None:
            join(homes.setdefault(clip.group, index), index)
    for copy in copies:
        join(copy.one, copy.other)
    joined = []
    for index, clip in enumerate(clips):
        first = clips[root(index)]
        is_in = index in touched or (clip.group in names and clip.group is not None)
        joined.append(replace(clip, group=first.group or first.name) if is_in else clip)
    return joined


def copies_notes(
    clips: Sequence[Clip], copies: Sequence[NearDuplicate], parts: Mapping[int, str]
) -> list[str]:
    """Return notes on copies on two sides of the split, on the others, and on those of two labels.

    Args:
        clips: all clips.
        copies: pairs of them.
        parts: index of a clip → train, val or test.
    """
    torn = [copy for copy in copies if parts.get(copy.one) != parts.get(copy.other)]
    others = [copy for copy in copies if copy not in torn]
    notes = []
    if torn:
        notes.append(
            f"{_count(torn)} on two sides of the split, so figures are too good: "
            f"{_pairs(clips, torn, parts)}"
        )
    if others:
        notes.append(
            f"{_count(others)}, kept on one side of the split: {_pairs(clips, others, parts)}"
        )
    named = [copy for copy in copies if clips[copy.one].label != clips[copy.other].label]
    if named:
        one, other = clips[named[0].one], clips[named[0].other]
        notes.append(
            f"the same recording has two labels: {one.name} is {one.label}, {other.name} is "
            f"{other.label}" + (f"; {len(named) - 1} more pairs" if len(named) > 1 else "")
        )
    return notes


_SHOWN: Final = 3


def _count(copies: Sequence[NearDuplicate]) -> str:
    if len(copies) == 1:
        return "two clips show the same recording"
    return f"{len(copies)} pairs of clips show the same recording"


def _pairs(clips: Sequence[Clip], copies: Sequence[NearDuplicate], parts: Mapping[int, str]) -> str:
    shown = [
        f"{parts.get(copy.one, '')} {clips[copy.one].name} = "
        f"{parts.get(copy.other, '')} {clips[copy.other].name}".strip()
        + (" (mirrored)" if copy.is_mirrored else "")
        for copy in copies[:_SHOWN]
    ]
    more = [f"{len(copies) - _SHOWN} more"] if len(copies) > _SHOWN else []
    return "; ".join([*shown, *more])
