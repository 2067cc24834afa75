"""The stateful module `(frames, state…) → (probabilities, next state…)` → an ONNX model with its
card.

Every exported model answers for the newest step, in one call for a whole clip or in one call per
frame.  Its memory of the past is its state; `state_of` lists the tensors.
"""

import copy
import sys
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import onnx
import torch
from onnx import NodeProto
from torch import Tensor, nn
from torch.export import Dim

from seqvision.errors import ExportError
from seqvision.landmarks.runtime import quiet_export
from seqvision.models.classifier import Classifier
from seqvision.models.heads import HeadEnsemble, RecurrentHead
from seqvision.models.onnx_encoder import OPERATOR, FrameModel
from seqvision_edge.card import METADATA_KEY, ExportedGraph, ModelCard, State, StateTensor
from seqvision_edge.hints import join_and
from seqvision_edge.onnx_validation import OPERATORS, graph_sha256
from seqvision_edge.session import random_steps
from seqvision_export.simplify import simplify

_END = torch.iinfo(torch.int64).max

# onnxruntime 1.17 reads operator sets up to 20 and files up to this version.
IR_VERSIONS = {18: 8, 19: 9, 20: 9}
NEWEST_IR_VERSION = 10
NEXT = "next_"
# What the exporter calls the weights of `Classifier.encoder`, for the names of a merged graph.
ENCODER = "model.encoder."


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
        steps = torch.cat((past, self.model.step_memory(self.model.encode(frames))), dim=1)
        total = past.shape[1] + frames.shape[1]
        logits = self.model.logits_from_memory(newest(steps, total, self.frames))
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
        ExportError: it is bidirectional, pools by attention, takes the mean, is centered or an
            ensemble.
    """
    head = model.head
    reason = None
    if isinstance(head, HeadEnsemble):
        reason = "is an ensemble (--ensemble)"
    elif not isinstance(head, RecurrentHead):
        reason = "takes the mean over the window"
    elif head.bidirectional:
        reason = "reads the window in both directions (train with --no-bidirectional)"
    elif head.pool is not None:
        reason = "pools the window by attention"
    elif model.center:
        reason = "reads each feature less its mean over the window (--center)"
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
    """Return a copy to export, whose LSTM and GRU layers emit the ONNX operators themselves.

    torch's exporter traces `nn.LSTM` into a graph with the example's length baked in from the
    second export of a process on, without a word.
    """
    copied = copy.deepcopy(model).eval()
    if "timm" in sys.modules:
        from timm.models import reparameterize_model

        # Branches that only train, as those of RepVGG and MobileOne, become one convolution.
        copied.encoder = reparameterize_model(copied.encoder, inplace=True)
    for name, module in list(copied.named_modules()):
        # The exporter takes an activation in place apart into its parts, shape by shape, a third
        # of the time of an export, to put the same operator in the graph.
        if hasattr(module, "inplace"):
            module.inplace = False
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


def convert(model: Classifier, card: ModelCard, opset: int) -> bytes:
    """Return the ONNX file's content: the network in fp32, with the state that its card names.

    Raises:
        ExportError: the graph does not have the inputs, outputs and free axes of its card, or
            needs what a file may not have.
    """
    if card.state != state_of(model, card.state.kind):
        raise ExportError(f"the state of the network differs from its card: {card.state}")
    proto = _trace(model, card, opset)
    if isinstance(model.encoder, FrameModel):
        merge_frame_model(proto, model.encoder)
        opset = proto.opset_import[0].version
    _require_free_axes(proto, card)
    simplify(proto)
    _require_operators(proto)
    proto.producer_name, proto.producer_version = "seqvision", card.origin.version
    _forget_how_it_was_made(proto)
    proto.ir_version = IR_VERSIONS.get(opset, NEWEST_IR_VERSION)
    return finish_graph(proto, card, "fp32")


def merge_frame_model(proto: onnx.ModelProto, encoder: FrameModel) -> None:
    """Put the graph of an ONNX encoder in the place of the node that stands for it.

    Its names get the prefix of the encoder's weights, so that none is given twice.  Of both
    operator sets the newer one holds: what a file may have means the same in both.
    """
    graph, merged = proto.graph, onnx.load_model_from_string(encoder.to_bytes()).graph
    (stands_for,) = [node for node in graph.node if node.op_type == OPERATOR]
    names = {merged.input[0].name: stands_for.input[0], merged.output[0].name: stands_for.output[0]}

    def renamed(name: str) -> str:
        return names.get(name, f"{ENCODER}{name}") if name else ""

    nodes: list[NodeProto] = []
    for node in graph.node:
        if node is not stands_for:
            nodes.append(node)
            continue
        for own in merged.node:
            own.name = f"{ENCODER}{own.name}"
            own.input[:] = [renamed(name) for name in own.input]
            own.output[:] = [renamed(name) for name in own.output]
            nodes.append(own)
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    for tensor in merged.initializer:
        tensor.name = renamed(tensor.name)
        graph.initializer.append(tensor)
    opset = max([encoder.opset, *(each.version for each in proto.opset_import if not each.domain)])
    del proto.opset_import[:]
    proto.opset_import.append(onnx.helper.make_opsetid("", opset))


def finish_graph(proto: onnx.ModelProto, card: ModelCard, precision: str) -> bytes:
    """Check a graph, put the card and the graph's hash into the file, and return its content."""
    del proto.metadata_props[:]
    onnx.checker.check_model(proto, full_check=True)
    digest = graph_sha256(proto.SerializeToString(), "the exported model")
    graph = ExportedGraph.model_validate({"precision": precision, "sha256": digest})
    described = card.model_copy(update={"graph": graph})
    proto.metadata_props.add(key=METADATA_KEY, value=described.to_json())
    content: bytes = proto.SerializeToString()
    if graph_sha256(content, "the exported model") != digest:
        raise ExportError("the graph is not written twice alike; please report the model's options")
    return content


