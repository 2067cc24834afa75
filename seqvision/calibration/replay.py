"""Events of recorded answers at many settings, quickly: the same as `Course.events` tells.

What smoothing and the threshold for unknown make of the answers is computed once for all settings
that share them, by the code that does it live.  While no gesture reaches `off_threshold`, and none
did in the answer before, an answer changes nothing: most of a video need not be looked at again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqvision.calibration.answers import TakePredictions
from seqvision_edge.card import Decision
from seqvision_edge.decision import Decider
from seqvision_edge.result import Event

# Wider than what the decider takes for equal.
_HAIR = 1e-5


@dataclass(frozen=True)
class _Smooth:
    """Smoothed answers: `breaks` are the places where the past ends, their rows have no meaning."""

    shares: NDArray[np.float64]
    highest: NDArray[np.float64]
    breaks: NDArray[np.bool_]


class Replay:
    """One course, ready to be decided again and again."""

    def __init__(self, recorded: TakePredictions, labels: Sequence[str], lag: float) -> None:
        self.course = recorded
        self._labels = labels
        self._lag = lag
        self._times = [time for time, _ in recorded.answers]
        self._smooth: dict[tuple[str | int | float | None, ...], _Smooth] = {}

    def events(self, decision: Decision) -> list[Event]:
        """Return the events that a run with these settings reports."""
        if decision.early is not None or not self._times:  # an answer's own rise counts then
            return self.course.events(decision, self._labels, self._lag)
        smooth = self._smoothed(decision)
        loud = smooth.highest >= decision.off_threshold - _HAIR
        after = np.concatenate(([False], loud[:-1]))
        decider = Decider(
            decision.model_copy(update={"smoothing": "none", "min_confidence": 0.0}),
            self._labels,
            self._lag,
        )
        ended: list[Event] = []
        for index in np.flatnonzero(loud | after | smooth.breaks).tolist():
            time = self._times[index]
            if smooth.breaks[index]:
                ended += decider.close(time).ended
            else:
                ended += decider.step(time, smooth.shares[index]).ended
        return [*ended, *decider.close(self.course.seconds).ended]

    def _smoothed(self, decision: Decision) -> _Smooth:
        key = (
            decision.smoothing, decision.smoothing_frames, decision.min_confidence,
            decision.background,
        )  # fmt: skip
        if key not in self._smooth:
            self._smooth[key] = self._make(decision)
        return self._smooth[key]

    def _make(self, decision: Decision) -> _Smooth:
        # Only what it smooths is asked of it.
        decider = Decider(decision, self._labels, self._lag)
        shares = np.zeros((len(self._times), len(self._labels)))
        breaks = np.zeros(len(self._times), np.bool_)
        for where, (time, answer) in enumerate(self.course.answers):
            if answer is None:
                breaks[where] = True
                decider.close(time)
            else:
                decider.step(time, answer)
                shares[where] = list(decider.smoothed.values())
        gestures = [where for where, label in enumerate(self._labels)
                    if label != decision.background]  # fmt: skip
        return _Smooth(shares, shares[:, gestures].max(axis=1), breaks)
