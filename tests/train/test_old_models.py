"""model.pt of older versions loads for ever and answers as it did."""

import json
from pathlib import Path

import numpy as np
import pytest

from seqvision.evaluation import predict_windows
from seqvision.training.model_io import load_model

FOLDER = Path(__file__).parent.parent / "old_models"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.pt")), ids=lambda path: path.stem)
def test_an_old_model_gives_the_same_predictions(path: Path) -> None:
    model, card = load_model(path)
    image = card.image
    shape = (1, 4, image.height, image.width, image.channels)
    frames = (np.arange(np.prod(shape)) * 37 % 251).astype(np.uint8).reshape(shape)
    expected = json.loads(path.with_suffix(".json").read_text())
    assert np.abs(predict_windows(model, card, frames) - expected).max() <= 1e-5
