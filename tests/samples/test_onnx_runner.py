"""The runner of forty lines answers as the edge package does, without it."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from export_models import FORWARD, MORE, exported
from numpy.typing import NDArray

from seqvision_edge.session import Session

RUNNER = Path(__file__).resolve().parents[2] / "samples" / "onnx_runner.py"


@pytest.fixture(scope="module")
def clip() -> NDArray[np.uint8]:
    generator = np.random.default_rng(1)
    colours = generator.integers(0, 200, (9, 1, 1, 3), np.uint8)
    return colours + generator.integers(0, 56, (9, 32, 40, 3), np.uint8)


@pytest.fixture(scope="module", params=["window", "carry"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    options = MORE[0] if request.param == "window" else FORWARD[2]
    path.write_bytes(exported(options, request.param).content)
    return path


def test_the_runner_is_forty_lines_of_onnxruntime_and_numpy() -> None:
    tree = ast.parse(RUNNER.read_text())
    lines: set[int] = set()
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not _is_text(node):
            # A compound statement has its own first lines; what is inside counts for itself.
            inside = getattr(node, "body", None)
            end = inside[0].lineno - 1 if inside else node.end_lineno
            lines.update(range(node.lineno, max(node.lineno, end or 0) + 1))
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        if isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).partition(".")[0])
    assert len(lines) <= 40
    assert imported - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@pytest.mark.parametrize("kind", ["npy", "npz", "raw"])
def test_the_runner_gives_the_outputs_of_the_edge_session(
    model: Path, clip: NDArray[np.uint8], kind: str, tmp_path: Path
) -> None:
    frames = tmp_path / f"clip.{kind}"
    if kind == "npy":
        np.save(frames, clip)
    elif kind == "npz":
        np.savez(frames, frames=clip)
    else:
        frames.mkdir()
        for number, frame in enumerate(clip):
            frame.tofile(frames / f"{number:04}.rgb")
    command = [sys.executable, str(RUNNER), str(model), str(frames)]
    result = subprocess.run(command, capture_output=True, text=True, env={"PATH": ""})
    assert result.returncode == 0, result.stderr
    session = Session(model)
    stream = session.stream()
    expected = []
    for number, frame in enumerate(clip):
        answer = stream.push(frame[None])
        assert answer is not None
        label, warm = session.card.labels[answer.argmax()], "warm" if stream.window_full else ""
        expected.append(f"{number} {label} {answer.max():.4f} {warm}".rstrip())
    assert [line.rstrip() for line in result.stdout.splitlines()] == expected
    assert len({line.split()[2] for line in expected}) > 5, "the frames matter"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "MODEL FRAMES"),
        (["MODEL"], "MODEL FRAMES"),
        (["none.onnx", "none.npy"], "none.onnx none.npy: cannot be run"),
        (["MODEL", "none.npy"], "none.npy: cannot be run"),
        (["MODEL", "small.npy"], "small.npy: cannot be run"),
        (["small.npy", "small.npy"], "small.npy: cannot be run"),
    ],
)
def test_wrong_use_is_one_line_without_a_traceback(
    model: Path, tmp_path: Path, given: list[str], message: str
) -> None:
    np.save(tmp_path / "small.npy", np.zeros((2, 3, 3, 3), np.uint8))
    words = [str(model) if word == "MODEL" else word for word in given]
    command = [sys.executable, str(RUNNER), *words]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_newer_card_spec_is_refused(model: Path, tmp_path: Path) -> None:
    import onnx

    proto = onnx.load(model)
    card = proto.metadata_props[0].value.replace('"spec":4', '"spec":5')
    onnx.helper.set_model_props(proto, {"seqvision.card": card})
    onnx.save(proto, tmp_path / "new.onnx")
    command = [sys.executable, str(RUNNER), str(tmp_path / "new.onnx"), "none.npy"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert "specs 1 to 4, not 5" in result.stderr
