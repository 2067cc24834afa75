"""The size of every tensor of a graph, computed before anything is run.

A few bytes can ask for terabytes: a Range up to 2⁴⁰, a MatMul of two long vectors, forty times a
Concat with itself.  So each operator has a rule that gives the shapes of its outputs; an operator
without a rule is not accepted.  Source of the rules: the operators of ONNX, versions 13 to 24.

They also work out the values of small int64 tensors, because the shapes of others depend on them.
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

# Per frame.  VGG16 at 1024 pixels, the largest that can be trained, makes 0.6 × 2³⁰ values of all
# its tensors together, and its largest convolution 2³⁵ products.
MAX_VALUES: Final = 1 << 30
MAX_WORK: Final = 1 << 38
# What is empty may be put together with what is not: no past yet, beside new features.  onnxruntime
# crashes where some of the others get nothing.
_TAKES_NOTHING: Final = frozenset({"Cast", "Concat", "Shape", "Slice"})

Shape = tuple[int, ...]


def sizes(graph: Graph, inputs: Mapping[str, Shape], frames: int) -> tuple[list[Shape], int]:
    """Return the shapes of a graph's outputs, and how many values all its tensors have.

    Args:
        graph: as it was read.
        inputs: by name.
        frames: how many there are in the call and its past: so much more may it take.

    Raises:
        Refused: the graph does not fit together, a size depends on the data, or it takes more than
            `MAX_VALUES` values or `MAX_WORK` multiplications of one operator for each frame.
    """
    known = {name: Tensor(item.shape, item.value) for name, item in graph.constants.items()}
    known.update((name, Tensor(shape)) for name, shape in inputs.items())
    values = largest = 0
    for node in graph.nodes:
        for name in node.inputs:
            if name and name not in known:
                raise Refused(f"nothing before its {node.operator} makes {quoted(name)}")
        call = Call(node, tuple(known[name] if name else None for name in node.inputs))
        empty = any(item is not None and 0 in item.shape for item in call.inputs)
        if empty and node.operator not in _TAKES_NOTHING:
            raise Refused(f"its {node.operator} gets an empty tensor")
        made = _made(call)
        values += sum(math.prod(tensor.shape) for tensor in made.outputs)
        most = max(values, made.meanwhile)
        largest = max(largest, most)
        if most > MAX_VALUES * frames or made.work > MAX_WORK * frames:
            raise Refused(
                f"up to its {node.operator} it takes {most / frames:.1e} values and "
                f"{made.work / frames:.1e} products for each frame; "
                f"at most are {MAX_VALUES:.1e} and {MAX_WORK:.1e}"
            )
        # An operator may have outputs that nobody named.
        known.update(zip(filter(None, node.outputs), _named(node, made), strict=True))
    missing = [value.name for value in graph.outputs if value.name not in known]
    if missing:
        raise Refused(f"nothing makes its output {quoted(missing[0])}")
    return [known[value.name].shape for value in graph.outputs], largest


@dataclass(frozen=True)
class Tensor:
    """A shape, and the values where they are known."""

    shape: Shape
    value: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Call:
    """A node with what goes into it; an input that is left out is None."""

    node: Node
    inputs: tuple[Tensor | None, ...]

    def tensor(self, index: int) -> Tensor:
        """Return an input that must be there."""
        found = self.optional(index)
        if found is None:
            raise Refused(f"its {self.node.operator} has no input {index}")
        return found

    def optional(self, index: int) -> Tensor | None:
        """Return an input, or None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def numbers(self, index: int) -> list[int] | None:
        """Return the values of an input, which must be known; None where it is left out."""
        found = self.optional(index)
        if found is None:
            return None
        if found.value is None:
            raise Refused(f"a size in it depends on the data ({self.node.operator})")
        return [int(number) for number in found.value.ravel()]

    def attribute(self, name: str, absent: Any = None) -> Any:
        """Return an attribute, or what holds where it is left out."""
        return self.node.attributes.get(name, absent)


@dataclass(frozen=True)
class Made:
    """What a node makes: its outputs, its multiplications, and values that it needs meanwhile."""

    outputs: tuple[Tensor, ...]
    work: int = 0
    meanwhile: int = 0


def _made(call: Call) -> Made:
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


def _named(node: Node, made: Made) -> list[Tensor]:
    if len(node.outputs) > len(made.outputs):
        raise Refused(f"its {node.operator} has {len(node.outputs)} outputs")
    return [tensor for name, tensor in zip(node.outputs, made.outputs, strict=False) if name]


# A rule returns None where the inputs do not fit.
Rule = Callable[[Call], Made | None]


