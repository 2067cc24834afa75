"""What a candidate costs on this machine, and how often it is right."""

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from seqvision.data.steps import Steps
from seqvision_edge.session import Session
from seqvision_export.precision.clips import Labelled

_ROUNDS = 15
_SECONDS = 0.02
_MOST_CALLS = 200

# Milliseconds of each round, by the candidate's name.
Times = dict[str, list[float]]
Probabilities = NDArray[np.float32]


def time_live_frames(sessions: Mapping[str, Session], frame: Steps) -> Times:
    """Time one live frame, its window full, of every candidate in each round.

    The rounds begin with another candidate each, and a candidate is compared within a round: other
    work on this machine then hits all of them alike.

    Args:
        frame: `(1, height, width, channels)` uint8.
    """
    steps = {name: _step(session, frame) for name, session in sessions.items()}
    calls = {
        name: max(1, min(_MOST_CALLS, int(_SECONDS / min(_seconds(step, 1) for _ in range(3)))))
        for name, step in steps.items()
    }
    names = list(steps)
    found: Times = {name: [] for name in names}
    for number in range(_ROUNDS):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(1000 * _seconds(steps[name], calls[name]) / calls[name])
    return found


def ratio(times: Times, name: str, against: str = "fp32") -> float:
    """Return how many times as fast a candidate is: the median over the rounds."""
    return median(one / other for one, other in zip(times[against], times[name], strict=True))


def answers(
    session: Session, windows: Sequence[Steps], advance: Callable[[int], None] = lambda _: None
) -> Probabilities:
    """Return probabilities `(clips, labels)`, each clip in one call; `advance` is told of each."""
    found = []
    for number, window in enumerate(windows, 1):
        found.append(session.run(window[None])[0])
        advance(number)
    return np.concatenate(found)


def accuracy(found: Probabilities, clips: Labelled, labels: Sequence[str]) -> float:
    """Return the share of clips whose most probable label is theirs; 0 to 1."""
    named = [labels[place] for place in found.argmax(axis=1)]
    return sum(map(str.__eq__, named, clips.labels)) / len(clips)


def agreement(found: Probabilities, expected: Probabilities) -> float:
    """Return the share of clips for which both name the same label; 0 to 1."""
    return float((found.argmax(axis=1) == expected.argmax(axis=1)).mean())


def difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return the largest difference; infinite where one is no number."""
    worst = float(np.abs(found - expected).max(initial=0.0))
    return worst if np.isfinite(worst) else float("inf")


def _step(session: Session, frame: Steps) -> Callable[[], object]:
    stream = session.stream()
    stream.push(np.repeat(frame, session.card.sequence.window, axis=0))
    return lambda: stream.push(frame)


def _seconds(step: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        step()
    return time.perf_counter() - began
