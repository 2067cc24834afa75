"""What torch answers, for the state that a file was exported with."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqvision.models.classifier import Classifier
from seqvision_edge.card import ModelCard
from seqvision_export.graph import carry

Answer = NDArray[np.float32]
_BATCH = 64


class Reference:
    """A trained network on whole windows, without the state of an exported file."""

    def __init__(self, model: Classifier, card: ModelCard) -> None:
        self.card = card
        self._model = model.eval()
        self._window = card.sequence.window

    @torch.inference_mode()
    def features(self, frames: NDArray[np.uint8]) -> Tensor:
        """`(batch, time, height, width, channels)` uint8 → `(batch, time, features)`."""
        pieces = range(0, frames.shape[1], _BATCH)
        encoded = [
            self._model.encode(torch.from_numpy(np.ascontiguousarray(frames[:, at : at + _BATCH])))
            for at in pieces
        ]
        return torch.cat(encoded, dim=1)

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
            return [self._model.remember(features[:, kept:]).numpy()]
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