def one(shape: Sequence[int], value: NDArray[np.int64] | None = None, work: int = 0) -> Made:
    """Return a single output."""
    return Made((Tensor(tuple(shape), value),), work)


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """Return the shape that all these spread to.

    Raises:
        ValueError: they do not fit together.
    """
    sizes = []
    for axis in zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        different = {size for size in axis if size != 1}
        if len(different) > 1:
            raise ValueError("sizes differ")
        sizes.append(different.pop() if different else 1)
    return tuple(reversed(sizes))


def same(call: Call) -> Made:
    return one(call.tensor(0).shape)


def cast(call: Call) -> Made:
    first = call.tensor(0)
    # Any smaller type may change the numbers.
    return one(first.shape, first.value if call.attribute("to") == INT64 else None)


def elementwise(combine: Callable[..., Any] | None) -> Rule:
    def rule(call: Call) -> Made:
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


def shape_of(call: Call) -> Made:
    shape = call.tensor(0).shape
    found = shape[call.attribute("start", 0) : call.attribute("end", len(shape))]
    return one((len(found),), np.array(found, np.int64))


def count_up(call: Call) -> Made | None:
    start, limit, step = ((call.numbers(index) or [0])[0] for index in range(3))
    count = len(range(start, limit, step)) if abs(limit) < 1 << 62 else None
    if count is None:
        return None
    return one((count,), np.arange(start, limit, step) if count <= MAX_KNOWN else None)


