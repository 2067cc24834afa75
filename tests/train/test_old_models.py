"""model.pt of older versions loads for ever and answers as it did."""

import json
from pathlib import Path

import numpy as np
import pytest

from seqvision.evaluation import predict_windows
from seqvision.training.model_io import load_model
from seqvision_edge.session import step_dtype

FOLDER = Path(__file__).parent.parent / "old_models"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.pt")), ids=lambda path: path.stem)
def test_an_old_model_gives_the_same_predictions(path: Path) -> None:
    model, card = load_model(path)
    shape = (1, 4, *card.step_shape)
    frames = (np.arange(np.prod(shape)) * 37 % 251).astype(step_dtype(card)).reshape(shape)
    if card.vectors is not None:
        frames[0, -1, -1] = np.nan
    expected = json.loads(path.with_suffix(".json").read_text())
    assert np.abs(predict_windows(model, card, frames) - expected).max() <= 1e-5
