"""The module that is exported: `(frames, past) → (probabilities, next past)`.

Every exported model answers for the newest `frames` steps, in one call for a whole clip or in one
call per frame.  The state is the features of the newest `frames - 1` steps: with them, encoding one
new frame gives exactly the answer that re-running the whole window would give.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from seqvision.models.classifier import Classifier


class StatefulGraph(nn.Module):
    """A classifier with its past as input and output; batch, time and kept are free."""

    def __init__(self, model: Classifier, frames: int, temperature: float) -> None:
        """Wrap a copy of a classifier.

        Args:
            frames: the window that an answer is for.
            temperature: divides the logits.
        """
        super().__init__()
        self.model = with_onnx_rnns(model)
        self.frames = frames
        self.temperature = temperature

    def forward(self, frames: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Answer for the newest step.

        Args:
            frames: `(batch, time, height, width, channels)` uint8, time at least 1.
            past: `(batch, kept, features)`, kept from 0 on.

        Returns:
            Probabilities `(batch, labels)` and the next past.
        """
        steps = torch.cat((past, self.model.encode(frames)), dim=1)
        total = past.shape[1] + frames.shape[1]
        logits = self.model.decide(newest(steps, total, self.frames))
        probabilities = torch.softmax(logits / self.temperature, dim=1)
        return probabilities, newest(steps, total, self.frames - 1)


def newest(steps: Tensor, total: int, count: int) -> Tensor:
    """Return the last `count` steps, or all where there are fewer, as the ONNX operator Slice.

    Slicing in torch would ask whether `total` is above `count` and bake one of the two answers
    into the graph; the operator clamps at run time.
    """
    batch, _, features = steps.shape
    start, end = (-count, _END) if count else (0, 0)
    bounds = [torch.tensor([value]) for value in (start, end, 1)]
    kept = torch.sym_min(total, count)  # type: ignore[no-untyped-call]
    sliced: Tensor = torch.onnx.ops.symbolic(
        "Slice", [steps, *bounds], dtype=steps.dtype, shape=[batch, kept, features], version=13
    )
    return sliced


def with_onnx_rnns(model: Classifier) -> Classifier:
    """Return a copy whose LSTM and GRU layers emit the ONNX operators themselves.

    torch's exporter traces `nn.LSTM` into a graph with the example's length baked in from the
    second export of a process on, without a word.
    """
    copied = copy.deepcopy(model).eval()
    for name, module in list(copied.named_modules()):
        if isinstance(module, nn.LSTM | nn.GRU):
            copied.set_submodule(name, OnnxRNN(module))
    return copied


class OnnxRNN(nn.Module):
    """`nn.LSTM` or `nn.GRU`, batch first, as ONNX operators; the same call, zero initial state."""

    def __init__(self, rnn: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        if not rnn.batch_first or rnn.proj_size:
            raise ValueError("only batch_first RNNs without projection are exported")
        self.operator = type(rnn).__name__
        self.hidden = rnn.hidden_size
        self.layers = rnn.num_layers
        self.directions = 2 if rnn.bidirectional else 1
        for layer in range(self.layers):
            for kind, tensor in zip("WRB", self._weights(rnn, layer), strict=True):
                self.register_buffer(f"{kind}{layer}", tensor)

    def _weights(self, rnn: nn.LSTM | nn.GRU, layer: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return a layer's W, R and B, `(directions, gates × hidden, …)`, gates in ONNX's order."""
        inputs, recurrent, biases = [], [], []
        for direction in range(self.directions):
            suffix = f"l{layer}{'_reverse' if direction else ''}"
            w, r, bw, br = (
                self._reorder(getattr(rnn, f"{kind}_{suffix}").detach())
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            inputs.append(w)
            recurrent.append(r)
            biases.append(torch.cat((bw, br)))
        return torch.stack(inputs), torch.stack(recurrent), torch.stack(biases)

    def _reorder(self, weight: Tensor) -> Tensor:
        """torch's gates are i f g o (LSTM) and r z n (GRU); ONNX's are i o f c and z r h."""
        if self.operator == "LSTM":
            i, f, g, o = weight.chunk(4)
            return torch.cat((i, o, f, g))
        r, z, n = weight.chunk(3)
        return torch.cat((z, r, n))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """`(batch, time, features)` → every step, and the last state of each layer and direction.

        Returns:
            `(batch, time, directions × hidden)` and `(layers × directions, batch, hidden)`.
        """
        batch, time, _ = features.shape
        steps = features.transpose(0, 1)
        last = []
        attributes: dict[str, Any] = {
            "hidden_size": self.hidden,
            "direction": "bidirectional" if self.directions == 2 else "forward",
        }
        if self.operator == "GRU":
            attributes["linear_before_reset"] = 1  # as torch computes it
        states = 2 if self.operator == "LSTM" else 1
        state = [self.directions, batch, self.hidden]
        for layer in range(self.layers):
            weights = [getattr(self, f"{kind}{layer}") for kind in "WRB"]
            outputs = torch.onnx.ops.symbolic_multi_out(
                self.operator,
                [steps, *weights],
                attributes,
                dtypes=[torch.float32] * (1 + states),
                shapes=[[time, *state], *[state] * states],
                version=14,
            )
            # (time, directions, batch, hidden) → (time, batch, directions × hidden)
            steps = outputs[0].transpose(1, 2).reshape(time, batch, -1)
            last.append(outputs[1])
        return steps.transpose(0, 1), torch.cat(last)


_END = torch.iinfo(torch.int64).max
