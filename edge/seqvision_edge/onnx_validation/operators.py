"""Limits of each operator: how many inputs, and which attributes within which bounds.

onnxruntime does not check some numbers: a convolution with 0 groups divides by zero, and planning
one with a stride of 2³¹ never ends.  So every attribute is checked before loading.  Source: the
operators of ONNX, versions 13 to 24; what no export uses (`layout`, other activations, sequence
lengths, peepholes) is not accepted.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from seqvision_edge.onnx_validation.graph import MAX_RANK, TENSOR_TYPES, Node
from seqvision_edge.onnx_validation.protobuf import Refused, quoted

# Larger than any picture that a card allows, so that no kernel, stride or padding needs more.
MAX_EXTENT: Final = 1 << 13
MAX_CHANNELS: Final = 1 << 16

Check = Callable[[Any], bool]


def _whole(low: int, high: int) -> Check:
    return lambda value: isinstance(value, int) and low <= value <= high


def _wholes(low: int, high: int, most: int) -> Check:
    def check(value: Any) -> bool:
        return (
            isinstance(value, list)
            and len(value) <= most
            and all(low <= number <= high for number in value)
        )

    return check


def _text(*allowed: str) -> Check:
    return lambda value: value in allowed


def _finite(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


_AXIS: Final = _whole(-MAX_RANK, MAX_RANK)
_FLAG: Final = _whole(0, 1)
_ZERO: Final = _whole(0, 0)
_TYPE: Final[Check] = lambda value: value in TENSOR_TYPES  # noqa: E731
_EXTENTS: Final = _wholes(1, MAX_EXTENT, MAX_RANK)

_WINDOWED: Final[dict[str, Check]] = {
    "auto_pad": _text("NOTSET"),
    "dilations": _EXTENTS,
    "kernel_shape": _EXTENTS,
    "pads": _wholes(0, MAX_EXTENT, 2 * MAX_RANK),
    "strides": _EXTENTS,
}
_RECURRENT: Final[dict[str, Check]] = {
    "direction": _text("forward", "reverse", "bidirectional"),
    "hidden_size": _whole(1, MAX_CHANNELS),
    "layout": _ZERO,
}
_QUANTIZED: Final[dict[str, Check]] = {
    "axis": _AXIS,
    "block_size": _ZERO,
    "output_dtype": lambda value: value == 0 or value in TENSOR_TYPES,
    "precision": _ZERO,
    "saturate": _FLAG,
}
_REDUCED: Final[dict[str, Check]] = {"keepdims": _FLAG, "noop_with_empty_axes": _ZERO}


@dataclass(frozen=True)
class _Schema:
    """Bounds of the number of inputs, and a check for each allowed attribute."""

    least: int
    most: int
    attributes: dict[str, Check] = field(default_factory=dict)


_ONE, _TWO = _Schema(1, 1), _Schema(2, 2)
_SCHEMAS: Final[dict[str, _Schema]] = {
    "Abs": _ONE,
    "Add": _TWO,
    "AveragePool": _Schema(1, 1, _WINDOWED | {"ceil_mode": _FLAG, "count_include_pad": _FLAG}),
    "Cast": _Schema(1, 1, {"to": _TYPE, "saturate": _FLAG}),
    "Clip": _Schema(1, 3),
    "Concat": _Schema(1, 64, {"axis": _AXIS}),
    "Conv": _Schema(2, 3, _WINDOWED | {"group": _whole(1, MAX_CHANNELS)}),
    "DequantizeLinear": _Schema(2, 3, _QUANTIZED),
    "Div": _TWO,
    "Erf": _ONE,
    "Flatten": _Schema(1, 1, {"axis": _AXIS}),
    "GRU": _Schema(3, 6, _RECURRENT | {"linear_before_reset": _FLAG}),
    "Gather": _Schema(2, 2, {"axis": _AXIS}),
    "Gemm": _Schema(2, 3, {"alpha": _finite, "beta": _finite, "transA": _FLAG, "transB": _FLAG}),
    "GlobalAveragePool": _ONE,
    "GridSample": _Schema(
        2,
        2,
        {
            "align_corners": _ZERO,
            "mode": _text("linear", "bilinear"),
            "padding_mode": _text("zeros"),
        },
    ),
    "HardSigmoid": _Schema(1, 1, {"alpha": _finite, "beta": _finite}),
    "HardSwish": _ONE,
    "IsNaN": _ONE,
    "LayerNormalization": _Schema(
        2, 3, {"axis": _whole(-1, -1), "epsilon": _finite, "stash_type": _whole(1, 1)}
    ),
    "LSTM": _Schema(3, 7, _RECURRENT | {"input_forget": _ZERO}),
    "MatMul": _TWO,
    "Max": _Schema(1, 64),
    "MaxPool": _Schema(1, 1, _WINDOWED | {"ceil_mode": _FLAG, "storage_order": _ZERO}),
    "Min": _Schema(1, 64),
    "Mul": _TWO,
    "Pow": _TWO,
    "QuantizeLinear": _Schema(2, 3, _QUANTIZED),
    "Range": _Schema(3, 3),
    "ReduceMax": _Schema(1, 2, _REDUCED),
    "ReduceMean": _Schema(1, 2, _REDUCED),
    "ReduceSum": _Schema(1, 2, _REDUCED),
    "Relu": _ONE,
    "Reshape": _Schema(2, 2, {"allowzero": _FLAG}),
    "Shape": _Schema(1, 1, {"start": _AXIS, "end": _AXIS}),
    "Sigmoid": _ONE,
    "Slice": _Schema(3, 5),
    "Softmax": _Schema(1, 1, {"axis": _AXIS}),
    "Split": _Schema(1, 2, {"axis": _AXIS, "num_outputs": _whole(1, 64)}),
    "Sqrt": _ONE,
    "Squeeze": _Schema(1, 2),
    "Sub": _TWO,
    "Tanh": _ONE,
    "Transpose": _Schema(1, 1, {"perm": _wholes(0, MAX_RANK - 1, MAX_RANK)}),
    "Unsqueeze": _TWO,
    "Where": _Schema(3, 3),
}
OPERATORS: Final = frozenset(_SCHEMAS)


def check_node(node: Node) -> None:
    """Check an operator's attributes, and its numbers of inputs and outputs.

    Raises:
        Refused: an attribute is unknown or out of bounds, or an input is missing or too many.
    """
    schema = _SCHEMAS[node.operator]
    for name, value in node.attributes.items():
        check = schema.attributes.get(name)
        if check is None:
            raise Refused(f"its {node.operator} has an attribute {quoted(name)}")
        if not check(value):
            raise Refused(f"its {node.operator} has {quoted(name)} out of bounds")
    if not schema.least <= len(node.inputs) <= schema.most:
        raise Refused(f"its {node.operator} has {len(node.inputs)} inputs")
    if not all(node.inputs[: schema.least]):
        raise Refused(f"an input of its {node.operator} is left out")
    if not any(node.outputs):
        raise Refused(f"its {node.operator} has no output")
