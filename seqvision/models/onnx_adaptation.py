"""Any ONNX frame model → the small graph that an exported file can hold.

The result reads `images` `(batch, channels, height, width)` float32 of one size and gives
`features` `(batch, features)` float32, has a free batch, and only operators that a file may have.

    check → fix the size → onnxruntime's own simplification (shapes and constants are folded) →
    opset 18 or later → other operators in terms of allowed ones → a free batch → compared with the
    original on images of noise

onnxruntime is native code and the file may be anybody's, so that this runs in a child process with
limits (`main`), and the parent checks what it gets (`onnx_encoder`).
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnx.inliner
import onnx.version_converter
import onnxruntime as ort
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper

from seqvision.models.onnx_rewrites import FEATURES, IMAGES, Adapted, AdaptError, Array
from seqvision_edge import child_process
from seqvision_edge.hints import join_and
from seqvision_edge.onnx_validation import OPERATORS
from seqvision_edge.onnx_validation.graph import FLOAT
from seqvision_edge.onnx_validation.validate import OPSETS

_HALF: Final = 10
_KINDS: Final = {FLOAT: np.float32, _HALF: np.float16}
_GRAPHS: Final = (AttributeProto.GRAPH, AttributeProto.GRAPHS)
_TRIED: Final = 3  # images of the comparison; a batch of them
# Simplified with another order of sums; a wrong axis is off by as much as the features are large.
_TOLERANCE: Final = {FLOAT: 1e-3, _HALF: 2e-2}


@dataclass(frozen=True)
class Declared:
    """The image that a frame model takes.

    Attributes:
        name: of its input.
        kind: its data type, float32 or float16.
        channels_last: whether it is `(batch, height, width, channels)`.
        channels: 1 or 3.
        height, width: 0 where any will do.
    """

    name: str
    kind: int
    channels_last: bool
    channels: int
    height: int
    width: int


def load(content: bytes) -> onnx.ModelProto:
    """Parse a file.

    Raises:
        AdaptError: it is no ONNX model, or its weights are in another file.
    """
    try:
        proto: onnx.ModelProto = onnx.load_model_from_string(content)
    except Exception:  # protobuf's own, of a private module
        raise AdaptError("not an ONNX model, or damaged") from None
    if not proto.graph.node or not proto.graph.output:
        raise AdaptError("not an ONNX model, or damaged")
    outside = [tensor for tensor in proto.graph.initializer if tensor.data_location]
    if outside:
        raise AdaptError(
            "its weights are in another file; save it as one file: onnx.save(onnx.load(PATH), NEW)"
        )
    return proto


def declared_input(proto: onnx.ModelProto) -> Declared:
    """Return what image a frame model takes.

    Raises:
        AdaptError: not one image of floats, or several outputs.
    """
    weights = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in weights]
    for values, what in ((inputs, "input"), (proto.graph.output, "output")):
        if len(values) != 1:
            names = ", ".join(value.name[:40] for value in values[:6])
            counted = f"{len(values)} {what}s ({names})" if values else f"no {what}"
            raise AdaptError(f"has {counted}; an encoder has one image as input and one output")
    kind = inputs[0].type.tensor_type.elem_type
    if kind not in _KINDS:
        raise AdaptError(f"takes {_type_name(kind)}, only float32 or float16 images can be given")
    dims = [axis.dim_value for axis in inputs[0].type.tensor_type.shape.dim]
    if len(dims) != 4:
        raise AdaptError(
            f"takes an input of {len(dims)} axes; an image has four: batch, channels, height, width"
        )
    if dims[0] not in (0, 1):
        raise AdaptError(
            f"its batch is fixed to {dims[0]}; export it with a free batch, or one of 1"
        )
    last = dims[1] not in (1, 3) and dims[3] in (1, 3)
    height, width, channels = dims[1:] if last else (*dims[2:], dims[1])
    if channels not in (0, 1, 3):
        raise AdaptError(
            f"takes images of {channels} channels; frames have 3, or 1 with --grayscale"
        )
    return Declared(inputs[0].name, kind, last, channels or 3, height, width)


def adapt(content: bytes, height: int, width: int, scratch: Path) -> bytes:
    """Return a frame model as an exported file can hold it, for images of one size.

    Args:
        content: the file.
        height, width: of the images.
        scratch: a file that may be written.

    Raises:
        AdaptError: it cannot be such a graph.
    """
    proto = load(content)
    declared = declared_input(proto)
    _refuse_other_domains(proto)
    if proto.functions:
        proto = onnx.inliner.inline_local_functions(proto)
    _fix_sizes(proto, declared, height, width)
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(_TRIED, declared.channels, height, width)).astype(np.float32)
    expected = _answers(proto, declared, noise)
    if declared.kind != FLOAT:
        _to_float32(proto)
    last = _is_channels_last(proto, declared)
    flat = _pooled(np.concatenate(expected).astype(np.float32), last)
    _wrap(proto, declared, expected[0].ndim, last)
    proto = _simplified(proto, scratch)
    opset = _opset(proto)
    if opset < OPSETS[0]:
        try:
            proto = onnx.version_converter.convert_version(proto, OPSETS[0])
        except Exception as error:  # of the converter, in C++
            why = _line(error)
            raise AdaptError(f"its opset {opset} cannot become {OPSETS[0]} ({why})") from None
    elif opset not in OPSETS:
        raise AdaptError(f"has opset {opset}; export it with one up to {OPSETS[-1]}")
    graph = Adapted(proto)
    graph.rewrite()
    missing = sorted({node.op_type for node in graph.nodes} - OPERATORS)
    if missing:
        raise AdaptError(
            f"needs {join_and(missing)}, which a model file may not have (it is made to be safe to "
            "load)"
        )
    graph.free_batch((declared.channels, height, width))
    made = graph.to_bytes(opset if opset in OPSETS else OPSETS[0], noise.shape, flat.shape)
    answers = _session(made).run(None, {IMAGES: noise})[0]
    if not np.isfinite(flat).all():
        raise AdaptError("gives features that are not finite, on an image of noise")
    most = _TOLERANCE[declared.kind] * max(1.0, float(np.abs(flat).max()))
    if answers.shape != flat.shape or np.abs(answers - flat).max() > most:
        raise AdaptError("several images at once give other features than one by one")
    return made


def _refuse_other_domains(proto: onnx.ModelProto) -> None:
    own = {function.domain for function in proto.functions}
    for node in proto.graph.node:
        if node.domain not in ("", "ai.onnx", *own):
            raise AdaptError(
                f"needs {node.op_type[:40]} of the domain {node.domain[:40]}, which a model file "
                "may not have; export it with the operators of ONNX alone"
            )
    for node in proto.graph.node:
        if any(
            item.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for item in node.attribute
        ):
            raise AdaptError(
                f"needs {node.op_type}, which a model file may not have (it is made to be safe to "
                "load)"
            )


def _fix_sizes(proto: onnx.ModelProto, declared: Declared, height: int, width: int) -> None:
    """Let the graph be for one image of this size, so that all its shapes are known."""
    (value,) = [each for each in proto.graph.input if each.name == declared.name]
    del proto.graph.input[:], proto.graph.value_info[:]
    size = [height, width, declared.channels]
    if not declared.channels_last:
        size = [size[2], *size[:2]]
    value.CopyFrom(helper.make_tensor_value_info(value.name, declared.kind, [1, *size]))
    proto.graph.input.append(value)
    proto.graph.output[0].type.tensor_type.ClearField("shape")


def _to_float32(proto: onnx.ModelProto) -> None:
    """Let a graph of float16 compute in float32; an export has its own `--precision fp16`."""
    graph = proto.graph

    def widen(tensor: TensorProto) -> None:
        if tensor.data_type == _HALF:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    for tensor in graph.initializer:
        widen(tensor)
    for node in graph.node:
        for item in node.attribute:
            if item.type == AttributeProto.TENSOR:
                widen(item.t)
            elif item.name in ("to", "dtype") and item.i == _HALF:
                item.i = FLOAT
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == _HALF:
            value.type.tensor_type.elem_type = FLOAT


def _answers(proto: onnx.ModelProto, declared: Declared, noise: Array) -> list[Array]:
    """Return what the original gives for each image by itself."""
    session = _session(proto.SerializeToString())
    if declared.channels_last:
        noise = noise.transpose(0, 2, 3, 1)
    given = noise.astype(_KINDS[declared.kind])
    try:
        found = [session.run(None, {declared.name: image[None]})[0] for image in given]
    except Exception as error:  # onnxruntime raises a dozen unrelated types here
        size = "×".join(map(str, noise.shape[1:]))
        raise AdaptError(f"cannot run on an image of {size} ({_line(error)})") from None
    if found[0].dtype not in (np.float32, np.float16):
        raise AdaptError(f"gives {found[0].dtype}; features are floats")
    if not 2 <= found[0].ndim <= 4 or found[0].shape[0] != 1 or found[0].size == 0:
        shape = list(found[0].shape)
        raise AdaptError(f"gives {shape} for an image; features are [1, n], a map or tokens")
    return found


def _is_channels_last(proto: onnx.ModelProto, declared: Declared) -> bool:
    """Whether a map that the model gives has its channels last."""
    last = next((n for n in proto.graph.node if proto.graph.output[0].name in n.output), None)
    turned = last is not None and last.op_type == "Transpose"
    order = [list(item.ints) for item in last.attribute] if last is not None and turned else []
    return declared.channels_last or order == [[0, 2, 3, 1]]


def _pooled(features: Array, channels_last: bool) -> Array:
    """Return the mean over positions of a map or over tokens: `(images, features)`."""
    if features.ndim == 2:
        return features
    return features.mean(axis=_positions(features.ndim, channels_last))


def _positions(rank: int, channels_last: bool) -> tuple[int, ...]:
    return (1,) if rank == 3 else (1, 2) if channels_last else (2, 3)


def _wrap(proto: onnx.ModelProto, declared: Declared, rank: int, map_last: bool) -> None:
    """Let the graph read `images` and give `features`, whatever layout and type it has itself."""
    graph = proto.graph
    size = [axis.dim_value for axis in graph.input[0].type.tensor_type.shape.dim]
    if declared.channels_last:
        size = [1, size[3], size[1], size[2]]
    before, after = [], []
    given = IMAGES
    if declared.channels_last:
        turned = f"{given}_turned"
        before.append(helper.make_node("Transpose", [given], [turned], perm=[0, 2, 3, 1]))
        given = turned
    for node in graph.node:
        node.input[:] = [given if name == declared.name else name for name in node.input]
    made = graph.output[0].name
    if graph.output[0].type.tensor_type.elem_type != FLOAT:
        after.append(helper.make_node("Cast", [made], [f"{FEATURES}_cast"], to=FLOAT))
        made = f"{FEATURES}_cast"
    if rank > 2:
        axes = _positions(rank, map_last)
        if _opset(proto) < OPSETS[0]:
            pool = helper.make_node("ReduceMean", [made], [FEATURES], axes=axes, keepdims=0)
        else:
            name = f"{FEATURES}_axes"
            graph.initializer.append(numpy_helper.from_array(np.array(axes, np.int64), name))
            pool = helper.make_node("ReduceMean", [made, name], [FEATURES], keepdims=0)
        after.append(pool)
    else:
        after.append(helper.make_node("Identity", [made], [FEATURES]))
    nodes = [*before, *graph.node, *after]
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(copies)
    graph.input.append(helper.make_tensor_value_info(IMAGES, FLOAT, size))
    graph.output.append(helper.make_tensor_value_info(FEATURES, FLOAT, None))


def _simplified(proto: onnx.ModelProto, scratch: Path) -> onnx.ModelProto:
    """Return the graph as onnxruntime simplifies it, still in operators of ONNX."""
    options = _options(ort.GraphOptimizationLevel.ORT_ENABLE_BASIC)
    options.optimized_model_filepath = str(scratch)
    _session(proto.SerializeToString(), options)
    return load(scratch.read_bytes())


def _session(content: bytes, options: ort.SessionOptions | None = None) -> ort.InferenceSession:
    options = options or _options(ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a dozen unrelated types here
        raise AdaptError(f"onnxruntime cannot load it ({_line(error)})") from None


def _options(level: ort.GraphOptimizationLevel) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = level
    return options


def _opset(proto: onnx.ModelProto) -> int:
    return max(each.version for each in proto.opset_import if each.domain in ("", "ai.onnx"))


def _line(error: BaseException) -> str:
    """Return what is wrong, of an error of native code."""
    text = " ".join(str(error).split())
    return (text.rpartition(" : ")[2] or text or type(error).__name__)[-160:]


def _type_name(kind: int) -> str:
    return str(TensorProto.DataType.Name(kind)).lower() if kind else "no tensor"


def main() -> None:
    """Adapt the file on standard input; the child's entry point."""
    task = child_process.task()
    child_process.begin(task["memory"], task["seconds"])
    _may_write(task["largest"])
    content = sys.stdin.buffer.read()
    scratch = Path(task["file"])
    try:
        made = adapt(content, task["height"], task["width"], scratch)
        scratch.write_bytes(made)
        child_process.reply("adapted")
    except AdaptError as reason:
        child_process.reply("refused", str(reason)[:2000])
    except Exception as error:  # onnx and onnxruntime raise a dozen unrelated types
        child_process.reply("refused", f"cannot be used ({_line(error)})")


def _may_write(most: int) -> None:
    """Let this process write a file, which a child may not otherwise."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
