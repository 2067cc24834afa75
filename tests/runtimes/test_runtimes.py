"""An exported file answers alike in every runtime that is promised.

The runtimes are made by `install.py`; where one is missing its tests skip by its name.  Each of
them is a process of its own that answers the same cases: the clips in one call, and frame by frame.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import install
import numpy as np
import pytest
import torch
from colour_model import model_bytes
from export_models import build
from numpy.typing import NDArray

from seqvision.config import ModelOptions
from seqvision.models.classifier import Classifier
from seqvision_edge.card import ModelCard
from seqvision_edge.sequence import StripSequence
from seqvision_export.convert import convert
from seqvision_export.graph import state_of

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
EDGE = HERE.parents[1] / "edge"
Answers = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Cases:
    """What every runtime is asked, and what this process's onnxruntime answers."""

    file: Path
    expected: Answers


def _networks() -> dict[str, tuple[Classifier, ModelCard]]:
    """Return one network for each kind of state and sequence, and a large encoder."""
    carried, card = build(ModelOptions(head="lstm", layers=2, motion="both"))
    carry = card.model_copy(update={"state": state_of(carried, "carry")})
    pictures, card = build(ModelOptions(head="gru"))
    strips = StripSequence(kind="rows", steps=6, longer="crop")
    mobilenet = ModelOptions(
        encoder="mobilenet_v2", head="gru", bidirectional=True, pool="attention", motion="both"
    )
    return {
        "small_cnn and lstm": build(ModelOptions()),
        "a window of one frame": build(ModelOptions(), window=1),
        "mobilenet_v2 and attention": build(mobilenet),
        "state that is carried": (carried, carry),
        "still images": (pictures, card.model_copy(update={"sequence": strips})),
    }


# The runtimes come before the cases in each test, so that one without its runtime costs nothing.
@pytest.fixture(scope="module")
def oldest() -> str:
    return _python("oldest")


@pytest.fixture(scope="module")
def openvino() -> str:
    return _python("openvino")


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("no node here, which runs onnxruntime-web")
    return found


@pytest.fixture(scope="module")
def web() -> str:
    folder = install.FOLDER / "web"
    if not (folder / "node_modules" / "onnxruntime-web").exists():
        pytest.skip("no onnxruntime-web here; make it with: python tests/runtimes/install.py web")
    return str(folder)


@pytest.fixture(scope="module")
def browser() -> str:
    found = install.chromium()
    if found is None:
        pytest.skip("no chromium here; make it with: python tests/runtimes/install.py chromium")
    return found


def _python(name: str) -> str:
    python = install.python(name)
    if not python.exists():
        pytest.skip(f"no {name} here; make it with: python tests/runtimes/install.py {name}")
    return str(python)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    folder = tmp_path_factory.mktemp("cases")
    generator = np.random.default_rng(11)
    cases = []
    for name, (model, card) in _networks().items():
        shape = (2, 9, 32, 40, 3)  # longer than the window of 5, shorter when it begins
        colours = generator.integers(0, 200, (2, 9, 1, 1, 3), np.uint8)
        clips = colours + generator.integers(0, 56, shape, np.uint8)
        frames = folder / f"{name}.bin"
        clips.tofile(frames)
        _sharpen(model, clips)
        for opset in (18,) if "mobilenet" in name else (18, 20):
            file = folder / f"{name} {opset}.onnx"
            file.write_bytes(convert(model, card, opset))
            cases.append(
                {
                    "name": f"{name}, opset {opset}",
                    "model": str(file),
                    "frames": str(frames),
                    "shape": shape,
                }
            )
    cases.append(_colours(folder))
    file = folder / "cases.json"
    file.write_text(json.dumps(cases))
    return Cases(file, _ask([sys.executable, str(HERE / "answers.py"), str(file), "cpu"])[1])


def _colours(folder: Path) -> dict[str, Any]:
    """Return a stream of many frames through a graph that onnxruntime 1.18 computes wrongly.

    Its plan of the memory is made when a shape comes for the second time, and is wrong there.
    """
    frames, model = folder / "colours.bin", folder / "colours.onnx"
    generator = np.random.default_rng(0)
    shape = (1, 30, 12, 16, 3)
    (40 * generator.integers(0, 6, (1, 30, 1, 1, 3)) + generator.integers(0, 56, shape)).astype(
        np.uint8
    ).tofile(frames)
    model.write_bytes(model_bytes())
    return {"name": "colours", "model": str(model), "frames": str(frames), "shape": shape}


