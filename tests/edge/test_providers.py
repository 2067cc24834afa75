"""`--device` selects an execution provider, and only `auto` falls back to the CPU."""

import json
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from colour_model import model_bytes

from seqvision_edge.cli import main
from seqvision_edge.errors import DeviceError, ModelError
from seqvision_edge.providers import DEVICES, candidates
from seqvision_edge.session import Session

# The providers of these tests are listed without being there, which onnxruntime remarks.
pytestmark = pytest.mark.filterwarnings("ignore:Specified provider")

ACCELERATED = [name for name in DEVICES if name != "cpu"]
CPU = "CPUExecutionProvider"
PACKAGES = {
    "cuda": "onnxruntime-gpu",
    "tensorrt": "onnxruntime-gpu tensorrt",
    "openvino": "onnxruntime-openvino",
    "coreml": "onnxruntime (on macOS)",
    "directml": "onnxruntime-directml (on Windows)",
}


@pytest.mark.parametrize("device", ACCELERATED)
def test_a_missing_device_error_names_the_package(
    device: str, model: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if DEVICES[device].provider in onnxruntime.get_available_providers():
        pytest.skip(f"this onnxruntime has {device}")
    given = ["--source", str(video), "--model", str(model), "--no-window", "--device", device]
    assert main(given) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1
    assert err.startswith(f"--device {device}: this onnxruntime does not have it; get it with: ")
    assert f"pip install {PACKAGES[device]};" in err
    assert err.endswith("or use --device cpu\n")


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An onnxruntime that lists every provider, though it can start only its own."""
    providers = [way.provider for way in DEVICES.values()]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    return providers


@pytest.mark.parametrize("device", ACCELERATED)
def test_a_device_that_is_listed_but_cannot_start_is_an_error_not_the_cpu(
    device: Any, listed: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DeviceError, match=f"--device {device}: onnxruntime lists it but could not"):
        Session(model_bytes(), device)
    assert capfd.readouterr() == ("", ""), "onnxruntime's own banners are not shown"


def test_auto_never_fails_because_of_an_accelerator(
    listed: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Session(model_bytes(), "auto").device == "cpu"
    start = onnxruntime.InferenceSession

    def broken_driver(data: bytes, options: Any, providers: Any) -> Any:
        if len(providers) > 1:
            raise OSError("driver: no kernel image")
        return start(data, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", broken_driver)
    assert Session(model_bytes(), "auto").device == "cpu"
    with pytest.raises(DeviceError, match="could not start it"):
        Session(model_bytes(), "cuda")
    with pytest.raises(ModelError, match="not a usable ONNX model"):
        Session(b"not a model", "cuda")
    assert capfd.readouterr() == ("", "")


def test_auto_takes_cuda_before_the_cpu_and_nothing_else() -> None:
    everything = [way.provider for way in DEVICES.values()]
    tried = [[name for name, _ in chain] for chain in candidates("auto", everything, 1)]
    assert tried == [["CUDAExecutionProvider", CPU], [CPU]]
    assert [[name for name, _ in chain] for chain in candidates("auto", [CPU], 1)] == [[CPU]]


def test_unsupported_operators_fall_to_the_next_provider() -> None:
    everything = [way.provider for way in DEVICES.values()]
    first = candidates("tensorrt", everything, 1)[0]
    assert [name for name, _ in first] == [
        "TensorrtExecutionProvider", "CUDAExecutionProvider", CPU
    ]  # fmt: skip


def test_openvino_runs_fp32_with_the_requested_threads() -> None:
    (_, options), _ = candidates("openvino", ["OpenVINOExecutionProvider", CPU], 3)[0]
    assert json.loads(options["load_config"]) == {
        "CPU": {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "3"}
    }
