"""What the fault tests share: the colour model."""

from pathlib import Path

import pytest
from colour_model import WINDOW, make_card, model_bytes
from faults.gap import MODEL_FPS


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The colour model at a rate that network cameras reach, with a window of half a second."""
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    sequence = {"kind": "video", "fps": MODEL_FPS, "frames": WINDOW}
    path.write_bytes(model_bytes(make_card(sequence=sequence)))
    return path
