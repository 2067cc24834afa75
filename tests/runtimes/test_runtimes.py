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
import onnx
import pytest
import torch
from colour_model import model_bytes
from export_models import FORWARD, HEADS, MORE, Exported, every_encoder, exported, forward
from numpy.typing import NDArray
from onnx import numpy_helper

from seqvision.config import ModelOptions
from seqvision_edge.card import StripSequence
from seqvision_export.onnx_graph import finish_graph
from seqvision_export.quantize.select_precision import make

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
EDGE = HERE.parents[1] / "edge"
Answers = dict[str, dict[str, Any]]

FORMATS = ("fp32", "fp16", "int8")
# Networks that are tried in fp16 and in every plan of int8, too.
SMALLER = ("small_cnn and lstm", "mobilenet_v2", "state that is carried")
# Largest difference of a probability from this process's onnxruntime, as docs/model-file.md says.
TOLERANCES = {
    ("oldest", "fp32"): 1e-4, ("oldest", "fp16"): 1e-4, ("oldest", "int8"): 1e-4,
    ("openvino", "fp32"): 1e-3, ("openvino", "fp16"): 1e-3,  # int8: see its test
    ("web", "fp32"): 1e-4, ("web", "fp16"): 1e-4, ("web", "int8"): 1e-4,
}  # fmt: skip


@dataclass(frozen=True)
class Cases:
    """What every runtime is asked, and what this process's onnxruntime answers."""

    file: Path
    expected: Answers


def _networks() -> dict[str, Exported]:
    """Return a network for each kind of state and sequence, a large encoder, a newer opset."""
    carried = FORWARD[2]
    strips = StripSequence(kind="rows", steps=6, longer="crop")
    pictures = exported(HEADS[3])
    as_strips = pictures.card.model_copy(update={"sequence": strips})
    content = finish_graph(onnx.load_from_string(pictures.content), as_strips, "fp32")
    return {
        "small_cnn and lstm": exported(forward()),
        "a window of one frame": exported(ModelOptions(bidirectional=True), window=1),
        "attention and motion": exported(MORE[0]),
        "mobilenet_v2": every_encoder("mobilenet_v2"),
        "state that is carried": exported(carried, "carry"),
        "still images": pictures._replace(card=as_strips, content=content),
        "attention and motion, opset 20": exported(MORE[0], opset=20),
        "state that is carried, opset 20": exported(carried, "carry", opset=20),
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
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cases]:
    """The cases of each number format: fp32, fp16, int8."""
    folder = tmp_path_factory.mktemp("cases")
    generator = np.random.default_rng(11)
    asked: dict[str, list[dict[str, Any]]] = {"fp32": [_colours(folder)], "fp16": [], "int8": []}
    for name, network in _networks().items():
        shape = (2, 9, 32, 40, 3)  # longer than the window of 5, shorter when it begins
        colours = generator.integers(0, 200, (2, 9, 1, 1, 3), np.uint8)
        clips = colours + generator.integers(0, 56, shape, np.uint8)
        frames = folder / f"{name}.bin"
        clips.tofile(frames)
        sharp = _sharpened(network, clips)
        files = [("fp32", name, sharp)]
        if name in SMALLER:
            made = make(sharp, network.card, ("fp16", "int8"), list(clips))
            files += [(one.precision, f"{name}, {one.name}", one.content) for one in made]
        for precision, called, content in files:
            file = folder / f"{called}.onnx"
            file.write_bytes(content)
            asked[precision].append(
                {"name": called, "model": str(file), "frames": str(frames), "shape": shape}
            )
    return {precision: _expected(folder / precision, each) for precision, each in asked.items()}


def _expected(folder: Path, cases: list[dict[str, Any]]) -> Cases:
    folder.mkdir()
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


def _sharpened(network: Exported, clips: NDArray[np.uint8]) -> bytes:
    """Make answers of a random network as different from frame to frame as those of a trained one.

    Otherwise a runtime that loses the state would still be near.
    """
    frames = torch.from_numpy(clips)
    with torch.inference_mode():
        logits = torch.cat([network.model(frames[:, max(0, e - 5) : e]) for e in range(1, 10)])
    scale = (2 / logits.std(dim=0)).numpy()
    proto = onnx.load_from_string(network.content)
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    weight, bias = (constants[f"model.head.classify.{part}"] for part in ("weight", "bias"))
    shift = numpy_helper.to_array(bias) - logits.mean(dim=0).numpy()
    weight.CopyFrom(
        numpy_helper.from_array(numpy_helper.to_array(weight) * scale[:, None], weight.name)
    )
    bias.CopyFrom(numpy_helper.from_array(shift * scale, bias.name))
    return finish_graph(proto, network.card, "fp32")


