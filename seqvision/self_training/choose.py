"""Which of a teacher's answers become labels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqvision.config import SelfTrainOptions
from seqvision.self_training.teacher import Answers


def choose(
    answers: Answers, options: SelfTrainOptions, learnt: Sequence[int], labels: int
) -> NDArray[np.bool_]:
    """Return which clips get their pseudo-label (Lee 2013): `(clips,)`.

    Every view must agree.  `fixed`: what is as sure as the threshold.  `balanced`: as many clips in
    all, but of each label in its share of the labelled clips, the surest first (class-balanced
    self-training, Zou et al. 2018): otherwise easy labels crowd out the hard ones, round by round.
    So a label that is rarely sure has a lower threshold of its own, down to the floor, and one that
    often is has a higher one.

    Args:
        learnt: label indices of the labelled clips that train.
        labels: how many labels there are.
    """
    steady = answers.agreement >= 1
    sure = steady & (answers.confidence >= options.threshold)
    if options.select == "fixed":
        return sure
    candidates = steady & (answers.confidence >= min(options.floor, options.threshold))
    shares = np.bincount(np.asarray(learnt), minlength=labels) / max(1, len(learnt))
    chosen = np.zeros(len(sure), bool)
    for label, quota in enumerate(_quotas(int(sure.sum()), shares)):
        own = np.flatnonzero(candidates & (answers.labels == label))
        surest = own[np.argsort(-answers.confidence[own], kind="stable")]
        chosen[surest[:quota]] = True
    return chosen


def thresholds(answers: Answers, chosen: NDArray[np.bool_], labels: int) -> list[float | None]:
    """Return the least probability that was chosen of each label; None where nothing was."""
    found: list[float | None] = []
    for label in range(labels):
        own = answers.confidence[chosen & (answers.labels == label)]
        found.append(float(own.min()) if len(own) else None)
    return found


def _quotas(total: int, shares: NDArray[np.float64]) -> list[int]:
    """Divide a number in shares, the largest remainders first."""
    exact = total * shares
    quotas = np.floor(exact).astype(int)
    rest = total - int(quotas.sum())
    quotas[np.argsort(quotas - exact, kind="stable")[:rest]] += 1
    return quotas.tolist()
