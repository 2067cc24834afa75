"""The proof: the file, run by the edge session, answers as the trained model does.

Three answers are compared: torch on the window, ONNX in one call, and ONNX frame by frame (live).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from seqvision.errors import ExportError
from seqvision.models.classifier import Classifier
from seqvision_edge.session import Session

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Case:
    """One comparison: what it was and how far apart the answers are."""

    name: str
    difference: float


@dataclass(frozen=True)
class Proof:
    """All comparisons of an export."""

    cases: tuple[Case, ...]

    @property
    def worst(self) -> Case:
        """The comparison with the largest difference."""
        return max(self.cases, key=lambda case: case.difference)


def verify(model: Classifier, session: Session, clips: Sequence[NDArray[np.uint8]] = ()) -> Proof:
    """Compare a model with its exported file.

    Args:
        model: the trained network.
        session: the exported file, loaded by the edge package.
        clips: real windows `(time, height, width, channels)` to try besides random ones.

    Raises:
        ExportError: some answers differ by more than 1e-4, or are not numbers; it names the worst.
    """
    cases = [*_calls(model, session), *_streams(model, session)]
    for number, clip in enumerate(clips, 1):
        cases += _clip(model, session, clip, f"real clip {number}")
    proof = Proof(tuple(cases))
    if not proof.worst.difference <= TOLERANCE:
        raise ExportError(
            f"the exported model answers differently: {proof.worst.name} is off by "
            f"{proof.worst.difference:.2g}, allowed are {TOLERANCE:g}"
        )
    return proof


def _calls(model: Classifier, session: Session) -> Iterator[Case]:
    """Compare single calls over a grid of (batch, time, kept)."""
    window = session.card.sequence.window
    generator = np.random.default_rng(0)
    shapes = dict.fromkeys(
        (batch, time, min(kept, window - 1))
        for batch, time, kept in (
            (1, 1, 0),
            (1, 1, 1),
            (1, 1, window - 1),
            (2, 1, window // 2),
            (1, window, 0),
            (3, window, 0),
            (2, max(1, window // 2), 0),
            (2, max(1, window // 2), window // 2),
            (1, 2 * window + 1, 0),
            (2, window + 3, window - 1),
        )
    )
    for batch, time, kept in shapes:
        frames = _random_frames(generator, session, batch, time)
        before = _random_frames(generator, session, batch, max(kept, 1))
        with torch.inference_mode():
            past = model.encode(torch.from_numpy(before))[:, :kept]
            steps = torch.cat((past, model.encode(torch.from_numpy(frames))), dim=1)
            expected = _probabilities(model.decide(steps[:, -window:]), session)
            following = (
                steps[:, max(0, steps.shape[1] - (window - 1)) :] if window > 1 else past[:, :0]
            )
        found, states = session.run(frames, (past.numpy(),))
        shape = f"batch {batch}, time {time}, kept {kept}"
        yield Case(f"one call, {shape}", _distance(found, expected))
        yield Case(f"state after {shape}", _distance(states[0], following.numpy(), relative=True))


def _streams(model: Classifier, session: Session) -> Iterator[Case]:
    """Compare random clips shorter than, as long as and longer than the window."""
    window = session.card.sequence.window
    generator = np.random.default_rng(1)
    for time in dict.fromkeys((1, max(1, window - 1), window, window + 5)):
        clip = _random_frames(generator, session, 1, time)[0]
        yield from _clip(model, session, clip, f"clip of {time} frames")


def _clip(
    model: Classifier, session: Session, clip: NDArray[np.uint8], name: str
) -> Iterator[Case]:
    """Compare a clip in torch, in one ONNX call, and frame by frame at every frame."""
    window = session.card.sequence.window
    with torch.inference_mode():
        features = model.encode(torch.from_numpy(clip)[None])
        expected = [
            _probabilities(model.decide(features[:, max(0, end - window) : end]), session)
            for end in range(1, len(clip) + 1)
        ]
    whole, _ = session.run(clip[None])
    yield Case(f"{name}, one call", _distance(whole, expected[-1]))
    stream = session.stream()
    worst = 0.0
    for frame, answer in zip(clip, expected, strict=True):
        live = stream.push(frame[None])
        worst = max(worst, float("inf") if live is None else _distance(live[None], answer))
    yield Case(f"{name}, frame by frame", worst)


def _probabilities(logits: torch.Tensor, session: Session) -> NDArray[np.float32]:
    array: NDArray[np.float32]
    array = torch.softmax(logits / session.card.decision.temperature, dim=1).numpy()
    return array


def _random_frames(
    generator: np.random.Generator, session: Session, batch: int, time: int
) -> NDArray[np.uint8]:
    image = session.card.image
    shape = (batch, time, image.height, image.width, image.channels)
    return generator.integers(0, 256, shape, np.uint8)


def _distance(
    found: NDArray[np.float32], expected: NDArray[np.float32], relative: bool = False
) -> float:
    """Return the largest difference; infinite for another shape or a value that is no number.

    `relative` divides by the largest expected value, for features, which have no scale.
    """
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    if not expected.size:
        return 0.0
    scale = max(1.0, float(np.abs(expected).max())) if relative else 1.0
    return float(np.abs(found - expected).max()) / scale
