"""Any architecture, any sizes, any way of cutting a stream into calls: the answer is torch's."""

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import square_clip, write_frames
from export_models import build, exported, forward, name, prove_here
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqvision.cli import main
from seqvision.config import ModelOptions
from seqvision.models.classifier import Classifier
from seqvision.training.model_io import save_model
from seqvision_edge.card import ModelCard
from seqvision_edge.session import Session
from seqvision_export.verify.parity import Reference
from seqvision_export.verify.report import Case, Proof, distance

# With the networks of export_models.py every two values of head, directions, pool, layers, motion,
# state and channels meet, with raw pixels and with small_cnn; a large encoder carries a state.
STREAMS: list[dict[str, Any]] = [
    {"options": forward(encoder="squeezenet1_1", layers=2, motion="both"),
     "state": "carry", "window": 7, "channels": 1, "temperature": 0.5},
    {"options": ModelOptions(head="gru", bidirectional=True, pool="attention", layers=3,
                             motion="only"), "window": 33, "temperature": 2.0},
    {"options": ModelOptions(encoder="flatten", bidirectional=True, pool="attention", layers=2,
                             motion="both"), "window": 1, "channels": 1, "temperature": 4.0},
    {"options": forward(encoder="flatten", head="gru", layers=3), "state": "carry",
     "window": 3, "channels": 1, "temperature": 1.5},
    {"options": forward(encoder="flatten", head="mean", motion="only"), "window": 2,
     "channels": 1, "temperature": 0.3},
    {"options": forward(encoder="flatten", layers=3, motion="both"), "window": 9},
    {"options": forward(head="gru", pool="attention", motion="both"), "window": 4,
     "channels": 1, "temperature": 3.0},
    {"options": forward(layers=2, motion="only"), "state": "carry", "window": 6},
    {"options": forward(center=True), "window": 4, "temperature": 0.5},
    {"options": forward(encoder="flatten", head="gru", layers=2, motion="both", center=True),
     "window": 6, "channels": 1},
]  # fmt: skip


@functools.cache
def opened(**network: Any) -> tuple[Session, Reference]:
    """Return a network's file, loaded, and torch."""
    _, model, card, content = exported(**network)
    return Session(content), Reference(model, card)


@pytest.mark.slow
@pytest.mark.parametrize("network", STREAMS, ids=lambda network: name(network["options"]))
@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    batch=st.integers(1, 3),
    pieces=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
def test_any_chunking_of_a_stream_gives_the_outputs_of_torch(
    network: dict[str, Any], batch: int, pieces: list[int], seed: int
) -> None:
    session, reference = opened(**network)
    image = session.card.image
    shape = (batch, sum(pieces), image.height, image.width, image.channels)
    frames = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    features = reference.features(frames)
    state: Any = None
    end = 0
    for piece in pieces:
        found, state = session.run(frames[:, end : end + piece], state)
        end += piece
        assert np.abs(found - reference.answer(features[:, :end])).max() <= 1e-4
        for tensor, expected in zip(state, reference.state(features[:, :end]), strict=True):
            assert distance(tensor, expected, relative=True) <= 1e-4


def test_the_reference_equals_the_trained_model() -> None:
    """Else the proof would compare the file with something that nobody trained."""
    model, card = build(forward(), temperature=2.0)
    clip = np.random.default_rng(0).integers(0, 256, (2, 9, 32, 40, 3), np.uint8)
    reference = Reference(model, card)
    with torch.inference_mode():
        expected = (model(torch.from_numpy(clip[:, -5:])) / 2).softmax(1).numpy()
    assert np.abs(reference.answer(reference.features(clip)) - expected).max() <= 1e-6


