"""Models exported by older versions still load and give the same results."""

import json
from pathlib import Path

import numpy as np
import pytest

from seqvision_edge.card import SPEC, VECTORS_SPEC
from seqvision_edge.session import Session, step_dtype

FOLDER = Path(__file__).parent.parent / "old_models"
MODELS = sorted(FOLDER.glob("*.onnx"))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_an_old_model_answers_as_it_did(path: Path) -> None:
    session = Session(path)
    shape = (1, 4, *session.card.step_shape)
    frames = (np.arange(np.prod(shape)) * 37 % 251).astype(step_dtype(session.card)).reshape(shape)
    if session.card.vectors is not None:
        frames[0, -1, -1] = np.nan
    answer, _ = session.run(frames)
    expected = json.loads(path.with_suffix(".json").read_text())
    assert np.abs(answer - expected).max() <= 1e-5
    assert session.card.spec == (VECTORS_SPEC if session.card.vectors else SPEC), (
        "the rest of the program knows only today's card"
    )


def test_every_spec_so_far_is_kept() -> None:
    kept = {path.stem for path in MODELS}
    kinds = ("video", "rows")
    assert kept >= {f"spec{spec}-{kind}" for spec in range(1, SPEC + 1) for kind in kinds}
    assert f"spec{VECTORS_SPEC}-vectors" in kept
