"""A model file is untrusted input: any content gives one typed error or a model."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import damage
import numpy as np
import pytest
from colour_model import WINDOW, card_data, make_card, model_bytes, older_card_data

from seqvision_edge.cli import main
from seqvision_edge.errors import CardError, ModelError
from seqvision_edge.onnx_validation import OPERATORS, graph_sha256, protobuf, validate
from seqvision_edge.session import Session

onnx = pytest.importorskip("onnx", reason="onnx builds the files of these tests")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

OLD_MODEL = Path(__file__).parent.parent / "old_models" / "spec2-video.onnx"

Spoil = Callable[[Any], object]


def spoilt(spoil: Spoil) -> bytes:
    """Return the colour model after `spoil` changed its ModelProto."""
    model = onnx.load_from_string(model_bytes())
    spoil(model)
    return bytes(model.SerializeToString())


def constant(name: str, value: Any, kind: type = np.int64) -> Any:
    return numpy_helper.from_array(np.array(value, kind), name)


def put(*steps: tuple[str, list[str], list[str], dict[str, Any]], **constants: Any) -> Spoil:
    """Add operators whose result `bomb` is added to the logits, and their constants."""

    def spoil(model: Any) -> None:
        graph = model.graph
        graph.initializer.extend(
            value if hasattr(value, "raw_data") else constant(name, value)
            for name, value in constants.items()
        )
        last = next(node for node in graph.node if node.op_type == "Softmax")
        nodes = [helper.make_node(kind, ins, outs, **more) for kind, ins, outs, more in steps]
        nodes.append(helper.make_node("Add", ["logits", "bomb"], ["spoilt_logits"]))
        last.input[0] = "spoilt_logits"
        kept = list(graph.node)
        location = kept.index(last)
        copies = [type(last).FromString(node.SerializeToString()) for node in kept]
        del graph.node[:]
        graph.node.extend([*copies[:location], *nodes, *copies[location:]])

    return spoil


def reduced(name: str) -> tuple[str, list[str], list[str], dict[str, Any]]:
    return ("ReduceSum", [name], ["bomb"], {"keepdims": 0})


def without_softmax(model: Any) -> None:
    """Let the model answer with what is not between 0 and 1."""
    last = next(node for node in model.graph.node if node.op_type == "Softmax")
    last.op_type = "Relu"
    del last.attribute[:]


def subgraph() -> Any:
    value = helper.make_tensor_value_info("inner", TensorProto.FLOAT, [1])
    return helper.make_graph([helper.make_node("Relu", ["zero"], ["inner"])], "g", [], [value])


def nested(depth: int) -> Any:
    graph = subgraph()
    for number in range(depth):
        value = helper.make_tensor_value_info(f"o{number}", TensorProto.FLOAT, [1])
        node = helper.make_node("Relu", ["zero"], [f"o{number}"])
        node.attribute.append(helper.make_attribute("then_branch", graph))
        graph = helper.make_graph([node], "g", [], [value])
    return graph


def doubled(model: Any) -> None:
    """Concat a tensor with itself, forty times."""
    steps = [
        ("Concat", [before, before], [after], {"axis": 0})
        for before, after in zip(
            ["still", *(f"d{n}" for n in range(39))], [f"d{n}" for n in range(40)], strict=True
        )
    ]
    put(*steps, reduced("d39"))(model)


def external(where: str, location: str = "initializer") -> Spoil:
    def spoil(model: Any) -> None:
        tensor = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[4])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=where)
        if location == "initializer":
            model.graph.initializer.append(tensor)
        elif location == "sparse":
            model.graph.sparse_initializer.add().values.CopyFrom(tensor)
        else:
            model.graph.node[0].attribute.append(helper.make_attribute("value", tensor))

    return spoil


def tensor(**fields: Any) -> Any:
    fields = {"name": "t", "data_type": TensorProto.FLOAT, "dims": [4]} | fields
    return TensorProto(**fields)


def add_tensor(**fields: Any) -> Spoil:
    return lambda model: model.graph.initializer.append(tensor(**fields))


FLOATS = bytes(16)
HOSTILE: dict[str, tuple[Spoil, str]] = {
    "operators: ConstantOfShape of 8 TB": (
        put(("ConstantOfShape", ["n"], ["k"], {}), reduced("k"), n=[1 << 21, 1 << 20]),
        "operator 'ConstantOfShape'",
    ),
    "operators: Expand": (
        put(("Expand", ["zero", "n"], ["k"], {}), reduced("k"), n=[1 << 40]), "'Expand'",
    ),
    "operators: Tile": (
        put(("Tile", ["zero", "n"], ["k"], {}), reduced("k"), n=[1 << 40]), "'Tile'",
    ),
    "operators: Loop of 2^62": (
        put(("Loop", ["n", "", "zero"], ["bomb"], {"body": subgraph()}), n=1 << 62),
        "a graph as an attribute",
    ),
    "operators: If": (
        put(("If", ["zero"], ["bomb"], {"then_branch": subgraph(), "else_branch": subgraph()})),
        "a graph as an attribute",
    ),
    "operators: Scan": (
        put(("Scan", ["zero"], ["bomb"], {"body": subgraph(), "num_scan_inputs": 1})),
        "a graph as an attribute",
    ),
    "operators: a sequence": (
        put(("SequenceConstruct", ["zero"], ["bomb"], {})), "'SequenceConstruct'",
    ),
    "operators: of another domain": (
        put(("Relu", ["zero"], ["bomb"], {"domain": "evil"})), "'Relu' of the domain 'evil'",
    ),
    "operators: of Microsoft's domain": (
        put(("Gelu", ["zero"], ["bomb"], {"domain": "com.microsoft"})), "com.microsoft",
    ),
    "attributes: a graph in a known operator": (
        put(("Relu", ["zero"], ["bomb"], {"then_branch": subgraph()})), "a graph as an attribute",
    ),
    "attributes: graphs nested 20 deep": (
        put(("Relu", ["zero"], ["bomb"], {"then_branch": nested(20)})), "a graph as an attribute",
    ),
    "attributes: a tensor": (
        put(("Relu", ["zero"], ["bomb"], {"value": tensor(raw_data=FLOATS)})),
        "a tensor as an attribute",
    ),
    "attributes: of a function": (
        lambda model: setattr(model.graph.node[1].attribute[0], "ref_attr_name", "x"), "field 21",
    ),
    "attributes: given twice": (
        lambda model: model.graph.node[1].attribute.append(helper.make_attribute("keepdims", 1)),
        "given twice",
    ),
    "attributes: of another type": (
        lambda model: setattr(model.graph.node[1].attribute[0], "type", 7), "another type",
    ),
    "model: functions": (
        lambda model: model.functions.add(name="f", domain="d"), "it has functions",
    ),
    "model: training information": (
        lambda model: model.training_info.add(), "training information",
    ),
    "model: opset 99": (
        lambda model: setattr(model.opset_import[0], "version", 99), "opset 99",
    ),
    "model: opset 9": (lambda model: setattr(model.opset_import[0], "version", 9), "opset 9"),
    "model: IR version 99": (lambda model: setattr(model, "ir_version", 99), "IR version 99"),
    "model: another operator set": (
        lambda model: model.opset_import.add(domain="evil", version=1), "operator sets",
    ),
    "model: no operator set": (lambda model: model.ClearField("opset_import"), "operator sets"),
    "tensors: of 2^40 values and 4 bytes": (
        add_tensor(dims=[1 << 40], raw_data=b"1234"), "declares 1099511627776 values and has 1",
    ),
    "tensors: a product that wraps around": (
        add_tensor(dims=[1 << 32, 1 << 32], raw_data=b""), "declares 18446744073709551616 values",
    ),
    "tensors: a negative size": (add_tensor(dims=[-4], raw_data=FLOATS), r"sizes \[-4\]"),
    "tensors: too few floats": (add_tensor(float_data=[1.0]), "declares 4 values and has 1"),
    "tensors: data twice": (add_tensor(float_data=[1.0] * 4, raw_data=FLOATS), "data twice"),
    "tensors: of text": (
        add_tensor(data_type=TensorProto.STRING, string_data=[b"x"] * 4), "field 6 in a tensor",
    ),
    "tensors: of doubles": (
        add_tensor(data_type=TensorProto.DOUBLE, raw_data=bytes(32)), "data type 11",
    ),
    "tensors: a name twice": (add_tensor(name="zero", raw_data=FLOATS), "one name"),
    "tensors: twenty axes": (add_tensor(dims=[1] * 20, raw_data=bytes(4)), "sizes"),
    "sizes: Range of 8 TB": (
        put(("Range", ["n0", "n", "n1"], ["k"], {}), ("Cast", ["k"], ["f"], {"to": 1}),
            reduced("f"), n0=0, n=1 << 40, n1=1),
        r"its Range it takes 1.1e\+12 values",
    ),
    "sizes: Concat doubled forty times": (doubled, "its Concat it takes"),
    "sizes: MatMul of two long vectors": (
        put(("MatMul", ["tall", "wide"], ["k"], {}), reduced("k"),
            tall=constant("tall", np.zeros((60_000, 1)), np.float32),
            wide=constant("wide", np.zeros((1, 60_000)), np.float32)),
        "its MatMul it takes",
    ),
    "sizes: Add that spreads two vectors": (
        put(("Add", ["tall", "wide"], ["k"], {}), reduced("k"),
            tall=constant("tall", np.zeros((60_000, 1)), np.float32),
            wide=constant("wide", np.zeros((1, 60_000)), np.float32)),
        "its Add it takes",
    ),
    "sizes: Gather of many rows": (
        put(("Gather", ["row", "many"], ["k"], {}), reduced("k"),
            row=constant("row", np.zeros((1, 100_000)), np.float32),
            many=constant("many", np.zeros(20_000))),
        "its Gather it takes",
    ),
    "sizes: Conv in a frame of padding": (
        put(("Conv", ["image", "kernel"], ["k"], {"pads": [1 << 13] * 4}), reduced("k"),
            image=constant("image", np.zeros((1, 1, 4, 4)), np.float32),
            kernel=constant("kernel", np.zeros((256, 1, 1, 1)), np.float32)),
        "its Conv it takes",
    ),
    "sizes: GridSample at many places": (
        put(("MatMul", ["tall", "wide"], ["k"], {}), ("Reshape", ["k", "grid"], ["g"], {}),
            ("GridSample", ["image", "g"], ["s"], {}), reduced("s"),
            tall=constant("tall", np.zeros((20_000, 1)), np.float32),
            wide=constant("wide", np.zeros((1, 20_000)), np.float32), grid=[1, 10_000, 20_000, 2],
            image=constant("image", np.zeros((1, 64, 2, 2)), np.float32)),
        "its GridSample it takes",
    ),
    "sizes: GridSample in a volume": (
        put(("GridSample", ["image", "grid"], ["s"], {}), reduced("s"),
            image=constant("image", np.zeros((1, 1, 2, 2, 2)), np.float32),
            grid=constant("grid", np.zeros((1, 1, 1, 1, 3)), np.float32)),
        "its GridSample does not fit its inputs",
    ),
    "sizes: GridSample with a grid of other pictures": (
        put(("GridSample", ["image", "grid"], ["s"], {}), reduced("s"),
            image=constant("image", np.zeros((1, 1, 2, 2)), np.float32),
            grid=constant("grid", np.zeros((2, 1, 1, 2)), np.float32)),
        "its GridSample does not fit its inputs",
    ),
    "attributes: GridSample of a kind that no export has": (
        put(("GridSample", ["image", "grid"], ["s"], {"mode": "bicubic"}), reduced("s"),
            image=constant("image", np.zeros((1, 1, 2, 2)), np.float32),
            grid=constant("grid", np.zeros((1, 1, 1, 2)), np.float32)),
        "its GridSample has 'mode' out of bounds",
    ),
    "sizes: Max that spreads two vectors": (
        put(("Max", ["tall", "wide"], ["k"], {}), reduced("k"),
            tall=constant("tall", np.zeros((60_000, 1)), np.float32),
            wide=constant("wide", np.zeros((1, 60_000)), np.float32)),
        "its Max it takes",
    ),
    "sizes: ReduceMax of an axis that is not there": (
        put(("ReduceMax", ["zero", "axis"], ["k"], {}), reduced("k"), axis=[7]),
        "its ReduceMax does not fit its inputs",
    ),
    "sizes: a size that depends on the picture": (
        put(("Cast", ["change_of"], ["n"], {"to": 7}), ("Reshape", ["zero", "n"], ["k"], {}),
            reduced("k")),
        "depends on the data",
    ),
    "sizes: a number that a smaller type has changed": (
        put(("Cast", ["n"], ["small"], {"to": 3}), ("Cast", ["small"], ["m"], {"to": 7}),
            ("Range", ["n0", "m", "n1"], ["r"], {}), ("Cast", ["r"], ["k"], {"to": 1}),
            reduced("k"), n=300, n0=0, n1=1),
        "depends on the data",
    ),
    "graph: an operator that reads what nobody makes": (
        put(("Relu", ["nowhere"], ["k"], {}), reduced("k")), "nothing before its Relu",
    ),
    "graph: a third output": (
        lambda model: model.graph.output.add().CopyFrom(
            helper.make_tensor_value_info("average", TensorProto.FLOAT, ["batch", 3])
        ),
        "promises 2 inputs and 2 outputs",
    ),
    "graph: sparse tensors": (
        lambda model: model.graph.sparse_initializer.add(), "sparse tensors",
    ),
    "external: parent": (external("../secret.bin"), "data in another file"),
    "external: absolute": (external("/etc/passwd"), "data in another file"),
    "external: a device": (external("/dev/zero"), "data in another file"),
    "external: sparse": (external("x", "sparse"), "sparse tensors"),
    "external: attribute": (external("x", "attribute"), "a tensor as an attribute"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_one_typed_error_before_onnxruntime_sees_it(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "seqvision_edge.session.load_graph", lambda *_: pytest.fail("it was loaded")
    )
    spoil, reason = HOSTILE[case]
    content = spoilt(spoil)
    assert len(content) < 2_000_000
    with pytest.raises(ModelError, match=reason) as error:
        Session(content, "cpu")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_what_is_refused_for_its_operators_would_pass_without_them() -> None:
    """The spoiling itself is sound: with a harmless operator the file loads and answers."""
    whole = Session(model_bytes(), "cpu")
    added = Session(spoilt(put(("Relu", ["zero"], ["bomb"], {}))), "cpu")
    frames = np.full((1, 2, 12, 16, 3), 90, np.uint8)
    np.testing.assert_array_equal(whole.run(frames)[0], added.run(frames)[0])


def limited(code: str, *arguments: str | Path, megabytes: int = 2_000) -> Any:
    """Run Python in a process that may take so much memory and 30 seconds."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({megabytes << 20},) * 2)\n"
    return subprocess.run(
        [sys.executable, "-c", limit + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


READ = """
import sys
from seqvision_edge.errors import ModelError
from seqvision_edge.onnx_validation import read_model
try:
    read_model(sys.argv[1])
except ModelError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x0a\x00" * 20_000_000, "parts"),  # forty million bytes of empty operators
        (b"\x2a\x04\x08\x01\x08\x01" * 4_000_000, "parts"),
    ],
    ids=["operators", "tensors"],
)
def test_millions_of_tiny_parts_cost_no_more_memory_than_the_file(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    """A general parser would make gigabytes of them."""
    size, bytes_of_size = len(content), b""
    while True:
        size, low = size >> 7, size & 0x7F
        bytes_of_size += bytes([low | (0x80 if size else 0)])
        if not size:
            break
    head = spoilt(lambda model: model.ClearField("graph"))
    path = tmp_path / "model.onnx"
    path.write_bytes(head + b"\x3a" + bytes_of_size + content)
    done = limited(READ, path, megabytes=700)
    assert reason in done.stdout, done.stderr
    assert done.returncode == 0


def test_a_file_of_more_than_two_gigabytes_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validate, "MAX_BYTES", 10_000)
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # it takes no room on the disk
    with pytest.raises(ModelError, match="larger than"):
        Session(path)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_external_data_is_refused_whatever_its_name_leads_to(
    tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.bin").write_bytes(b"SECRET" * 10)
    link(tmp_path / "secret.bin", tmp_path / "inside" / "weights.bin")
    path = tmp_path / "inside" / "model.onnx"
    path.write_bytes(spoilt(external("weights.bin")))
    with pytest.raises(ModelError, match="data in another file"):
        Session(path)


@pytest.mark.parametrize("part", ["graph", "ir_version", "metadata"])
def test_a_part_that_comes_twice_is_refused(part: str) -> None:
    """onnxruntime merges two graphs into one: a hash of the last one would not see the first."""
    other = onnx.ModelProto()
    if part == "graph":
        other.graph.node.add(op_type="Relu")
    elif part == "ir_version":
        other.ir_version = 9
    else:
        other.metadata_props.add(key="seqvision.card", value="{}")
    with pytest.raises((ModelError, CardError), match=r"twice|2 model cards"):
        Session(model_bytes() + other.SerializeToString())


def test_what_no_version_of_onnx_knows_is_refused() -> None:
    with pytest.raises(ModelError, match="field 500 in a model"):
        Session(model_bytes() + b"\xa2\x1f\x00")


def hashed() -> bytes:
    """Return the colour model with the hash of its graph in its card."""
    digest = graph_sha256(model_bytes(), "test")
    return model_bytes(make_card(graph={"precision": "fp32", "sha256": digest}))


def test_the_hash_in_the_card_finds_one_changed_bit_of_the_weights() -> None:
    whole = hashed()
    weights = np.array([-3, -3, -3, 0], np.float32).tobytes()
    assert whole.count(weights) == 1
    location = whole.index(weights)
    Session(whole)
    spoilt_one = whole[:location] + bytes([whole[location] ^ 1]) + whole[location + 1 :]
    with pytest.raises(ModelError, match="damaged: its graph is not the one that its card names"):
        Session(spoilt_one)


def test_a_file_without_a_hash_has_every_other_check() -> None:
    text = json.dumps(older_card_data(1))

    def old(model: Any) -> None:
        del model.metadata_props[:]
        helper.set_model_props(model, {"seqvision.card": text})

    assert Session(spoilt(old)).card.graph is None

    def hostile(model: Any) -> None:
        old(model)
        HOSTILE["operators: Tile"][0](model)

    with pytest.raises(ModelError, match="Tile"):
        Session(spoilt(hostile))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 200_000, "nested too deeply"),
        ('{"spec": 2, "x": "' + "a" * (2 << 20) + '"}', "characters"),
        ('{"spec": ' + "9" * 5000 + "}", "not valid JSON"),
        ('{"spec": "\\ud800"}', "spec"),
    ],
    ids=["deep", "long", "digits", "half a letter"],
)
def test_a_hostile_card_is_one_typed_error(text: str, reason: str) -> None:
    def spoil(model: Any) -> None:
        del model.metadata_props[:]
        helper.set_model_props(model, {"seqvision.card": text})

    with pytest.raises(CardError, match=reason):
        Session(spoilt(spoil))


def test_a_card_with_absurd_frames_is_refused_with_its_reason() -> None:
    huge = make_card(
        image={**card_data()["image"], "height": 4096, "width": 4096},
        sequence={"kind": "video", "fps": 10.0, "frames": 4096},
    )
    with pytest.raises(ModelError, match="windows of 206 GB, at most are 4 GB"):
        Session(model_bytes(huge))


@pytest.mark.parametrize(
    "axes",
    [["batch", 1 << 40], ["batch", "kept", 1 << 29], ["batch", "kept", -3], [3, "kept", 3], []],
    ids=["fixed", "window", "negative", "no batch", "none"],
)
def test_a_card_with_an_absurd_state_is_refused_with_its_reason(axes: list[Any]) -> None:
    card = make_card(state={"kind": "window", "tensors": [{"name": "past", "axes": axes}]})
    with pytest.raises(ModelError, match="its card has a state past"):
        Session(model_bytes(card))


def test_sizes_are_checked_again_for_every_new_shape_of_a_call() -> None:
    """Harmless at the start, with a full window and for whole clips; absurd with 2 steps kept."""
    steps = [
        ("Shape", ["past"], ["there"], {"start": 1, "end": 2}),
        ("Sub", ["most", "there"], ["room"], {}),
        ("Mul", ["there", "room"], ["p0"], {}),  # 0 for 0 and for 5, 6 for 2
        *(("Mul", [f"p{n}", "p0"], [f"p{n + 1}"], {}) for n in range(12)),
        ("Add", ["p12", "most"], ["some"], {}),
        ("Squeeze", ["some"], ["count"], {}),
        ("Range", ["n0", "count", "n1"], ["r"], {}),
        ("Cast", ["r"], ["k"], {"to": 1}),
        reduced("k"),
    ]
    session = Session(spoilt(put(*steps, most=[WINDOW - 1], n0=0, n1=1)), "cpu")
    frames = np.zeros((1, 1, 12, 16, 3), np.uint8)
    session.run(frames, (np.zeros((1, WINDOW - 1, 3), np.float32),))
    with pytest.raises(ModelError, match=r"its Range it takes 6\.5e\+09 values"):
        session.run(frames, (np.zeros((1, 2, 3), np.float32),))


def test_a_model_that_does_not_answer_in_time_is_stopped() -> None:
    """Seconds of work in 40 products, each of them within the bounds."""
    steps = [
        # It begins with the picture, or onnxruntime would compute all of it while it loads.
        ("MatMul", ["average", "wide"], ["row"], {}),
        ("Add", ["row", "square"], ["m0"], {}),
        *(("MatMul", [f"m{n}", "square"], [f"m{n + 1}"], {}) for n in range(40)),
        reduced("m40"),
    ]
    square = constant("square", np.zeros((1024, 1024)), np.float32)
    wide = constant("wide", np.zeros((3, 1024)), np.float32)
    content = spoilt(put(*steps, square=square, wide=wide))
    with pytest.raises(ModelError, match=r"longer than 0\.05 s; it was stopped"):
        Session(content, "cpu", deadline=0.05)
    assert Session(content, "cpu", deadline=120).device == "cpu"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (
            put(("Div", ["zero", "zero"], ["nan"], {}), ("Add", ["nan", "zero"], ["bomb"], {})),
            "not finite",
        ),
        (
            without_softmax,
            "not probabilities",
        ),
    ],
    ids=["nan", "logits"],
)
def test_the_first_answer_must_be_probabilities(spoil: Spoil, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        Session(spoilt(spoil), "cpu")


@pytest.mark.parametrize(
    "state",
    [
        (),
        (np.zeros((1, 2, 3), np.float64),),
        (np.zeros((1, 2, 4), np.float32),),
        (np.zeros((2, 2, 3), np.float32),),
        (np.zeros((2, 3), np.float32),),
        (np.zeros((1, 2, 3), np.float32),) * 2,
    ],
    ids=["none", "double", "features", "batch", "flat", "two"],
)
def test_a_state_of_another_shape_or_type_is_refused(state: Any) -> None:
    session = Session(model_bytes(), "cpu")
    with pytest.raises(ValueError, match="the state"):
        session.run(np.zeros((1, 1, 12, 16, 3), np.uint8), state)


def test_the_expected_hash_is_that_of_the_whole_file(
    model: Path, video: Path, no_display: None, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    Session(model, expect_sha256=digest.upper())
    run = ["--source", str(video), "--model", str(model), "--expect-sha256"]
    assert main([*run, digest]) == 0
    capsys.readouterr()
    other = hashlib.sha256(b"another").hexdigest()
    assert main([*run, other]) == 2
    _, err = capsys.readouterr()
    assert err.splitlines() == [f"{model}: not the expected file: its sha256 is {digest}"]
    assert main([*run, "abc"]) == 2
    assert "--expect-sha256" in capsys.readouterr().err


ANSWER = """
import numpy as np
from seqvision_edge.session import Session
def answer(content):
    session = Session(content, "cpu")
    image = session.card.image
    shape = (1, 3, image.height, image.width, image.channels)
    frames = (np.arange(np.prod(shape)) * 37 % 251).astype(np.uint8).reshape(shape)
    found, state = session.run(frames)
    return session.card.labels, found.tobytes(), [values.tobytes() for values in state]
print(damage.try_all(sys.argv[1:], answer))
"""


def test_two_hundred_cuts_and_flips_are_one_typed_error_or_change_nothing(tmp_path: Path) -> None:
    size = OLD_MODEL.stat().st_size
    # The first bytes and the last ones, with the card, are where names and lengths are.
    edges = [
        ("flip", location) for location in (*range(0, 160, 8), *range(8 * size - 160, 8 * size, 8))
    ]
    grid = [*damage.cuts_and_flips(size, 60, 100, seed=4), *edges]
    assert len(grid) == 200
    log = tmp_path / "case"
    given = damage.arguments(OLD_MODEL, grid, log)
    done = limited(damage.CHILD + ANSWER, *given, megabytes=8_000)
    assert done.returncode == 0, f"{log.read_text()}: {done.stderr[-2000:]}"
    assert int(done.stdout) > 150


@pytest.mark.parametrize("value", [-(1 << 63), -1, 0, 1 << 31, (1 << 63) - 1])
def test_extremes_in_any_attribute_are_one_typed_error_or_a_model(value: int) -> None:
    whole = onnx.load_from_string(model_bytes())
    for number, node in enumerate(whole.graph.node):
        for location, _ in enumerate(node.attribute):
            copy = type(whole).FromString(whole.SerializeToString())
            copy.graph.node[number].attribute[location].i = value
            with contextlib.suppress(ModelError):  # nothing else may be raised
                Session(copy.SerializeToString(), "cpu")


def test_no_allowed_operator_runs_a_graph_or_invents_sizes() -> None:
    dangerous = {"If", "Loop", "Scan", "SequenceMap", "ConstantOfShape", "Expand", "Tile", "Resize"}
    assert not dangerous & OPERATORS
    assert protobuf.MAX_FIELDS < 1_000_000
