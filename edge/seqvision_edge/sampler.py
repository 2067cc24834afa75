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

from seqvision_edge.errors import SourceError

# Of one recording: 77 hours at 15 fps, whose indices take 32 MB.  Times that ask for more are
# wrong, or meant to fill the memory: ticks are counted before anything is made of them.
MOST_TICKS = 1 << 22
# Above it a float cannot count.
_UNCOUNTABLE = 2.0**53

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
        due = self._tick_at(time) + 1
        ticks = due - self._due
        self._due = due
        return ticks

    def _tick_at(self, time: float) -> int:
        """Return the number of the newest tick that has come due.

        Raises:
            SourceError: no such time can be counted.
        """
        assert self._start is not None
        passed = (time - self._start) * self.fps + EARLY
        if not abs(passed) < _UNCOUNTABLE:
            raise SourceError(f"a frame's time is {time:g} s, which is no time of a recording")
        return math.floor(passed)

    def stills(self, time: float) -> Iterator[float]:
        """Yield the times of the ticks at which the last frame still stands, for `take`.

        Of a recorded source, before the frame at `time` is taken (or at the end of the source):
        after more than 2.5 periods of what the source says of its rate, or of the model where that
        is longer, that frame answers its newest tick alone.
        """
        count = self._stills_before(time)
        if count and self._start is not None:
            start, due = self._start, self._due
            for tick in range(due, due + count):
                yield start + tick / self.fps

    def take_stills(self, time: float) -> int:
        """Take all `stills` before a frame at `time`, and return how many ticks they answer."""
        count = self._stills_before(time)
        self._due += count
        return count

    def _stills_before(self, time: float) -> int:
        if self._last is None or self._start is None:
            return 0
        if time - self._last <= GAP_PERIODS * max(self._claimed, 1 / self.fps):
            return 0
        return max(0, self._tick_at(time) - self._due)

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

    Raises:
        SourceError: the times span more than `MOST_TICKS` ticks.
    """
    sampler = Sampler(fps, source_fps)
    counts: list[int] = []
    total = 0
    for time in map(float, times):
        if counts and source_fps is not None:
            stills = sampler.take_stills(time)
            counts[-1] += stills
            total += stills
        counts.append(sampler.take(time))
        total += counts[-1]
        refuse_long(total, fps)
    if counts and source_fps is not None and end is not None:
        stills = sampler.take_stills(end)
        refuse_long(total + stills, fps)
        counts[-1] += stills
    return np.repeat(np.arange(len(counts), dtype=np.int64), counts)


def refuse_long(ticks: int, fps: float, most: int = MOST_TICKS, name: str = "a clip") -> None:
    """Refuse a recording that answers too many ticks of a model's clock, before they are made.

    Raises:
        SourceError: more than `most`; `name` begins the message.
    """
    if ticks > most:
        raise SourceError(
            f"{name}: lasts {ticks / fps:,.0f} s by its times, {ticks:,} frames at {fps:g} fps; "
            f"at most are {most:,} ({most / fps:,.0f} s): cut it, or mend its times"
        )
