"""Nodes of the encoder in an exported graph; its first convolution on the bytes of frames.

Pixels are bytes already.  What makes the first convolution slow in int8 is that three channels are
too few: four pixels side by side are read as one of twelve channels, and two columns of results as
one of twice the channels.  In a frame as it lies in memory neither moves a byte.

They are known by their weights, which keep the names that they have in `Classifier.encoder`.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from seqvision_export.simplify import Nodes

_READ, _GIVEN = 4, 2

PREFIX = "model.encoder."
WEIGHED = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class Pixels:
    """The tensors around a first convolution that reads four pixels at once.

    Attributes:
        centred: the pixels minus `zero`, which the convolution reads; as bytes they are the frame.
        zero: the whole number nearest to the mean of the channels.
        result, wide: the clamped result under its old name, and before it is read column by column.
    """

    centred: str
    zero: int
    result: str
    wide: str


def can_widen(proto: onnx.ModelProto) -> bool:
    """Whether the first convolution has stride 2 and sizes that four pixels at once divide."""
    return _first(Nodes(proto), proto) is not None


def widen(proto: onnx.ModelProto) -> Pixels:
    """Let the first convolution read four pixels at once, and a whole number be subtracted.

    What the means differ from that number goes into the bias.  Only beyond the border, where a
    convolution reads the mean, does it now read the number.
    """
    nodes = Nodes(proto)
    found = _first(nodes, proto)
    assert found is not None
    shape, cast, sub, conv, clamp = found
    mean, weight = (
        nodes.constant(name).astype(np.float64) for name in (sub.input[1], conv.input[1])
    )
    # A convolution whose batch norm shifted nothing has no bias.
    bias = nodes.constant(conv.input[2]).astype(np.float64) if len(conv.input) > 2 else 0.0
    zero = round(float(mean.mean()))
    bias = bias + np.einsum(
        "oikl,i->o", weight, zero - np.broadcast_to(mean.ravel(), weight.shape[1:2])
    )
    pads = _pads(conv)
    wide, before, after = _weights(weight, pads[1])
    pixels = Pixels(sub.output[0], zero, clamp.output[0], f"{clamp.output[0]}_wide")
    height, width, channels = (int(size) for size in shape)
    constants = {
        "wide_frame": np.array([-1, height, width // _READ, _READ * channels]),
        "wide_zero": np.array(zero, np.float32),
        "wide_weight": wide.astype(np.float32),
        "wide_bias": np.tile(bias, _GIVEN).astype(np.float32),
        "wide_result": np.array([-1, *_size(nodes, conv), len(weight)]),
    }
    for name, values in constants.items():
        proto.graph.initializer.append(numpy_helper.from_array(values, name))
    _view(nodes, cast).input[1], sub.input[1] = "wide_frame", "wide_zero"
    conv.input[1:] = ["wide_weight", "wide_bias"]
    del conv.attribute[:]
    conv.attribute.extend(
        helper.make_attribute(name, value)
        for name, value in {
            "kernel_shape": wide.shape[2:],
            "strides": (2, 1),
            "pads": (pads[0], before, pads[2], after),
            "dilations": (1, 1),
            "group": 1,
        }.items()
    )
    clamp.output[0] = pixels.wide
    back = [
        helper.make_node("Transpose", [pixels.wide], ["wide_rows"], "wide_rows", perm=(0, 2, 3, 1)),
        helper.make_node("Reshape", ["wide_rows", "wide_result"], ["wide_places"], "wide_places"),
        helper.make_node(
            "Transpose", ["wide_places"], [pixels.result], "wide_planes", perm=(0, 3, 1, 2)
        ),
    ]
    order: list[NodeProto] = []
    for node in proto.graph.node:
        order += [node, *(back if node.name == clamp.name else [])]
    nodes.replace(order)
    Nodes(proto).sweep()
    return pixels


def read_bytes(proto: onnx.ModelProto, pixels: Pixels) -> None:
    """Drop what turns bytes into numbers and numbers into the same bytes again."""
    nodes = Nodes(proto)
    sub = nodes.maker(pixels.centred)
    (quantize,) = nodes.users(pixels.centred)
    assert sub is not None
    cast = nodes.maker(sub.input[0])
    assert cast is not None
    for user in nodes.users(quantize.output[0]):
        user.input[0] = cast.input[0]
    for node in (quantize, sub, cast):
        proto.graph.node.remove(node)
    Nodes(proto).sweep()


def _view(nodes: Nodes, cast: NodeProto) -> NodeProto:
    """Return what gives the bytes their shape, before they are transposed and cast."""
    permute = nodes.maker(cast.input[0])
    view = nodes.maker(permute.input[0]) if permute is not None else None
    assert view is not None
    return view


def _first(
    nodes: Nodes, proto: onnx.ModelProto
) -> tuple[tuple[int | str, ...], NodeProto, NodeProto, NodeProto, NodeProto] | None:
    """Return the frame's shape, and the cast, mean, convolution and clamp that it goes through."""
    convs = weighted_nodes(proto)
    if not convs or convs[0].op_type != "Conv":
        return None
    conv = convs[0]
    sub = nodes.maker(conv.input[0])
    cast = nodes.maker(sub.input[0]) if sub is not None and sub.op_type == "Sub" else None
    clamps = nodes.users(conv.output[0])
    if sub is None or cast is None or cast.op_type != "Cast" or len(clamps) != 1:
        return None
    attributes = {item.name: helper.get_attribute_value(item) for item in conv.attribute}
    height, width, channels = nodes.shapes["frames"][2:]
    fits = (
        clamps[0].op_type in ("Relu", "Clip")
        and list(attributes["strides"]) == [2, 2]
        and list(attributes["dilations"]) == [1, 1]
        and attributes["group"] == 1
        and nodes.constant(conv.input[1]).shape[1] == channels
        and _size(nodes, conv)[1] * 2 == width
        and isinstance(width, int)
        and width % _READ == 0
    )
    return ((height, width, channels), cast, sub, conv, clamps[0]) if fits else None


