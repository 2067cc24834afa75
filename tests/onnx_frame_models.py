"""Small ONNX frame models as several exporters write them, and what cannot be an encoder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

SIZE = 32
Array = np.ndarray[Any, np.dtype[Any]]


def weights(*shape: int, seed: int = 0) -> Array:
    """Return random weights for a layer of this shape."""
    scale = 1 / np.sqrt(max(1, np.prod(shape[1:])))
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


def graph(
    nodes: list[Any],
    constants: dict[str, Array],
    shape: tuple[int | str | None, ...] = (1, 3, SIZE, SIZE),
    opset: int = 17,
    kind: int = TensorProto.FLOAT,
    outputs: tuple[str, ...] = ("out",),
    out_kind: int = TensorProto.FLOAT,
    **more: Any,
) -> bytes:
    """Return a model of one image `x`."""
    made = helper.make_graph(
        nodes,
        "main_graph",
        [helper.make_tensor_value_info("x", kind, shape), *more.pop("inputs", ())],
        [helper.make_tensor_value_info(name, out_kind, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    domains = [helper.make_opsetid("", opset), *more.pop("domains", ())]
    model = helper.make_model(made, opset_imports=domains, **more)
    model.ir_version = 8
    content: bytes = model.SerializeToString()
    return content


node = helper.make_node


def simple(batch: int | str = 1, **more: Any) -> bytes:
    """Return a convolution and the mean over positions: a map `(batch, 8, 1, 1)`."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", ["a"], ["b"]),
        node("GlobalAveragePool", ["b"], ["out"]),
    ]
    return graph(nodes, {"w": weights(8, 3, 3, 3)}, (batch, 3, SIZE, SIZE), **more)


def channels_last(opset: int = 11, batch: int | str = 1) -> bytes:
    """Return a network as exporters of TensorFlow write them.

    NHWC, `SAME` padding, unfolded norms, leaky ReLU, a dense layer behind a fixed Reshape.
    """
    size = SIZE // 2
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        node("Conv", ["t", "w1"], ["c1"], strides=[2, 2], auto_pad="SAME_UPPER"),
        node("BatchNormalization", ["c1", "s", "b", "m", "v"], ["n1"]),
        node("LeakyRelu", ["n1"], ["r1"], alpha=0.2),
        node("Conv", ["r1", "w2"], ["c2"], auto_pad="SAME_LOWER", group=8, kernel_shape=[4, 4]),
        node("Add", ["c2", "n1"], ["sum"]),
        node("BatchNormalization", ["sum", "s", "b", "m", "v"], ["n2"]),
        node("Max", ["n2", "r1"], ["mx"]),
        node("MaxPool", ["mx"], ["p"], kernel_shape=[5, 5], strides=[4, 4], auto_pad="SAME_UPPER"),
        node("Transpose", ["p"], ["l"], perm=[0, 2, 3, 1]),
        node("Reshape", ["l", "flat"], ["f"]),
        node("MatMul", ["f", "dense"], ["out"]),
    ]
    generator = np.random.default_rng(1)
    inner = (size // 4) ** 2 * 8
    constants = {
        "w1": weights(8, 3, 3, 3),
        "w2": weights(8, 1, 4, 4, seed=2),
        "s": generator.uniform(0.5, 2, 8).astype(np.float32),
        "b": generator.normal(size=8).astype(np.float32),
        "m": generator.normal(size=8).astype(np.float32),
        "v": generator.uniform(0.5, 2, 8).astype(np.float32),
        "flat": np.array([1 if batch == 1 else -1, inner]),
        "dense": weights(6, inner, seed=3).T.copy(),
    }
    return graph(nodes, constants, (batch, SIZE, SIZE, 3), opset)


def half() -> bytes:
    """Return a network in float16, with a map of NHWC at its end."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], strides=[2, 2]),
        node("Neg", ["a"], ["b"]),
        node("PRelu", ["b", "slope"], ["c"]),
        node("Transpose", ["c"], ["out"], perm=[0, 2, 3, 1]),
    ]
    constants = {"w": weights(5, 3, 3, 3).astype(np.float16),
                 "slope": np.full((5, 1, 1), 0.3, np.float16)}  # fmt: skip
    kind = TensorProto.FLOAT16
    return graph(nodes, constants, (None, 3, None, None), 18, kind, out_kind=kind)


def embedding() -> bytes:
    """Return a network with features of length 1, as those that compare faces or pictures."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], strides=[2, 2]),
        node("Gelu", ["a"], ["g"], approximate="tanh"),
        node("Pad", ["g", "sides", "fill"], ["p"]),
        node("Mul", ["p", "wide"], ["q"]),
        node("ReduceMax", ["q", "axes"], ["m"], keepdims=0),
        node("ReduceL2", ["m", "last"], ["norm"], keepdims=1),
        node("Div", ["m", "norm"], ["out"]),
    ]
    # What is beside the picture counts: an axis that is padded on the wrong side is another answer.
    constants = {"w": weights(7, 3, 3, 3), "axes": np.array([2, 3]), "last": np.array([1]),
                 "sides": np.array([0, 0, 2, 0, 0, 0, 0, 1]), "fill": np.array(0.3, np.float32),
                 "wide": weights(1, 7, 17, 16, seed=4) + 1}  # fmt: skip
    return graph(nodes, constants, ("N", 3, "H", "W"), 20)


