"""Which frames a model sees: chosen by timestamp, at the card's fps.

A model learnt motion at one speed.  Counting frames would change that speed with every camera and
with every dropped frame, so each frame is placed on a grid of ticks `1 / fps` apart: a frame
answers the ticks that have come due, which is none (the source is faster), one, or several (it is
slower; the picture stood still as far as anyone can know).  Training chooses with `choose`, the
live runner with `Sampler`; the first is a loop over the second, so both see the same frames.

A long silence is a gap of a live source, where nothing is known of it.  Of a recorded one it is a
still picture: its frame was shown until the next one came, and answers the ticks between.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

# A frame may come this share of a period before its tick.  Camera timestamps jitter; with no
# tolerance a source at exactly the model's fps would alternate between zero and two ticks.  The
# golden section keeps the border away from the simple ratios (30 → 15, 25 → 10, …) of real rates.
EARLY = 0.381966

# A gap is a silence this many times longer than what is usual for the source.
GAP_PERIODS = 2.5
_INTERVALS = 30


class Sampler:
    """Place frames that arrive one by one on the model's grid of ticks."""

    def __init__(self, fps: float, source_fps: float | None = None) -> None:
        """Begin an empty grid of `fps` ticks per second.

        `source_fps` is what the source says of itself: until two frames have come, only that tells
        a slow source from a gap.  Without it the second frame of a slow source is taken for one.
        """
        if not fps > 0:
            raise ValueError(f"fps is {fps}, must be above 0")
        self.fps = fps
        self._claimed = 1 / source_fps if source_fps else 0.0
        self.reset()

    def reset(self) -> None:
        """Forget the past; the next frame starts a new grid."""
        self._last: float | None = None
        self._intervals: deque[float] = deque(maxlen=_INTERVALS)
        self.restart()

    def restart(self) -> None:
        """Start a new grid at the next frame, but remember the usual rate: after a gap.

        On the old grid the first frame after a gap would answer every tick of the silence, and fill
        the model's window with one picture.
        """
        self._start: float | None = None
        self._due = 0

    def take(self, time: float, still: bool = False) -> int:
        """Return how many ticks the frame at `time` (seconds, rising) answers.

        A time that does not rise (a clock or a stream that started over) begins a new grid, as a
        reset would.  With `still` it is the frame before again; see `stills`.
        """
        if self._last is not None and time < self._last:
            self.reset()
        if not still:
            if self._last is not None and time > self._last:
                self._intervals.append(time - self._last)
            self._last = time
        if self._start is None:
            self._start = time
        due = math.floor((time - self._start) * self.fps + EARLY) + 1
        ticks = due - self._due
        self._due = due
        return ticks

    def stills(self, time: float) -> Iterator[float]:
        """Yield the times of the ticks at which the last frame still stands, for `take`.

        Of a recorded source, before the frame at `time` is taken (or at the end of the source):
        after more than 2.5 periods of what the source says of its rate, or of the model where that
        is longer, that frame answers its newest tick alone.
        """
        if self._last is None or self._start is None:
            return
        if time - self._last <= GAP_PERIODS * max(self._claimed, 1 / self.fps):
            return
        start, newest = self._start, math.floor((time - self._start) * self.fps + EARLY)
        for tick in range(self._due, newest):
            yield start + tick / self.fps

    def is_gap(self, time: float) -> bool:
        """Return whether so much time passed before `time` that a window must not span it.

        True for a silence longer than 2.5 usual periods of the source or of the model, whichever
        is longer, and for time that runs backwards.  Call before `take`.
        """
        if self._last is None:
            return False
        if time < self._last:
            return True
        silence = time - self._last
        if silence <= GAP_PERIODS / self.fps:
            # Nearly always; what is usual need not be known for it.
            return False
        usual = median(self._intervals) if self._intervals else self._claimed
        return silence > GAP_PERIODS * max(usual, 1 / self.fps)


def choose(
    times: Sequence[float] | NDArray[np.float64],
    fps: float,
    source_fps: float | None = None,
    end: float | None = None,
) -> NDArray[np.int64]:
    """Return the index of the frame that answers each tick of a clip.

    Args:
        times: the clip's timestamps in seconds, rising.
        fps: ticks per second.
        source_fps: what a recording says of its rate: a frame that is shown for long answers the
            ticks until the next one.  None: the next one answers them.
        end: until when the last frame of a recording is shown, in seconds, where that is known.

    Returns:
        `(ticks,)` int64, rising; an index repeats where the clip is slower than `fps`.
    """
    sampler = Sampler(fps, source_fps)
    counts: list[int] = []
    for time in map(float, times):
        if counts and source_fps is not None:
            counts[-1] += sum(sampler.take(still, still=True) for still in sampler.stills(time))
        counts.append(sampler.take(time))
    if counts and source_fps is not None and end is not None:
        counts[-1] += sum(sampler.take(still, still=True) for still in sampler.stills(end))
    return np.repeat(np.arange(len(counts), dtype=np.int64), counts)
