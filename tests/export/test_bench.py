"""What `seqvision bench` times is what it says; how long it takes is nobody's assertion."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from conftest import square_clip, write_video
from export_models import HEADS, build, exported, forward

from seqvision.cli import main
from seqvision.training.model_io import save_model
from seqvision_edge.session import Session
from seqvision_export.bench.stages import encoder_of, features_of, head_of
from seqvision_export.timing import Timing, interleaved_timing, ratio


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    model, card = build(forward())
    save_model(folder / "model.pt", model, forward(hidden=12), card)
    (folder / "own.onnx").write_bytes(exported(HEADS[1]).content)
    write_video(folder / "clip.mp4", square_clip(1, 0, 20), fps=10)
    return folder


def test_a_model_is_timed_in_every_format_and_in_torch(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--source", str(folder / "clip.mp4"), "--threads", "1", "--seconds", "0.01"]
    report = folder / "b.json"
    content = exported(forward()).content
    monkeypatch.setattr("seqvision_export.bench.bench.convert", lambda *_: content)
    assert main(["bench", str(folder / "model.pt"), *options, "--json", str(report)]) == 0
    found = json.loads(report.read_text())
    names = [run["precision"] for run in found["runs"]]
    assert names[0] == "fp32"
    assert names[-1] == "torch fp32"
    assert any(name.startswith("int8") for name in names)
    fp32 = found["runs"][0]
    assert set(fp32["stages"]) == {"live frame", "encoder", "head", "full window"}
    assert set(found["preprocessing"]) == {"decode", "preprocess", "decision"}
    for stage in (*fp32["stages"].values(), *found["preprocessing"].values()):
        assert 0 < stage["p50_ms"] <= stage["p95_ms"]
    assert fp32["ratios"]["full window / live frame"] > 0
    for start in found["startup"]:
        assert start["ready_seconds"] > 0
        assert 20 < start["memory_megabytes"] < 400, "the file's own process, without torch"
    out = capsys.readouterr().out
    assert "live frame" in out
    assert "peak memory" in out


def test_an_exported_file_is_timed_unchanged(folder: Path) -> None:
    options = ["--threads", "1", "--seconds", "0.01", "--json", str(folder / "own.json")]
    assert main(["bench", str(folder / "own.onnx"), *options]) == 0
    found = json.loads((folder / "own.json").read_text())
    assert [run["precision"] for run in found["runs"]] == ["fp32"]
    assert "decode" not in found["preprocessing"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.onnx"], "no such file"),
        (["none.pt"], "no such file"),
        (["own.onnx", "--source", "none.mp4"], "none.mp4"),
        (["model.pt", "--precision", "int4"], "--precision"),
    ],
)
def test_a_mistake_is_one_line(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(folder)
    assert main(["bench", *arguments]) == 2
    err = capsys.readouterr().err.strip()
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("kind", ["window", "carry"])
def test_encoder_and_head_together_equal_the_whole(kind: str) -> None:
    *_, card, content = exported(forward(), kind)  # type: ignore[arg-type]
    frames = np.random.default_rng(0).integers(0, 256, (1, 3, 32, 40, 3), np.uint8)
    session = Session(content)
    expected, _ = session.run(frames)
    given = {"frames": frames}
    given |= dict(zip((t.name for t in card.state.tensors), session.empty_state(), strict=True))  # type: ignore[arg-type]

    def run(piece: bytes, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        return ort.InferenceSession(piece, providers=["CPUExecutionProvider"]).run(None, inputs)

    (features,) = run(encoder_of(content), given)
    assert features.shape[:2] == (1, 3)
    head, name = head_of(content)
    assert name == features_of(onnx.load_from_string(content))
    assert np.abs(run(head, {**given, name: features})[0] - expected).max() <= 1e-6
    operators = {node.op_type for node in onnx.load_from_string(head).graph.node}
    assert "Conv" not in operators
    assert "LSTM" in operators


def test_timing_is_interleaved_and_ratios_are_per_round() -> None:
    calls: list[str] = []
    found = interleaved_timing(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 0.001
    )
    assert set(calls) == {"a", "b"}
    assert len(found["a"].rounds) == len(found["b"].rounds) >= 5
    slow, fast = Timing(3, 9, (2, 3, 90)), Timing(1, 1, (1, 1, 1))
    assert ratio(slow, fast) == 3
