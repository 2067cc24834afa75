"""What is known of a model file, for a person."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from seqvision.console import result_console
from seqvision.inspection.found import GraphSummary, Inspection
from seqvision_edge.card import ModelCard
from seqvision_edge.names import printable

# What onnxruntime 1.17 reads.
_OLDEST_OPSET, _OLDEST_IR_VERSION = 20, 9
_LABELS_SHOWN = 12


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
    """Yield what is known of a file, a name and a text each; a name that goes on is empty."""
    card = found.card
    yield "file", f"{found.file}, {found.size / 1e6:.2f} MB, {found.parameters:,} parameters"
    yield "recognises", _labels(card)
    yield "sequence", str(card.sequence)
    colours = "RGB" if card.image.channels == 3 else "grey"
    yield "image", f"{card.image.width}×{card.image.height} {colours}, {card.image.fit}"
    yield "state", f"{card.state.kind}: {_STATES[card.state.kind]}"
    for name, tensors in (("inputs", found.inputs), ("outputs", found.outputs)):
        for index, tensor in enumerate(tensors):
            yield "" if index else name, str(tensor)
    if found.graph is not None:
        yield from _graph_rows(found.graph, card)
    if card.sequence.kind == "video":
        yield "events", _decision(card)
    yield from _origin_rows(card)


_STATES = {
    "window": "what the newest frames left; an answer is for exactly the window",
    "carry": "the head's own; an answer is for everything since the stream began",
}


def _labels(card: ModelCard) -> str:
    shown = ", ".join(card.labels[:_LABELS_SHOWN])
    more = len(card.labels) - _LABELS_SHOWN
    background = card.decision.background
    without = "; none of them means that nothing happens" if card.sequence.kind == "video" else ""
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
