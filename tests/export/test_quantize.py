"""Number formats: what is made, what is measured, and what is kept."""

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import trainings
from conftest import square_clip, write_frames, write_squares
from export_models import build, every_encoder, exported, forward, prove, prove_here
from onnx import TensorProto
from onnxruntime.quantization.calibrate import TensorData
from trainings import train

from seqvision.cli import main
from seqvision.config import ENCODERS, ExportOptions, ModelOptions
from seqvision.data.datasets import find_data_set
from seqvision.errors import ExportError
from seqvision.training.model_io import load_model
from seqvision_edge.session import Session
from seqvision_export.onnx_graph import convert, finish_graph
from seqvision_export.quantize import select_precision
from seqvision_export.quantize.calibration_data import Clips, Labelled, gather_clips, random_windows
from seqvision_export.quantize.encoder_graph import can_widen, weighted_nodes, widen
from seqvision_export.quantize.fp16 import to_fp16
from seqvision_export.quantize.int8 import keep_pool, plans, quantize, ranges_of
from seqvision_export.quantize.select_precision import choose_precision
from seqvision_export.simplify import Nodes
from seqvision_export.timing import Timing

STATES = [
    (forward(), "window"),
    (ModelOptions(head="gru", bidirectional=True, pool="attention", motion="both"), "window"),
    (forward(head="mean"), "window"),
    (forward(head="lstm", layers=2), "carry"),
    (forward(head="gru", motion="only"), "carry"),
]


def made(options: ModelOptions, state: str = "window") -> tuple[bytes, Any]:
    """Return a random network in fp32, as its file, and its card."""
    *_, card, content = exported(options, state)
    return content, card


def noise(card: Any, count: int = 3) -> tuple[Any, ...]:
    return random_windows(card, count)