def grey() -> bytes:
    """Return a network of grey images of another shape than square."""
    nodes = [node("Conv", ["x", "w"], ["a"], strides=[2, 2]), node("GlobalMaxPool", ["a"], ["out"])]
    return graph(nodes, {"w": weights(4, 1, 3, 3)}, (1, 1, 24, 40))


def of_torch(dynamo: bool, free: bool, transformer: bool) -> bytes:
    """Return a small network of torchvision as torch exports it."""
    from io import BytesIO
    from tempfile import TemporaryDirectory

    from seqvision.compat import torchvision

    torch.manual_seed(0)
    network: nn.Module
    if transformer:
        network = torchvision.models.VisionTransformer(SIZE, 8, 2, 2, 24, 48, num_classes=10)
        nn.init.normal_(network.heads.head.weight)
    else:
        network = torchvision.models.squeezenet1_1(num_classes=10)
    network.eval()
    images = torch.zeros(2 if free and dynamo else 1, 3, SIZE, SIZE)
    if dynamo:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "m.onnx"
            shapes = ({0: torch.export.Dim("batch")},) if free else None
            torch.onnx.export(
                network, (images,), path, dynamo=True, dynamic_shapes=shapes, verbose=False,
                external_data=False,
            )  # fmt: skip
            return path.read_bytes()
    file = BytesIO()
    axes = {"x": {0: "batch"}} if free else None
    torch.onnx.export(
        network, (images,), file, dynamo=False, input_names=["x"], dynamic_axes=axes,
        opset_version=14,
    )  # fmt: skip
    return file.getvalue()


MODELS: dict[str, Callable[[], bytes]] = {
    "a batch of one": simple,
    "a free batch": lambda: simple("batch"),
    "opset 9": lambda: simple(opset=9),
    "opset 22": lambda: simple(opset=22),
    "channels last": channels_last,
    "channels last, opset 15, free batch": lambda: channels_last(15, "batch"),
    "float16": half,
    "embedding": embedding,
    "torchscript, one": lambda: of_torch(False, False, False),
    "dynamo, free": lambda: of_torch(True, True, False),
    "torchscript transformer, one": lambda: of_torch(False, False, True),
    "dynamo transformer, free": lambda: of_torch(True, True, True),
}


def _loop() -> bytes:
    body = helper.make_graph(
        [node("Identity", ["c"], ["c_out"]), node("Relu", ["v"], ["v_out"])],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []),
         helper.make_tensor_value_info("c", TensorProto.BOOL, []),
         helper.make_tensor_value_info("v", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("c_out", TensorProto.BOOL, []),
         helper.make_tensor_value_info("v_out", TensorProto.FLOAT, None)],
    )  # fmt: skip
    nodes = [node("Loop", ["n", "", "x"], ["a"], body=body),
             node("GlobalAveragePool", ["a"], ["out"])]  # fmt: skip
    return graph(nodes, {"n": np.array(3)})


