"""The stateful graph → an ONNX model with free axes and the card in its metadata."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import onnx
import torch
from torch import nn
from torch.export import Dim

from seqvision.errors import ExportError
from seqvision.models.classifier import Classifier
from seqvision_edge.card import METADATA_KEY, ExportedGraph, ModelCard, StateTensor
from seqvision_edge.model_file import graph_sha256
from seqvision_export.graph import CarryGraph, WindowGraph, state_of
from seqvision_export.simplify import simplify

# onnxruntime 1.17 reads operator sets up to 20 and files up to this version.
IR_VERSIONS = {18: 8, 19: 9, 20: 9}
NEWEST_IR_VERSION = 10
NEXT = "next_"


def convert(model: Classifier, card: ModelCard, opset: int) -> bytes:
    """Return the ONNX file's content: the network in fp32, with the state that its card names.

    Raises:
        ExportError: the graph does not have the inputs, outputs and free axes of its card.
    """
    if card.state != state_of(model, card.state.kind):
        raise ExportError(f"the state of the network differs from its card: {card.state}")
    proto = _trace(model, card, opset)
    _require_free_axes(proto, card)
    simplify(proto)
    proto.producer_name, proto.producer_version = "seqvision", card.origin.version
    _forget_how_it_was_made(proto)
    proto.ir_version = IR_VERSIONS.get(opset, NEWEST_IR_VERSION)
    return finish(proto, card, "fp32")


def finish(proto: onnx.ModelProto, card: ModelCard, precision: str) -> bytes:
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
    image, tensors = card.image, card.state.tensors
    graph: nn.Module
    if card.state.kind == "window":
        graph = WindowGraph(model, card.sequence.window, card.decision.temperature)
    else:
        graph = CarryGraph(model, card.decision.temperature)
    # Sizes that are all different and none 0 or 1, so that no two axes look like one.
    examples = {"batch": 2, "time": 3, "kept": 5}
    frames = torch.randint(
        0, 256, (2, 3, image.height, image.width, image.channels), dtype=torch.uint8
    )
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
    with _quiet():
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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress and its warnings about its own insides off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
