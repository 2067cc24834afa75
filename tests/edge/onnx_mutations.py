"""Hostile variants of real graphs: `mutated(seed)` is a model file with one to three things wrong.

Run as a program it loads and runs the files of a range of seeds, one line each, so that a crash of
onnxruntime ends this process and not the test's:
`python onnx_mutations.py mutated|swept FIRST LAST STEP`.
"""

import json
import random
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from colour_model import make_card, model_bytes
from onnx import TensorProto, helper, numpy_helper

from seqvision_edge.card import METADATA_KEY
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.onnx_validation import OPERATORS
from seqvision_edge.session import Session, step_dtype

OLD_MODELS = Path(__file__).parent.parent / "old_models"
# Values at the borders of what a size, an axis, a stride or a count can be.
ODD_INTEGERS = (
    0, 1, 2, 3, 7, 255, 65_536, 1 << 20, (1 << 31) - 1, 1 << 31, 1 << 32, 1 << 40,
    (1 << 62) + 1, (1 << 63) - 1, -1, -2, -3, -(1 << 31), -(1 << 63),
)  # fmt: skip
ODD_FLOATS = (0.0, -1.0, 1e38, -1e38, float("inf"), float("-inf"), float("nan"), 1e-45)
ATTRIBUTES = (
    "activation_alpha", "activations", "allowzero", "alpha", "auto_pad", "axis", "axes", "beta",
    "block_size", "ceil_mode", "clip", "count_include_pad", "dilations", "direction", "end",
    "group", "hidden_size", "input_forget", "keepdims", "kernel_shape", "layout",
    "linear_before_reset", "noop_with_empty_axes", "num_outputs", "output_dtype", "pads", "perm",
    "precision", "saturate", "start", "storage_order", "strides", "to", "transA", "transB",
)  # fmt: skip


