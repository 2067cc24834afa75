"""Parity on random frames over a grid of sizes: torch against the file.

Three answers are compared: torch, the file in one call, and the file frame by frame (live).
"""

import hashlib
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqvision.landmarks.encoder import use_torch
from seqvision.models.classifier import Classifier
from seqvision_edge.card import ModelCard
from seqvision_edge.landmarks import is_found, layout_of
from seqvision_edge.session import Frames, Session, random_steps
from seqvision_export.onnx_graph import carry
from seqvision_export.verify.pictures import Pool
from seqvision_export.verify.report import TOLERANCES, Case, distance

Answer = NDArray[np.float32]
_BATCH = 64
# Of landmarks from torch: two networks in a row, the second on what the first has cut out, differ
# by up to a ten-thousandth of a hand, which moves probabilities a fifth as much.
_POINTS = 1e-3


class Reference:
    """A trained network on whole windows, without the state of an exported file."""

    def __init__(self, model: Classifier, card: ModelCard) -> None:
        self.card = card
        self._model = model.eval()
        self._window = card.sequence.window
        self._known: dict[bytes, Tensor] | None = {} if use_torch(model) else None

    @torch.inference_mode()
    def features(self, frames: NDArray[np.uint8]) -> Tensor:
        """`(batch, time, height, width, channels)` uint8 → `(batch, time, features)`."""
        if self._known is not None:
            return torch.stack(
                [torch.stack([self._landmarks(frame) for frame in clip]) for clip in frames]
            )
        pieces = range(0, frames.shape[1], _BATCH)
        encoded = [
            self._model.encode(torch.from_numpy(np.ascontiguousarray(frames[:, at : at + _BATCH])))
            for at in pieces
        ]
        return torch.cat(encoded, dim=1)

    def _landmarks(self, frame: NDArray[np.uint8]) -> Tensor:
        """Return the features of a frame, by torch once: it takes a fifth of a second."""
        assert self._known is not None
        key = hashlib.sha256(frame.tobytes()).digest()
        if key not in self._known:
            pixels = torch.from_numpy(np.ascontiguousarray(frame))
            self._known[key] = self._model.encode(pixels[None, None])[0, 0]
        return self._known[key]

    def found(self) -> dict[str, int]:
        """Return in how many of the frames so far there are hands, and a body."""
        described, known = layout_of(self.card), (self._known or {}).values()
        return {
            part: sum(bool(is_found(each.numpy(), part)) for each in known)
            for part in (described.names if described else ())
        }

    @torch.inference_mode()
    def answer(self, features: Tensor) -> Answer:
        """Return probabilities `(batch, labels)` for the newest step of everything so far."""
        if self.card.state.kind == "window":
            return self._probabilities(self._model.decide(features[:, -self._window :]))
        return self._probabilities(self._carry(features, self.start(len(features)))[0])

    @torch.inference_mode()
    def state(self, features: Tensor) -> list[Answer]:
        """Return what everything so far leaves; `features` may be empty."""
        if self.card.state.kind == "window":
            kept = max(0, features.shape[1] - (self._window - 1))
            return [self._model.step_memory(features[:, kept:]).numpy()]
        start = self.start(len(features))
        following = self._carry(features, start)[1:] if features.shape[1] else start
        return [tensor.numpy() for tensor in following]

    @torch.inference_mode()
    def every_answer(self, features: Tensor) -> Iterator[Answer]:
        """Yield probabilities `(labels,)` for each step of one clip `(1, time, features)`."""
        state = self.start(1)
        for end in range(1, features.shape[1] + 1):
            if self.card.state.kind == "window":
                yield self.answer(features[:, max(0, end - self._window) : end])[0]
            else:
                logits, *state = self._carry(features[:, end - 1 : end], state)
                yield self._probabilities(logits)[0]

    @torch.inference_mode()
    def read_on(self, features: Tensor, state: list[Tensor]) -> tuple[Answer, list[Tensor]]:
        """Return probabilities `(batch, labels)` and the next carried state."""
        logits, *following = self._carry(features, state)
        return self._probabilities(logits), following

    def start(self, batch: int) -> list[Tensor]:
        """Return the state before the first step."""
        sizes = {"batch": batch}
        return [
            torch.zeros(
                [axis if isinstance(axis, int) else sizes.get(axis, 0) for axis in tensor.axes]
            )
            for tensor in self.card.state.tensors
        ]

    def _carry(self, features: Tensor, state: list[Tensor]) -> list[Tensor]:
        return carry(self._model, features, state)

    def _probabilities(self, logits: Tensor) -> Answer:
        array: Answer = torch.softmax(logits / self.card.decision.temperature, dim=1).numpy()
        return array


def grid(reference: Reference, session: Session, pool: Pool | None = None) -> Iterator[Case]:
    """Compare single calls for many (batch, time, kept), and whole clips of many lengths.

    Frames are drawn from `pool`, or noise.
    """
    yield from _calls(reference, session, pool)
    window = session.card.sequence.window
    generator = np.random.default_rng(1)
    for time in dict.fromkeys((1, max(1, window - 1), window, window + 5)):
        frames = _random_frames(generator, session, 1, time, pool)[0]
        yield from compare_answers(reference, session, frames, f"clip of {time} frames")


def compare_answers(
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
    if layout_of(session.card) and precision == "fp32":
        return own, max(own, _POINTS)
    return own, own if precision == "fp32" else None


def _calls(reference: Reference, session: Session, pool: Pool | None) -> Iterator[Case]:
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
        frames = _random_frames(generator, session, batch, kept + time, pool)
        features = reference.features(frames)
        past = tuple(reference.state(features[:, :kept]))
        found, states = session.run(frames[:, kept:], past)
        shape = f"batch {batch}, time {time}, kept {kept}"
        yield Case(f"one call, {shape}", distance(found, reference.answer(features)), torch_limit)
        following = reference.state(features)
        worst = max(distance(a, b, relative=True) for a, b in zip(states, following, strict=True))
        yield Case(f"state after {shape}", worst, torch_limit)


def _random_frames(
    generator: np.random.Generator, session: Session, batch: int, time: int, pool: Pool | None
) -> Frames:
    if pool is not None:
        return pool.frames[generator.integers(len(pool.frames), size=(batch, time))]
    return random_steps(generator, session.card, batch, time)
