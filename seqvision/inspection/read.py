"""A model file → what is known of it.

model.onnx is read with the onnx package: then nothing here imports torch.
"""

from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seqvision.console import loading
from seqvision.inspection.found import GraphSummary, Inspection, Tensor
from seqvision_edge.card import METADATA_KEY, ModelCard
from seqvision_edge.errors import CardError, ModelError
from seqvision_edge.model_file import graph_sha256


def read(path: Path) -> Inspection:
    """Return what a model.onnx or model.pt is.

    Raises:
        SeqvisionError: there is no such file, or it is not a model of seqvision.
    """
    return _read_onnx(path) if path.suffix.lower() == ".onnx" else _read_torch(path)


def _read_onnx(path: Path) -> Inspection:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        content = path.read_bytes()
        proto = onnx.load_from_string(content)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    except DecodeError:
        raise ModelError(f"{path}: not an ONNX model, or damaged") from None
    texts = {entry.key: entry.value for entry in proto.metadata_props}
    if METADATA_KEY not in texts:
        raise CardError(
            f"{path}: no model card in it; make the file with: seqvision export model.pt"
        )
    card = ModelCard.from_json(texts[METADATA_KEY], str(path))
    integrity: Literal["ok", "differs", "no hash"] = "no hash"
    if card.graph is not None:
        same = graph_sha256(content, str(path)) == card.graph.sha256
        integrity = "ok" if same else "differs"
    graph = GraphSummary(
        operators=dict(Counter(node.op_type for node in proto.graph.node).most_common()),
        opset=max((entry.version for entry in proto.opset_import if not entry.domain), default=0),
        ir_version=proto.ir_version,
        producer=f"{proto.producer_name} {proto.producer_version}".strip(),
        integrity=integrity,
    )
    return Inspection(
        file=path,
        size=len(content),
        # Whole numbers of 64 bits are shapes and places.
        parameters=sum(
            int(np.prod(tensor.dims))
            for tensor in proto.graph.initializer
            if tensor.data_type != onnx.TensorProto.INT64
        ),
        inputs=tuple(map(_tensor, proto.graph.input)),
        outputs=tuple(map(_tensor, proto.graph.output)),
        graph=graph,
        card=card,
    )


def _tensor(value: Any) -> Tensor:
    import onnx

    kind = value.type.tensor_type
    axes = tuple(axis.dim_param or axis.dim_value for axis in kind.shape.dim)
    return Tensor(value.name, onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name, axes)


def _read_torch(path: Path) -> Inspection:
    with loading("torch"):
        from seqvision.training.checkpoint import load_model

    model, card = load_model(path)
    image = card.image
    frames = Tensor("frames", "uint8", ("batch", "time", image.height, image.width, image.channels))
    states = [Tensor(each.name, "float32", each.axes) for each in card.state.tensors]
    following = [
        Tensor(f"next_{state.name}", "float32", tuple(map(_following, state.axes)))
        for state in states
    ]
    return Inspection(
        file=path,
        size=path.stat().st_size,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        inputs=(frames, *states),
        outputs=(Tensor("probabilities", "float32", ("batch", len(card.labels))), *following),
        graph=None,
        card=card,
    )


def _following(axis: str | int) -> str | int:
    return "next_kept" if axis == "kept" else axis
