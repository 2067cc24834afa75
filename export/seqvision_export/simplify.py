"""The traced graph → the same function in fewer operators: each costs a live frame its time.

What the exporter folds itself (batch norms, constants) is not repeated here; a test holds it to
that for every encoder.
"""

from collections.abc import Iterable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, numpy_helper

Shape = tuple[int | str, ...]


def simplify(proto: onnx.ModelProto) -> None:
    """Rewrite a graph in place; its answers stay, but for the last bit of a weight."""
    nodes = Nodes(proto)
    for node in list(proto.graph.node):
        _skip_what_changes_nothing(nodes, node)
    for node in list(proto.graph.node):
        _repeat_without_expand(nodes, node)
    for node in list(proto.graph.node):
        _fold_scale(nodes, node)
        _pool_over_positions(nodes, node)
    nodes.sweep()


class Nodes:
    """A view of a model's graph; what it changes, it changes in the model."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self.graph = proto.graph
        self.constants: dict[str, TensorProto] = {
            tensor.name: tensor for tensor in proto.graph.initializer
        }
        inferred = onnx.shape_inference.infer_shapes(proto).graph
        values = (*inferred.input, *inferred.value_info, *inferred.output)
        self.shapes: dict[str, Shape] = {
            value.name: tuple(
                axis.dim_value if axis.HasField("dim_value") else axis.dim_param
                for axis in value.type.tensor_type.shape.dim
            )
            for value in values
        }
        self._kinds = {value.name: value.type.tensor_type.elem_type for value in values}
        self._kinds.update((name, tensor.data_type) for name, tensor in self.constants.items())

    def constant(self, name: str) -> NDArray[np.generic]:
        """Return the values of a constant."""
        values: NDArray[np.generic] = numpy_helper.to_array(self.constants[name])
        return values

    def is_float(self, name: str) -> bool:
        """Whether a tensor holds float32."""
        return self._kinds.get(name) == TensorProto.FLOAT

    def users(self, name: str) -> list[NodeProto]:
        """Return the nodes that read a tensor."""
        return [node for node in self.graph.node if name in node.input]

    def maker(self, name: str) -> NodeProto | None:
        """Return the node that computes a tensor; None for inputs and constants."""
        return next((node for node in self.graph.node if name in node.output), None)

    def is_output(self, name: str) -> bool:
        """Whether a tensor leaves the graph."""
        return any(value.name == name for value in self.graph.output)

    def widens(self, name: str, shape: tuple[int, ...]) -> bool:
        """Whether an operand of this shape would broadcast the tensor to more than it is."""
        own = self.shapes.get(name, ())
        return len(own) < len(shape) or any(
            size not in (1, axis)
            for size, axis in zip(reversed(shape), reversed(own), strict=False)
        )

    def bypass(self, node: NodeProto) -> None:
        """Take a node out: its readers read its first input.  A node that ends the graph stays."""
        if self.is_output(node.output[0]):
            return
        for user in self.users(node.output[0]):
            names = [node.input[0] if name == node.output[0] else name for name in user.input]
            user.input[:] = names
        self.graph.node.remove(node)

    def add_after(self, node: NodeProto, kind: str) -> None:
        """Let an operator of one input, with its default attributes, work on a node's result."""
        result = node.output[0]
        node.output[0] = f"{result}_before"
        added = onnx.helper.make_node(kind, [node.output[0]], [result], name=f"{node.name}_{kind}")
        self.graph.node.insert(list(self.graph.node).index(node) + 1, added)

    def replace(self, found: Iterable[NodeProto]) -> None:
        """Put other nodes, or another order of them, in the place of all nodes."""
        copies = [NodeProto.FromString(node.SerializeToString()) for node in found]
        del self.graph.node[:]
        self.graph.node.extend(copies)

    def reached(self, names: Iterable[str], *, backward: bool = False) -> set[str]:
        """Return the names of all nodes that these nodes lead to, or that lead to them."""
        found: set[str] = set()
        waiting = [node for node in self.graph.node if node.name in set(names)]
        while waiting:
            node = waiting.pop()
            if backward:
                near = [maker for name in node.input if (maker := self.maker(name)) is not None]
            else:
                near = [user for name in node.output for user in self.users(name)]
            fresh = [other for other in near if other.name not in found]
            found.update(other.name for other in fresh)
            waiting += fresh
        return found

    def add_constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Add a constant, unless there is one of that name already; return the name."""
        if name not in self.constants:
            self.graph.initializer.append(numpy_helper.from_array(value, name))
            self.constants[name] = self.graph.initializer[-1]
        return name

    def sweep(self) -> None:
        """Remove what nothing reads: nodes, then constants."""
        read = {value.name for value in self.graph.output}
        for node in reversed(list(self.graph.node)):
            if read.isdisjoint(node.output):
                self.graph.node.remove(node)
            else:
                read.update(node.input)
        kept = [tensor for tensor in self.graph.initializer if tensor.name in read]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}


def _skip_what_changes_nothing(nodes: Nodes, node: NodeProto) -> None:
    """Take out x − 0 and x · 1: features that were not standardized, pixels from 0 on."""
    if node.op_type == "Identity":
        nodes.bypass(node)
        return
    neutral = {"Sub": 0.0, "Mul": 1.0}.get(node.op_type)
    if neutral is None or node.input[1] not in nodes.constants:
        return
    operand = nodes.constant(node.input[1])
    if (operand == neutral).all() and not nodes.widens(node.input[0], operand.shape):
        nodes.bypass(node)


def _repeat_without_expand(nodes: Nodes, node: NodeProto) -> None:
    """Repeat a constant for each image, such as the class token of a transformer, without Expand.

    A file could name any size to Expand to, so none may have one.  The constant is put before or
    behind the positions of each image: it is added to zero times one of these.
    """
    if node.op_type != "Expand" or node.input[0] not in nodes.constants:
        return
    token = nodes.constants[node.input[0]]
    users = nodes.users(node.output[0])
    if len(token.dims) != 3 or token.dims[0] != 1 or token.data_type != TensorProto.FLOAT:
        return
    if len(users) != 1 or users[0].op_type != "Concat" or users[0].attribute[0].i not in (1, -2):
        return
    rows = next((name for name in users[0].input if nodes.maker(name) is not node), None)
    if rows is None or nodes.shapes.get(rows, ())[2:] != (token.dims[2],):
        return
    bounds = [
        nodes.add_constant(f"seqvision_int_{value}", np.array([value], np.int64))
        for value in (0, 1, 1)
    ]
    zero = nodes.add_constant("seqvision_zero", np.array(0, np.float32))
    row, nothing = f"{node.name}_row", f"{node.name}_nothing"
    make = onnx.helper.make_node
    made = [
        make("Slice", [rows, *bounds], [row], name=row),
        make("Mul", [row, zero], [nothing], name=nothing),
        make("Add", [nothing, node.input[0]], list(node.output), name=node.name),
    ]
    others = [each for each in nodes.graph.node if each is not node]
    before = others.index(users[0])
    nodes.replace([*others[:before], *made, *others[before:]])


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
    """Name the mean over all positions what it is: runtimes pool in the layout of a convolution."""
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
