"""The module that is exported: `(frames, state…) → (probabilities, next state…)`.

Every exported model answers for the newest step, in one call for a whole clip or in one call per
frame.  What the past left is its state; `state_of` says which tensors that are.
"""

import copy
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from seqvision.errors import ExportError
from seqvision.models.classifier import Classifier
from seqvision.models.heads import RecurrentHead
from seqvision_edge.card import State, StateTensor


class WindowGraph(nn.Module):
    """Answer for the newest `frames` steps; the state is the memory of all but one of them.

    With them, encoding one new frame gives exactly the answer that re-running the whole window
    would give.
    """

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
            past: `(batch, kept, memory)`, kept from 0 on.

        Returns:
            Probabilities `(batch, labels)` and the next past.
        """
        steps = torch.cat((past, self.model.remember(self.model.encode(frames))), dim=1)
        total = past.shape[1] + frames.shape[1]
        logits = self.model.decide_from(newest(steps, total, self.frames))
        probabilities = torch.softmax(logits / self.temperature, dim=1)
        return probabilities, newest(steps, total, self.frames - 1)


class CarryGraph(nn.Module):
    """Answer for everything since the stream began; the state is the recurrent head's own."""

    def __init__(self, model: Classifier, temperature: float) -> None:
        """Wrap a copy of a classifier whose head reads forward; `temperature` divides its logits.

        Raises:
            ExportError: the head needs the whole window for each answer.
        """
        super().__init__()
        refuse_whole_window(model)
        self.model = with_onnx_rnns(model)
        self.temperature = temperature

    def forward(self, frames: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Answer for the newest step.

        Args:
            frames: `(batch, time, height, width, channels)` uint8, time at least 1.
            state: h, c of an LSTM, and `before` of a head that reads motion; see `state_of`.

        Returns:
            Probabilities `(batch, labels)` and the next state.
        """
        logits, *following = carry(self.model, self.model.encode(frames), state)
        return torch.softmax(logits / self.temperature, dim=1), *following


def carry(model: Classifier, features: Tensor, state: Sequence[Tensor]) -> list[Tensor]:
    """Read features `(batch, time, features)` on from a carried state.

    Returns:
        Logits `(batch, labels)` and the next state.
    """
    assert isinstance(model.head, RecurrentHead)
    if model.steps.motion == "none":
        steps, rnn_state = model.steps(features), state
    else:
        *rnn_state, before = state
        steps = model.steps.carry(features, before)
    logits, following = model.head.carry(steps, rnn_state)
    if model.steps.motion != "none":
        following.append(features[:, -1:])
    return [logits, *following]


def state_of(model: Classifier, kind: Literal["window", "carry"]) -> State:
    """Return what a call leaves for the next one.

    Raises:
        ExportError: the head cannot carry its state.
    """
    if kind == "window":
        past = StateTensor(name="past", axes=("batch", "kept", model.memory))
        return State(kind=kind, tensors=(past,))
    refuse_whole_window(model)
    assert isinstance(model.head, RecurrentHead)
    rnn = model.head.rnn
    names = ("h", "c") if isinstance(rnn, nn.LSTM) else ("h",)
    tensors = [
        StateTensor(name=name, axes=("batch", rnn.num_layers, rnn.hidden_size)) for name in names
    ]
    if model.steps.motion != "none":
        tensors.append(StateTensor(name="before", axes=("batch", "kept", model.features)))
    return State(kind=kind, tensors=tuple(tensors))


def refuse_whole_window(model: Classifier) -> None:
    """Refuse to carry the state of a head that reads the whole window for each answer.

    Raises:
        ExportError: it is bidirectional, pools by attention, or takes the mean.
    """
    head = model.head
    reason = None
    if not isinstance(head, RecurrentHead):
        reason = "takes the mean over the window"
    elif head.bidirectional:
        reason = "reads the window in both directions"
    elif head.pool is not None:
        reason = "pools the window by attention"
    if reason is not None:
        raise ExportError(f"--state carry: the head {reason}; export it with --state window")


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

    def forward(
        self, features: Tensor, past: Tensor | tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, Tensor | tuple[Tensor, ...]]:
        """`(batch, time, features)` → every step, and the last state of each layer and direction.

        Args:
            features: the steps.
            past: h, or (h, c), each `(layers × directions, batch, hidden)`; None: zeros.

        Returns:
            `(batch, time, directions × hidden)`, and the state like `past`.
        """
        batch, time, _ = features.shape
        steps = features.transpose(0, 1)
        attributes: dict[str, Any] = {
            "hidden_size": self.hidden,
            "direction": "bidirectional" if self.directions == 2 else "forward",
        }
        if self.operator == "GRU":
            attributes["linear_before_reset"] = 1  # as torch computes it
        states = 2 if self.operator == "LSTM" else 1
        given = past if isinstance(past, tuple) else () if past is None else (past,)
        state = [self.directions, batch, self.hidden]
        last: list[list[Tensor]] = [[] for _ in range(states)]
        for layer in range(self.layers):
            inputs: list[Tensor | None] = [
                steps,
                *(getattr(self, f"{kind}{layer}") for kind in "WRB"),
            ]
            if given:
                rows = slice(layer * self.directions, (layer + 1) * self.directions)
                # Between weights and state an RNN takes lengths, which are not needed.
                inputs += [None, *(tensor[rows] for tensor in given)]
            outputs = torch.onnx.ops.symbolic_multi_out(
                self.operator,
                inputs,
                attributes,
                dtypes=[torch.float32] * (1 + states),
                shapes=[[time, *state], *[state] * states],
                version=14,
            )
            # (time, directions, batch, hidden) → (time, batch, directions × hidden)
            steps = outputs[0].transpose(1, 2).reshape(time, batch, -1)
            for kept, tensor in zip(last, outputs[1:], strict=True):
                kept.append(tensor)
        following = tuple(torch.cat(kept) for kept in last)
        return steps.transpose(0, 1), following if states > 1 else following[0]


_END = torch.iinfo(torch.int64).max
