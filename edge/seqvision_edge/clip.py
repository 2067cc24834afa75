"""Decoded clips and images → the steps that the model reads.

Training, `seqvision predict` and the server ask about the same steps, because they are chosen here.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.card import ImageSpec
from seqvision_edge.cut import cut
from seqvision_edge.sampler import choose
from seqvision_edge.sequence import SequenceSpec, VideoSequence

Steps = NDArray[np.uint8]


class Frames(Protocol):
    """What is asked of a clip's frames `(time, height, width, channels)`, wherever they are."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, index: Any, /) -> Steps: ...


class Clip(Protocol):
    """Frames at the size of a step, and their times in seconds; a still image is one sized frame.

    Frames that answer no tick of the model's clock may be left out, unless a still picture is one.
    """

    @property
    def frames(self) -> Frames: ...

    @property
    def times(self) -> NDArray[np.float64]: ...

    @property
    def source_fps(self) -> float | None:
        """What a recording says of its rate; None where that is not known."""

    @property
    def end(self) -> float | None:
        """Until when the last frame is shown, in seconds; None where that is not known."""


def window(clip: Clip, fps: float, frames: int, start: float = 0.5) -> Steps:
    """Return the frames of a clip that a model with this window sees.

    Args:
        clip: the decoded clip.
        fps: the model's rate.
        frames: the model's window.
        start: where the window lies in a longer clip, 0 (begin) to 1 (end).

    Returns:
        `(time, height, width, channels)`, time at most `frames`; a short clip gives less.
    """
    ticks = choose(clip.times, fps, clip.source_fps, clip.end)
    first = centre_start(len(ticks), frames, start)
    return clip.frames[ticks[first : first + frames]]


def centre_start(steps: int, frames: int, start: float = 0.5) -> int:
    """Return the first step of the window that lies in the middle of so many, or elsewhere."""
    return round(max(0, steps - frames) * start)


def window_starts(steps: int, frames: int) -> list[int]:
    """Return the first steps of windows from beginning to end, each half a window after the last.

    The last one ends with the clip, so it may overlap more.
    """
    last = max(0, steps - frames)
    return [*range(0, last, max(1, frames // 2)), last]


def centre(clip: Clip, image: ImageSpec, sequence: SequenceSpec) -> Steps:
    """Return the steps by which a clip or image is judged: all of it, or its middle.

    Args:
        clip: the decoded clip, or the sized image as a clip of one frame.
        image: the size of a step.
        sequence: how a clip or image becomes steps.

    Returns:
        `(steps, image.height, image.width, image.channels)` uint8, at most `sequence.window` steps.
    """
    if isinstance(sequence, VideoSequence):
        return window(clip, sequence.fps, sequence.frames)
    return cut(clip.frames[0], image, sequence)


def window_fill(steps: int, sequence: SequenceSpec) -> float:
    """Return the share of the model's window that so many steps fill; a still image is whole."""
    return min(1.0, steps / sequence.frames) if isinstance(sequence, VideoSequence) else 1.0


def whole(clip: Clip, image: ImageSpec, sequence: SequenceSpec) -> Steps:
    """Return every frame of a clip at the model's rate, as a live run sees it; see `centre`."""
    if isinstance(sequence, VideoSequence):
        return clip.frames[choose(clip.times, sequence.fps, clip.source_fps, clip.end)]
    return centre(clip, image, sequence)


def windows(clip: Clip, image: ImageSpec, sequence: SequenceSpec) -> Iterator[Steps]:
    """Yield windows from the beginning of a clip to its end, each half a window after the last.

    All are as long as each other; the last one ends with the clip, so it may overlap more.  A still
    image is one window, the centre.
    """
    if not isinstance(sequence, VideoSequence):
        yield centre(clip, image, sequence)
        return
    ticks, frames = choose(clip.times, sequence.fps, clip.source_fps, clip.end), sequence.frames
    for start in window_starts(len(ticks), frames):
        yield clip.frames[ticks[start : start + frames]]
