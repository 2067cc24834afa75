"""A TensorFlow.js graph model of float16 or float32 weights → a list of layers and their tensors.

Only what the backbone and the heads of a landmark network have is read; anything else is refused.
Layers are channels first, as those of `tflite`.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvision.landmarks.tflite import Layer, Layers, same_padding

Array = NDArray[Any]
Node = Mapping[str, Any]

_CONVOLUTIONS = {
    "_FusedConv2D": "conv",
    "DepthwiseConv2dNative": "depthwise",
    "FusedDepthwiseConv2dNative": "depthwise",
}
_ACTIVATIONS = {
    ("BiasAdd",): "",
    ("BiasAdd", "Relu"): "relu",
    ("BiasAdd", "Relu6"): "relu6",
    (): "",
}


def read_graph_model(
    topology: bytes, weights: bytes, size: int, first: str, outputs: Sequence[str]
) -> Layers:
    """Read the part of a graph model from one value to some others.

    Args:
        topology, weights: the content of its `.json` and of its `.bin`, of known hashes.
        size: height and width of the picture.
        first: ends the name of the value that the picture stands for, in the network's own range.
        outputs: ends of the names of the values that are needed.

    Raises:
        ValueError: it has something that landmark networks have not.
    """
    model = json.loads(topology)
    constants = _constants(model["weightsManifest"], weights)
    nodes = {node["name"]: node for node in model["modelTopology"]["node"]}
    names = [_named(nodes, end) for end in (first, *outputs)]
    reader = _Reader(nodes, constants, names[0], size)
    found = [reader.read(name) for name in names[1:]]
    return Layers(size, [0], found, reader.layers, reader.tensors)


def _named(nodes: Mapping[str, Node], end: str) -> str:
    (name,) = [name for name in nodes if name.endswith(end)]
    return name


def _constants(manifest: Any, weights: bytes) -> dict[str, Array]:
    at, constants = 0, dict[str, Array]()
    for entry in [each for group in manifest for each in group["weights"]]:
        kept = np.dtype(entry.get("quantization", entry)["dtype"])
        if kept not in (np.float16, np.float32, np.int32):
            raise ValueError(f"weights of {kept}")
        values = np.frombuffer(weights, kept, int(np.prod(entry["shape"])), at)
        constants[entry["name"]] = values.reshape(entry["shape"])
        at += values.nbytes
    return constants


class _Reader:
    """Values by number, from the picture on: 0 is the picture."""

    def __init__(
        self, nodes: Mapping[str, Node], constants: Mapping[str, Array], first: str, size: int
    ) -> None:
        self.layers: list[Layer] = []
        self.tensors: dict[str, Array] = {}
        self._nodes, self._constants = nodes, constants
        self._numbers = {first: 0}
        # Heights of the values, which are square.
        self._sizes = [size]

    def read(self, name: str) -> int:
        """Add the layers that a value needs; return its number."""
        if name in self._numbers:
            return self._numbers[name]
        node = self._nodes[name]
        data = [each for each in node["input"] if each not in self._constants]
        given = [self.read(each) for each in data]
        known = [self._constants[each] for each in node["input"] if each in self._constants]
        number = len(self._sizes)
        layer, size = self._layer(node, known, self._sizes[given[0]])
        for key, value in layer.items():
            if isinstance(value, np.ndarray):
                self.tensors[f"{key}{number}"] = np.ascontiguousarray(value)
                layer[key] = f"{key}{number}"
        self.layers.append({**layer, "inputs": given, "output": number})
        self._numbers[name] = number
        self._sizes.append(size)
        return number

    def _layer(self, node: Node, known: Sequence[Array], size: int) -> tuple[Layer, int]:
        kind, attributes = node["op"], node["attr"]
        if kind == "AddV2" and not known:
            return {"kind": "add"}, size
        if kind == "ResizeBilinear":
            if not attributes["half_pixel_centers"]["b"] or attributes["align_corners"]["b"]:
                raise ValueError("a resize whose pixels have their centres elsewhere")
            after = known[0].tolist()
            return {"kind": "resize", "sizes": [[size, size], after]}, after[0]
        if kind not in _CONVOLUTIONS:
            raise ValueError(f"an operator {kind} is not known")
        return _convolution(_CONVOLUTIONS[kind], attributes, known, size)


def _convolution(
    kind: str, attributes: Mapping[str, Any], known: Sequence[Array], size: int
) -> tuple[Layer, int]:
    weight = known[0]
    _, *strides, _ = (int(each) for each in attributes["strides"]["list"]["i"])
    _, *dilations, _ = (int(each) for each in attributes["dilations"]["list"]["i"])
    fused = tuple(
        _text(each) for each in attributes.get("fused_ops", {"list": {"s": ()}})["list"]["s"]
    )
    if set(dilations) != {1} or fused not in _ACTIVATIONS or strides[0] != strides[1]:
        raise ValueError("a convolution of another kind")
    # (height, width, in, out or times) → (out, in, height, width), (in × times, 1, height, width)
    channels = weight.shape[2]
    weight = weight.transpose(2, 3, 0, 1) if kind == "depthwise" else weight.transpose(3, 2, 0, 1)
    if kind == "depthwise":
        weight = weight.reshape(-1, 1, *weight.shape[2:])
    same = _text(attributes["padding"]["s"]) == "SAME"
    kernel = weight.shape[2:]
    pad = same_padding([size, size], kernel, strides) if same else [0, 0, 0, 0]
    bias = known[1] if fused else np.zeros(len(weight), np.float32)
    layer = {
        "kind": kind, "weight": weight, "bias": bias, "strides": strides, "pad": pad,
        "groups": channels if kind == "depthwise" else 1, "activation": _ACTIVATIONS[fused],
    }  # fmt: skip
    return layer, (size + pad[0] + pad[1] - kernel[0]) // strides[0] + 1


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()
