"""Real exports, run by the edge session."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from export_models import (
    HEADS,
    MORE,
    TIMM,
    build,
    every_encoder,
    exported,
    forward,
    name,
    of_timm,
    prove,
    prove_here,
)

from seqvision.cli import main
from seqvision.config import ENCODERS, ExportOptions, ModelOptions
from seqvision.errors import ExportError
from seqvision.models.classifier import Classifier
from seqvision.training.model_io import save_model
from seqvision_edge.session import Session
from seqvision_export.export import export
from seqvision_export.onnx_graph import convert


@pytest.mark.parametrize("options", HEADS + MORE, ids=name)
def test_torch_one_call_and_frame_by_frame_agree_for_any_length(
    options: ModelOptions,
) -> None:
    _, model, _, content = exported(options)
    session = Session(content)
    generator = np.random.default_rng(3)
    answers = []
    assert (model.steps.scale != 1).any() == (options.reads != "none")
    for time in (1, 2, 4, 5, 6, 13):  # shorter than, as long as and longer than the window
        colours = generator.integers(0, 256, (2, time, 1, 1, 3), np.uint8)
        clips = colours // 2 + generator.integers(0, 128, (2, time, 32, 40, 3), np.uint8)
        with torch.inference_mode():
            expected = model(torch.from_numpy(clips[:, -5:])).softmax(1).numpy()
        once, _ = session.run(clips)
        assert np.abs(once - expected).max() <= 1e-4
        for clip, answer in zip(clips, expected, strict=True):
            stream = session.stream()
            for frame in clip:
                live = stream.push(frame[None])
            assert live is not None
            assert np.abs(live - answer).max() <= 1e-4
            answers.append(answer)
    assert np.ptp(answers, axis=0).max() > 5e-4, "the answers depend on the clip"


def test_a_window_of_one_frame_can_be_exported() -> None:
    """Of other windows, up to one of 33, are the networks of test_verify.py."""
    _, model, _, content = exported(ModelOptions(bidirectional=True), window=1)
    prove(model, content)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_is_exported(encoder: str) -> None:
    network = every_encoder(encoder)
    prove(network.model, network.content)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", TIMM)
def test_networks_of_timm_are_exported(encoder: str) -> None:
    pytest.importorskip("timm", reason="timm is an extra: pip install timm")
    network = of_timm(encoder)
    prove(network.model, network.content)
    kinds = {node.op_type for node in onnx.load_from_string(network.content).graph.node}
    assert not kinds & {"BatchNormalization", "Identity", "Expand"}


def test_a_network_with_an_operator_that_no_file_may_have_is_one_line() -> None:
    model, card = build(forward(head="mean", hidden=13))
    model.encoder[0] = torch.nn.Sequential(
        torch.nn.Upsample(scale_factor=2, mode="nearest"), model.encoder[0]
    )
    with pytest.raises(ExportError, match=r"^the network needs Resize, which a model file may not"):
        convert(model, card, 18)


def test_the_file_has_the_documented_inputs_outputs_and_card() -> None:
    _, model, card, content = exported(forward())
    proto = onnx.load_from_string(content)

    def axes(values: list[onnx.ValueInfoProto]) -> dict[str, list[object]]:
        return {
            value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
            for value in values
        }

    assert axes(proto.graph.input) == {
        "frames": ["batch", "time", 32, 40, 3],
        "past": ["batch", "kept", model.memory],
    }
    assert axes(proto.graph.output) == {
        "probabilities": ["batch", 4],
        "next_past": ["batch", "next_kept", model.memory],
    }
    assert proto.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert {prop.key for prop in proto.metadata_props} >= {"seqvision.card"}
    found = Session(proto.SerializeToString()).card
    assert found.graph is not None
    assert found.model_copy(update={"graph": None}) == card
    assert {opset.domain for opset in proto.opset_import} <= {"", "ai.onnx"}
    assert not any(tensor.external_data for tensor in proto.graph.initializer)


def test_the_temperature_is_inside_the_graph() -> None:
    clip = np.random.default_rng(0).integers(0, 256, (1, 5, 32, 40, 3), np.uint8)
    sharp, _ = Session(exported(forward()).content).run(clip)
    soft, _ = Session(exported(forward(), temperature=4.0).content).run(clip)
    flattened = sharp ** (1 / 4) / (sharp ** (1 / 4)).sum()
    assert np.allclose(soft, flattened, atol=1e-5)


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    model, card = build(forward())
    save_model(tmp_path / "model.pt", model, forward(hidden=12), card)
    return tmp_path / "model.pt"


def test_the_command_writes_one_file_and_prints_its_proof(
    model_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(model_file)]) == 0
    out, err = capsys.readouterr()
    assert "model.onnx written" in out
    assert "proven" in err
    assert "4 labels (none: nothing happens)" in err
    assert sorted(path.name for path in model_file.parent.iterdir()) == [
        "model.onnx",
        "model.onnx.report.json",
        "model.pt",
    ]
    assert Session(model_file.with_suffix(".onnx")).card.labels == ("a", "b", "c", "none")


def test_real_clips_are_part_of_the_proof(
    model_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from conftest import square_clip, write_frames, write_video

    prove_here(monkeypatch)
    monkeypatch.setattr(
        "seqvision_export.export.convert",
        lambda *_: exported(forward()).content,
    )

    write_frames(tmp_path / "data" / "a" / "0", square_clip(1, 0, 3))
    write_video(tmp_path / "data" / "b" / "1.mp4", square_clip(1, 1, 30), fps=30)
    options = ["--verify", str(tmp_path / "data"), "--cache", str(tmp_path / "cache")]
    assert main(["export", str(model_file), *options]) == 0
    assert "2 real clips" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "where"),
    [
        (
            lambda model: model.head.classify.bias.data.add_(torch.tensor([1.0, 0, 0, 0])),
            "call|clip",
        ),
        (lambda model: model.head.rnn.weight_hh_l0.data.mul_(1.5), "call|clip"),
        (lambda model: model.encoder[0].weight.data.mul_(1.1), "call|clip|state"),
    ],
)
def test_a_graph_with_different_outputs_leaves_no_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Classifier], object],
    where: str,
) -> None:
    _, model, card, content = exported(forward())
    with torch.no_grad():
        spoil(model)
    save_model(tmp_path / "model.pt", model, forward(hidden=12), card)
    monkeypatch.setattr("seqvision_export.export.convert", lambda *_: content)
    prove_here(monkeypatch)
    with pytest.raises(ExportError, match=f"answers differently: .*({where}).* is off by"):
        export(ExportOptions(model=tmp_path / "model.pt"))
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_a_graph_with_a_fixed_axis_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from seqvision_export import onnx_graph as module

    *_, card, content = exported(forward())
    proto = onnx.load_from_string(content)
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3
    with pytest.raises(ExportError, match="baked axis 1 of frames to 3"):
        module._require_free_axes(proto, card)


def test_a_model_without_a_background_is_warned_of_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, card = build(forward())
    decision = card.decision.model_copy(update={"background": None})
    card = card.model_copy(update={"decision": decision})
    save_model(tmp_path / "model.pt", model, forward(hidden=12), card)

    def fail(*_: object) -> bytes:
        raise ExportError("that is enough")

    monkeypatch.setattr("seqvision_export.export.convert", fail)
    assert main(["export", str(tmp_path / "model.pt")]) == 2
    lines = capsys.readouterr().err.splitlines()
    (note,) = (line for line in lines if line.startswith("note: "))
    assert "no background label: live, every moment is called one of a, b, c, none" in note


def test_the_trained_model_is_never_overwritten(
    model_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = model_file.read_bytes()
    assert main(["export", str(model_file), "--output", str(model_file)]) == 2
    assert "that is the model itself" in capsys.readouterr().err
    assert model_file.read_bytes() == before