def _outside() -> bytes:
    model = onnx.load_model_from_string(simple())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    content: bytes = model.SerializeToString()
    return content


def _bomb() -> bytes:
    huge = np.array([1 << 14, 1 << 14, 1 << 12])
    nodes = [node("ConstantOfShape", ["n"], ["z"]),
             node("ReduceSum", ["z"], ["s"], keepdims=0),
             node("Add", ["x", "s"], ["y"]),
             node("GlobalAveragePool", ["y"], ["out"])]  # fmt: skip
    return graph(nodes, {"n": huge})


def _mixes_images() -> bytes:
    nodes = [node("GlobalAveragePool", ["x"], ["a"]), node("Reshape", ["a", "n"], ["b"]),
             node("Softmax", ["b"], ["c"], axis=0),
             node("MatMul", ["c", "w"], ["out"])]  # fmt: skip
    constants = {"n": np.array([-1, 3]), "w": weights(4, 3).T.copy()}
    return graph(nodes, constants, ("b", 3, SIZE, SIZE))


_POOL = node("GlobalAveragePool", ["x"], ["out"])
_SECOND = [helper.make_tensor_value_info("more", TensorProto.FLOAT, [1])]
# What cannot be an encoder, and why, in the line that says so.
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "no model": (lambda: b"hello, this is no model", "not an ONNX model, or damaged"),
    "nothing": (lambda: b"", "not an ONNX model, or damaged"),
    "cut off": (lambda: simple()[:-40], "not an ONNX model, or damaged"),
    "weights elsewhere": (_outside, "its weights are in another file; save it as one file"),
    "two inputs": (lambda: graph([_POOL], {}, inputs=_SECOND), "has 2 inputs (x, more)"),
    "two outputs": (
        lambda: graph([_POOL, node("Relu", ["x"], ["b"])], {}, outputs=("out", "b")),
        "has 2 outputs (out, b)",
    ),
    "bytes": (
        lambda: graph([node("Cast", ["x"], ["out"], to=1)], {}, kind=TensorProto.UINT8),
        "takes uint8, only float32 or float16 images can be given",
    ),
    "a clip": (
        lambda: graph([node("Relu", ["x"], ["out"])], {}, (1, 3, 8, SIZE, SIZE)),
        "takes an input of 5 axes; an image has four",
    ),
    "eight at once": (lambda: simple(8), "its batch is fixed to 8; export it with a free batch"),
    "depth too": (
        lambda: graph([_POOL], {}, (1, 4, SIZE, SIZE)),
        "takes images of 4 channels; frames have 3, or 1 with --grayscale",
    ),
    "whole numbers": (
        lambda: graph(
            [node("GlobalAveragePool", ["x"], ["a"]), node("ArgMax", ["a"], ["out"], axis=1)],
            {}, out_kind=TensorProto.INT64,
        ),
        "gives int64; features are floats",
    ),
    "another operator": (
        lambda: graph([node("GlobalAveragePool", ["x"], ["a"]), node("Sin", ["a"], ["out"])], {}),
        "needs Sin, which a model file may not have (it is made to be safe to load)",
    ),
    "another domain": (
        lambda: graph(
            [node("Gelu", ["x"], ["a"], domain="com.microsoft"),
             node("GlobalAveragePool", ["a"], ["out"])],
            {}, domains=[helper.make_opsetid("com.microsoft", 1)],
        ),
        "needs Gelu of the domain com.microsoft, which a model file may not have",
    ),
    "a loop": (_loop, "needs Loop, which a model file may not have"),
    "a bomb": (_bomb, ""),
    "mixed images": (_mixes_images, "several images at once give other features than one by one"),
    "no shape that fits": (
        lambda: graph([node("Conv", ["x", "w"], ["out"])], {"w": weights(8, 5, 3, 3)}),
        "cannot run on an image of 3×32×32",
    ),
    "a future opset": (lambda: simple(opset=99), "onnxruntime cannot load it"),
    "not finite": (
        lambda: graph(
            [node("GlobalAveragePool", ["x"], ["a"]), node("Mul", ["a", "inf"], ["out"])],
            {"inf": np.array(np.inf, np.float32)},
        ),
        "gives features that are not finite",
    ),
}  # fmt: skip
