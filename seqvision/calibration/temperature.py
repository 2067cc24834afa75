"""Temperature of the logits (Guo et al. 2017, 1706.04599) and the threshold for unknown.

It changes no predicted label, only the probabilities.

The score is the probability of the best label (Hendrycks & Gimpel 2017, 1610.02136): what a model
has never seen is answered with less of it.  The threshold separates right answers from answers for
what is unknown where Youden's (1950) index is highest, and keeps at least `KEPT` of the right ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float64]
# Hotter or colder than this a model is broken, not miscalibrated.
COLDEST, HOTTEST = 0.05, 20.0
_HALVINGS: Final = 60

# The share of right answers at which detectors of the unknown are usually compared.
KEPT: Final = 0.95
UNKNOWN: Final = -1
_DIGITS = 3


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


@dataclass(frozen=True)
class Reject:
    """A threshold and what it does.

    Attributes:
        threshold: an answer whose best label has less is unknown; 0 refuses nothing.
        kept: the share of right answers of gestures that stays.
        refused: the share of the answers for what is unknown that goes; None where there were none.
        unknown: how many of those there were.
        how: where the unknown came from.
    """

    threshold: float
    kept: float
    refused: float | None
    unknown: int
    how: str


def find_reject(
    logits: Logits, truth: NDArray[np.int64], temperature: float, background: int | None
) -> Reject:
    """Return the threshold for unknown.

    Unknown are the clips of labels that the model does not know.  Where there are none, each label
    is left out in turn, as open sets are tried (Scheirer et al. 2013): its logit is taken away, and
    its clips must be unknown among the others.  The network has learnt from their like, so this
    flatters.  Clips of the background that are called a gesture count as unknown in both cases; an
    unknown clip that is called background is no mistake.

    Args:
        logits: `(clips, labels)`, before any temperature.
        truth: `(clips,)` label indices, UNKNOWN for what the model does not know.
        temperature: divides the logits.
        background: the label that means nothing happens.
    """
    probabilities = probable(logits, temperature)
    answers, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    # -2 is no label: without a background none is excepted.
    nothing = -2 if background is None else background
    right = sure[(answers == truth) & (truth != nothing)]
    wrong = sure[(truth == nothing) & (answers != nothing)]
    if (truth == UNKNOWN).any():
        how = "clips of labels that the model does not know"
        unknown = sure[(truth == UNKNOWN) & (answers != nothing)]
    else:
        how = "each label left out in turn"
        unknown = _left_out(logits, truth, temperature, nothing)
    refused = np.concatenate((unknown, wrong))
    threshold = _threshold(right, refused)
    return Reject(
        threshold=threshold,
        kept=float((right >= threshold).mean()) if len(right) else 1.0,
        refused=float((refused < threshold).mean()) if len(refused) else None,
        unknown=len(refused),
        how=how,
    )


def _left_out(
    logits: Logits, truth: NDArray[np.int64], temperature: float, nothing: int
) -> NDArray[np.float64]:
    """Return how sure each gesture's clips are called another one, were its label not there."""
    sure: list[NDArray[np.float64]] = []
    for label in range(logits.shape[1]):
        clips = logits[truth == label].copy()
        if label == nothing or not len(clips):
            continue
        clips[:, label] = -np.inf
        probabilities = probable(clips, temperature)
        sure.append(probabilities.max(axis=1)[probabilities.argmax(axis=1) != nothing])
    return np.concatenate(sure) if sure else np.empty(0)


def _threshold(right: NDArray[np.float64], refused: NDArray[np.float64]) -> float:
    """Return the threshold with the highest index; among equal ones the lowest."""
    if not len(right) or not len(refused):
        return 0.0
    most = float(np.quantile(right, 1 - KEPT, method="lower"))
    marks = np.unique(np.concatenate((right, refused)))
    # Half way between two clips, so that none lies on the border; 0 refuses nothing.
    borders = np.concatenate(([0.0], (marks[1:] + marks[:-1]) / 2))
    borders = np.floor(borders * 10**_DIGITS) / 10**_DIGITS
    borders = borders[borders <= most]
    index = [(right >= border).mean() + (refused < border).mean() for border in borders]
    return float(borders[int(np.argmax(index))])
