"""Parse an ONNX graph into plain data, with every count, name and constant checked."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.onnx_validation.protobuf import (
    Damaged,
    Message,
    ProtobufReader,
    Refused,
    quoted,
)

MAX_NODES: Final = 5_000
MAX_TENSORS: Final = 5_000
MAX_RANK: Final = 8
# Larger constants are weights: no shape depends on their values.
MAX_KNOWN: Final = 4_096

FLOAT: Final = 1
UINT8: Final = 2
INT64: Final = 7
# data type of onnx.proto → bytes: float, uint8, int8, int32, int64, float16
TENSOR_TYPES: Final = {FLOAT: 4, UINT8: 1, 3: 1, 6: 4, INT64: 8, 10: 2}
# The field of a type when the data is not raw: (field, type); uint8 … float16 are stored as int32.
_TYPED: Final = {"float_data": (FLOAT,), "int32_data": (UINT8, 3, 6, 10), "int64_data": (INT64,)}
_ATTRIBUTES: Final = {1: "f", 2: "i", 3: "s", 6: "floats", 7: "ints"}

Axis = int | str | None


@dataclass(frozen=True)
class Constant:
    """A tensor in the file; `value` is set for small int64 ones, on which shapes may depend."""

    shape: tuple[int, ...]
    value: NDArray[np.int64] | None


@dataclass(frozen=True)
class Node:
    """One operator; an omitted input is an empty name."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Value:
    """An input or output: its type, and its axes as numbers or names."""

    name: str
    kind: int
    axes: tuple[Axis, ...]


@dataclass(frozen=True)
class Graph:
    """A whole graph."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    constants: dict[str, Constant]


def read_graph(data: memoryview, reader: ProtobufReader, operators: frozenset[str]) -> Graph:
    """Read a graph.

    Raises:
        Damaged: the bytes are not an ONNX graph.
        Refused: it contains something that `seqvision export` never writes.
    """
    message = reader.read("Graph", data)
    if len(message["node"]) > MAX_NODES:
        raise Refused(f"it has {len(message['node'])} operators, at most are {MAX_NODES}")
    if len(message["initializer"]) > MAX_TENSORS:
        raise Refused(f"it has {len(message['initializer'])} tensors, at most are {MAX_TENSORS}")
    inputs = tuple(map(_value, message["input"]))
    nodes = tuple(_node(node, operators) for node in message["node"])
    tensors = [_constant(tensor) for tensor in message["initializer"]]
    made = [value.name for value in inputs] + [name for name, _ in tensors]
    made += [name for node in nodes for name in node.outputs if name]
    if len(set(made)) != len(made):
        raise Refused("two of its tensors have one name")
    return Graph(inputs, tuple(map(_value, message["output"])), nodes, dict(tensors))


def _node(message: Message, operators: frozenset[str]) -> Node:
    operator, domain = message.get("op_type", ""), message.get("domain", "")
    if domain not in ("", "ai.onnx"):
        raise Refused(f"it has an operator {quoted(operator)} of the domain {quoted(domain)}")
    if operator not in operators:
        raise Refused(f"it has an operator {quoted(operator)}")
    attributes = dict(map(_attribute, message["attribute"]))
    if len(attributes) != len(message["attribute"]):
        raise Refused(f"an attribute of its {operator} is given twice")
    return Node(operator, tuple(message["input"]), tuple(message["output"]), attributes)


def _attribute(message: Message) -> tuple[str, Any]:
    """Return name and value; the value must be of the declared type, and of no other."""
    field = _ATTRIBUTES.get(message.get("type", 0))
    other = {"f", "i", "s", "floats", "ints"} - {field}
    if field is None or any(message.get(name) not in (None, []) for name in other):
        raise Refused(f"the attribute {quoted(message.get('name', ''))} has another type")
    # protobuf omits a number that is 0.
    absent = {"f": 0.0, "i": 0, "s": ""}.get(field)
    return message.get("name", ""), message.get(field, absent)


def _constant(message: Message) -> tuple[str, Constant]:
    """Check that a constant has the declared size, with its bytes in the file."""
    name, shape = message.get("name", ""), tuple(message["dims"])
    if message.get("data_location", 0) != 0:
        raise Refused(f"the tensor {quoted(name)} has its data in another file")
    kind = message.get("data_type", 0)
    if kind not in TENSOR_TYPES:
        raise Refused(f"the tensor {quoted(name)} has the data type {kind}")
    if not name or len(shape) > MAX_RANK or any(size < 0 for size in shape):
        raise Refused(f"the tensor {quoted(name)} has the sizes {list(shape[:MAX_RANK])}")
    given = [field for field in ("raw_data", *_TYPED) if field in message]
    if len(given) > 1 or (given and kind not in _TYPED.get(given[0], TENSOR_TYPES)):
        raise Refused(f"the tensor {quoted(name)} has its data twice, or as another type")
    count = math.prod(shape)
    there = _COUNTS[given[0]](message[given[0]], kind) if given else 0
    if there != count:
        raise Damaged(f"the tensor {quoted(name)} declares {count} values and has {there:g}")
    value = None
    if kind == INT64 and given == ["raw_data"] and count <= MAX_KNOWN:
        value = np.frombuffer(message["raw_data"], "<i8").astype(np.int64).reshape(shape)
    return name, Constant(shape, value)


def _varints(data: memoryview, kind: int) -> float:
    return float(np.count_nonzero(np.frombuffer(data, np.uint8) < 0x80))


_COUNTS: Final[dict[str, Callable[[memoryview, int], float]]] = {
    "raw_data": lambda data, kind: len(data) / TENSOR_TYPES[kind],
    "float_data": lambda data, kind: len(data) / 4,
    "int32_data": _varints,
    "int64_data": _varints,
}


def _value(message: Message) -> Value:
    kind = message.get("type", {}).get("tensor_type", {})
    axes = kind.get("shape", {}).get("dim", [])
    return Value(
        message.get("name", ""),
        kind.get("elem_type", 0),
        tuple(axis.get("dim_value", axis.get("dim_param")) for axis in axes),
    )
