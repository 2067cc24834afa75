"""The augmentation of vectors: jitter, scale and shift of the whole clip, values that are lost.

All are measured in deviations of each feature over the training clips.  Which vectors are seen
(speed, a part of the clip, some dropped) is drawn as for frames.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from seqvision.data.augment.augmenter import Augmenter

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Strength:
    """How much vectors vary.

    Attributes:
        jitter: deviation of the noise on each value.
        scale: share, either way, by which a clip's distance from the mean changes.
        shift: deviation of what is added to a feature in all vectors of a clip.
        lose: probability of each value to be missing, and of each vector.
    """

    jitter: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    lose: float = 0.0


_STRENGTHS: Final[Mapping[str, Strength]] = {
    "none": Strength(),
    "light": Strength(jitter=0.05, scale=0.1, shift=0.1, lose=0.02),
    "strong": Strength(jitter=0.1, scale=0.2, shift=0.2, lose=0.05),
}


@dataclass(frozen=True)
class Statistics:
    """Mean and deviation of each feature's known values, `(features,)` float64."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def of(cls, clips: Iterable[Vectors]) -> Self:
        """Measure clips `(time, features)`; a feature that is never known has 0 and 0."""
        count: Any = 0
        total: Any = 0.0
        kept = [clip.astype(np.float64) for clip in clips]
        for clip in kept:
            count = count + (~np.isnan(clip)).sum(axis=0)
            total = total + np.nansum(clip, axis=0)
        known = np.maximum(count, 1)
        mean = total / known
        squares = sum(np.nansum((clip - mean) ** 2, axis=0) for clip in kept)
        return cls(mean, np.sqrt(squares / known))


class VectorAugmenter(Augmenter):
    """Varies clips of vectors; the same seed varies a clip in the same way."""

    def __init__(self, chosen: Augmenter, augment: str, statistics: Statistics) -> None:
        """Vary values by a preset, and their choice in time as `chosen` does."""
        self.swap, self.reversal = chosen.swap, chosen.reversal
        self.timing, self.mirrors = chosen.timing, frozenset()
        self._chosen, self._augment, self._statistics = chosen, augment, statistics

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to another process as plain data."""
        return VectorAugmenter, (self._chosen, self._augment, self._statistics)

    def relabelled(self, swap: Mapping[int, int], reversal: Mapping[int, int]) -> "VectorAugmenter":
        """Return the same augmenter for other label indices."""
        chosen = self._chosen.relabelled(swap, reversal)
        return VectorAugmenter(chosen, self._augment, self._statistics)

    def __call__(self, frames: NDArray[Any], label: int, seed: int) -> tuple[NDArray[Any], int]:
        """Return a varied clip `(time, features)` float32 and its label."""
        strength = _STRENGTHS[self._augment]
        return vary(frames, self._statistics, strength, np.random.default_rng(seed)), label

    def made_from(self) -> list[Any]:
        """Return, as plain data, everything that decides what a seed does to a clip."""
        statistics = [self._statistics.mean.tolist(), self._statistics.deviation.tolist()]
        return [*self._chosen.made_from(), "vectors", *statistics]


def vary(
    values: Vectors, statistics: Statistics, strength: Strength, generator: np.random.Generator
) -> Vectors:
    """Return a varied copy of a clip `(time, features)`; what was missing stays missing."""
    time, features = values.shape
    mean, deviation = statistics.mean, statistics.deviation
    scale = 1 + generator.uniform(-strength.scale, strength.scale)
    shift = generator.normal(0, strength.shift, features) * deviation
    noise = generator.normal(0, strength.jitter, values.shape) * deviation
    varied = mean + (values - mean) * scale + shift + noise
    lost = generator.random(values.shape) < strength.lose
    lost |= generator.random((time, 1)) < strength.lose
    varied[lost] = np.nan
    return varied.astype(np.float32)