def in_int8(content: bytes, card: Any, plan: str = "all") -> bytes:
    ranges = ranges_of(content, noise(card))
    chosen = {plan.name: plan for plan in plans(onnx.load_from_string(content))}[plan]
    return finish_graph(quantize(content, chosen, ranges), card, "int8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with frames/ and the model.pt of a small CNN + LSTM that learnt to read motion."""
    folder = tmp_path_factory.mktemp("precision")
    data = write_squares(folder / "frames", 8, ("left", "none", "right"))
    result = train(
        trainings.options(
            data,
            folder,
            12,
            model={"encoder": "small_cnn"},
            clips={"size": 32},
            augmentation={"augment": "none"},
        )
    )
    assert result.model == folder / "model.pt"
    return folder


def gathered(options: ExportOptions, card: Any) -> Clips | None:
    """Gather the clips of options, as the command does after it has found them."""
    paths = filter(None, (options.calibrate, options.verify))
    return gather_clips(options, card, {path: find_data_set(path) for path in paths})


@pytest.fixture(scope="module")
def learnt(trained: Path) -> tuple[bytes, Any, Clips]:
    """That model in fp32, its card, and the clips."""
    model, card = load_model(trained / "model.pt")
    options = ExportOptions(precision="auto", verify=trained / "frames", cache=trained / "cache")
    clips = gathered(options, card)
    assert clips is not None
    return convert(model, card, 18), card, clips


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """The model alone, in a folder that a test may write to."""
    shutil.copy(trained / "model.pt", tmp_path / "model.pt")
    return tmp_path


def arguments(trained: Path, precision: str, *more: str) -> list[str]:
    cache = str(trained / "cache")
    return ["--precision", precision, "--cache", cache, *more]


# What is made


@pytest.mark.parametrize("plan", ["all", "all, from bytes", "first conv kept"])
@pytest.mark.parametrize(("options", "state"), STATES[:4], ids=str)
def test_int8_is_the_encoder_alone_with_byte_activations_and_a_scale_per_channel(
    options: ModelOptions, state: str, plan: str
) -> None:
    content, card = made(options, state)
    proto = onnx.load_from_string(in_int8(content, card, plan))
    nodes = Nodes(proto)
    first, *others = (node.name for node in weighted_nodes(onnx.load_from_string(content)))
    by_name = {node.name: node for node in proto.graph.node}
    assert len(others) == 4
    kept = plan == "first conv kept"
    for encoder_node in (by_name[name] for name in (first, *others)[kept:]):
        activation, weight = (nodes.maker(name) for name in encoder_node.input[:2])
        assert activation is not None
        assert weight is not None
        assert {activation.op_type, weight.op_type} == {"DequantizeLinear"}
        assert nodes.constants[activation.input[2]].data_type == TensorProto.UINT8
        assert nodes.constants[weight.input[0]].data_type == TensorProto.INT8
        channels = nodes.constant(weight.input[0]).shape[0]
        assert nodes.constant(weight.input[1]).shape == (channels,)
        assert len(np.unique(nodes.constant(weight.input[1]))) > 1
    if kept:
        assert nodes.is_float(by_name[first].input[1])
        assert [n.op_type for n in chain_up(nodes, by_name[first])] == ["Sub", "Cast", "Transpose"]
    if plan == "all, from bytes":
        near = chain_up(nodes, by_name[first])
        assert [node.op_type for node in near] == ["DequantizeLinear", "Transpose", "Reshape"]
        assert near[-1].input[0] == "frames"
        assert nodes.constant(near[0].input[1]) == 1
        assert "Cast" not in {node.op_type for node in proto.graph.node}
    after = [by_name[name] for name in nodes.reached([others[-1]])]
    assert not {"QuantizeLinear", "DequantizeLinear"} & {node.op_type for node in after}
    for node in after:
        if node.op_type in ("LSTM", "GRU"):
            assert all(nodes.is_float(name) for name in node.input[1:4])


def chain_up(nodes: Nodes, node: onnx.NodeProto, count: int = 3) -> list[onnx.NodeProto]:
    """Return what leads to the first input of a node, the nearest first."""
    found = []
    for _ in range(count):
        maker = nodes.maker(node.input[0])
        assert maker is not None
        node = maker
        found.append(node)
    return found


def test_int8_chooses_its_ranges_by_the_pixels_of_real_frames() -> None:
    content, _ = made(forward())
    dark = tuple(np.full((3, 32, 40, 3), level, np.uint8) for level in (10, 90))
    proto = onnx.load_from_string(content)
    (sub,) = chain_up(Nodes(proto), weighted_nodes(proto)[0], 1)
    low, high = ranges_of(content, dark)[sub.output[0]].range_value
    assert (low.item(), high.item()) == (10 - 127.5, 90 - 127.5)


def test_a_clamp_after_the_first_pool_equals_one_before_it() -> None:
    content, card = made(forward(encoder="resnet18"))
    proto = onnx.load_from_string(content)
    keep_pool(proto)
    swapped = finish_graph(proto, card, "fp32")
    kinds = [node.op_type for node in proto.graph.node]
    assert kinds.index("MaxPool") < kinds.index("Relu")
    for window in noise(card):
        one, two = (Session(file).run(window[None]) for file in (content, swapped))
        assert np.array_equal(one[0], two[0])
        assert np.array_equal(one[1][0], two[1][0])


@pytest.mark.parametrize("encoder", ["small_cnn", "mobilenet_v2", "resnet18"])
def test_four_pixels_at_once_give_the_same_values_as_one_by_one(encoder: str) -> None:
    *_, card, content = exported(forward(encoder=encoder), norms=encoder == "mobilenet_v2")
    whole = onnx.load_from_string(content)
    nodes = Nodes(whole)
    (centred,) = chain_up(nodes, weighted_nodes(whole)[0], 1)
    mean = nodes.constants[centred.input[1]]
    # A whole number: then nothing differs beyond the border.
    values = np.full_like(nodes.constant(mean.name), 127)
    mean.CopyFrom(onnx.numpy_helper.from_array(values, mean.name))
    content = finish_graph(whole, card, "fp32")
    proto = onnx.load_from_string(content)
    pixels = widen(proto)
    assert pixels.zero == 127
    widened = finish_graph(proto, card, "fp32")
    for window in noise(card):
        one, two = (Session(file).run(window[None]) for file in (content, widened))
        assert np.abs(one[0] - two[0]).max() <= 1e-5
        assert np.abs(one[1][0] - two[1][0]).max() <= 1e-4 * np.abs(one[1][0]).max()


def test_frames_whose_width_four_does_not_divide_are_read_pixel_by_pixel() -> None:
    model, card = build(forward())
    image = card.image.model_copy(update={"width": 38})
    narrow = card.model_copy(update={"image": image})
    proto = onnx.load_from_string(convert(model, narrow, 18))
    assert not can_widen(proto)
    assert [plan.name for plan in plans(proto)] == ["all", "first conv kept"]


def test_only_the_quantization_plan_keeps_the_pool_from_int8() -> None:
    content, card = made(forward(encoder="resnet18"))
    names = [plan.name for plan in plans(onnx.load_from_string(content))]
    assert names == ["all", "all, from bytes", "first conv kept", "first conv and pool kept"]
    readers = []
    for plan in names:
        nodes = Nodes(onnx.load_from_string(in_int8(content, card, plan)))
        (pool,) = (node for node in nodes.graph.node if node.op_type == "MaxPool")
        readers.append({user.op_type for user in nodes.users(pool.output[0])})
    assert readers == [*[{"QuantizeLinear"}] * 3, {"Relu"}]


@pytest.mark.parametrize(("options", "state"), STATES, ids=str)
@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_live_and_clip_predictions_agree_in_any_format(
    options: ModelOptions, state: str, precision: str
) -> None:
    content, card = made(options, state)
    if precision == "int8":
        reduced = in_int8(content, card)
    else:
        reduced = finish_graph(to_fp16(content), card, "fp16")
    session, windows = Session(reduced), noise(card)
    model, _ = build(options)
    own = [case for case in prove(model, reduced).cases if "against frame by frame" in case.name]
    assert len(own) == 4
    assert max(case.difference for case in own) <= 1e-4
    found, expected = (
        select_precision.predict_clips(Session(file), windows) for file in (reduced, content)
    )
    assert 0 < select_precision.difference(found, expected) < 0.05
    assert session.card.graph is not None
    assert session.card.graph.precision == precision


def test_fp16_keeps_pixels_state_and_head_in_fp32() -> None:
    content, card = made(forward())
    proto = to_fp16(content)
    finish_graph(proto, card, "fp16")
    nodes = Nodes(proto)
    ends = (*proto.graph.input[1:], *proto.graph.output)
    assert {value.type.tensor_type.elem_type for value in ends} == {TensorProto.FLOAT}
    kinds = [
        nodes.constants[node.input[1]].data_type
        for node in proto.graph.node
        if node.op_type in ("Conv", "Gemm", "LSTM")
    ]
    half, full = TensorProto.FLOAT16, TensorProto.FLOAT
    assert kinds == [full, half, half, half, half, full, full]


# What convert() leaves to do


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ENCODERS)
def test_norms_constants_and_scales_are_folded_for_every_encoder(encoder: str) -> None:
    _, model, _, content = every_encoder(encoder)  # proven in test_export.py
    proto = onnx.load_from_string(content)
    nodes = Nodes(proto)
    kinds = {node.op_type for node in proto.graph.node}
    assert not kinds & {"BatchNormalization", "Identity", "Constant", "Dropout"}
    for node in proto.graph.node:
        assert any(name not in nodes.constants for name in node.input), node
    modules = [
        module
        for module in model.encoder.modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
    ]
    assert len(weighted_nodes(proto)) == len(modules)
    if modules:
        assert chain_up(nodes, weighted_nodes(proto)[0], 1)[0].op_type == "Sub"
        assert "ReduceMean" not in kinds


