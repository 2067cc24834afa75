"""Probabilities over time, made steady: the newest answers weigh, older ones fade."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.card import Decision

Probabilities = NDArray[np.float64]
_NOTHING: Probabilities = np.zeros(())


class Smoothing:
    """Keep what the answers so far come to, `(labels,)` in `value`; None before the first.

    `none` is the newest answer; `mean` that of the newest `smoothing_frames`; `exponential` moves
    by `2 / (smoothing_frames + 1)` of the way to each answer, from the first one on: it is as old
    as a mean of that many answers, but has no edge at which an old answer drops out.
    """

    def __init__(self, decision: Decision) -> None:
        self._kind = decision.smoothing
        count = decision.smoothing_frames if self._kind == "mean" else 1
        self._answers: deque[Probabilities] = deque(maxlen=count)
        self._share = 2 / (decision.smoothing_frames + 1)
        self.value: Probabilities | None = None

    def add(self, answer: Probabilities) -> Probabilities:
        """Take the next answer, `(labels,)`, and return the new value."""
        if self._kind == "exponential" and self.value is not None:
            self.value = self.value + self._share * (answer - self.value)
        else:
            self._answers.append(answer)
            # In order, as `np.mean` adds them, without what it costs to find out what it is given.
            self.value = sum(self._answers, _NOTHING) / len(self._answers)
        return self.value

    def clear(self) -> None:
        """Forget all answers."""
        self._answers.clear()
        self.value = None
