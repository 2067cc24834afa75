"""The layers of a landmark network → a torch module, channels first, for any number of pictures.

Written so that runtimes keep their fast layout from end to end: a resize by a fixed factor is two
products with constant matrices, channels that are zero come from a convolution.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from seqvision.landmarks.tflite import Layer, Layers


class LandmarkNetwork(nn.Module):
    """A network whose weights never change and are not part of a model file.

    Its weights have a known hash and are fetched again where they are missing.
    """

    def __init__(self, network: Layers) -> None:
        super().__init__()
        self.size = network.size
        self._inputs, self._outputs = network.inputs, network.outputs
        self._layers = network.layers
        for name, value in network.tensors.items():
            self.keep(name, value)
        for layer in self._layers:
            for name, value in _own_constants(layer, network).items():
                self.keep(name, value)

    def keep(self, name: str, value: NDArray[Any]) -> None:
        """Add a constant: on meta, where a model file is only compared, without its values."""
        keep_constant(self, name, value)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """`(pictures, 3, size, size)`, 0 to 1 → the outputs of the file."""
        values = {self._inputs[0]: pictures}
        for layer in self._layers:
            given = [values[index] for index in layer["inputs"]]
            values[layer["output"]] = self._activate(layer, self._compute(layer, given))
        return tuple(values[index] for index in self._outputs)

    def _compute(self, layer: Layer, given: list[Tensor]) -> Tensor:
        kind, data = layer["kind"], given[0]
        if kind in ("conv", "depthwise"):
            return self._convolve(layer, data)
        if kind == "add":
            return data + given[1]
        if kind == "prelu":
            return self._prelu(layer, data)
        if kind == "relu":
            return F.relu(data)
        if kind == "sigmoid":
            return torch.sigmoid(data)
        if kind == "max_pool":
            return F.max_pool2d(data, layer["kernel"], layer["strides"])
        if kind == "linear":
            return F.linear(data, self._constant(layer["weight"]), self._constant(layer["bias"]))
        if kind == "mean":
            return data.mean((2, 3), keepdim=layer["keep"])
        if kind == "pad":
            return F.conv2d(data, self._constant(f"more{layer['output']}"))
        if kind == "concat":
            return torch.cat(given, layer["axis"])
        if kind == "resize":
            rows, columns = (self._constant(f"{side}{layer['output']}") for side in _SIDES)
            return rows @ (data @ columns)
        assert kind == "reshape"
        planes = data.permute(0, 2, 3, 1) if data.dim() == 4 else data
        return planes.reshape(data.shape[0], *layer["shape"])

    def _convolve(self, layer: Layer, data: Tensor) -> Tensor:
        left, right, top, bottom = layer["pad"]
        padding = (top, left)
        if (left, top) != (right, bottom):
            data, padding = F.pad(data, layer["pad"]), (0, 0)
        weight, bias = self._constant(layer["weight"]), self._constant(layer["bias"])
        return F.conv2d(data, weight, bias, layer["strides"], padding, 1, layer["groups"])

    def _prelu(self, layer: Layer, data: Tensor) -> Tensor:
        """a·x + (1 − a)·max(x, 0): as convolutions, which runtimes join with what is around them.

        The operator PRelu leaves their fast layout, and costs a third of a detector's time.
        """
        slope = self._constant(layer["slope"])[:, None, None, None]
        groups = slope.shape[0]
        return F.conv2d(data, slope, groups=groups) + F.conv2d(
            F.relu(data), 1 - slope, groups=groups
        )

    def _activate(self, layer: Layer, data: Tensor) -> Tensor:
        activation = layer.get("activation")
        if activation == "relu6":
            return F.relu6(data)
        return F.relu(data) if activation == "relu" else data

    def _constant(self, name: str) -> Tensor:
        return self.get_buffer(name)


_SIDES = ("rows", "columns")


def _own_constants(layer: Layer, network: Layers) -> dict[str, NDArray[Any]]:
    """Return what a layer needs beside the tensors of the file."""
    number = layer["output"]
    if layer["kind"] == "resize":
        sides = zip(*layer["sizes"], strict=True)
        rows, columns = (enlarging(before, after) for before, after in sides)
        return {f"rows{number}": rows, f"columns{number}": columns.T}
    if layer["kind"] == "pad":
        if any(layer["pad"]):
            raise ValueError("a padded picture")
        before = layer["channels"]
        return {f"more{number}": np.eye(2 * before, before, dtype=np.float32)[..., None, None]}
    return {}


def enlarging(before: int, after: int) -> NDArray[np.float32]:
    """Return the matrix `(after, before)` of a linear resize, the border repeated."""
    at = (np.arange(after) + 0.5) * before / after - 0.5
    low = np.floor(at)
    matrix = np.zeros((after, before), np.float32)
    for index, weight in ((low, 1 - (at - low)), (low + 1, at - low)):
        np.add.at(matrix, (np.arange(after), index.clip(0, before - 1).astype(int)), weight)
    return matrix


def ramp(values: Tensor, ends: tuple[float, float]) -> Tensor:
    """Rise from 0 at the first to 1 at the second end."""
    low, high = ends
    return ((values - low) * (1 / (high - low))).clamp(0, 1)


def keep_constant(module: nn.Module, name: str, value: NDArray[Any]) -> None:
    """Add a float32 constant to a module, which its state does not list."""
    device = torch.empty(0).device
    if device.type == "meta":
        constant = torch.empty(value.shape)
    else:
        constant = torch.from_numpy(np.array(value, np.float32)).to(device)
    module.register_buffer(name, constant, persistent=False)
