"""Clips that are the same, and what stands on two sides of a split.

Bytes are compared only where file sizes are equal, and frames only where number and first frame
are: a large data set is not read from end to end to find out that all its clips differ.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from seqvision.data.clips import Clip
from seqvision.survey.probe import Probe, hash_bytes, hash_frames, in_threads
from seqvision_edge.errors import SourceError


@dataclass(frozen=True)
class Same:
    """Places of clips that show the same: equal bytes, or equal frames in other files."""

    clips: tuple[int, ...]
    how: Literal["bytes", "frames"]


def find_same(clips: Sequence[Clip], probes: Sequence[Probe]) -> list[Same]:
    """Return the sets of equal clips, in the order of their first one."""
    digests = _digests(clips, probes)
    contents = _contents(clips, probes, digests)
    sets: dict[str, list[int]] = defaultdict(list)
    for place in range(len(clips)):
        sets[contents[place]].append(place)
    return [
        Same(tuple(places), "bytes" if len({digests[i] for i in places}) == 1 else "frames")
        for places in sets.values()
        if len(places) > 1
    ]


def groups_on_two_sides(clips: Sequence[Clip], parts: Mapping[int, str]) -> dict[str, Counter[str]]:
    """Return group → clips per part, for each group that is not in one part alone."""
    homes: dict[str, Counter[str]] = defaultdict(Counter)
    for place, part in parts.items():
        group = clips[place].group
        if group is not None:
            homes[group][part] += 1
    return {group: home for group, home in homes.items() if len(home) > 1}


def _digests(clips: Sequence[Clip], probes: Sequence[Probe]) -> list[str]:
    """Return what tells clips of other bytes apart: a hash where others weigh the same."""
    weights = Counter(probe.weight for probe in probes)
    digests = [probe.digest or f"alone {place}" for place, probe in enumerate(probes)]
    doubtful = [
        i for i, probe in enumerate(probes) if not probe.digest and weights[probe.weight] > 1
    ]

    def digest(place: int) -> str:
        try:
            return hash_bytes(clips[place].path)
        except (OSError, SourceError):  # it has just vanished
            return digests[place]

    for place, answer in zip(
        doubtful, in_threads("comparing files", digest, doubtful), strict=True
    ):
        digests[place] = answer
    return digests


def _contents(clips: Sequence[Clip], probes: Sequence[Probe], digests: Sequence[str]) -> list[str]:
    """Return what tells clips of other frames apart."""
    if all(probe.content for probe in probes):
        return [probe.content or "" for probe in probes]
    alike: dict[Hashable, dict[str, int]] = defaultdict(dict)
    for place, probe in enumerate(probes):
        # One clip of each set of equal files is enough.
        alike[probe.frames, probe.first].setdefault(digests[place], place)
    doubtful = [place for ones in alike.values() if len(ones) > 1 for place in ones.values()]

    def content(place: int) -> str:
        try:
            return f"frames {hash_frames(clips[place])}"
        except SourceError:
            return digests[place]

    answers = in_threads("comparing frames", content, doubtful)
    known = dict(zip((digests[place] for place in doubtful), answers, strict=True))
    return [known.get(digest, digest) for digest in digests]