@pytest.mark.parametrize("precision", FORMATS)
def test_in_the_oldest_onnxruntime_that_is_promised(
    oldest: str, cases: dict[str, Cases], precision: str
) -> None:
    asked = cases[precision]
    runtime, answers = _ask([oldest, str(HERE / "answers.py"), str(asked.file), "cpu"])
    assert runtime.startswith("onnxruntime 1.17.")
    _agree(answers, asked.expected, TOLERANCES["oldest", precision])


def test_the_oldest_onnxruntime_refuses_newer_operators_in_one_clear_line(
    oldest: str, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(exported(MORE[0], opset=21).content)
    command = [oldest, "-m", "seqvision_edge", "--source", "clip.mp4", "--no-window"]
    result = _run(command, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("model.onnx: made for a newer onnxruntime than 1.17.")
    assert "--opset 18" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_with_the_execution_provider_of_openvino(
    openvino: str, cases: dict[str, Cases], precision: str
) -> None:
    asked = cases[precision]
    _, answers = _ask([openvino, str(HERE / "answers.py"), str(asked.file), "openvino"])
    _agree(answers, asked.expected, TOLERANCES["openvino", precision])
    assert answers != asked.expected, "another library computed them"


def test_int8_in_openvino_is_as_near_to_fp32_as_in_onnxruntime(
    openvino: str, cases: dict[str, Cases]
) -> None:
    """OpenVINO moves the places where values are rounded to bytes: its numbers are others."""
    whole = cases["fp32"].expected
    asked = cases["int8"]
    _, answers = _ask([openvino, str(HERE / "answers.py"), str(asked.file), "openvino"])
    assert answers.keys() == asked.expected.keys()
    for name, found in answers.items():
        network = whole[name.partition(", int8")[0]]
        for kind, values in found.items():
            fp32 = np.array(network[kind])
            own = np.abs(np.array(asked.expected[name][kind]) - fp32).max()
            theirs = np.abs(np.array(values) - fp32).max()
            print(f"{name}, {kind}: from fp32 {theirs:.2g}, in onnxruntime {own:.2g}")
            assert theirs <= 2 * own + 1e-3, f"{name}, {kind}"
        one, live = np.array(found["whole"][0]), np.array(found["live"][-1])
        # The newest window, for a carried state the whole clip: one call is the live answer.
        assert np.abs(one - live).max() <= 1e-3, name


@pytest.mark.parametrize("precision", FORMATS)
def test_openvino_takes_the_whole_graph(
    openvino: str, cases: dict[str, Cases], precision: str
) -> None:
    code = """if True:
        import json, sys
        import onnxruntime
        for case in json.load(open(sys.argv[1])):
            options = onnxruntime.SessionOptions()
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
            providers = ["OpenVINOExecutionProvider"]
            onnxruntime.InferenceSession(case["model"], options, providers=providers)
    """
    result = _run([openvino, "-c", code, str(cases[precision].file)])
    assert result.returncode == 0, result.stderr


def test_the_command_runs_on_openvino(
    openvino: str, cases: dict[str, Cases], tmp_path: Path
) -> None:
    from conftest import square_clip, write_video

    model = json.loads(cases["fp32"].file.read_text())[0]["model"]
    video = write_video(tmp_path / "clip.mp4", square_clip(1, 0, 20))
    command = [openvino, "-m", "seqvision_edge", "--source", str(video), "--no-window"]
    result = _run([*command, "--model", model, "--device", "openvino"])
    assert result.returncode == 0, result.stderr
    assert "openvino" in result.stderr.splitlines()[0]


@pytest.mark.parametrize("precision", FORMATS)
def test_in_onnxruntime_web_under_node(
    node: str, web: str, cases: dict[str, Cases], precision: str
) -> None:
    asked = cases[precision]
    runtime, answers = _ask([node, str(HERE / "answers.mjs"), str(asked.file), web])
    assert runtime.startswith("onnxruntime-web ")
    _agree(answers, asked.expected, TOLERANCES["web", precision])


@pytest.mark.parametrize("precision", FORMATS)
def test_in_onnxruntime_web_in_a_browser(
    node: str, web: str, browser: str, cases: dict[str, Cases], precision: str
) -> None:
    asked = cases[precision]
    runtime, answers = _ask([node, str(HERE / "answers.mjs"), str(asked.file), web, browser])
    assert runtime.startswith("onnxruntime-web ")
    _agree(answers, asked.expected, TOLERANCES["web", precision])


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
