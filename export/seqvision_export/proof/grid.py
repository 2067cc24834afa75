"""Comparisons on random frames, over a grid of sizes.

Three answers are compared: torch, the file in one call, and the file frame by frame (live).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.session import Session
from seqvision_export.proof.case import TOLERANCES, Case, distance
from seqvision_export.proof.reference import Reference


def grid(reference: Reference, session: Session) -> Iterator[Case]:
    """Compare single calls for many (batch, time, kept), and whole clips of many lengths."""
    yield from _calls(reference, session)
    window = session.card.sequence.window
    generator = np.random.default_rng(1)
    for time in dict.fromkeys((1, max(1, window - 1), window, window + 5)):
        frames = _random_frames(generator, session, 1, time)[0]
        yield from compare(reference, session, frames, f"clip of {time} frames")


def compare(
    reference: Reference, session: Session, clip: NDArray[np.uint8], name: str
) -> Iterator[Case]:
    """Compare a clip in torch, in one call, and frame by frame at every frame.

    Args:
        reference: torch.
        session: the file.
        clip: `(time, height, width, channels)`.
        name: what it is.
    """
    expected = list(reference.every_answer(reference.features(clip[None])))
    own, torch_limit = limits(session)
    whole, _ = session.run(clip[None])
    yield Case(f"{name}, one call", distance(whole[0], expected[-1]), torch_limit)
    stream = session.stream()
    worst = 0.0
    live: NDArray[np.float32] | None = None
    for frame, answer in zip(clip, expected, strict=True):
        live = stream.push(frame[None])
        worst = max(worst, float("inf") if live is None else distance(live, answer))
    yield Case(f"{name}, frame by frame", worst, torch_limit)
    last = float("inf") if live is None else distance(live, whole[0])
    yield Case(f"{name}, one call against frame by frame", last, own)


def limits(session: Session) -> tuple[float, float | None]:
    """Return how far the file may be from itself, and from torch."""
    precision = session.card.graph.precision if session.card.graph else "fp32"
    own = TOLERANCES[precision]
    return own, own if precision == "fp32" else None


def _calls(reference: Reference, session: Session) -> Iterator[Case]:
    window = session.card.sequence.window
    generator = np.random.default_rng(0)
    _, torch_limit = limits(session)
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
        frames = _random_frames(generator, session, batch, kept + time)
        features = reference.features(frames)
        past = tuple(reference.state(features[:, :kept]))
        found, states = session.run(frames[:, kept:], past)
        shape = f"batch {batch}, time {time}, kept {kept}"
        yield Case(f"one call, {shape}", distance(found, reference.answer(features)), torch_limit)
        following = reference.state(features)
        worst = max(distance(a, b, relative=True) for a, b in zip(states, following, strict=True))
        yield Case(f"state after {shape}", worst, torch_limit)


def _random_frames(
    generator: np.random.Generator, session: Session, batch: int, time: int
) -> NDArray[np.uint8]:
    image = session.card.image
    shape = (batch, time, image.height, image.width, image.channels)
    return generator.integers(0, 256, shape, np.uint8)
