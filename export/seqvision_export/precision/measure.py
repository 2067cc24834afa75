"""What a candidate costs on this machine, and how often it is right."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.clip import Steps
from seqvision_edge.session import Session
from seqvision_export.precision.clips import Labelled
from seqvision_export.timing import Timing, interleaved_timing

# For each candidate.
_SECONDS = 0.5

Probabilities = NDArray[np.float32]


def time_live_frames(sessions: Mapping[str, Session], frame: Steps) -> dict[str, Timing]:
    """Time one live frame, its window full, of every candidate in turns.

    Args:
        frame: `(1, height, width, channels)` uint8.
    """
    return interleaved_timing({name: _step(one, frame) for name, one in sessions.items()}, _SECONDS)


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
    named = [labels[index] for index in found.argmax(axis=1)]
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
