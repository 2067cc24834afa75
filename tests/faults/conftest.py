"""What the fault tests share: the colour model, and cameras that can be made to fail."""

from dataclasses import replace
from pathlib import Path

import pytest
from colour_model import WINDOW, make_card, model_bytes
from fake_camera.camera import CountingCamera, counting_camera, missing, tell
from faults.gap import MODEL_FPS


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The colour model at a rate that network cameras reach, with a window of half a second."""
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    sequence = {"kind": "video", "fps": MODEL_FPS, "frames": WINDOW}
    path.write_bytes(model_bytes(make_card(sequence=sequence)))
    return path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> CountingCamera:
    lacks = missing()
    if lacks:
        pytest.skip(lacks)
    return counting_camera(tmp_path_factory.mktemp("camera"))


@pytest.fixture
def camera(built: CountingCamera, tmp_path: Path) -> CountingCamera:
    """An emulated camera with a control file of this test's own."""
    tell(tmp_path / "control", "ok")
    return replace(built, control=tmp_path / "control")