@pytest.mark.parametrize(
    ("options", "channels"),
    [
        (forward(normalize="imagenet"), 3),
        (forward(normalize="unit"), 3),
        (forward(normalize="unit", encoder="squeezenet1_1"), 1),
        (forward(normalize="unit", encoder="flatten"), 1),
    ],
    ids=str,
)
def test_pixels_of_any_range_and_colour_are_normalized_as_in_torch(
    options: ModelOptions, channels: int
) -> None:
    # Grey frames in the way of ImageNet are read by the resnet18 of `every_encoder`.
    _, model, _, content = exported(options, channels=channels)
    assert prove(model, content).worst.difference <= 1e-4


# What is chosen


def clips_of(card: Any, count: int = 6) -> Clips:
    """Return clips that fp32 answers right, whatever it answers."""
    return Clips(Labelled(noise(card, count)), Labelled(), same=False)


def timed(monkeypatch: pytest.MonkeyPatch, **milliseconds: float) -> None:
    """Let the clock say these times, by the beginning of a candidate's name; else 1 ms."""

    def times(sessions: Any, frame: Any) -> dict[str, Timing]:
        assert frame.shape[0] == 1
        times_ms = {name: milliseconds.get(name.partition(",")[0], 1.0) for name in sessions}
        return {name: Timing(time, time, (time,) * 3) for name, time in times_ms.items()}

    monkeypatch.setattr(select_precision, "time_live_frames", times)