def convolutions(kind: str, inputs: int, sampled: bool = False) -> bytes:
    """Return a model with convolutions, pools, quantised weights and a recurrent head.

    Args:
        kind: LSTM or GRU.
        inputs: how many inputs of the recurrent operator are given, 3 to 8.
        sampled: with the operators of a landmark network, which reads pixels at computed places.
    """
    gates, hidden, window = {"LSTM": 4, "GRU": 3}[kind], 3, 4
    random_state = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        return random_state.normal(0, 0.3, shape).astype(np.float32)

    arrays = {
        "c1": weights(4, 3, 3, 3), "b1": weights(4), "dw": weights(4, 1, 3, 3),
        "q": random_state.integers(-9, 9, (4, 4, 1, 1)).astype(np.int8),
        "scale": np.float32([0.1] * 4), "zero": np.zeros(4, np.int8),
        "ones": np.ones(4, np.float32), "cubed": np.float32(3),
        "n255": np.float32([255]), "six": np.float32(6), "none": np.float32(0),
        "flat": np.int64([0, 0, -1]), "time": np.int64([1]), "image": np.int64([-1, 12, 16, 3]),
        "first": np.int64([0]), "two": np.int64([2]), "end": np.int64([1 << 40]),
        "window": np.int64([-window]), "kept": np.int64([1 - window]), "four": np.int64([4]),
        "W": weights(1, gates * hidden, 4), "R": weights(1, gates * hidden, hidden),
        "B": weights(1, 2 * gates * hidden), "out": weights(hidden, 4), "squeeze": np.int64([0]),
        "P": weights(1, 3 * hidden),
    }  # fmt: skip
    given = ["by_time", "W", "R", "B", "", "h0", "c0", "P"]
    if kind == "GRU":
        given = given[:6]
    recurrent = given[:inputs]
    # An initial state has the batch's own size: it is cut from the features, and set to nothing.
    state = [
        ("Slice", ["seen", "first", "time", "time"], ["one_step"], {}),
        ("Slice", ["one_step", "first", "three", "two"], ["some"], {}),
        ("Mul", ["some", "none"], ["nothing"], {}),
        ("Transpose", ["nothing"], ["h0"], {"perm": [1, 0, 2]}),
        ("Relu", ["h0"], ["c0"], {}),
    ]
    arrays["three"] = np.int64([hidden])
    arrays |= {"spread": weights(1, 5, 4, 2), "picture": np.int64([1, 2, 3])}
    places = [
        ("ReduceMax", ["act2", "picture"], ["brightest"], {"keepdims": 1}),
        ("Sqrt", ["brightest"], ["root"], {}),
        ("Mul", ["spread", "root"], ["near"], {}),
        ("Max", ["near", "none"], ["places"], {}),
        ("GridSample", ["act2", "places"], ["sampled"],
         {"mode": "bilinear", "padding_mode": "zeros", "align_corners": 0}),
    ]  # fmt: skip
    steps: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        ("Shape", ["frames"], ["batch_time"], {"end": 2}),
        ("Concat", ["batch_time", "four"], ["step_shape"], {"axis": 0}),
        ("Reshape", ["frames", "image"], ["pictures"], {}),
        ("Transpose", ["pictures"], ["planes"], {"perm": [0, 3, 1, 2]}),
        ("Cast", ["planes"], ["floats"], {"to": TensorProto.FLOAT}),
        ("Div", ["floats", "n255"], ["scaled"], {}),
        ("Conv", ["scaled", "c1", "b1"], ["conv1"],
         {"strides": [2, 2], "pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}),
        ("HardSwish", ["conv1"], ["act1"], {}),
        ("Conv", ["act1", "dw"], ["conv2"],
         {"group": 4, "pads": [1, 1, 1, 1], "dilations": [1, 1]}),
        ("Clip", ["conv2", "none", "six"], ["act2"], {}),
        *(places if sampled else []),
        ("MaxPool", ["sampled" if sampled else "act2"], ["most"],
         {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("AveragePool", ["most"], ["pooled"],
         {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1, "count_include_pad": 0}),
        ("DequantizeLinear", ["q", "scale", "zero"], ["pointwise"], {"axis": 0}),
        ("Conv", ["pooled", "pointwise"], ["conv3"], {}),
        ("GlobalAveragePool", ["conv3"], ["means"], {}),
        ("Reshape", ["means", "step_shape"], ["unscaled"], {}),
        ("LayerNormalization", ["unscaled", "ones", "b1"], ["standard"], {"axis": -1}),
        ("Erf", ["standard"], ["bent"], {}),
        ("Pow", ["bent", "cubed"], ["new"], {}),
        ("Concat", ["past", "new"], ["all"], {"axis": 1}),
        ("Slice", ["all", "window", "end", "time"], ["seen"], {}),
        ("Slice", ["all", "kept", "end", "time"], ["past_next"], {}),
        ("Transpose", ["seen"], ["by_time"], {"perm": [1, 0, 2]}),
        *(state if inputs > 5 else []),
        (kind, recurrent, ["every", "last"], {"hidden_size": hidden}
         | ({"linear_before_reset": 1} if kind == "GRU" else {})),
        ("Squeeze", ["last", "squeeze"], ["summary"], {}),
        ("Gemm", ["summary", "out"], ["logits"], {}),
        ("Softmax", ["logits"], ["probabilities"], {"axis": -1}),
    ]  # fmt: skip
    card = make_card(
        sequence={"kind": "video", "fps": 10.0, "frames": window},
        state={"kind": "window", "tensors": [{"name": "past", "axes": ["batch", "kept", 4]}]},
    )
    used = {name for _, names, _, _ in steps for name in names}
    graph = helper.make_graph(
        [helper.make_node(op, ins, outs, **more) for op, ins, outs, more in steps],
        "convolutions",
        [
            helper.make_tensor_value_info("frames", TensorProto.UINT8, ["b", "t", 12, 16, 3]),
            helper.make_tensor_value_info("past", TensorProto.FLOAT, ["b", "kept", 4]),
        ],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["b", 4]),
            helper.make_tensor_value_info("past_next", TensorProto.FLOAT, ["b", "left", 4]),
        ],
        [numpy_helper.from_array(array, name) for name, array in arrays.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@cache
def seeds_of_graphs() -> tuple[bytes, ...]:
    """Return valid models, each with operators that the others do not have."""
    return (
        model_bytes(),
        (OLD_MODELS / "spec3-video.onnx").read_bytes(),
        (OLD_MODELS / "spec5-vectors.onnx").read_bytes(),
        *(convolutions("LSTM", inputs) for inputs in (3, 4, 7, 8)),
        *(convolutions("GRU", inputs) for inputs in (4, 6)),
        convolutions("GRU", 4, sampled=True),
    )


def mutated(seed: int) -> bytes:
    """Return a model with one to three things wrong; the same for the same seed."""
    choice = random.Random(seed)
    model = onnx.load_from_string(choice.choice(seeds_of_graphs()))
    for _ in range(choice.choice((1, 1, 1, 2, 3))):
        choice.choice(MUTATIONS)(model.graph, choice)
    return _finished(model)


def _finished(model: Any) -> bytes:
    """Return the file, its card without the hash of the graph: a stranger would put his own."""
    for prop in model.metadata_props:
        if prop.key == METADATA_KEY:
            card = json.loads(prop.value)
            card["graph"] = None
            prop.value = json.dumps(card)
    return bytes(model.SerializeToString())


def swept(number: int) -> bytes | None:
    """Return the model of this number of a sweep, None behind its end.

    Each attribute that an operator may have gets each odd value, and each of its inputs is left out
    or is every other tensor; one thing at a time.
    """
    for content in seeds_of_graphs():
        model = onnx.load_from_string(content)
        steps = _steps(model.graph)
        if number < len(steps):
            location, change = steps[number]
            change(model.graph.node[location])
            return _finished(model)
        number -= len(steps)
    return None


def _steps(graph: Any) -> list[tuple[int, Callable[[Any], object]]]:
    steps: list[tuple[int, Callable[[Any], object]]] = []
    for location, node in enumerate(graph.node):
        known = set(onnx.defs.get_schema(node.op_type, 18).attributes)
        for name in sorted(known):
            steps += [
                (location, partial(_put_attribute, name=name, odd=odd)) for odd in ODD_INTEGERS
            ]
        if node.op_type in ("LSTM", "GRU", "Conv"):
            names = _names(graph)
            count = {"LSTM": 8, "GRU": 6, "Conv": 3}[node.op_type]
            steps += [
                (location, partial(_put_input, number=number, name=name))
                for number in range(count)
                for name in names
            ]
    return steps


def _put_attribute(node: Any, name: str, odd: int) -> None:
    kind = onnx.defs.get_schema(node.op_type, 18).attributes[name].type
    for attribute in [one for one in node.attribute if one.name == name]:
        node.attribute.remove(attribute)
    kinds = onnx.defs.OpSchema.AttrType
    spatial = 4 if name == "pads" else 2
    values: dict[Any, Any] = {
        kinds.INT: odd, kinds.INTS: [odd] * spatial, kinds.FLOAT: float(odd),
        kinds.FLOATS: [float(odd)] * 2, kinds.STRING: str(odd), kinds.STRINGS: [str(odd)],
    }  # fmt: skip
    node.attribute.append(helper.make_attribute(name, values[kind], attr_type=int(kind)))


def _put_input(node: Any, number: int, name: str) -> None:
    while len(node.input) <= number:
        node.input.append("")
    node.input[number] = name


def _attribute(graph: Any, choice: random.Random) -> None:
    """Change an attribute of an operator, or add one."""
    node = choice.choice(graph.node)
    if node.attribute and choice.random() < 0.6:
        attribute = choice.choice(node.attribute)
        name, old = attribute.name, helper.get_attribute_value(attribute)
        node.attribute.remove(attribute)
    else:
        name, old = choice.choice(ATTRIBUTES), choice.choice((1, 1.0, [1, 1]))
        for attribute in [one for one in node.attribute if one.name == name]:
            node.attribute.remove(attribute)
    if isinstance(old, bytes):
        value: Any = choice.choice((b"reverse", b"bidirectional", b"SAME_UPPER", b"VALID", b"x"))
    elif isinstance(old, float):
        value = choice.choice(ODD_FLOATS)
    elif isinstance(old, list) or (hasattr(old, "__len__") and not isinstance(old, int)):
        value = [choice.choice((*old, choice.choice(ODD_INTEGERS))) for _ in old]
        if choice.random() < 0.2:
            value = [*value, choice.choice(ODD_INTEGERS)]
    else:
        value = choice.choice(ODD_INTEGERS)
    node.attribute.append(helper.make_attribute(name, value))


def _remove_attribute(graph: Any, choice: random.Random) -> None:
    node = choice.choice([node for node in graph.node if node.attribute])
    node.attribute.remove(choice.choice(node.attribute))


def _names(graph: Any) -> list[str]:
    names = [value.name for value in (*graph.input, *graph.initializer)]
    return [*names, *(name for node in graph.node for name in node.output), ""]


def _input(graph: Any, choice: random.Random) -> None:
    """Give an operator another input, one more, or one less."""
    node = choice.choice(graph.node)
    kind = choice.random()
    if kind < 0.6 and node.input:
        node.input[choice.randrange(len(node.input))] = choice.choice(_names(graph))
    elif kind < 0.85:
        node.input.append(choice.choice(_names(graph)))
    elif node.input:
        node.input.pop()


def _operator(graph: Any, choice: random.Random) -> None:
    choice.choice(graph.node).op_type = choice.choice(sorted(OPERATORS))


def _values(graph: Any, choice: random.Random) -> None:
    """Change a value of a constant."""
    tensor = choice.choice(graph.initializer)
    array = numpy_helper.to_array(tensor).copy()
    if not array.size:
        return
    odd = ODD_FLOATS if array.dtype == np.float32 else ODD_INTEGERS
    with np.errstate(all="ignore"):
        flat = array.reshape(-1)
        flat[choice.randrange(flat.size)] = np.array(choice.choice(odd)).astype(array.dtype)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _shape(graph: Any, choice: random.Random) -> None:
    """Give a constant another shape, empty ones too."""
    tensor = choice.choice(graph.initializer)
    array = numpy_helper.to_array(tensor)
    kind = choice.randrange(5)
    if kind == 0:
        array = array.reshape(-1)
    elif kind == 1 and array.ndim:
        array = array[:0]
    elif kind == 2 and array.ndim:
        array = np.repeat(array, 2, axis=choice.randrange(array.ndim))
    elif kind == 3:
        array = array[None]
    elif array.ndim > 1:
        axis = choice.randrange(array.ndim)
        array = np.take(array, range(array.shape[axis] // 2), axis)
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))


def _kind(graph: Any, choice: random.Random) -> None:
    """Give a constant another type."""
    tensor = choice.choice(graph.initializer)
    kinds = (np.float32, np.uint8, np.int8, np.int32, np.int64, np.float16)
    with np.errstate(all="ignore"):
        array = numpy_helper.to_array(tensor).astype(choice.choice(kinds))
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _output(graph: Any, choice: random.Random) -> None:
    """Make an operator have another number of outputs, or the graph give another tensor."""
    node = choice.choice(graph.node)
    kind = choice.randrange(3)
    if kind == 0:
        node.output.append(f"more{choice.randrange(1 << 30)}")
    elif kind == 1:
        choice.choice(graph.output).name = choice.choice(_names(graph)) or "x"
    else:
        node.output[choice.randrange(len(node.output))] = ""


def _order(graph: Any, choice: random.Random) -> None:
    """Remove an operator, or write one twice."""
    location = choice.randrange(len(graph.node))
    if choice.random() < 0.5:
        del graph.node[location]
    else:
        graph.node.insert(location, graph.node[location])


Mutation = Callable[[Any, random.Random], None]
# What changes numbers finds more than what changes the structure, so it is drawn more often.
MUTATIONS: tuple[Mutation, ...] = (
    _attribute, _attribute, _attribute, _remove_attribute, _input, _input, _input, _operator,
    _values, _values, _shape, _kind, _output, _order,
)  # fmt: skip


def load_and_run(content: bytes) -> str:
    """Load a model and call it as a stream, a whole clip and a batch; return how that ended."""
    try:
        session = Session(content, "cpu", deadline=5, trial=False)
        card, window = session.card, session.card.sequence.window

        def frames(batch: int, time: int) -> Any:
            return np.full((batch, time, *card.step_shape), 99, step_dtype(card))

        state = None
        for _ in range(window + 1):
            _, state = session.run(frames(1, 1), state)
        session.run(frames(2, window))
        session.run(frames(1, 3 * window))
    except (SeqvisionError, ValueError) as error:
        return f"refused: {error}"
    except Exception as error:  # of onnxruntime, for a call: a refusal as well
        return f"failed: {type(error).__name__}"
    return "runs"


def main() -> None:
    make = {"mutated": mutated, "swept": swept}[sys.argv[1]]
    first, last, step = map(int, sys.argv[2:5])
    for number in range(first, last, step):
        content = make(number)
        if content is None:
            break
        print(number, "…", flush=True)
        result = load_and_run(content)
        print(number, " ".join(result.split())[:200], flush=True)


if __name__ == "__main__":
    main()
