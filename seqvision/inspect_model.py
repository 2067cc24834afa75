"""`seqvision inspect`: a model file → what it is, without running it.

model.onnx is read with the onnx package: then nothing here imports torch.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.markup import escape
from rich.table import Table

from seqvision.config import InspectOptions
from seqvision.console import loading, print_result, result_console
from seqvision_edge.card import METADATA_KEY, ModelCard, TimedSequence
from seqvision_edge.errors import CardError, ModelError
from seqvision_edge.onnx_validation import graph_sha256
from seqvision_edge.sanitize import printable

# What onnxruntime 1.17 reads.
_OLDEST_OPSET, _OLDEST_IR_VERSION = 20, 9
_LABELS_SHOWN = 12

_STATES = {
    "window": "what the newest frames left; an answer is for exactly the window",
    "carry": "the head's own; an answer is for everything since the stream began",
}


@dataclass(frozen=True)
class TensorSummary:
    """One input or output; an axis with a name is as long as the caller likes."""

    name: str
    dtype: str
    axes: tuple[str | int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} ({', '.join(map(str, self.axes))})"


@dataclass(frozen=True)
class GraphSummary:
    """What an export made of the network.

    Attributes:
        operators: how often each ONNX operator is there.
        opset: the ONNX operator set.
        ir_version: of the file format.
        producer: what wrote the file.
        integrity: whether the graph has the sha256 of its card; cards of spec 1 have none.
    """

    operators: dict[str, int]
    opset: int
    ir_version: int
    producer: str
    integrity: Literal["ok", "differs", "no hash"]


@dataclass(frozen=True)
class Inspection:
    """What a model file is.

    Attributes:
        file: its path.
        size: of the file, in bytes.
        parameters: how many numbers the network learnt; of a graph, those it computes with.
        inputs: of the exported graph; of a model.pt, those that an export will have.
        outputs: likewise.
        graph: None for a model.pt.
        card: the settings that every runner takes.
    """

    file: Path
    size: int
    parameters: int
    inputs: tuple[TensorSummary, ...]
    outputs: tuple[TensorSummary, ...]
    graph: GraphSummary | None
    card: ModelCard

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        plain = {**asdict(self), "file": str(self.file), "card": json.loads(self.card.to_json())}
        plain["format"] = "torch" if self.graph is None else "onnx"
        return plain


def read_inspection(path: Path) -> Inspection:
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
        # Whole numbers of 64 bits are shapes and indices.
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


def _tensor(value: Any) -> TensorSummary:
    import onnx

    kind = value.type.tensor_type
    axes = tuple(axis.dim_param or axis.dim_value for axis in kind.shape.dim)
    return TensorSummary(
        value.name, onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name, axes
    )


def _read_torch(path: Path) -> Inspection:
    with loading("torch"):
        from seqvision.training.model_io import load_model

    model, card = load_model(path)
    kind = "float32" if card.vectors else "uint8"
    frames = TensorSummary("frames", kind, ("batch", "time", *card.step_shape))
    states = [TensorSummary(each.name, "float32", each.axes) for each in card.state.tensors]
    following = [
        TensorSummary(f"next_{state.name}", "float32", tuple(map(_following, state.axes)))
        for state in states
    ]
    return Inspection(
        file=path,
        size=path.stat().st_size,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        inputs=(frames, *states),
        outputs=(
            TensorSummary("probabilities", "float32", ("batch", len(card.labels))),
            *following,
        ),
        graph=None,
        card=card,
    )


def _following(axis: str | int) -> str | int:
    return "next_kept" if axis == "kept" else axis


def inspect(options: InspectOptions) -> Inspection:
    """Print what a model file is: its contract, its card, where it comes from.

    Raises:
        SeqvisionError: not a model file, or one whose graph is not the one that its card names.
    """
    found = read_inspection(options.model)
    if options.json_:
        print_result(json.dumps(found.to_json(), indent=2))
    else:
        print_inspection(found)
    if found.graph is not None and found.graph.integrity == "differs":
        raise ModelError(f"{found.file}: damaged: its graph is not the one that its card names")
    return found


def print_inspection(found: Inspection) -> None:
    """Print it as a table."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, text in _rows(found):
        # Spelt out before it is laid out, so that nothing of it is cut off.
        table.add_row(name, escape(printable(text)))
    result_console().print(table)


