"""The model's probabilities for a frame, as an answer."""

import time
from collections import deque
from collections.abc import Sequence
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.decision import is_unsure
from seqvision_edge.frame import Frame
from seqvision_edge.result import Prediction

Probabilities = NDArray[np.float32] | None


def predicted(
    frame: Frame,
    labels: Sequence[str],
    probabilities: NDArray[np.float32],
    window_full: bool,
    latency: float,
    min_confidence: float,
    age: float | None = None,
    dropped: int | None = None,
) -> Prediction:
    """Return probabilities `(labels,)` as the answer for a frame; `latency` and `age` in seconds.

    `min_confidence` is the decision's; `age` and `dropped` are those of a live frame.
    """
    # Of so few values NumPy's own ways are slower, and some let go of Python's lock.
    values = probabilities.tolist()
    best = values.index(max(values))
    return Prediction(
        time=frame.time,
        frame=frame.index,
        label=labels[best],
        probability=values[best],
        probabilities=dict(zip(labels, values, strict=True)),
        window_full=window_full,
        latency_ms=1000 * latency,
        image=frame.name,
        captured_at=None if age is None else time.time() - age,
        age_ms=None if age is None else 1000 * age,
        dropped=dropped,
        unsure=is_unsure(values[best], min_confidence),
    )


def age_of(frame: Frame) -> float:
    """Return how long ago a live frame arrived, in seconds."""
    return time.monotonic() - frame.arrived if frame.arrived is not None else 0.0


class Rate:
    """Count how often per second something happens, over the last second."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self.value = 0.0

    def tick(self) -> float:
        now = perf_counter()
        self._times.append(now)
        while self._times[0] < now - 1:
            self._times.popleft()
        passed = now - self._times[0]
        self.value = (len(self._times) - 1) / passed if passed else 0.0
        return self.value
