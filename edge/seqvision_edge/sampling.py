"""Select the frames a model sees, by timestamp at the card's fps, and cut clips into windows of
steps.

A model is trained on motion at one speed.  Counting frames would change that speed with every
camera and with every dropped frame, so each frame is placed on a grid of ticks `1 / fps` apart: a
frame answers the ticks that have come due, which is none (the source is faster), one, or several
(it is slower; the picture is assumed not to have changed).  Training uses `select_frames`, the live
runner `Sampler`; the first is a loop over the second, so both see the same frames.

A long silence is a gap of a live source, where its content is unknown.  Of a recorded one it is a
still picture: its frame was shown until the next one came, and answers the ticks between.

Training, `seqvision predict` and the server classify the same steps, because all select them here.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.card import ImageSpec, SequenceSpec, TimedSequence
from seqvision_edge.errors import SourceError
from seqvision_edge.still_images import cut_steps

# Of one recording: 77 hours at 15 fps, whose indices take 32 MB.  Times that need more are wrong,
# or an attack on memory: ticks are counted before anything is allocated for them.
MOST_TICKS = 1 << 22
# Above it a float cannot count.
_UNCOUNTABLE = 2.0**53

# A frame may come this fraction of a period before its tick.  Camera timestamps jitter; with no
# tolerance a source at exactly the model's fps would alternate between zero and two ticks.  The
# golden section keeps the border away from the simple ratios (30 → 15, 25 → 10, …) of real rates.
EARLY = 0.381966

# A gap is a silence this many times longer than the usual period of the source.
GAP_PERIODS = 2.5
_INTERVALS = 30

# uint8 pictures, or float32 vectors.
Steps = NDArray[Any]


class Sampler:
    """Place frames that arrive one by one on the model's grid of ticks."""

    def __init__(self, fps: float, source_fps: float | None = None) -> None:
        """Begin an empty grid of `fps` ticks per second.

        `source_fps` is the source's declared rate: until two frames have come, only that
        distinguishes a slow source from a gap.  Without it the second frame of a slow source is
        taken for one.
        """
        if not fps > 0:
            raise ValueError(f"fps is {fps}, must be above 0")
        self.fps = fps
        self._claimed = 1 / source_fps if source_fps else 0.0
        self.reset()

    def reset(self) -> None:
        """Reset the state; the next frame starts a new grid."""
        self._last: float | None = None
        self._intervals: deque[float] = deque(maxlen=_INTERVALS)
        self.restart()

    def restart(self) -> None:
        """Start a new grid at the next frame, but keep the usual period: after a gap.

        On the old grid the first frame after a gap would answer every tick of the silence, and fill
        the model's window with one picture.
        """
        self._start: float | None = None
        self._due = 0

    def take(self, time: float, still: bool = False) -> int:
        """Return how many ticks the frame at `time` (seconds, rising) answers.

        A time that does not rise (a clock or a stream that restarted) begins a new grid, as a reset
        would.  With `still` it is the previous frame again; see `stills`.
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
            SourceError: the time is out of range.
        """
        assert self._start is not None
        passed = (time - self._start) * self.fps + EARLY
        if not abs(passed) < _UNCOUNTABLE:
            raise SourceError(f"a frame's time is {time:g} s, which no recording can have")
        return math.floor(passed)

    def stills(self, time: float) -> Iterator[float]:
        """Yield the times of the ticks at which the last frame is still shown, for `take`.

        Of a recorded source, before the frame at `time` is taken (or at the end of the source):
        after more than 2.5 periods of the declared rate, or of the model if that is longer, that
        frame answers only its newest tick.
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
            # The usual case, for which the usual period need not be known.
            return False
        usual = median(self._intervals) if self._intervals else self._claimed
        return silence > GAP_PERIODS * max(usual, 1 / self.fps)


def select_frames(
    times: Sequence[float] | NDArray[np.float64],
    fps: float,
    source_fps: float | None = None,
    end: float | None = None,
) -> NDArray[np.int64]:
    """Return the index of the frame that answers each tick of a clip.

    Args:
        times: the clip's timestamps in seconds, rising.
        fps: ticks per second.
        source_fps: the declared rate of a recording: a frame that is shown for long answers the
            ticks until the next one.  None: the next one answers them.
        end: the time in seconds until which the last frame of a recording is shown, if known.

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
    """Refuse a recording that answers too many ticks of a model's clock, before computing them.

    Raises:
        SourceError: more than `most`; `name` begins the message.
    """
    if ticks > most:
        raise SourceError(
            f"{name}: lasts {ticks / fps:,.0f} s by its times, {ticks:,} frames at {fps:g} fps; "
            f"the maximum is {most:,} ({most / fps:,.0f} s): cut it, or fix its times"
        )


