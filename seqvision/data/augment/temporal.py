"""Which frames of a clip are seen: faster or slower, a part, some missing, backwards.

Only timestamps are changed; `select_frames`, the sampler of the live runner, does the rest.  So a
varied clip is one that a camera could have given.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from seqvision.config import Chance, Part, Speed
from seqvision_edge.sampling import select_frames


class TemporalOptions(BaseModel):
    """How the frames of a clip are chosen.

    Attributes:
        speed: range of factors; 2 plays a clip twice as fast.
        crop: the least share of a clip that is kept, above 0 to 1.
        drop: probability of each frame to be missing, 0 to below 1.
        reverse: probability to play a clip backwards, where its label allows it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    speed: Speed = (1.0, 1.0)
    crop: Part = 1.0
    drop: Chance = 0.0
    reverse: Chance = 0.0


def draw_frames(
    times: Sequence[float] | NDArray[np.float64],
    fps: float,
    frames: int,
    timing: TemporalOptions,
    generator: np.random.Generator,
    reversible: bool = False,
    source_fps: float | None = None,
    end: float | None = None,
) -> tuple[NDArray[np.int64], bool]:
    """Draw which frames of a clip a model sees.

    Args:
        times: of the clip's frames in seconds, rising; at least one.
        fps: the model's rate.
        frames: the model's window.
        timing: what varies.
        generator: what the draw comes from.
        reversible: the clip may be played backwards.
        source_fps: the rate that the clip claims; None where that is not known.
        end: until when the last frame is shown, in seconds; None where that is not known.

    Returns:
        1 to `frames` indices of frames, and whether they run backwards.
    """
    start = generator.random()
    seconds = np.asarray(times, np.float64)
    kept = np.arange(len(seconds))
    if timing.crop < 1:
        kept = _crop(seconds, timing.crop, generator)
    if timing.drop > 0:
        kept = kept[~_missing(len(kept), timing.drop, generator)]
    backwards = reversible and bool(generator.random() < timing.reverse)
    if backwards:
        kept = kept[::-1]
        seconds = -seconds
    low, high = timing.speed
    speed = generator.uniform(low, high) if high > low else low
    # Backwards, or without its last frame, a clip has no still picture at its end.
    if end is not None:
        is_last = not backwards and kept[-1] == len(seconds) - 1
        end = (end - seconds[kept[0]]) / speed if is_last else None
    if source_fps is not None:
        source_fps *= speed
    ticks = select_frames((seconds[kept] - seconds[kept[0]]) / speed, fps, source_fps, end)
    first = round(max(0, len(ticks) - frames) * start)
    return kept[ticks[first : first + frames]], backwards


def _crop(
    seconds: NDArray[np.float64], least: float, generator: np.random.Generator
) -> NDArray[Any]:
    """Return the frames of a part of the clip, at least the share `least` of its time."""
    # The last frame stands for one period too.
    whole = (seconds[-1] - seconds[0]) * len(seconds) / max(1, len(seconds) - 1)
    length = generator.uniform(least, 1) * whole
    begin = seconds[0] + generator.random() * (whole - length)
    # The frame that stands at the beginning came a little before it.
    first = np.searchsorted(seconds, begin, "right") - 1
    return np.arange(first, np.searchsorted(seconds, begin + length, "right"))


def _missing(count: int, chance: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Draw frames that did not come: never the first, and never two in a row.

    Live, a longer silence is a gap, after which the runner begins anew.
    """
    missing = generator.random(count) < chance
    missing[:1] = False
    for index in range(1, count):
        missing[index] &= not missing[index - 1]
    return missing
