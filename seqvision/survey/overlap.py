"""Clips that are the same, and what stands on two sides of a split.

Bytes are compared only where file sizes are equal, and frames only where number and first frame
are: a large data set is not read from end to end to find out that all its clips differ.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from seqvision.console import progress
from seqvision.data.clips import Clip
from seqvision.data.decode import Store, decode_all
from seqvision.data.near_copies import NearCopy, find_near_copies
from seqvision.survey.probe import GLANCE, Probe, hash_bytes, hash_frames, in_threads
from seqvision_edge.errors import SourceError

# Grey levels between the first pictures of clips that may be copies: one may begin a little later.
_ALIKE = 20.0


@dataclass(frozen=True)
class Duplicates:
    """Places of clips that show the same: equal bytes, equal frames in other files, or copies.

    Copies are encoded anew, resized, cut, mirrored: see `seqvision.data.near_copies`.
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
) -> list[NearCopy]:
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
        for copy in find_near_copies(read, decoded)
    ]


def as_same(copies: Sequence[NearCopy], same: Sequence[Duplicates]) -> list[Duplicates]:
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
    """Return what tells clips of other bytes apart: a hash where others weigh the same."""
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
        doubtful, in_threads("comparing files", digest, doubtful), strict=True
    ):
        digests[index] = answer
    return digests


def _contents(clips: Sequence[Clip], probes: Sequence[Probe], digests: Sequence[str]) -> list[str]:
    """Return what tells clips of other frames apart."""
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

    answers = in_threads("comparing frames", content, doubtful)
    known = dict(zip((digests[index] for index in doubtful), answers, strict=True))
    return [known.get(digest, digest) for digest in digests]
