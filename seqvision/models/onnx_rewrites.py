"""A graph for one image → one for any number, in operators that a file may have.

Used by `onnx_adaptation`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper

from seqvision_edge.onnx_validation.graph import FLOAT, Node
from seqvision_edge.onnx_validation.protobuf import Refused
from seqvision_edge.onnx_validation.shape_inference import KnownTensor, NodeCall, apply_rule

# `onnx_encoder` has the same names: the child that adapts a file imports no torch.
IMAGES: Final = "images"
FEATURES: Final = "features"

# More than any picture needs; a constant of it is kept in the file.
_LARGEST_PAD: Final = 64
_LARGEST_EXPANDED: Final = 1 << 20

Array = NDArray[Any]


class AdaptError(Exception):
    """Why a file cannot be an encoder, as the end of a sentence."""


class Adapted:
    """A graph of one image with known shapes, on its way to what a file can hold."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        del proto.graph.value_info[:]
        inferred = onnx.shape_inference.infer_shapes(proto).graph
        self.name = proto.graph.output[0].name
        self.nodes = list(proto.graph.node)
        self.constants: dict[str, Array] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer
        }
        self.shapes: dict[str, tuple[int, ...]] = {
            value.name: tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)
            for value in (*inferred.input, *inferred.value_info, *inferred.output)
        }
        self.shapes |= {name: value.shape for name, value in self.constants.items()}
        self._made = 0
        # Where images lie within an axis: by so many values behind its begin.
        self._minor: dict[str, int] = {}

    def constant(self, value: Any, kind: Any = np.float32) -> str:
        """Add a constant; return its name."""
        self._made += 1
        name = f"seqvision_constant_{self._made}"
        self.constants[name] = np.asarray(value, kind)
        self.shapes[name] = self.constants[name].shape
        return name

    def emit(self, kind: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Append a node; return the name of its output."""
        self._made += 1
        name = output or f"seqvision_value_{self._made}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def rewrite(self) -> None:
        """Express operators that no file may have in those that it may, where that is possible."""
        before, self.nodes = self.nodes, []
        for node in before:
            if node.op_type == "Constant":
                (item,) = node.attribute
                self.constants[node.output[0]] = _constant_value(item)
                continue
            _explicit_padding(node, self.shapes)
            change = _REWRITES.get(node.op_type)
            done = change is not None and change(self, node, _attributes(node))
            if not done:
                self.nodes.append(node)

    def free_batch(self, image: tuple[int, ...]) -> None:
        """Let the graph take any number of images where it was made for one.

        Shapes are followed for one image and for two: what was a constant shape of one becomes
        that of any number, and a constant that is joined to each image is repeated for each.

        Raises:
            AdaptError: an operator would mix images, or its shape cannot be followed.
        """
        one = {IMAGES: KnownTensor((1, *image))}
        two = {IMAGES: KnownTensor((2, *image))}
        before, self.nodes = self.nodes, []
        for node in before:
            if node.op_type == "Reshape" and node.input[1] in self.constants:
                self._reshape_any(node, one, two)
            if node.op_type == "Concat":
                self._repeat_constants(node, one, two)
            self.nodes.append(node)
            minor = max((self._minor.get(name, 1) for name in node.input), default=1)
            for name in node.output:
                self._minor.setdefault(name, 1 if node.op_type == "Reshape" else minor)
        for known in (one, two):
            self._follow(self.nodes, known)
        shapes = [known[self.name].shape for known in (one, two)]
        if shapes[1] != (2, *shapes[0][1:]):
            raise AdaptError(
                f"gives {list(shapes[1])} for two images and {list(shapes[0])} for one"
            )

    def _reshape_any(
        self, node: NodeProto, one: dict[str, KnownTensor], two: dict[str, KnownTensor]
    ) -> None:
        """Let a constant shape for one image be one for any number."""
        for known in (one, two):
            self._follow(self.nodes, known)
        single, double = (known.get(node.input[0]) for known in (one, two))
        if single is None or double is None or single.shape == double.shape:
            return
        axis = next(i for i, size in enumerate(single.shape) if size != double.shape[i])
        shape = [int(size) for size in self.constants[node.input[1]].ravel()]
        copies = not any(item.name == "allowzero" and item.i for item in node.attribute)
        shape = [single.shape[i] if size == 0 and copies else size for i, size in enumerate(shape)]
        given, known_part = math.prod(single.shape), math.prod(s for s in shape if s != -1)
        shape = [given // max(1, known_part) if size == -1 else size for size in shape]
        # As many values lie before those of the second image as before.
        ahead = math.prod(single.shape[:axis]) * self._minor.get(node.input[0], 1)
        at = _where(shape, ahead)
        if at is None:
            return  # the shapes will not fit, which is reported there
        self._minor[node.output[0]] = ahead // math.prod(shape[:at])
        shape[at] = -1
        node.input[1] = self.constant(shape, np.int64)
        del node.attribute[:]

    def _repeat_constants(
        self, node: NodeProto, one: dict[str, KnownTensor], two: dict[str, KnownTensor]
    ) -> None:
        """Repeat what is joined to each image, such as a class token: zero times a part of it."""
        for known in (one, two):
            self._follow(self.nodes, known)
        rows = next(
            (name for name in node.input if name in two and two[name].shape != one[name].shape),
            None,
        )
        if rows is None:
            return
        axis = next(item.i for item in node.attribute if item.name == "axis")
        axis += len(one[rows].shape) if axis < 0 else 0
        for index, name in enumerate(node.input):
            if name in self.constants and len(self.shapes[name]) == len(one[rows].shape):
                bounds = [self.constant([each], np.int64) for each in (0, 1, axis)]
                part = self.emit("Slice", [rows, *bounds])
                nothing = self.emit("Mul", [part, self.constant(0.0)])
                node.input[index] = self.emit("Add", [nothing, name])

    def _follow(self, nodes: Sequence[NodeProto], known: dict[str, KnownTensor]) -> None:
        """Add the shapes of what nodes make to those that are known."""
        for node in nodes:
            if node.output[0] in known:
                continue
            for name in node.input:
                if name in self.constants:
                    value = self.constants[name]
                    numbers = value if value.dtype == np.int64 and value.size <= 4096 else None
                    known[name] = KnownTensor(value.shape, numbers)
            call = NodeCall(
                Node(node.op_type, tuple(node.input), tuple(node.output), _attributes(node)),
                tuple(known.get(name) if name else None for name in node.input),
            )
            try:
                made = apply_rule(call)
            except Refused as reason:
                raise AdaptError(f"cannot take several images at once: {reason}") from None
            known.update(zip(node.output, made.outputs, strict=False))

    def to_bytes(self, opset: int, images: Sequence[int], features: Sequence[int]) -> bytes:
        """Return the file, with names and nothing else of its own."""
        read = {self.name}
        for node in reversed(self.nodes):
            if not read.isdisjoint(node.output):
                read.update(node.input)
        nodes = [node for node in self.nodes if not read.isdisjoint(node.output)]
        names = {IMAGES: IMAGES, self.name: FEATURES, "": ""}
        weights: list[TensorProto] = []
        for name, value in self.constants.items():
            if name in read:
                names[name] = f"w{len(weights)}"
                weights.append(numpy_helper.from_array(value, names[name]))
        for number, node in enumerate(nodes):
            node.name, node.doc_string, node.domain = f"n{number}", "", ""
            del node.metadata_props[:]
            for name in node.output:
                names.setdefault(name, f"v{len(names)}" if name in read else "")
            while node.output and not names[node.output[-1]]:
                del node.output[-1]
            node.input[:] = [names[name] for name in node.input]
            node.output[:] = [names[name] for name in node.output]
        given = helper.make_tensor_value_info(IMAGES, FLOAT, ["batch", *images[1:]])
        made = helper.make_tensor_value_info(FEATURES, FLOAT, ["batch", *features[1:]])
        graph = helper.make_graph(nodes, "encoder", [given], [made], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = 10 if opset > 20 else 8
        content: bytes = model.SerializeToString()
        return content


def _where(shape: Sequence[int], ahead: int) -> int | None:
    """Return the axis in which images lie that have `ahead` values before them.

    It is an axis of one, if there is one; else not the last, which has the features.
    """
    begins = [math.prod(shape[:axis]) for axis in range(len(shape))]
    own = [axis for axis, begin in enumerate(begins) if begin == ahead]
    for axis in own:
        if shape[axis] == 1:
            return axis
    if own and (own[0] < len(shape) - 1 or len(shape) == 1):
        return own[0]
    for axis, begin in enumerate(begins):
        if ahead % begin == 0 and shape[axis] % (ahead // begin) == 0:
            return axis
    return None


def _attributes(node: NodeProto) -> dict[str, Any]:
    found = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    return {
        name: value.decode(errors="replace") if isinstance(value, bytes) else value
        for name, value in found.items()
    }


def _constant_value(item: AttributeProto) -> Array:
    value = helper.get_attribute_value(item)
    if isinstance(value, TensorProto):
        return np.asarray(numpy_helper.to_array(value))
    return np.asarray(value, np.int64 if item.name.endswith(("int", "ints")) else np.float32)


def _explicit_padding(node: NodeProto, shapes: dict[str, tuple[int, ...]]) -> None:
    """Name the pads of a convolution or pooling as numbers: its image has one size."""
    attributes = _attributes(node)
    mode = attributes.get("auto_pad", "NOTSET")
    if node.op_type not in ("Conv", "MaxPool", "AveragePool"):
        return
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        kernel = attributes.get("kernel_shape") or shapes[node.input[1]][2:]
        strides = attributes.get("strides") or [1] * len(kernel)
        dilations = attributes.get("dilations") or [1] * len(kernel)
        begins, ends = [], []
        for size, extent, stride, dilation in zip(
            shapes[node.input[0]][2:], kernel, strides, dilations, strict=True
        ):
            whole = (math.ceil(size / stride) - 1) * stride + dilation * (extent - 1) + 1
            total = max(0, whole - size)
            small, large = total // 2, total - total // 2
            begins.append(small if mode == "SAME_UPPER" else large)
            ends.append(large if mode == "SAME_UPPER" else small)
        pads = [*begins, *ends]
    elif "auto_pad" in attributes:
        pads = list(attributes.get("pads", ())) if mode == "NOTSET" else []
    else:
        return
    kept = [item for item in node.attribute if item.name not in ("auto_pad", "pads")]
    del node.attribute[:]
    node.attribute.extend(kept)
    if pads:
        node.attribute.append(helper.make_attribute("pads", pads))


_Rewrite = Callable[[Adapted, NodeProto, dict[str, Any]], bool]


def _gelu(graph: Adapted, node: NodeProto, given: dict[str, Any]) -> bool:
    """x Φ(x); Hendrycks & Gimpel 2016, and its approximation by tanh."""
    x = node.input[0]
    if given.get("approximate", "none") == "tanh":
        cube = graph.emit("Mul", [graph.emit("Mul", [x, x]), x])
        inner = graph.emit("Add", [x, graph.emit("Mul", [cube, graph.constant(0.044715)])])
        scaled = graph.emit("Mul", [inner, graph.constant(math.sqrt(2 / math.pi))])
        bell = graph.emit("Tanh", [scaled])
    else:
        bell = graph.emit("Erf", [graph.emit("Mul", [x, graph.constant(math.sqrt(0.5))])])
    half = graph.emit("Mul", [x, graph.constant(0.5)])
    graph.emit("Mul", [half, graph.emit("Add", [bell, graph.constant(1.0)])], node.output[0])
    return True


def _leaky(graph: Adapted, node: NodeProto, given: dict[str, Any]) -> bool:
    """LeakyRelu, and PRelu with constant slopes: what is negative, times its slope."""
    x = node.input[0]
    slope = node.input[1] if len(node.input) > 1 else graph.constant(given.get("alpha", 0.01))
    minus = graph.emit("Relu", [graph.emit("Mul", [x, graph.constant(-1.0)])])
    below = graph.emit("Mul", [minus, slope])
    graph.emit("Sub", [graph.emit("Relu", [x]), below], node.output[0])
    return True


def _batch_norm(graph: Adapted, node: NodeProto, given: dict[str, Any]) -> bool:
    if given.get("training_mode") or any(name not in graph.constants for name in node.input[1:]):
        return False
    scale, bias, mean, variance = (
        graph.constants[name].astype(np.float64) for name in node.input[1:]
    )
    scale = scale / np.sqrt(variance + given.get("epsilon", 1e-5))
    shape = (1, -1, *[1] * (len(graph.shapes[node.input[0]]) - 2))
    scaled = graph.emit("Mul", [node.input[0], graph.constant(scale.reshape(shape))])
    shift = graph.constant((bias - mean * scale).reshape(shape))
    graph.emit("Add", [scaled, shift], node.output[0])
    return True


def _maximum(graph: Adapted, node: NodeProto, given: dict[str, Any]) -> bool:
    """max(a, b) = a + relu(b − a)."""
    found = node.input[0]
    for index, other in enumerate(node.input[1:], 2):
        more = graph.emit("Relu", [graph.emit("Sub", [other, found])])
        last = node.output[0] if index == len(node.input) else ""
        found = graph.emit("Add", [found, more], last)
    return len(node.input) > 1


def _global_max(graph: Adapted, node: NodeProto, given: dict[str, Any]) -> bool:
    size = graph.shapes.get(node.input[0], ())
    axes = [2, 3]
    if node.op_type == "ReduceMax":
        listed = given.get("axes")
        if len(node.input) > 1 and node.input[1] in graph.constants:
            listed = graph.constants[node.input[1]].ravel().tolist()
        axes = sorted(int(axis) % 4 for axis in listed or ())
    if len(size) != 4 or axes != [2, 3] or 0 in size[1:]:
        return False
    if given.get("keepdims", 1):
        graph.emit("MaxPool", [node.input[0]], node.output[0], kernel_shape=size[2:])
    else:
        pooled = graph.emit("MaxPool", [node.input[0]], kernel_shape=size[2:])
        graph.emit("Flatten", [pooled], node.output[0])
    return True


def _pad(graph: Adapted, node: NodeProto, given: dict[str, Any]) -> bool:
    """Join zeros, or another constant, to the sides of each axis."""
    found, shape = node.input[0], graph.shapes.get(node.input[0], ())
    rest = [*node.input[1:], "", "", ""]
    pads, value, axes = (graph.constants.get(name) for name in rest[:3])
    known = pads is not None and shape and 0 not in shape[1:] and (not rest[2] or axes is not None)
    if not known or given.get("mode", "constant") != "constant" or (rest[1] and value is None):
        return False
    assert pads is not None
    listed = range(len(shape)) if axes is None else [int(axis) % len(shape) for axis in axes]
    sides = pads.ravel().reshape(2, -1).T.tolist()
    changes = [(axis, side) for axis, side in zip(listed, sides, strict=True) if any(side)]
    if any(axis == 0 or min(side) < 0 or max(side) > _LARGEST_PAD for axis, side in changes):
        return False
    size = [1, *shape[1:]]
    fill = 0.0 if value is None else float(value.ravel()[0])
    for axis, side in changes:
        parts = [found]
        for place, count in enumerate(side):
            if count:
                block = np.full([*size[:axis], count, *size[axis + 1 :]], fill)
                parts.insert(place * len(parts), graph.constant(block))
        found = graph.emit("Concat", parts, axis=axis)
        size[axis] += sum(side)
        graph.shapes[found] = tuple(size)
    graph.emit("Add", [found, graph.constant(0.0)], node.output[0])
    return True


def _expand(graph: Adapted, node: NodeProto, given: dict[str, Any]) -> bool:
    """Add zeros of the size: a sum repeats what it is added to."""
    target, own = graph.constants.get(node.input[1]), graph.shapes.get(node.input[0], ())
    if target is None or not own or len(target) < len(own):
        return False
    # Axes that have their size already may have the images in them.
    own = (*[1] * (len(target) - len(own)), *own)
    size = [1 if there == int(new) else int(new) for there, new in zip(own, target, strict=True)]
    if min(size) < 1 or math.prod(size) > _LARGEST_EXPANDED:
        return False
    zeros = graph.constant(np.zeros(size))
    graph.emit("Add", [node.input[0], zeros], node.output[0])
    return True


def _norm(graph: Adapted, node: NodeProto, given: dict[str, Any]) -> bool:
    """ReduceL2: the root of the sum of squares."""
    squares = graph.emit("Mul", [node.input[0], node.input[0]])
    keep = {"keepdims": given.get("keepdims", 1)}
    total = graph.emit("ReduceSum", [squares, *node.input[1:]], **keep)
    graph.emit("Pow", [total, graph.constant(0.5)], node.output[0])
    return True


def _with(kind: str, value: float, first: bool = False) -> _Rewrite:
    """Return a rewrite into an operator with a constant."""

    def rewrite(graph: Adapted, node: NodeProto, given: dict[str, Any]) -> bool:
        inputs = [node.input[0], graph.constant(value)]
        graph.emit(kind, inputs[::-1] if first else inputs, node.output[0])
        return True

    return rewrite


def _sum(graph: Adapted, node: NodeProto, given: dict[str, Any]) -> bool:
    found = node.input[0]
    for index, other in enumerate(node.input[1:], 2):
        found = graph.emit(
            "Add", [found, other], node.output[0] if index == len(node.input) else ""
        )
    return len(node.input) > 1


_REWRITES: Final[dict[str, _Rewrite]] = {
    "BatchNormalization": _batch_norm,
    "Expand": _expand,
    "Gelu": _gelu,
    "GlobalMaxPool": _global_max,
    "LeakyRelu": _leaky,
    "Max": _maximum,
    "Neg": _with("Mul", -1.0),
    "PRelu": _leaky,
    "Pad": _pad,
    "Reciprocal": _with("Div", 1.0, first=True),
    "ReduceL2": _norm,
    "ReduceMax": _global_max,
    "Sqrt": _with("Pow", 0.5),
    "Sum": _sum,
}