def test_the_worst_case_is_the_one_nearest_to_its_limit() -> None:
    fine = Proof((Case("a", 1e-5, 1e-4), Case("b", 1e-4, 5e-3), Case("told only", 9.0, None)))
    assert fine.worst.name == "a"
    assert fine.worst.holds
    assert not Case("nan", float("nan"), 1e-4).holds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.pt, model.onnx and clips of two labels in data/."""
    folder = tmp_path_factory.mktemp("exported")
    model, card = build(forward())
    save_model(folder / "model.pt", model, forward(hidden=12), card)
    for number, label in enumerate(("a", "b", "a")):
        length = (3, 6, 40)[number]
        write_frames(folder / "data" / label / str(number), square_clip(1, number, length))
    with pytest.MonkeyPatch.context() as monkeypatch:
        prove_here(monkeypatch)
        monkeypatch.setattr("seqvision_export.export.convert", converted)
        assert main(["export", str(folder / "model.pt"), "--state", "carry",
                     "--output", str(folder / "carry.onnx"), "--verify", str(folder / "data"),
                     "--cache", str(folder / "cache"), "--image-fps", "8"]) == 0  # fmt: skip
        assert main(["export", str(folder / "model.pt")]) == 0
    return folder


def converted(model: Classifier, card: ModelCard, opset: int) -> bytes:
    """Return what `convert` gives for this network, which others asked for, too."""
    return exported(forward(), card.state.kind, opset).content


def test_the_report_is_next_to_the_model_and_names_both_files(folder: Path) -> None:
    import hashlib

    report = json.loads((folder / "model.onnx.report.json").read_text())
    assert report["passed"] is True
    for part, file in (("file", "model.onnx"), ("reference", "model.pt")):
        assert report[part]["sha256"] == hashlib.sha256((folder / file).read_bytes()).hexdigest()
    assert report["clips"] is None
    assert len(report["comparisons"]) > 20
    assert report["worst"]["difference"] <= 1e-4


def test_a_report_with_clips_has_all_three_comparisons(folder: Path) -> None:
    report = json.loads((folder / "carry.onnx.report.json").read_text())
    clips = report["clips"]
    assert clips["clips"] == 3
    assert set(clips["metrics"]) == {"torch", "one call", "frame by frame"}
    assert clips["agreement"] == 1.0
    assert {"window_accuracy", "carry_accuracy", "agreement"} <= set(clips["stream"])
    assert clips["stream"]["frames"] == 3 + 6 + 40
    assert any("all 40 frames" in case["name"] for case in report["comparisons"])


def test_verify_repeats_the_proof(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    report = folder / "again.json"
    assert main(["verify", str(folder / "model.onnx"), str(folder / "data"),
                 "--against", str(folder / "model.pt"), "--report", str(report),
                 "--cache", str(folder / "cache")]) == 0  # fmt: skip
    out, err = capfd.readouterr()
    assert "answers as" in out
    assert "proven in a fresh process" in err
    assert json.loads(report.read_text())["clips"]["clips"] == 3


def test_verify_finds_another_model_of_the_same_shape(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model, card = build(forward())
    with torch.no_grad():
        model.head.classify.bias.add_(torch.tensor([0.5, 0, 0, 0]))
    save_model(folder / "other.pt", model, forward(hidden=12), card)
    files = [str(folder / "model.onnx"), "--against", str(folder / "other.pt")]
    assert main(["verify", *files, "--report", str(folder / "no.json")]) == 2
    err = capfd.readouterr().err
    assert "answers differently" in err
    steps = [line for line in err.splitlines() if line.endswith(" …")]
    assert len(err.splitlines()) == len(steps) + 1
    assert not (folder / "no.json").exists()


def test_verify_refuses_a_file_of_another_card_and_a_missing_one(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prove_here(monkeypatch)
    model, card = build(forward(), window=7)
    save_model(folder / "longer.pt", model, forward(hidden=12), card)
    assert main(["verify", str(folder / "model.onnx"),
                 "--against", str(folder / "longer.pt")]) == 2  # fmt: skip
    assert "its card has other sequence" in capfd.readouterr().err
    assert main(["verify", str(folder / "none.onnx")]) == 2
    assert "no such file" in capfd.readouterr().err


def test_an_invalid_clip_folder_is_refused_before_the_export(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqvision_export.export.convert", lambda *_: pytest.fail("converted"))
    assert main(["export", str(folder / "model.pt"), "--verify", str(folder / "nowhere")]) == 2
    assert "nowhere" in capfd.readouterr().err
