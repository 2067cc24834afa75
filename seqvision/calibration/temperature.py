"""How sure answers are: one temperature that divides the logits (Guo et al. 2017, 1706.04599).

It changes no answer, only how probable it is said to be.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float64]
# Hotter or colder than this a model is broken, not miscalibrated.
COLDEST, HOTTEST = 0.05, 20.0
_HALVINGS: Final = 60


def fit_temperature(logits: Logits, truth: NDArray[np.int64]) -> float:
    """Return the temperature at which the clips' labels are most likely.

    The loss is convex in 1 / temperature, so halving an interval finds its only minimum.  Where
    every answer is right there would be none: surer would always be better.  So the targets are
    smoothed as Platt (1999) does it, as if one more clip had shown each of the other labels alike.

    Args:
        logits: `(clips, labels)`, before any temperature.
        truth: `(clips,)` label indices.
    """
    clips, labels = logits.shape
    target = np.full(logits.shape, 1 / (clips + 2) / (labels - 1))
    target[np.arange(clips), truth] = 1 - 1 / (clips + 2)
    true_logits = (target * logits).sum(axis=1)

    def slope(inverse: float) -> float:
        """Return how the mean loss changes with 1 / temperature."""
        return float(((probable(logits, 1 / inverse) * logits).sum(axis=1) - true_logits).mean())

    return 1 / _root(slope, 1 / HOTTEST, 1 / COLDEST)


def probable(logits: Logits, temperature: float) -> NDArray[np.float64]:
    """Return the softmax of logits `(…, labels)` that a temperature divides."""
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def held_out(
    logits: Logits, truth: NDArray[np.int64], folds: Sequence[Sequence[int]]
) -> NDArray[np.float64]:
    """Return probabilities `(clips, labels)`, each with a temperature of the other folds' clips.

    Args:
        folds: indices of clips; together all of them, each once.
    """
    probabilities = np.empty_like(logits)
    for fold in folds:
        others = np.setdiff1d(np.arange(len(logits)), np.asarray(fold, np.intp))
        probabilities[fold] = probable(logits[fold], fit_temperature(logits[others], truth[others]))
    return probabilities


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Return where a rising function is 0; the end that is nearest where it is nowhere."""
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return float(np.sqrt(low * high))