def _sharpen(model: Classifier, clips: NDArray[np.uint8]) -> None:
    """Make answers of a random network as different from frame to frame as those of a trained one.

    Otherwise a runtime that loses the state would still be near.
    """
    frames = torch.from_numpy(clips)
    with torch.no_grad():
        model.encoder.train()  # batch norm learns what its layers see
        for _ in range(20):
            model.encode(frames)
        model.eval()
        logits = torch.cat([model(frames[:, max(0, end - 5) : end]) for end in range(1, 10)])
        scale = 2 / logits.std(dim=0)
        model.head.classify.bias.sub_(logits.mean(dim=0)).mul_(scale)
        model.head.classify.weight.mul_(scale[:, None])


def test_in_the_oldest_onnxruntime_that_is_promised(oldest: str, cases: Cases) -> None:
    runtime, answers = _ask([oldest, str(HERE / "answers.py"), str(cases.file), "cpu"])
    assert runtime.startswith("onnxruntime 1.17.")
    _agree(answers, cases.expected, 1e-4)


def test_the_oldest_onnxruntime_refuses_newer_operators_in_one_clear_line(
    oldest: str, tmp_path: Path
) -> None:
    model, card = build(ModelOptions())
    (tmp_path / "model.onnx").write_bytes(convert(model, card, 21))
    command = [oldest, "-m", "seqvision_edge", "--source", "clip.mp4", "--no-window"]
    result = _run(command, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("model.onnx: made for a newer onnxruntime than 1.17.")
    assert "--opset 18" in result.stderr
    assert result.stderr.count("\n") == 1


def test_with_the_execution_provider_of_openvino(openvino: str, cases: Cases) -> None:
    _, answers = _ask([openvino, str(HERE / "answers.py"), str(cases.file), "openvino"])
    _agree(answers, cases.expected, 1e-3)
    assert answers != cases.expected, "another library computed them"


def test_openvino_takes_the_whole_graph(openvino: str, cases: Cases) -> None:
    code = """if True:
        import json, sys
        import onnxruntime
        for case in json.load(open(sys.argv[1])):
            options = onnxruntime.SessionOptions()
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
            providers = ["OpenVINOExecutionProvider"]
            onnxruntime.InferenceSession(case["model"], options, providers=providers)
    """
    result = _run([openvino, "-c", code, str(cases.file)])
    assert result.returncode == 0, result.stderr


def test_the_command_runs_on_openvino(openvino: str, cases: Cases, tmp_path: Path) -> None:
    from conftest import square_clip, write_video

    model = json.loads(cases.file.read_text())[0]["model"]
    video = write_video(tmp_path / "clip.mp4", square_clip(1, 0, 20))
    command = [openvino, "-m", "seqvision_edge", "--source", str(video), "--no-window"]
    result = _run([*command, "--model", model, "--device", "openvino"])
    assert result.returncode == 0, result.stderr
    assert "openvino" in result.stderr.splitlines()[0]


def test_in_onnxruntime_web_under_node(node: str, web: str, cases: Cases) -> None:
    runtime, answers = _ask([node, str(HERE / "answers.mjs"), str(cases.file), web])
    assert runtime.startswith("onnxruntime-web ")
    _agree(answers, cases.expected, 1e-4)


def test_in_onnxruntime_web_in_a_browser(node: str, web: str, browser: str, cases: Cases) -> None:
    runtime, answers = _ask([node, str(HERE / "answers.mjs"), str(cases.file), web, browser])
    assert runtime.startswith("onnxruntime-web ")
    _agree(answers, cases.expected, 1e-4)


def _agree(found: Answers, expected: Answers, tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, answers in expected.items():
        for kind, values in answers.items():
            difference = np.abs(np.array(found[name][kind]) - np.array(values)).max()
            assert difference <= tolerance, f"{name}, {kind}: off by {difference:.2g}"
            print(f"{name}, {kind}: {difference:.2g}")
        assert np.ptp(answers["live"], axis=0).max() > 0.1, "the answers depend on the frames"


def _ask(command: list[str]) -> tuple[str, Answers]:
    """Return what runs, and its answers."""
    result = _run(command)
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    return said["runtime"], said["answers"]


def _run(command: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(EDGE)}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=environment, **more
    )
