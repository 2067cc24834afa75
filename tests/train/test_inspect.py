"""`seqvision inspect`: what a model file is, for people and as JSON."""

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from seqvision.cli import main
from seqvision.training.model_io import load_model
from seqvision_edge.session import Session

OLD = Path(__file__).parent.parent / "old_models"
VIDEO = OLD / "spec2-video.onnx"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_inspect_prints_what_running_the_model_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(VIDEO)]) == 0
    out = capsys.readouterr().out
    for part in (
        "3 labels: left, right, none; nothing happens: none",
        "window of 4 frames at 10 fps",
        "6×4 RGB, stretch",
        "frames uint8 (batch, time, 4, 6, 3)",
        "past float32 (batch, kept, 72)",
        "probabilities float32 (batch, 3)",
        "next_past float32 (batch, next_kept, 72)",
        "1 LSTM",
        "opset 18, IR version 8: onnxruntime 1.17 and newer",
        "fp32",
        "sha256 of the graph is that of the card",
        "begin at 0.6, end below 0.4",
        "encoder flatten",
        "val: accuracy 1",
    ):
        assert part in out


@pytest.mark.parametrize("path", sorted(OLD.glob("*.onnx")), ids=lambda path: path.stem)
def test_the_json_agrees_with_onnxruntime(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    session = Session(path)
    inner = session._session
    for kind, nodes in (("inputs", inner.get_inputs()), ("outputs", inner.get_outputs())):
        assert [(each["name"], each["axes"]) for each in report[kind]] == [
            (node.name, node.shape) for node in nodes
        ]
    assert report["card"] == json.loads(session.card.to_json())
    assert report["format"] == "onnx"
    assert report["size"] == path.stat().st_size
    proto = onnx.load(path)
    assert sum(report["graph"]["operators"].values()) == len(proto.graph.node)
    assert report["graph"]["integrity"] == ("no hash" if "spec1" in path.stem else "ok")


@pytest.mark.parametrize("kind", ["video", "rows"])
def test_training_and_exported_files_show_the_same_inputs_and_outputs(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report = {}
    for suffix in ("pt", "onnx"):
        assert main(["inspect", str(OLD / f"spec2-{kind}.{suffix}"), "--json"]) == 0
        report[suffix] = json.loads(capsys.readouterr().out)
    assert report["pt"]["inputs"] == report["onnx"]["inputs"]
    assert report["pt"]["outputs"] == report["onnx"]["outputs"]
    assert report["pt"]["format"] == "torch"
    assert report["pt"]["graph"] is None
    model, _ = load_model(OLD / f"spec2-{kind}.pt")
    assert report["pt"]["parameters"] == sum(each.numel() for each in model.parameters())


def test_a_changed_weight_is_reported_and_the_command_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proto = onnx.load(VIDEO)
    weights = next(tensor for tensor in proto.graph.initializer if tensor.raw_data)
    weights.raw_data = weights.raw_data[:-1] + bytes([weights.raw_data[-1] ^ 1])
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    assert main(["inspect", str(tmp_path / "model.onnx")]) == 2
    out, err = capsys.readouterr()
    assert "DAMAGED" in out
    assert err.endswith("damaged: its graph is not the one that its card names\n")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("model.onnx", None, "no such file"),
        ("model.onnx", b"no model \xff", "not an ONNX model, or damaged"),
        ("model.onnx", b"", "no model card in it"),
        ("model.pt", None, "no such file"),
        ("model.pt", b"no model", "not a model file, or damaged"),
    ],
)
def test_a_file_that_is_not_a_model_is_one_line(
    name: str,
    content: bytes | None,
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert main(["inspect", str(tmp_path / name)]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert reason in err
    assert err.count("\n") == 1


def test_an_exported_file_is_read_without_torch() -> None:
    code = (
        "import sys; from seqvision.cli import main;"
        f"code = main(['inspect', {str(VIDEO)!r}]);"
        "assert not {'torch', 'onnxruntime', 'cv2'} & set(sys.modules), 'nothing of it is run';"
        "sys.exit(code)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "window of 4 frames" in result.stdout