def _trace(model: Classifier, card: ModelCard, opset: int) -> onnx.ModelProto:
    tensors = card.state.tensors
    graph: nn.Module
    if card.state.kind == "window":
        graph = WindowGraph(model, card.sequence.window, card.decision.temperature)
    else:
        graph = CarryGraph(model, card.decision.temperature)
    # Sizes that are all different and none 0 or 1, so that no two axes look like one.
    examples = {"batch": 2, "time": 3, "kept": 5}
    frames = torch.from_numpy(random_steps(np.random.default_rng(0), card, 2, 3))
    state = [
        torch.rand([axis if isinstance(axis, int) else examples[axis] for axis in tensor.axes])
        for tensor in tensors
    ]
    dimensions = {name: Dim(name) for name in examples}
    names = [tensor.name for tensor in tensors]
    free: list[Any] = [{0: dimensions["batch"], 1: dimensions["time"]}]
    given = tuple(
        {
            index: dimensions[axis]
            for index, axis in enumerate(tensor.axes)
            if not isinstance(axis, int)
        }
        for tensor in tensors
    )
    # *state of CarryGraph is one argument, of which the exporter wants the axes as one tuple.
    free += [given] if card.state.kind == "carry" else given
    try:
        with quiet_export():
            program = torch.onnx.export(
                graph.eval(),
                (frames, *state),
                dynamo=True,
                opset_version=opset,
                input_names=["frames", *names],
                output_names=["probabilities", *(NEXT + name for name in names)],
                dynamic_shapes=tuple(free),
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        cause = error.__cause__ or error
        why = " ".join(str(cause).split())[:160] or type(cause).__name__
        raise ExportError(
            f"torch cannot export this network for any number of frames; take another --encoder "
            f"({why})"
        ) from None
    assert program is not None
    proto: onnx.ModelProto = program.model_proto
    for tensor, value in zip(tensors, proto.graph.output[1:], strict=True):
        _name_the_kept_axis(tensor, value)
    return proto


def _name_the_kept_axis(tensor: StateTensor, value: onnx.ValueInfoProto) -> None:
    """Name a state's free axis after what it is, not after the formula that it comes from."""
    if "kept" in tensor.axes:
        axis = value.type.tensor_type.shape.dim[tensor.axes.index("kept")]
        if not axis.HasField("dim_value"):
            axis.dim_param = "next_kept"


def _require_operators(proto: onnx.ModelProto) -> None:
    """Refuse a network with an operator that no file may have.

    Raises:
        ExportError: there is one; it is named.
    """
    missing = sorted({node.op_type for node in proto.graph.node} - OPERATORS)
    if missing:
        raise ExportError(
            f"the network needs {join_and(missing)}, which a model file may not have (it is made "
            "to be safe to load); take another --encoder"
        )


def _require_free_axes(proto: onnx.ModelProto, card: ModelCard) -> None:
    """Refuse a graph that answers for one size only where its card promises any."""
    free = {"frames": (0, 1), "probabilities": (0,)}
    for tensor in card.state.tensors:
        free[tensor.name] = tuple(
            index for index, axis in enumerate(tensor.axes) if not isinstance(axis, int)
        )
        # How much is kept may be fixed: nothing of a window of one frame.
        free[NEXT + tensor.name] = (0,)
    for value in (*proto.graph.input, *proto.graph.output):
        for axis in free[value.name]:
            dimension = value.type.tensor_type.shape.dim[axis]
            if not dimension.dim_param:
                raise ExportError(
                    f"the export baked axis {axis} of {value.name} to {dimension.dim_value}; "
                    "please report the model's options"
                )


def _forget_how_it_was_made(proto: onnx.ModelProto) -> None:
    """Drop the exporter's notes: half of a small file, with the paths of this machine in them."""
    graph = proto.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    # Every runtime infers these again.
    del graph.value_info[:]
