"""Compute the size of every tensor of a graph before anything is run.

A few bytes can request terabytes: a Range up to 2⁴⁰, a MatMul of two long vectors, forty times a
Concat with itself.  So each operator has a rule for the shapes of its outputs; an operator without
a rule is not accepted.  Source of the rules: the operators of ONNX, versions 13 to 24.

The rules also compute the values of small int64 tensors, because other shapes depend on them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.onnx_validation.graph import INT64, MAX_KNOWN, MAX_RANK, Graph, Node
from seqvision_edge.onnx_validation.protobuf import Refused, quoted

# Per frame.  VGG16 at 1024 pixels, the largest that can be trained, has 0.6 × 2³⁰ values in all
# its tensors together, and its largest convolution 2³⁵ multiplications.
MAX_VALUES: Final = 1 << 30
MAX_WORK: Final = 1 << 38
# Operators that accept an empty tensor: an empty state is concatenated with new features.
# onnxruntime crashes where some of the others get one.
_TAKES_NOTHING: Final = frozenset({"Cast", "Concat", "Shape", "Slice"})

Shape = tuple[int, ...]


def sizes(graph: Graph, inputs: Mapping[str, Shape], frames: int) -> tuple[list[Shape], int]:
    """Return the shapes of a graph's outputs, and the number of values in all its tensors.

    Args:
        graph: the parsed graph.
        inputs: by name.
        frames: number of frames of the call and the state; the limits scale with it.

    Raises:
        Refused: the shapes do not match, a size depends on the data, or it takes more than
            `MAX_VALUES` values or `MAX_WORK` multiplications of one operator for each frame.
    """
    known = {name: KnownTensor(item.shape, item.value) for name, item in graph.constants.items()}
    known.update((name, KnownTensor(shape)) for name, shape in inputs.items())
    values = largest = 0
    for node in graph.nodes:
        for name in node.inputs:
            if name and name not in known:
                raise Refused(f"nothing before its {node.operator} makes {quoted(name)}")
        call = NodeCall(node, tuple(known[name] if name else None for name in node.inputs))
        empty = any(item is not None and 0 in item.shape for item in call.inputs)
        if empty and node.operator not in _TAKES_NOTHING:
            raise Refused(f"its {node.operator} gets an empty tensor")
        made = apply_rule(call)
        values += sum(math.prod(tensor.shape) for tensor in made.outputs)
        most = max(values, made.meanwhile)
        largest = max(largest, most)
        if most > MAX_VALUES * frames or made.work > MAX_WORK * frames:
            raise Refused(
                f"up to its {node.operator} it takes {most / frames:.1e} values and "
                f"{made.work / frames:.1e} products for each frame; "
                f"at most are {MAX_VALUES:.1e} and {MAX_WORK:.1e}"
            )
        # An operator may have unnamed outputs.
        known.update(zip(filter(None, node.outputs), _named(node, made), strict=True))
    missing = [value.name for value in graph.outputs if value.name not in known]
    if missing:
        raise Refused(f"nothing makes its output {quoted(missing[0])}")
    return [known[value.name].shape for value in graph.outputs], largest


@dataclass(frozen=True)
class KnownTensor:
    """A shape, and the values if they are known."""

    shape: Shape
    value: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class NodeCall:
    """A node with its input tensors; an omitted input is None."""

    node: Node
    inputs: tuple[KnownTensor | None, ...]

    def tensor(self, index: int) -> KnownTensor:
        """Return a required input."""
        found = self.optional(index)
        if found is None:
            raise Refused(f"its {self.node.operator} has no input {index}")
        return found

    def optional(self, index: int) -> KnownTensor | None:
        """Return an input, or None if it is omitted."""
        return self.inputs[index] if index < len(self.inputs) else None

    def numbers(self, index: int) -> list[int] | None:
        """Return the values of an input, which must be known; None if it is omitted."""
        found = self.optional(index)
        if found is None:
            return None
        if found.value is None:
            raise Refused(f"a size in it depends on the data ({self.node.operator})")
        return [int(number) for number in found.value.ravel()]

    def attribute(self, name: str, absent: Any = None) -> Any:
        """Return an attribute, or its default if it is omitted."""
        return self.node.attributes.get(name, absent)


@dataclass(frozen=True)
class Made:
    """The results of a node: its outputs, its multiplications, and temporary values."""

    outputs: tuple[KnownTensor, ...]
    work: int = 0
    meanwhile: int = 0


def apply_rule(call: NodeCall) -> Made:
    """Return what a node makes of its inputs.

    Raises:
        Refused: they do not fit it.
    """
    try:
        made = _RULES[call.node.operator](call)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        made = None
    if made is None or any(_is_odd(tensor.shape) for tensor in made.outputs):
        shapes = ", ".join(str(list(item.shape)) for item in call.inputs if item is not None)
        raise Refused(f"its {call.node.operator} does not fit its inputs {shapes[:100]}")
    return made


def _is_odd(shape: Shape) -> bool:
    return len(shape) > MAX_RANK or any(size < 0 for size in shape)


def _named(node: Node, made: Made) -> list[KnownTensor]:
    if len(node.outputs) > len(made.outputs):
        raise Refused(f"its {node.operator} has {len(node.outputs)} outputs")
    return [tensor for name, tensor in zip(node.outputs, made.outputs, strict=False) if name]


# A rule returns None if the inputs do not match.
Rule = Callable[[NodeCall], Made | None]


def one(shape: Sequence[int], value: NDArray[np.int64] | None = None, work: int = 0) -> Made:
    """Return the results of a node with a single output."""
    return Made((KnownTensor(tuple(shape), value),), work)


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """Return the shape to which all these broadcast.

    Raises:
        ValueError: they do not match.
    """
    sizes = []
    for axis in zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        different = {size for size in axis if size != 1}
        if len(different) > 1:
            raise ValueError("sizes differ")
        sizes.append(different.pop() if different else 1)
    return tuple(reversed(sizes))


def same(call: NodeCall) -> Made:
    return one(call.tensor(0).shape)


def cast(call: NodeCall) -> Made:
    first = call.tensor(0)
    # A conversion to a smaller type may change the numbers.
    return one(first.shape, first.value if call.attribute("to") == INT64 else None)


def elementwise(combine: Callable[..., Any] | None) -> Rule:
    def rule(call: NodeCall) -> Made:
        tensors = [call.tensor(index) for index in range(len(call.inputs))]
        shape = broadcast([tensor.shape for tensor in tensors])
        values = [tensor.value for tensor in tensors]
        if combine is None or math.prod(shape) > MAX_KNOWN or any(one is None for one in values):
            return one(shape)
        value = values[0]
        for other in values[1:]:
            value = combine(value, other)
        return one(shape, None if value is None else np.asarray(value))

    return rule


def shape_of(call: NodeCall) -> Made:
    shape = call.tensor(0).shape
    found = shape[call.attribute("start", 0) : call.attribute("end", len(shape))]
    return one((len(found),), np.array(found, np.int64))


def count_up(call: NodeCall) -> Made | None:
    start, limit, step = ((call.numbers(index) or [0])[0] for index in range(3))
    count = len(range(start, limit, step)) if abs(limit) < 1 << 62 else None
    if count is None:
        return None
    return one((count,), np.arange(start, limit, step) if count <= MAX_KNOWN else None)


def reshape(call: NodeCall) -> Made | None:
    data, requested = call.tensor(0), call.numbers(1)
    if requested is None or requested.count(-1) > 1 or min(requested, default=0) < -1:
        return None
    if not call.attribute("allowzero", 0):
        requested = [size or data.shape[index] for index, size in enumerate(requested)]
    total, given = math.prod(data.shape), math.prod(size for size in requested if size != -1)
    shape = [size if size != -1 else total // given if given else 0 for size in requested]
    if math.prod(shape) != total:
        return None
    return one(shape, None if data.value is None else data.value.reshape(shape))


def flatten(call: NodeCall) -> Made:
    shape = call.tensor(0).shape
    axis = call.attribute("axis", 1)
    return one((math.prod(shape[:axis]), math.prod(shape[axis:])))


def squeeze(call: NodeCall) -> Made | None:
    data = call.tensor(0)
    ones = [index for index, size in enumerate(data.shape) if size == 1]
    axes = ones if call.optional(1) is None else _axes(call, len(data.shape))
    if not set(axes) <= set(ones):
        return None
    shape = [size for index, size in enumerate(data.shape) if index not in axes]
    return one(shape, None if data.value is None else data.value.reshape(shape))


def unsqueeze(call: NodeCall) -> Made | None:
    data = call.tensor(0)
    rank = len(data.shape) + len(call.numbers(1) or [])
    axes = set(_axes(call, rank))
    if rank - len(axes) != len(data.shape) or not axes <= set(range(rank)):
        return None
    own = iter(data.shape)
    shape = [1 if index in axes else next(own) for index in range(rank)]
    return one(shape, None if data.value is None else data.value.reshape(shape))


def transpose(call: NodeCall) -> Made | None:
    shape = call.tensor(0).shape
    order = call.attribute("perm") or list(range(len(shape)))[::-1]
    return one([shape[axis] for axis in order]) if sorted(order) == [*range(len(shape))] else None


def concat(call: NodeCall) -> Made | None:
    tensors = [call.tensor(index) for index in range(len(call.inputs))]
    rank, axis = len(tensors[0].shape), call.attribute("axis")
    axis += rank if axis < 0 else 0
    others = {tensor.shape[:axis] + tensor.shape[axis + 1 :] for tensor in tensors}
    if len(others) != 1 or any(len(tensor.shape) != rank for tensor in tensors):
        return None
    shape = list(tensors[0].shape)
    shape[axis] = sum(tensor.shape[axis] for tensor in tensors)
    values = [tensor.value for tensor in tensors if tensor.value is not None]
    known = len(values) == len(tensors) and math.prod(shape) <= MAX_KNOWN
    return one(shape, np.concatenate(values, axis) if known else None)


def slice_(call: NodeCall) -> Made | None:
    data = call.tensor(0)
    starts, ends = call.numbers(1) or [], call.numbers(2) or []
    axes = call.numbers(3) or [*range(len(starts))]
    steps = call.numbers(4) or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or min(steps, default=1) < 1:
        return None
    parts = [slice(None)] * len(data.shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        parts[axis] = slice(start, end, step)
    shape = [len(range(*part.indices(size))) for part, size in zip(parts, data.shape, strict=True)]
    return one(shape, None if data.value is None else data.value[tuple(parts)])


def gather_(call: NodeCall) -> Made | None:
    data, chosen = call.tensor(0), call.tensor(1)
    axis = call.attribute("axis", 0)
    axis += len(data.shape) if axis < 0 else 0
    shape = (*data.shape[:axis], *chosen.shape, *data.shape[axis + 1 :])
    if not data.shape[axis]:
        return None
    known = data.value is not None and chosen.value is not None and math.prod(shape) <= MAX_KNOWN
    return one(shape, np.take(data.value, chosen.value, axis) if known else None)  # type: ignore[arg-type]


def split(call: NodeCall) -> Made | None:
    shape, count = call.tensor(0).shape, len(call.node.outputs)
    axis = call.attribute("axis", 0)
    axis += len(shape) if axis < 0 else 0
    parts = call.numbers(1)
    if parts is None:
        each = -(-shape[axis] // count)
        parts = [min(each, shape[axis] - each * index) for index in range(count)]
    if len(parts) != count or min(parts) < 0 or sum(parts) != shape[axis]:
        return None
    return Made(tuple(KnownTensor((*shape[:axis], part, *shape[axis + 1 :])) for part in parts))


def reduced(call: NodeCall) -> Made | None:
    shape = call.tensor(0).shape
    axes = _axes(call, len(shape)) or [*range(len(shape))]
    if call.attribute("noop_with_empty_axes", 0) or not set(axes) <= set(range(len(shape))):
        return None
    keep = call.attribute("keepdims", 1)
    sizes = ((1 if index in axes else size, index in axes) for index, size in enumerate(shape))
    reduced = [size for size, gone in sizes if keep or not gone]
    return one(reduced, work=math.prod(shape))


def global_pool(call: NodeCall) -> Made:
    shape = call.tensor(0).shape
    return one((*shape[:2], *[1] * len(shape[2:])), work=math.prod(shape))


def convolve(call: NodeCall) -> Made | None:
    data, weight = call.tensor(0).shape, call.tensor(1).shape
    groups = call.attribute("group", 1)
    positions = _positions(call, data, weight[2:])
    given = call.attribute("kernel_shape", list(weight[2:]))
    if positions is None or data[1] != weight[1] * groups or tuple(given) != weight[2:]:
        return None
    bias = call.optional(2)
    if weight[0] % groups or (bias is not None and bias.shape != weight[:1]):
        return None
    shape = (data[0], weight[0], *positions)
    kernel = math.prod(weight[1:])
    # In the worst case the pixels of every kernel position are laid out in rows (im2col).
    unfolded = kernel * groups * data[0] * math.prod(positions)
    return Made((KnownTensor(shape),), math.prod(shape) * kernel, unfolded)


def sample(call: NodeCall) -> Made | None:
    """Pixels at the places of a grid: `(n, c, h, w)`, `(n, rows, columns, 2)`."""
    (batch, channels, *picture), grid = call.tensor(0).shape, call.tensor(1).shape
    if len(picture) != 2 or len(grid) != 4 or grid[0] != batch or grid[3] != 2:
        return None
    # Four pixels are read for each place.
    places = batch * grid[1] * grid[2]
    return one((batch, channels, *grid[1:3]), work=4 * channels * places)


def normalize_last(call: NodeCall) -> Made | None:
    shape = call.tensor(0).shape
    weights = [call.tensor(index).shape for index in range(1, len(call.inputs))]
    if not shape or any(weight != shape[-1:] for weight in weights):
        return None
    return one(shape, work=math.prod(shape))


def pool(call: NodeCall) -> Made | None:
    data, kernel = call.tensor(0).shape, tuple(call.attribute("kernel_shape"))
    positions = _positions(call, data, kernel)
    if positions is None:
        return None
    shape = (*data[:2], *positions)
    return one(shape, work=math.prod(shape) * math.prod(kernel))


def gemm(call: NodeCall) -> Made | None:
    (rows, inner), (other, columns) = (
        call.tensor(index).shape[:: -1 if call.attribute(flag, 0) else 1]
        for index, flag in enumerate(("transA", "transB"))
    )
    bias = call.optional(2)
    if inner != other or (bias and broadcast([bias.shape, (rows, columns)]) != (rows, columns)):
        return None
    return one((rows, columns), work=rows * inner * columns)


def matmul(call: NodeCall) -> Made | None:
    left, right = call.tensor(0).shape, call.tensor(1).shape
    if min(len(left), len(right)) < 2 or left[-1] != right[-2]:
        return None
    shape = (*broadcast([left[:-2], right[:-2]]), left[-2], right[-1])
    return one(shape, work=math.prod(shape) * left[-1])


def recurrent(gates: int) -> Rule:
    def rule(call: NodeCall) -> Made | None:
        (time, batch, features) = call.tensor(0).shape
        (directions, rows, width), (_, _, hidden) = call.tensor(1).shape, call.tensor(2).shape
        expected = (directions, gates * hidden, hidden)
        if width != features or rows != gates * hidden or call.tensor(2).shape != expected:
            return None
        both = 2 if call.attribute("direction", "forward") == "bidirectional" else 1
        if (both, call.attribute("hidden_size"), call.attribute("layout", 0)) != (
            directions, hidden, 0,
        ):  # fmt: skip
            return None
        last = KnownTensor((directions, batch, hidden))
        bias, lengths, peepholes = (call.optional(index) for index in (3, 4, 7))
        if bias is not None and bias.shape != (directions, 2 * gates * hidden):
            return None
        # The initial state: h, and c of an LSTM.
        before = [call.optional(index) for index in (5, 6)]
        if lengths is not None or peepholes is not None or 0 in (time, batch):
            return None
        if any(state is not None and state.shape != last.shape for state in before):
            return None
        steps = KnownTensor((time, directions, batch, hidden))
        work = time * batch * directions * rows * (features + hidden)
        # onnxruntime keeps the gates of all steps.
        return Made((steps, last, last)[: gates - 1], work, time * batch * directions * rows)

    return rule


_RULES: Final[dict[str, Rule]] = {
    "Abs": same,
    "Add": elementwise(np.add),
    "AveragePool": pool,
    "Cast": cast,
    "Clip": same,
    "Concat": concat,
    "Conv": convolve,
    "DequantizeLinear": same,
    "Div": elementwise(None),
    "Erf": same,
    "Flatten": flatten,
    "GRU": recurrent(3),
    "Gather": gather_,
    "Gemm": gemm,
    "GlobalAveragePool": global_pool,
    "GridSample": sample,
    "HardSigmoid": same,
    "HardSwish": same,
    "IsNaN": same,
    "LayerNormalization": normalize_last,
    "LSTM": recurrent(4),
    "MatMul": matmul,
    "Max": elementwise(np.maximum),
    "MaxPool": pool,
    "Min": elementwise(np.minimum),
    "Mul": elementwise(np.multiply),
    "Pow": elementwise(None),
    "QuantizeLinear": same,
    "Range": count_up,
    "ReduceMax": reduced,
    "ReduceMean": reduced,
    "ReduceSum": reduced,
    "Relu": same,
    "Reshape": reshape,
    "Shape": shape_of,
    "Sigmoid": same,
    "Slice": slice_,
    "Softmax": same,
    "Split": split,
    "Sqrt": same,
    "Squeeze": squeeze,
    "Sub": elementwise(np.subtract),
    "Tanh": same,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    "Where": elementwise(None),
}


def _axes(call: NodeCall, rank: int) -> list[int]:
    return [axis + rank if axis < 0 else axis for axis in call.numbers(1) or []]


def _positions(call: NodeCall, shape: Shape, kernel: Shape) -> list[int] | None:
    """Return the number of kernel positions along each axis."""
    rank = len(kernel)
    pads, strides = (
        call.attribute("pads") or [0] * 2 * rank,
        call.attribute("strides") or [1] * rank,
    )
    dilations = call.attribute("dilations") or [1] * rank
    lengths = [len(shape) - 2, len(pads) // 2, len(strides), len(dilations)]
    if call.attribute("auto_pad", "NOTSET") != "NOTSET" or set(lengths) != {rank}:
        return None
    if min(pads) < 0 or min((*strides, *dilations, *kernel)) < 1:
        return None
    found = []
    for axis, size in enumerate(shape[2:]):
        room = size + pads[axis] + pads[axis + rank] - dilations[axis] * (kernel[axis] - 1) - 1
        count = room // strides[axis] + 1
        # Rounded up: one more position, but none that begins after the pixels.
        up = call.attribute("ceil_mode", 0) and room % strides[axis]
        begins = count * strides[axis]
        found.append(count + 1 if up and begins < size + pads[axis] else count)
    return found