def _pads(conv: NodeProto) -> list[int]:
    attributes = {item.name: helper.get_attribute_value(item) for item in conv.attribute}
    return [int(pad) for pad in attributes.get("pads", (0, 0, 0, 0))]


def _size(nodes: Nodes, conv: NodeProto) -> tuple[int, int]:
    height, width = nodes.shapes[conv.output[0]][2:]
    return int(height), int(width)


def _weights(
    weight: NDArray[np.float64], pad: int
) -> tuple[NDArray[np.float64], int, int]:  # weights, groups of pixels before and after
    """Spread `(out, channels, rows, columns)` over groups of four pixels, for two results each."""
    out, channels, rows, columns = weight.shape
    first, last = -pad // _READ, (2 * (_GIVEN - 1) + columns - 1 - pad) // _READ
    wide = np.zeros((_GIVEN * out, _READ * channels, rows, last - first + 1))
    for result in range(_GIVEN):
        for column in range(columns):
            group, index = divmod(2 * result + column - pad, _READ)
            wide[
                result * out : (result + 1) * out,
                index * channels : (index + 1) * channels,
                :,
                group - first,
            ] = weight[..., column]
    return wide, -first, last


def weighted_nodes(proto: onnx.ModelProto) -> list[NodeProto]:
    """Return the encoder's convolutions and matrix products, in the order of the graph."""
    return [
        node
        for node in proto.graph.node
        if node.op_type in WEIGHED and any(name.startswith(PREFIX) for name in node.input)
    ]


def within(proto: onnx.ModelProto) -> list[NodeProto]:
    """Return all nodes from the encoder's first convolution to its last weights, in order."""
    nodes = Nodes(proto)
    ends = {node.name for node in weighted_nodes(proto)}
    inside = ends | (nodes.reached(ends) & nodes.reached(ends, backward=True))
    return [node for node in proto.graph.node if node.name in inside]
