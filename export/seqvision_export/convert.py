"""The stateful graph → an ONNX model with free axes and the card in its metadata."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import onnx
import torch
from torch.export import Dim

from seqvision.errors import ExportError
from seqvision.models.classifier import Classifier
from seqvision_edge.card import METADATA_KEY, ModelCard
from seqvision_export.graph import StatefulGraph


def convert(model: Classifier, card: ModelCard, opset: int) -> bytes:
    """Return the ONNX file's content.

    Raises:
        ExportError: the graph does not have the inputs, outputs and free axes of its card.
    """
    graph = StatefulGraph(model, card.sequence.window, card.decision.temperature).eval()
    image = card.image
    # Sizes that are all different and none 0 or 1, so that no two axes look like one.
    frames = torch.randint(
        0, 256, (2, 3, image.height, image.width, image.channels), dtype=torch.uint8
    )
    past = torch.rand(2, 5, model.features)
    with _quiet():
        program = torch.onnx.export(
            graph,
            (frames, past),
            dynamo=True,
            opset_version=opset,
            input_names=["frames", "past"],
            output_names=["probabilities", "next_past"],
            dynamic_shapes=({0: Dim("batch"), 1: Dim("time")}, {0: Dim("batch"), 1: Dim("kept")}),
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    _name_the_kept_axis(proto)
    _require_free_axes(proto)
    proto.metadata_props.add(key=METADATA_KEY, value=card.to_json())
    proto.producer_name, proto.producer_version = "seqvision", card.origin.version
    onnx.checker.check_model(proto, full_check=True)
    content: bytes = proto.SerializeToString()
    return content


def _name_the_kept_axis(proto: onnx.ModelProto) -> None:
    """Name the state's free axis after what it is, not after the formula that it comes from."""
    axis = proto.graph.output[1].type.tensor_type.shape.dim[1]
    if not axis.HasField("dim_value"):
        axis.dim_param = "next_kept"


def _require_free_axes(proto: onnx.ModelProto) -> None:
    free = {"frames": (0, 1), "past": (0, 1), "probabilities": (0,), "next_past": (0,)}
    for value in (*proto.graph.input, *proto.graph.output):
        for axis in free[value.name]:
            dimension = value.type.tensor_type.shape.dim[axis]
            if not dimension.dim_param:
                raise ExportError(
                    f"the export baked axis {axis} of {value.name} to {dimension.dim_value}; "
                    "please report the model's options"
                )


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