def _rows(found: Inspection) -> Iterator[tuple[str, str]]:
    """Yield names and texts of what is known of a file; a continuation line has no name."""
    card = found.card
    yield "file", f"{found.file}, {found.size / 1e6:.2f} MB, {found.parameters:,} parameters"
    yield "recognises", _labels(card)
    yield "sequence", str(card.sequence)
    if card.vectors is not None:
        names = card.vectors.names
        shown = ", ".join(names[:_LABELS_SHOWN]) if names is not None else "without names"
        more = ", …" if names is not None and len(names) > _LABELS_SHOWN else ""
        yield "features", f"{card.vectors.features}: {shown}{more}"
        yield "rate", f"{card.vectors.rate:g} vectors per second in the training, where unknown"
    else:
        colours = "RGB" if card.image.channels == 3 else "grey"
        yield "image", f"{card.image.width}×{card.image.height} {colours}, {card.image.fit}"
    yield "state", f"{card.state.kind}: {_STATES[card.state.kind]}"
    for name, tensors in (("inputs", found.inputs), ("outputs", found.outputs)):
        for index, tensor in enumerate(tensors):
            yield "" if index else name, str(tensor)
    if found.graph is not None:
        yield from _graph_rows(found.graph, card)
    if isinstance(card.sequence, TimedSequence):
        yield "events", _decision(card)
    yield from _origin_rows(card)


def _labels(card: ModelCard) -> str:
    shown = ", ".join(card.labels[:_LABELS_SHOWN])
    more = len(card.labels) - _LABELS_SHOWN
    background = card.decision.background
    is_timed = isinstance(card.sequence, TimedSequence)
    without = "; none of them means that nothing happens" if is_timed else ""
    return (
        f"{len(card.labels)} labels: {shown}{f' and {more} more' if more > 0 else ''}"
        f"{f'; nothing happens: {background}' if background else without}"
    )


def _graph_rows(graph: GraphSummary, card: ModelCard) -> Iterator[tuple[str, str]]:
    yield "operators", ", ".join(f"{count} {name}" for name, count in graph.operators.items())
    old = graph.opset <= _OLDEST_OPSET and graph.ir_version <= _OLDEST_IR_VERSION
    runs = "onnxruntime 1.17 and newer" if old else "needs an onnxruntime newer than 1.17"
    yield "format", f"opset {graph.opset}, IR version {graph.ir_version}: {runs}"
    yield "precision", card.graph.precision if card.graph else "unknown (card spec 1)"
    yield (
        "integrity",
        {
            "ok": "sha256 of the graph is that of the card",
            "differs": "DAMAGED: the graph is not the one that the card names",
            "no hash": "not known: cards of spec 1 have no hash",
        }[graph.integrity],
    )
    yield "written by", graph.producer or "unknown"


def _decision(card: ModelCard) -> str:
    decision = card.decision
    smoothed = {
        "none": "no smoothing",
        "mean": f"mean of {decision.smoothing_frames} answers",
        "exponential": f"exponential mean over {decision.smoothing_frames} answers",
    }[decision.smoothing]
    early = decision.early
    reported = "reported at the end" if early is None else f"reported early at {early:g}"
    return (
        f"begin at {decision.on_threshold:g}, end below {decision.off_threshold:g}, {smoothed}, "
        f"{f'unknown below {decision.min_confidence:g}, ' if decision.min_confidence else ''}"
        f"at least {decision.minimum_seconds:g} s, pause {decision.cooldown_seconds:g} s, "
        f"{reported}; "
        f"temperature {decision.temperature:g}"
    )


def _origin_rows(card: ModelCard) -> Iterator[tuple[str, str]]:
    origin = card.origin
    yield "trained", f"{origin.created or 'at an unknown time'} by seqvision {origin.version}"
    model = origin.options.get("model")
    if isinstance(model, Mapping):
        yield "network", _pairs(model)
    if origin.data:
        yield "data", _pairs(origin.data)
    for index, (part, figures) in enumerate(origin.metrics.items()):
        text = _pairs(figures) if isinstance(figures, Mapping) else str(figures)
        yield "" if index else "metrics", f"{part}: {text}"
    for index, note in enumerate(origin.notes):
        yield "" if index else "notes", note


def _pairs(values: Mapping[str, Any]) -> str:
    """Return `name value` of the plain values, `name count` of the collections."""
    return ", ".join(
        f"{name} {_value(value)}" for name, value in values.items() if value not in (None, False)
    )


def _value(value: Any) -> str:
    if value is True:
        return "yes"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        numbers = [entry for entry in value.values() if isinstance(entry, int)]
        return str(sum(numbers) if len(numbers) == len(value) else len(value))
    return str(len(value)) if isinstance(value, list) else str(value)
