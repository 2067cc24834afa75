"""What a video shows around a part of it, for training windows at every offset.

A live run answers at every moment: its window ends when a gesture has just begun, is half done, or
is long over.  A part cut out of its video teaches none of these.  With its surroundings a window is
drawn anywhere around it, and is labelled in proportion to how much of the gesture it shows: with
that probability it has the part's label, else the background's.  Over the epochs that is the cross
entropy with such a soft label.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from seqvision.data.clips import Clip, Cut
from seqvision.data.decode import Decoded, Store, decode_all

# The share of the windows that show the part alone, as validation sees it.
_ALONE = 0.25
# Without a background, a window must show this much of the gesture to have its label.
_LEAST = 0.5
_TRIES = 20


@dataclass(frozen=True)
class Surroundings:
    """A part of a video with what comes before and after it.

    Attributes:
        clip: both, decoded.
        start, end: of the part in it, in seconds.
        background: index of the label of what lies around; None where the data has none.
    """

    clip: Decoded
    start: float
    end: float
    background: int | None

    def draw(
        self, seconds: float, label: int, generator: np.random.Generator
    ) -> tuple[Decoded, int] | None:
        """Draw a window of this length; None stands for the part alone.

        Returns:
            The window's frames as a clip, and its label: `label`, or the background's.
        """
        if generator.random() < _ALONE:
            return None
        last = self.clip.seconds
        for _ in range(_TRIES):
            end = float(generator.uniform(self.start, min(last, self.end + seconds)))
            share = self._share(end - seconds, end)
            if label == self.background:
                # All of it is background: a window as full as it can be.
                end, share = float(generator.uniform(min(seconds, last), last)), 1.0
            if self.background is not None or share >= _LEAST:
                break
        else:
            return None
        times = self.clip.times
        first = min(bisect_right(times, end - seconds), len(times) - 1)
        after = max(first + 1, bisect_left(times, end))
        window = replace(
            self.clip,
            frames=self.clip.frames[first:after],
            times=times[first:after] - times[first],
            end=end - float(times[first]),
        )
        if self.background is not None and generator.random() >= share:
            return window, self.background
        return window, label

    def _share(self, begin: float, end: float) -> float:
        """Return how much of the part a window shows: 1 is all, or all that fits."""
        seen = min(end, self.end) - max(begin, self.start)
        return max(0.0, seen) / max(1e-6, min(self.end - self.start, end - begin))


def load_surroundings(
    store: Store,
    clips: Sequence[Clip],
    decoded: Sequence[Decoded],
    seconds: float,
    background: str | None,
    labels: Sequence[str],
    progress: Callable[[int, int], None],
) -> list[Surroundings | None]:
    """Decode what is around the clips that are parts of a video; None for the others.

    It reaches no further than the next marked gesture, so that a window shows one at most.

    Args:
        store: decodes.
        clips: with what is in them, `decoded`.
        seconds: how far it reaches before and after the part.
        background: the label of parts that are no gesture.
        labels: of the model.
        progress: called with the number done and the total.
    """
    marks: dict[object, list[Cut]] = defaultdict(list)
    for clip in clips:
        if clip.cut is not None and clip.label != background:
            marks[clip.path, clip.region].append(clip.cut)
    wide: dict[int, Clip] = {}
    for index, (clip, frames) in enumerate(zip(clips, decoded, strict=True)):
        rate = frames.source_fps if clip.cut and clip.cut.in_frames else 1.0
        if clip.cut is None or rate is None:
            continue
        cut = _widened(
            clip.cut, frames.seconds * rate, seconds * rate, marks[clip.path, clip.region]
        )
        wide[index] = replace(clip, cut=cut)
    read, found, _ = decode_all(store, list(wide.values()), progress)
    # Those that could be read, by their identity: a clip may be listed twice.
    by_clip = dict(zip(read, found, strict=True))
    number = None if background is None else labels.index(background)
    around: list[Surroundings | None] = [None] * len(clips)
    for index, clip in wide.items():
        outer, inner = clip.cut, clips[index].cut
        if clip not in by_clip or outer is None or inner is None:
            continue
        rate = (decoded[index].source_fps or 1.0) if inner.in_frames else 1.0
        start = (inner.start - outer.start) / rate
        around[index] = Surroundings(by_clip[clip], start, start + decoded[index].seconds, number)
    return around


def _widened(cut: Cut, length: float, reach: float, marks: Sequence[Cut]) -> Cut:
    """Return a part with what is around it, in its own unit, up to the next marks."""
    end = cut.end if cut.end is not None else cut.start + length
    before = [m.end for m in marks if m.end is not None and m.end <= cut.start]
    after = [mark.start for mark in marks if mark.start >= end]
    start = max(0.0, cut.start - reach, *before)
    until = min([end + reach, *after])
    if cut.in_frames:
        start, until = float(round(start)), float(round(until))
    return replace(cut, start=start, end=until)
