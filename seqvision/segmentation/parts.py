"""Which frames of a video become clips: those of the marks, and others between them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from seqvision.segmentation.marks import Mark

_SEED = 0


@dataclass(frozen=True)
class Segment:
    """Frames from `first` up to, but without, `last`, that become one clip."""

    label: str
    first: int
    last: int
    where: str = ""

    @property
    def frames(self) -> int:
        """How many they are."""
        return self.last - self.first


def parts_of(marks: Sequence[Mark], times: Sequence[float]) -> list[Segment]:
    """Return the frames of each mark, those nearest to its moments; at least one.

    A mark that goes on after the last frame ends with it.

    Args:
        marks: what was marked.
        times: of every frame of the video, in seconds, rising.
    """
    # The frame nearest to a moment begins half a frame before it.
    middles = [(one + two) / 2 for one, two in pairwise(times)]
    parts = []
    for mark in marks:
        first, last = int(mark.start), int(mark.end)
        if not mark.in_frames:
            first, last = (int(np.searchsorted(middles, m, "left")) for m in (mark.start, mark.end))
            period = (times[-1] - times[0]) / max(1, len(times) - 1)
            if mark.end > times[-1] + period / 2:
                last = len(times)
        parts.append(Segment(mark.label, first, min(max(last, first + 1), len(times)), mark.where))
    return parts


def between(
    parts: Sequence[Segment], frames: int, margin: int, most: int, label: str
) -> list[Segment]:
    """Return parts in which nothing is marked, as long as the marked ones, spread over the video.

    Their lengths are those of the marked parts in a drawn order (always the same one), so that a
    length tells nothing about a label.

    Args:
        parts: the marked ones.
        frames: how many the video has.
        margin: frames that stay free before and after each marked part.
        most: how many are wanted at most.
        label: of what is returned.
    """
    lengths = sorted(part.frames for part in parts)
    drawn = np.random.default_rng(_SEED).permutation(lengths).tolist()
    found: list[Segment] = []
    for begin, end in _gaps(parts, frames, margin):
        while end - begin >= lengths[0]:
            index = drawn[len(found) % len(drawn)]
            length = index if index <= end - begin else lengths[0]
            found.append(Segment(label, begin, begin + length))
            begin += length
    if len(found) <= most:
        return found
    return [
        found[position] for position in np.linspace(0, len(found) - 1, most).round().astype(int)
    ]


def _gaps(parts: Sequence[Segment], frames: int, margin: int) -> Iterator[tuple[int, int]]:
    """Yield where nothing is marked: the first frame, and the one after the last."""
    free = 0
    for part in sorted(parts, key=lambda part: part.first):
        if part.first - margin > free:
            yield free, part.first - margin
        free = max(free, part.last + margin)
    if frames > free:
        yield free, frames
