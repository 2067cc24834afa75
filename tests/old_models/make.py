"""Write one tiny model per kind of sequence with today's card: `python tests/old_models/make.py`.

Run it once for every new card spec, before the spec is left behind; what it wrote is kept for ever
and must always load (tests/edge/test_old_models.py, tests/train/test_old_models.py).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqvision.config import ModelOptions
from seqvision.models.classifier import Classifier
from seqvision.training.model_io import save_model
from seqvision_edge.card import SPEC, VECTORS_SPEC, ImageSpec, ModelCard, vector_step
from seqvision_edge.session import Session, step_dtype
from seqvision_export.onnx_graph import convert

HERE = Path(__file__).parent
LABELS = ["left", "right", "none"]
SEQUENCES = {
    "video": {"kind": "video", "fps": 10.0, "frames": 4},
    "rows": {"kind": "rows", "steps": 6, "longer": "crop"},
    "vectors": {"kind": "vectors", "fps": 10.0, "frames": 4, "features": 3,
                "names": ["x", "y", "z"], "rate": 20.0},
}  # fmt: skip

# Depth in millimetres, and pictures with 8 bits.
RANGES: dict[str, tuple[float, float] | None] = {"video": (0.0, 4500.0)}


def main() -> None:
    """Write the models and, beside each, what it answers."""
    for kind, sequence in SEQUENCES.items():
        spec = VECTORS_SPEC if kind == "vectors" else SPEC
        torch.manual_seed(spec)
        encoder = "none" if kind == "vectors" else "flatten"
        options = ModelOptions(bidirectional=False, encoder=encoder, head="lstm", hidden=4)
        image = ImageSpec(
            height=4, width=6, channels=3, fit="stretch", value_range=RANGES.get(kind)
        ) if kind != "vectors" else vector_step(3)  # fmt: skip
        model = Classifier(options, image, len(LABELS)).eval()
        card = card_of(sequence, image, model.memory)
        with torch.no_grad():
            model.head.classify.weight.mul_(8)
        if kind == "vectors":
            model.encoder.fit(torch.tensor([100.0, 120.0, 140.0]), torch.full((3,), 70.0))
        stem = HERE / f"spec{spec}-{kind}"
        save_model(stem.with_suffix(".pt"), model, options, card)
        stem.with_suffix(".onnx").write_bytes(convert(model, card, 18))
        answer, _ = Session(stem.with_suffix(".onnx")).run(pattern(card))
        stem.with_suffix(".json").write_text(json.dumps(answer.tolist()) + "\n")


def pattern(card: ModelCard) -> NDArray[Any]:
    """Return frames that every NumPy makes alike; of vectors the last value is missing."""
    shape = (1, 4, *card.step_shape)
    frames = (np.arange(np.prod(shape)) * 37 % 251).astype(step_dtype(card)).reshape(shape)
    if card.vectors is not None:
        frames[0, -1, -1] = np.nan
    return frames


def card_of(sequence: dict[str, object], image: ImageSpec, memory: int) -> ModelCard:
    """Return a card as training writes it, for a network that keeps `memory` values of a step."""
    data = {
        "spec": VECTORS_SPEC if sequence["kind"] == "vectors" else SPEC,
        "labels": LABELS,
        "sequence": sequence,
        "image": image.model_dump(),
        "state": {
            "kind": "window",
            "tensors": [{"name": "past", "axes": ["batch", "kept", memory]}],
        },
        "decision": {
            "temperature": 1.5,
            "smoothing": "exponential",
            "smoothing_frames": 2,
            "reject": 0.4,
            "enter": 0.6,
            "leave": 0.4,
            "early": 0.9,
            "minimum_seconds": 0.2,
            "cooldown_seconds": 0.1,
            "background": "none",
        },
        "origin": {
            "version": "0.1.0",
            "created": "2026-11-21T00:00:00+00:00",
            "options": {"model": {"encoder": "flatten"}},
            "data": {"clips": 3},
            "metrics": {"val": {"accuracy": 1.0}},
            "notes": [],
        },
        "graph": None,
    }
    return ModelCard.from_json(json.dumps(data), "make.py")


if __name__ == "__main__":
    main()
