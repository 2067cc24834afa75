"""A `.tflite` file of float16 or float32 weights → a list of layers and their tensors.

Only what landmark networks have is read; anything else is refused.  The numbers of fields and
operators are those of TensorFlow Lite's schema (version 3, `schema.fbs`).  Layers are channels
first; whatever depends on the size of the picture (padding) is computed here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers.table
import numpy as np
from flatbuffers import number_types
from numpy.typing import NDArray

Array = NDArray[Any]
Layer = dict[str, Any]

_OPERATORS = {
    0: "add", 2: "concat", 3: "conv", 4: "depthwise", 6: "dequantize", 9: "linear", 14: "sigmoid",
    17: "max_pool", 19: "relu", 22: "reshape", 23: "resize", 34: "pad", 40: "mean", 54: "prelu",
}  # fmt: skip
_ACTIVATIONS = {0: "", 1: "relu", 3: "relu6"}
_TYPES: dict[int, Any] = {0: np.float32, 1: np.float16, 2: np.int32}


@dataclass(frozen=True)
class Layers:
    """A network as plain data.

    Attributes:
        size: height and width of its picture.
        inputs, outputs: numbers of values.
        layers: each with `kind`, `inputs`, `output` (numbers of values) and what the kind needs;
            `weight`, `bias` and `slope` name tensors.
        tensors: by name, as they are in the file, float16 ones too.
    """

    size: int
    inputs: list[int]
    outputs: list[int]
    layers: list[Layer]
    tensors: dict[str, Array]


class _Record:
    """A table of a flatbuffer; its fields are numbered from 0."""

    def __init__(self, data: bytes, position: int) -> None:
        self._table = flatbuffers.table.Table(data, position)

    def _field(self, number: int) -> int:
        return int(self._table.Offset(4 + 2 * number))

    def number(self, number: int, kind: Any = number_types.Int32Flags, absent: int = 0) -> int:
        """Return a field that is a number or a flag."""
        offset = self._field(number)
        return int(self._table.Get(kind, offset + self._table.Pos)) if offset else absent

    def byte(self, number: int) -> int:
        """Return a field of one byte."""
        return self.number(number, number_types.Int8Flags)

    def numbers(self, number: int) -> list[int]:
        """Return a field that is a list of 32-bit numbers."""
        offset = self._field(number)
        if not offset:
            return []
        start, count = self._table.Vector(offset), self._table.VectorLen(offset)
        return np.frombuffer(self._table.Bytes, "<i4", count, start).tolist()

    def content(self, number: int) -> bytes:
        """Return a field that is a list of bytes."""
        offset = self._field(number)
        if not offset:
            return b""
        start, count = self._table.Vector(offset), self._table.VectorLen(offset)
        return bytes(self._table.Bytes[start : start + count])

    def record(self, number: int) -> "_Record":
        """Return a field that is a table; an absent one has no fields."""
        offset = self._field(number)
        if not offset:
            raise ValueError("a field is missing")
        return _Record(self._table.Bytes, self._table.Indirect(offset + self._table.Pos))

    def records(self, number: int) -> list["_Record"]:
        """Return a field that is a list of tables."""
        offset = self._field(number)
        if not offset:
            return []
        start, count = self._table.Vector(offset), self._table.VectorLen(offset)
        return [
            _Record(self._table.Bytes, self._table.Indirect(start + 4 * index))
            for index in range(count)
        ]


def read_layers(data: bytes, keep: Sequence[int] | None = None) -> Layers:
    """Read a network.

    Args:
        data: the file's content, of a known hash.
        keep: which of its outputs are needed; None: all.

    Raises:
        ValueError: it has something that landmark networks have not.
    """
    root = int.from_bytes(data[:4], "little")
    model = _Record(data, root)
    codes = [max(code.byte(0), code.number(3)) for code in model.records(1)]
    (graph,) = model.records(2)
    buffers = model.records(4)
    tensors = graph.records(0)
    shapes = [tensor.numbers(0) for tensor in tensors]
    constants: dict[int, Array] = {}
    for index, tensor in enumerate(tensors):
        content = buffers[tensor.number(2, number_types.Uint32Flags)].content(0)
        if content:
            values = np.frombuffer(content, _TYPES[tensor.byte(1)])
            constants[index] = values.reshape(shapes[index])
    layers, named = [], dict[str, Array]()
    for operator in graph.records(3):
        kind = _OPERATORS.get(codes[operator.number(0, number_types.Uint32Flags)])
        given, (output, *_) = operator.numbers(1), operator.numbers(2)
        if kind is None:
            raise ValueError(f"an operator {codes[operator.number(0)]} is not known")
        if kind == "dequantize" and given[0] in constants:
            constants[output] = constants[given[0]]
            continue
        layer: Layer = {"kind": kind, "output": output}
        layer["inputs"] = [index for index in given if index >= 0 and index not in constants]
        known = [constants.get(index) for index in given]
        found = _READERS[kind](operator, known, [shapes[index] for index in given], shapes[output])
        for name, value in found.items():
            if isinstance(value, np.ndarray):
                named[f"{name}{output}"] = np.ascontiguousarray(value)
                value = f"{name}{output}"
            layer[name] = value
        layers.append(layer)
    outputs = graph.numbers(2)
    if keep is not None:
        outputs = [outputs[index] for index in keep]
    (given,) = (graph.numbers(1),)
    return _needed(Layers(shapes[given[0]][1], given, outputs, layers, named))


def _needed(network: Layers) -> Layers:
    """Leave out the layers that no output needs."""
    needed, kept = set(network.outputs), []
    for layer in reversed(network.layers):
        if layer["output"] in needed:
            needed |= set(layer["inputs"])
            kept.append(layer)
    names = {value for layer in kept for value in layer.values() if isinstance(value, str)}
    tensors = {name: value for name, value in network.tensors.items() if name in names}
    return Layers(network.size, network.inputs, network.outputs, kept[::-1], tensors)


def same_padding(size: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Return TensorFlow's SAME padding: left, right, top, bottom."""
    totals = [
        max((-(-length // stride) - 1) * stride + taps - length, 0)
        for length, taps, stride in zip(size, kernel, strides, strict=True)
    ]
    (top, bottom), (left, right) = ((total // 2, total - total // 2) for total in totals)
    return [left, right, top, bottom]


def _convolution(depthwise: bool) -> Callable[..., Layer]:
    def read(operator: _Record, known: list[Array | None], given: Any, made: Any) -> Layer:
        options = operator.record(4)
        weight, bias = known[1], known[2]
        assert weight is not None
        # (out, height, width, in), or (1, height, width, out) → (out, in, height, width)
        weight = weight.transpose(3, 0, 1, 2) if depthwise else weight.transpose(0, 3, 1, 2)
        shift = 1 if depthwise else 0
        strides = [options.number(2), options.number(1)]
        if {options.number(4 + shift, absent=1), options.number(5 + shift, absent=1)} != {1}:
            raise ValueError("a dilated convolution")
        return {
            "weight": weight,
            "bias": bias,
            "strides": strides,
            "groups": given[0][3] // weight.shape[1],
            "pad": _padding(options, given[0], weight.shape[2:], strides),
            "activation": _ACTIVATIONS[options.byte(3 + shift)],
        }

    return read


def _padding(options: _Record, given: Any, kernel: Any, strides: list[int]) -> list[int]:
    return same_padding(given[1:3], kernel, strides) if options.byte(0) == 0 else [0, 0, 0, 0]


def _linear(operator: _Record, known: Any, given: Any, made: Any) -> Layer:
    return {
        "weight": known[1], "bias": known[2], "activation": _ACTIVATIONS[operator.record(4).byte(0)]
    }  # fmt: skip


def _add(operator: _Record, known: Any, given: Any, made: Any) -> Layer:
    return {"activation": _ACTIVATIONS[operator.record(4).byte(0)]}


def _max_pool(operator: _Record, known: Any, given: Any, made: Any) -> Layer:
    options = operator.record(4)
    strides, kernel = [options.number(2), options.number(1)], [options.number(4), options.number(3)]
    pad = _padding(options, given[0], kernel, strides)
    if any(pad) or options.byte(5):
        raise ValueError("a pooling with padding")
    return {"kernel": kernel, "strides": strides}


def _resize(operator: _Record, known: Any, given: Any, made: Any) -> Layer:
    options = operator.record(4)
    if options.byte(2) or not options.byte(3):
        raise ValueError("a resize whose pixels have their centres elsewhere")
    return {"sizes": [given[0][1:3], made[1:3]]}


def _pad(operator: _Record, known: Any, given: Any, made: Any) -> Layer:
    (_, _), (top, bottom), (left, right), (before, after) = known[1].tolist()
    if before:
        raise ValueError("channels added in front")
    return {"pad": [left, right, top, bottom], "channels": after}


def _mean(operator: _Record, known: Any, given: Any, made: Any) -> Layer:
    if sorted(known[1].tolist()) != [1, 2]:
        raise ValueError("a mean over other axes than those of the picture")
    return {"keep": bool(operator.record(4).byte(0))}


def _concat(operator: _Record, known: Any, given: Any, made: Any) -> Layer:
    axis = operator.record(4).number(0) % len(made)
    return {"axis": (0, 2, 3, 1)[axis] if len(made) == 4 else axis}


_READERS: dict[str, Callable[..., Layer]] = {
    "add": _add,
    "concat": _concat,
    "conv": _convolution(False),
    "depthwise": _convolution(True),
    "linear": _linear,
    "max_pool": _max_pool,
    "mean": _mean,
    "pad": _pad,
    "prelu": lambda operator, known, given, made: {"slope": known[1].reshape(-1)},
    "relu": lambda operator, known, given, made: {},
    "reshape": lambda operator, known, given, made: {"shape": made[1:]},
    "resize": _resize,
    "sigmoid": lambda operator, known, given, made: {},
}
