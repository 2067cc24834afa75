"""The traced graph → the same function in fewer operators: each costs a live frame its time.

What the exporter folds itself (batch norms, constants) is not repeated here; a test holds it to
that for every encoder.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper

from seqvision_export.nodes import Nodes


def simplify(proto: onnx.ModelProto) -> None:
    """Rewrite a graph in place; its answers stay, but for the last bit of a weight."""
    nodes = Nodes(proto)
    for node in list(proto.graph.node):
        _skip_what_changes_nothing(nodes, node)
    for node in list(proto.graph.node):
        _fold_scale(nodes, node)
        _pool_over_positions(nodes, node)
    nodes.sweep()


def _skip_what_changes_nothing(nodes: Nodes, node: NodeProto) -> None:
    """Take out x − 0 and x · 1: features that nobody standardized, pixels from 0 on."""
    neutral = {"Sub": 0.0, "Mul": 1.0}.get(node.op_type)
    if neutral is None or node.input[1] not in nodes.constants:
        return
    operand = nodes.constant(node.input[1])
    if (operand == neutral).all() and not nodes.widens(node.input[0], operand.shape):
        nodes.bypass(node)


def _fold_scale(nodes: Nodes, node: NodeProto) -> None:
    """Multiply the weights of the first convolution instead of every pixel.

    The mean stays: a convolution pads with zeros, which are the mean only after it is subtracted.
    """
    if node.op_type != "Mul" or node.input[1] not in nodes.constants:
        return
    users = nodes.users(node.output[0])
    if len(users) != 1 or users[0].op_type != "Conv" or users[0].input[0] != node.output[0]:
        return
    (convolution,) = users
    name = convolution.input[1]
    if name not in nodes.constants or len(nodes.users(name)) != 1:
        return
    scale, weight = nodes.constant(node.input[1]), nodes.constant(name)
    channels = weight.shape[1]
    if scale.shape != (1, channels, 1, 1) or nodes.widens(node.input[0], scale.shape):
        return
    folded: NDArray[np.float64] = weight.astype(np.float64) * scale.astype(np.float64)
    nodes.constants[name].CopyFrom(numpy_helper.from_array(folded.astype(np.float32), name))
    nodes.bypass(node)


def _pool_over_positions(nodes: Nodes, node: NodeProto) -> None:
    """Name the mean over all places what it is: runtimes pool in the layout of a convolution."""
    if node.op_type != "ReduceMean" or len(node.input) < 2:
        return
    attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    axes = {int(axis) % 4 for axis in nodes.constant(node.input[1])}
    if len(nodes.shapes.get(node.input[0], ())) != 4 or axes != {2, 3}:
        return
    node.op_type = "GlobalAveragePool"
    del node.attribute[:], node.input[1:]
    if attributes.get("keepdims", 1) == 0:
        nodes.add_after(node, "Flatten")
