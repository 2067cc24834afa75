"""Whether a graph has the inputs and outputs that its card promises."""

import math
from typing import Final

from seqvision_edge.card import ModelCard, StateTensor
from seqvision_edge.model_file.call import Shape
from seqvision_edge.model_file.graph import FLOAT, UINT8, Graph
from seqvision_edge.model_file.refusal import Refused
from seqvision_edge.model_file.sizes import sizes

# Bytes of the frames that one answer reads, and values of what may be kept of them.
MAX_CLIP: Final = 1 << 32
MAX_KEPT: Final = 1 << 30
_VALUE: Final = 4  # bytes of nearly all of them


def check_promise(graph: Graph, card: ModelCard) -> None:
    """Compare the declared inputs and outputs with the card's.

    Raises:
        Refused: another number, order, name, type or size.
    """
    image, count = card.image, 1 + len(card.state.tensors)
    clip = card.sequence.window * image.height * image.width * image.channels
    if clip > MAX_CLIP:
        raise Refused(f"its card has windows of {clip / 1e9:.0f} GB, at most are 4 GB")
    for tensor in card.state.tensors:
        fixed = [axis for axis in tensor.axes if isinstance(axis, int)]
        free = len(tensor.axes) > len(fixed) + 1
        kept = math.prod(fixed) * (card.sequence.window if free else 1)
        if tensor.axes[:1] != ("batch",) or min(fixed, default=1) < 1 or kept > MAX_KEPT:
            raise Refused(f"its card has a state {tensor.name[:40]} {list(tensor.axes[:8])}")
    for (promised, kind), found in zip(_inputs(card), graph.inputs, strict=False):
        axes = [axis if isinstance(axis, int) else None for axis in promised.axes]
        there = [axis if isinstance(axis, int) else None for axis in found.axes]
        if (promised.name, kind, axes) != (found.name, found.kind, there):
            raise Refused(
                f"its card promises input {promised.name} {list(promised.axes)}, "
                f"the graph has {found.name[:40]} {list(found.axes[:8])}"
            )
    if (len(graph.inputs), len(graph.outputs)) != (count, count):
        raise Refused(f"its card promises {count} inputs and {count} outputs")
    if any(output.kind != FLOAT for output in graph.outputs):
        raise Refused("its card promises outputs of float32")


def check_sizes(graph: Graph, card: ModelCard, inputs: tuple[Shape, ...]) -> int:
    """Work out what a call with inputs of these shapes takes, and what comes of it.

    Returns:
        The bytes of all its tensors.

    Raises:
        Refused: it takes too much, or does not give what the card promises.
    """
    names = [value.name for value in graph.inputs]
    batch, time = inputs[0][:2]
    kept = [
        size
        for tensor, shape in zip(card.state.tensors, inputs[1:], strict=True)
        for axis, size in zip(tensor.axes, shape, strict=True)
        if isinstance(axis, str) and axis != "batch"
    ]
    found, values = sizes(graph, dict(zip(names, inputs, strict=True)), batch * max(time, *kept, 1))
    if found[0] != (batch, len(card.labels)):
        raise Refused(f"its card has {len(card.labels)} labels, the graph answers {list(found[0])}")
    for tensor, shape in zip(card.state.tensors, found[1:], strict=True):
        if not fits(tensor, shape, batch):
            raise Refused(
                f"its card promises {tensor.name} {list(tensor.axes)}, "
                f"the graph gives {list(shape)}"
            )
    return _VALUE * values


def shapes(card: ModelCard, batch: int, time: int, kept: int) -> tuple[Shape, ...]:
    """Return the shapes of all inputs; `kept` is the size of every axis that is free."""
    free = {"batch": batch, "time": time}
    return tuple(
        tuple(axis if isinstance(axis, int) else free.get(axis, kept) for axis in tensor.axes)
        for tensor, _ in _inputs(card)
    )


def fits(tensor: StateTensor, shape: Shape, batch: int) -> bool:
    """Whether a state of this shape is one that the card promises for a batch."""
    return len(shape) == len(tensor.axes) and all(
        size == (batch if axis == "batch" else axis) or (isinstance(axis, str) and axis != "batch")
        for axis, size in zip(tensor.axes, shape, strict=True)
    )


def _inputs(card: ModelCard) -> list[tuple[StateTensor, int]]:
    image = card.image
    axes = ("batch", "time", image.height, image.width, image.channels)
    frames = StateTensor(name="frames", axes=axes)
    return [(frames, UINT8), *((tensor, FLOAT) for tensor in card.state.tensors)]