@pytest.mark.parametrize(
    ("int8", "fp16", "kept"),
    [(0.5, 0.9, "int8"), (1.2, 2.0, "fp32"), (0.97, 0.98, "fp32"), (0.8, 0.5, "fp16")],
)
def test_auto_keeps_the_fastest_and_fp32_where_none_is_clearly_faster(
    learnt: tuple[bytes, Any, Clips],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    int8: float,
    fp16: float,
    kept: str,
) -> None:
    timed(monkeypatch, int8=int8, fp16=fp16)
    content, card, clips = learnt
    choice = choose_precision(
        content, card, ExportOptions(precision="auto", max_accuracy_drop=10.0), clips
    )
    graph = Session(choice.content).card.graph
    assert graph is not None
    assert graph.precision == kept
    assert (choice.content == content) == (kept == "fp32")
    table = capsys.readouterr().err
    for part in ("int8, first conv kept", "fp16", "kept", "24 clips, each worth 4.2 points"):
        assert part in table


def stay_here(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Let the command take what `convert` gave for this model before, and prove it here."""
    monkeypatch.setattr("seqvision_export.export.convert", lambda *_: content)
    prove_here(monkeypatch)


def spoil(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calibration find ranges that are far too small."""
    honest = select_precision.ranges_of

    def spoilt(*given: Any) -> Any:
        ranges = honest(*given)
        for name in list(ranges):
            low, high = ranges[name].range_value
            small = np.float32(0.01)
            ranges[name] = TensorData(lowest=low * small, highest=high * small)
        return ranges

    monkeypatch.setattr(select_precision, "ranges_of", spoilt)


def test_auto_prefers_a_slower_format_to_one_that_costs_more_than_max_drop(
    learnt: tuple[bytes, Any, Clips], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch)
    timed(monkeypatch, int8=0.1, fp16=0.9)
    content, card, clips = learnt
    choice = choose_precision(content, card, ExportOptions(precision="auto"), clips)
    assert choice.chosen.candidate.name == "fp16"
    assert [one.refused[:6] for one in choice.measured] == ["", *["costs "] * 3, ""]


def test_int8_that_costs_more_than_max_drop_leaves_no_file(
    trained: Path,
    learnt: tuple[bytes, Any, Clips],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(monkeypatch)
    stay_here(monkeypatch, learnt[0])
    data = str(trained / "frames")
    code = main(["export", str(folder / "model.pt"), *arguments(trained, "int8", "--verify", data)])
    assert code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("--precision int8: int8, ")
    assert (
        "--max-accuracy-drop allows 0.5; use --precision fp32, or raise --max-accuracy-drop" in line
    )
    assert [path.name for path in folder.iterdir()] == ["model.pt"]


def test_slower_int8_is_kept_with_a_note(
    trained: Path,
    learnt: tuple[bytes, Any, Clips],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    timed(monkeypatch, int8=1.25)
    stay_here(monkeypatch, learnt[0])
    options = arguments(trained, "int8", "--calibrate", str(trained / "frames"))
    assert main(["export", str(folder / "model.pt"), *options, "--max-accuracy-drop", "10"]) == 0
    session = Session(folder / "model.onnx")
    assert session.card.graph is not None
    assert session.card.graph.precision == "int8"
    err = capsys.readouterr().err
    assert "is slower than fp32 here (0.80 ×): --precision auto would keep fp32" in err
    assert "of the clips as fp32 does" in err
    report = json.loads((folder / "model.onnx.report.json").read_text())
    assert report["file"]["precision"] == "int8"
    assert report["precision"]["chosen"].startswith("int8, ")
    assert report["precision"]["fp32_against_torch"]["difference"] <= 1e-4
    content, card, clips = learnt
    found, expected = (
        select_precision.predict_clips(one, clips.judge.windows)
        for one in (session, Session(content))
    )
    assert 0 < select_precision.difference(found, expected) < 0.2
    assert select_precision.accuracy(found, clips.judge, card.labels) > 0.8


@pytest.mark.parametrize("precision", ["int8", "auto"])
def test_int8_without_clips_is_one_line(
    folder: Path, precision: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(folder / "model.pt"), "--precision", precision]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"--precision {precision} needs clips to choose its ranges by: "
        "give --calibrate DATA (a folder or CSV of clips)"
    )
    assert [path.name for path in folder.iterdir()] == ["model.pt"]


def test_unreadable_clips_are_skipped(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    for label, direction in (("left", -1), ("right", 1)):
        for number in range(2):
            write_frames(data / label / str(number), square_clip(direction, number))
    (data / "left" / "broken.mp4").write_bytes(b"no video at all")
    (data / "right" / "empty").mkdir()
    (data / "right" / "empty" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    _, card = load_model(trained / "model.pt")
    options = ExportOptions(precision="int8", calibrate=data, cache=tmp_path / "cache")
    clips = gathered(options, card)
    assert clips is not None
    assert len(clips.calibrate) == len(clips.judge) == 4
    lines = capsys.readouterr().err.splitlines()
    assert sum(": not a" in line for line in lines) == 2
    assert sum("2 of 6 clips are left out" in line for line in lines) == 1


def test_an_encoder_without_convolutions_cannot_be_quantized() -> None:
    content, card = made(forward(encoder="flatten"))
    clips = clips_of(card)
    for precision in ("int8", "fp16"):
        with pytest.raises(ExportError, match=f"--precision {precision}: the encoder computes"):
            choose_precision(content, card, ExportOptions(precision=precision), clips)
    choice = choose_precision(content, card, ExportOptions(precision="auto"), clips)
    assert choice.content == content


def test_overflowing_fp16_is_refused() -> None:
    content, card = made(forward())
    proto = onnx.load_from_string(content)
    weight = Nodes(proto).constants[weighted_nodes(proto)[1].input[1]]
    large = onnx.numpy_helper.to_array(weight) * np.float32(1e7)
    weight.CopyFrom(onnx.numpy_helper.from_array(large, weight.name))
    content = finish_graph(proto, card, "fp32")
    with pytest.raises(ExportError, match=r"--precision fp16: fp16: (answers are not|off by)"):
        choose_precision(
            content, card, ExportOptions(precision="fp16"), Clips(Labelled(), Labelled(), True)
        )


def test_the_choice_is_in_the_json() -> None:
    content, card = made(forward())
    windows = noise(card, 4)
    named = select_precision.predict_clips(Session(content), windows).argmax(axis=1)
    judge = Labelled(windows, tuple(card.labels[index] for index in named), (None,) * 4)
    options = ExportOptions(precision="int8", max_accuracy_drop=100.0)
    choice = choose_precision(content, card, options, Clips(judge, judge, same=True))
    report = json.loads(json.dumps(choice.to_json()))
    assert report["chosen"].startswith("int8, ")
    assert report["clips"] == 4
    fp32, *others = report["candidates"]
    assert (fp32["name"], fp32["ratio"], fp32["accuracy"], fp32["drop"]) == ("fp32", 1, 1, 0)
    assert fp32["size"] == len(content)
    plan_names = [plan.name for plan in plans(onnx.load_from_string(content))]
    assert [one["name"] for one in others] == [f"int8, {name}" for name in plan_names]
    assert all(one["size"] < 0.75 * len(content) for one in others)


# Which clips


def labelled(labels: Sequence[str], splits: Sequence[str | None]) -> Labelled:
    windows = tuple(np.full((1, 1, 1, 1), index, np.uint8) for index in range(len(labels)))
    return Labelled(windows, tuple(labels), tuple(splits))


def test_a_subset_of_many_clips_has_every_label() -> None:
    many = labelled(["a"] * 6 + ["b"] * 3 + ["c"], [None] * 10)
    assert many.spread(6).labels == ("a", "a", "a", "b", "b", "c")
    assert len(many.spread(99)) == 10


@pytest.mark.parametrize(
    ("splits", "same", "judged"),
    [(("train", "val", "test"), False, 6), ((None, None, None), True, 9)],
)
def test_the_training_part_calibrates_and_the_rest_evaluates(
    trained: Path,
    tmp_path: Path,
    splits: tuple[str | None, ...],
    same: bool,
    judged: int,
) -> None:
    rows = [["path", "label", *(["split"] if splits[0] else [])]]
    for label, direction in (("left", -1), ("none", 0), ("right", 1)):
        for number, split in enumerate(splits):
            clip = write_frames(tmp_path / f"{label}{number}", square_clip(direction, number))
            rows.append([clip.name, label, *([split] if split else [])])
    with (tmp_path / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    _, card = load_model(trained / "model.pt")
    options = ExportOptions(
        calibrate=tmp_path / "list.csv", precision="int8", cache=tmp_path / "cache"
    )
    clips = gathered(options, card)
    assert clips is not None
    assert (clips.same, len(clips.judge)) == (same, judged)
    assert len(clips.calibrate) == (9 if same else 3)
    assert all(window.shape[1:] == (32, 32, 3) for window in clips.calibrate.windows)