class FrameArray(Protocol):
    """A clip's frames `(time, height, width, channels)`, in memory or in a file."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, index: Any, /) -> Steps: ...


class SizedClip(Protocol):
    """Frames at the size of a step, and their times in seconds; a still image is one sized frame.

    Frames that answer no tick of the model's clock may be left out, unless a still picture is one.
    """

    @property
    def frames(self) -> FrameArray: ...

    @property
    def times(self) -> NDArray[np.float64]: ...

    @property
    def source_fps(self) -> float | None:
        """The declared rate of a recording; None if unknown."""

    @property
    def end(self) -> float | None:
        """The time in seconds until which the last frame is shown; None if unknown."""


def window(clip: SizedClip, fps: float, frames: int, start: float = 0.5) -> Steps:
    """Return the frames of a clip that a model with this window sees.

    Args:
        clip: the decoded clip.
        fps: the model's rate.
        frames: the model's window.
        start: the position of the window in a longer clip, 0 (begin) to 1 (end).

    Returns:
        `(time, height, width, channels)`, time at most `frames`; a short clip gives less.
    """
    ticks = select_frames(clip.times, fps, clip.source_fps, clip.end)
    first = centre_start(len(ticks), frames, start)
    return clip.frames[ticks[first : first + frames]]


def centre_start(steps: int, frames: int, start: float = 0.5) -> int:
    """Return the first step of the window in the middle of so many steps, or elsewhere."""
    return round(max(0, steps - frames) * start)


def window_starts(steps: int, frames: int) -> list[int]:
    """Return the first steps of windows from beginning to end, each half a window after the last.

    The last one ends with the clip, so it may overlap more.
    """
    last = max(0, steps - frames)
    return [*range(0, last, max(1, frames // 2)), last]


def centre(clip: SizedClip, image: ImageSpec, sequence: SequenceSpec) -> Steps:
    """Return the steps by which a clip or image is classified: all of it, or its middle.

    Args:
        clip: the decoded clip, or the sized image as a clip of one frame.
        image: the size of a step.
        sequence: how a clip or image becomes steps.

    Returns:
        `(steps, image.height, image.width, image.channels)` uint8, at most `sequence.window` steps.
    """
    if isinstance(sequence, TimedSequence):
        return window(clip, sequence.fps, sequence.frames)
    return cut_steps(clip.frames[0], image, sequence)


def window_fill(steps: int, sequence: SequenceSpec) -> float:
    """Return the fraction of the model's window that so many steps fill; 1 for a still image."""
    return min(1.0, steps / sequence.frames) if isinstance(sequence, TimedSequence) else 1.0


def whole(clip: SizedClip, image: ImageSpec, sequence: SequenceSpec) -> Steps:
    """Return every frame of a clip at the model's rate, as a live run sees it; see `centre`."""
    if isinstance(sequence, TimedSequence):
        return clip.frames[select_frames(clip.times, sequence.fps, clip.source_fps, clip.end)]
    return centre(clip, image, sequence)


def windows(clip: SizedClip, image: ImageSpec, sequence: SequenceSpec) -> Iterator[Steps]:
    """Yield windows from the beginning of a clip to its end, each half a window after the last.

    All have the same length; the last one ends with the clip, so it may overlap more.  A still
    image is one window, the centre.
    """
    if not isinstance(sequence, TimedSequence):
        yield centre(clip, image, sequence)
        return
    ticks, frames = (
        select_frames(clip.times, sequence.fps, clip.source_fps, clip.end),
        sequence.frames,
    )
    for start in window_starts(len(ticks), frames):
        yield clip.frames[ticks[start : start + frames]]