def reshape(call: Call) -> Made | None:
    data, wanted = call.tensor(0), call.numbers(1)
    if wanted is None or wanted.count(-1) > 1 or min(wanted, default=0) < -1:
        return None
    if not call.attribute("allowzero", 0):
        wanted = [size or data.shape[index] for index, size in enumerate(wanted)]
    total, given = math.prod(data.shape), math.prod(size for size in wanted if size != -1)
    shape = [size if size != -1 else total // given if given else 0 for size in wanted]
    if math.prod(shape) != total:
        return None
    return one(shape, None if data.value is None else data.value.reshape(shape))


def flatten(call: Call) -> Made:
    shape = call.tensor(0).shape
    axis = call.attribute("axis", 1)
    return one((math.prod(shape[:axis]), math.prod(shape[axis:])))


def squeeze(call: Call) -> Made | None:
    data = call.tensor(0)
    ones = [index for index, size in enumerate(data.shape) if size == 1]
    axes = ones if call.optional(1) is None else _axes(call, len(data.shape))
    if not set(axes) <= set(ones):
        return None
    shape = [size for index, size in enumerate(data.shape) if index not in axes]
    return one(shape, None if data.value is None else data.value.reshape(shape))


def unsqueeze(call: Call) -> Made | None:
    data = call.tensor(0)
    rank = len(data.shape) + len(call.numbers(1) or [])
    axes = set(_axes(call, rank))
    if rank - len(axes) != len(data.shape) or not axes <= set(range(rank)):
        return None
    own = iter(data.shape)
    shape = [1 if index in axes else next(own) for index in range(rank)]
    return one(shape, None if data.value is None else data.value.reshape(shape))


def transpose(call: Call) -> Made | None:
    shape = call.tensor(0).shape
    order = call.attribute("perm") or list(range(len(shape)))[::-1]
    return one([shape[axis] for axis in order]) if sorted(order) == [*range(len(shape))] else None


def concat(call: Call) -> Made | None:
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


def cut(call: Call) -> Made | None:
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


def gather(call: Call) -> Made | None:
    data, chosen = call.tensor(0), call.tensor(1)
    axis = call.attribute("axis", 0)
    axis += len(data.shape) if axis < 0 else 0
    shape = (*data.shape[:axis], *chosen.shape, *data.shape[axis + 1 :])
    if not data.shape[axis]:
        return None
    known = data.value is not None and chosen.value is not None and math.prod(shape) <= MAX_KNOWN
    return one(shape, np.take(data.value, chosen.value, axis) if known else None)  # type: ignore[arg-type]


def split(call: Call) -> Made | None:
    shape, count = call.tensor(0).shape, len(call.node.outputs)
    axis = call.attribute("axis", 0)
    axis += len(shape) if axis < 0 else 0
    parts = call.numbers(1)
    if parts is None:
        each = -(-shape[axis] // count)
        parts = [min(each, shape[axis] - each * index) for index in range(count)]
    if len(parts) != count or min(parts) < 0 or sum(parts) != shape[axis]:
        return None
    return Made(tuple(Tensor((*shape[:axis], part, *shape[axis + 1 :])) for part in parts))


def reduced(call: Call) -> Made | None:
    shape = call.tensor(0).shape
    axes = _axes(call, len(shape)) or [*range(len(shape))]
    if call.attribute("noop_with_empty_axes", 0) or not set(axes) <= set(range(len(shape))):
        return None
    keep = call.attribute("keepdims", 1)
    sizes = ((1 if index in axes else size, index in axes) for index, size in enumerate(shape))
    reduced = [size for size, gone in sizes if keep or not gone]
    return one(reduced, work=math.prod(shape))


def global_pool(call: Call) -> Made:
    shape = call.tensor(0).shape
    return one((*shape[:2], *[1] * len(shape[2:])), work=math.prod(shape))


def convolve(call: Call) -> Made | None:
    data, weight = call.tensor(0).shape, call.tensor(1).shape
    groups = call.attribute("group", 1)
    positions = _places(call, data, weight[2:])
    given = call.attribute("kernel_shape", list(weight[2:]))
    if positions is None or data[1] != weight[1] * groups or tuple(given) != weight[2:]:
        return None
    bias = call.optional(2)
    if weight[0] % groups or (bias is not None and bias.shape != weight[:1]):
        return None
    shape = (data[0], weight[0], *positions)
    kernel = math.prod(weight[1:])
    # Where nothing better fits, the pixels of every place are laid out in rows.
    unfolded = kernel * groups * data[0] * math.prod(positions)
    return Made((Tensor(shape),), math.prod(shape) * kernel, unfolded)


def max_pool(call: Call) -> Made | None:
    data, kernel = call.tensor(0).shape, tuple(call.attribute("kernel_shape"))
    positions = _places(call, data, kernel)
    if positions is None:
        return None
    shape = (*data[:2], *positions)
    return one(shape, work=math.prod(shape) * math.prod(kernel))


def gemm(call: Call) -> Made | None:
    (rows, inner), (other, columns) = (
        call.tensor(index).shape[:: -1 if call.attribute(flag, 0) else 1]
        for index, flag in enumerate(("transA", "transB"))
    )
    bias = call.optional(2)
    if inner != other or (bias and broadcast([bias.shape, (rows, columns)]) != (rows, columns)):
        return None
    return one((rows, columns), work=rows * inner * columns)


def matmul(call: Call) -> Made | None:
    left, right = call.tensor(0).shape, call.tensor(1).shape
    if min(len(left), len(right)) < 2 or left[-1] != right[-2]:
        return None
    shape = (*broadcast([left[:-2], right[:-2]]), left[-2], right[-1])
    return one(shape, work=math.prod(shape) * left[-1])


def recurrent(gates: int) -> Rule:
    def rule(call: Call) -> Made | None:
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
        last = Tensor((directions, batch, hidden))
        bias, lengths, peepholes = (call.optional(index) for index in (3, 4, 7))
        if bias is not None and bias.shape != (directions, 2 * gates * hidden):
            return None
        # The state before the first step: h, and c of an LSTM.
        before = [call.optional(index) for index in (5, 6)]
        if lengths is not None or peepholes is not None or 0 in (time, batch):
            return None
        if any(state is not None and state.shape != last.shape for state in before):
            return None
        steps = Tensor((time, directions, batch, hidden))
        work = time * batch * directions * rows * (features + hidden)
        # onnxruntime keeps the gates of all steps.
        return Made((steps, last, last)[: gates - 1], work, time * batch * directions * rows)

    return rule


_RULES: Final[dict[str, Rule]] = {
    "Abs": same,
    "Add": elementwise(np.add),
    "Cast": cast,
    "Clip": same,
    "Concat": concat,
    "Conv": convolve,
    "DequantizeLinear": same,
    "Div": elementwise(None),
    "Flatten": flatten,
    "GRU": recurrent(3),
    "Gather": gather,
    "Gemm": gemm,
    "GlobalAveragePool": global_pool,
    "HardSigmoid": same,
    "HardSwish": same,
    "LSTM": recurrent(4),
    "MatMul": matmul,
    "MaxPool": max_pool,
    "Min": elementwise(np.minimum),
    "Mul": elementwise(np.multiply),
    "QuantizeLinear": same,
    "Range": count_up,
    "ReduceMean": reduced,
    "ReduceSum": reduced,
    "Relu": same,
    "Reshape": reshape,
    "Shape": shape_of,
    "Sigmoid": same,
    "Slice": cut,
    "Softmax": same,
    "Split": split,
    "Squeeze": squeeze,
    "Sub": elementwise(np.subtract),
    "Tanh": same,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}


def _axes(call: Call, rank: int) -> list[int]:
    return [axis + rank if axis < 0 else axis for axis in call.numbers(1) or []]


def _places(call: Call, shape: Shape, kernel: Shape) -> list[int] | None:
    """Return how many places a kernel has along each axis."""
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
        found.append(room // strides[axis] + 1 + call.attribute("ceil_mode", 0))
    return found
