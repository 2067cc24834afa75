"""Models with random weights: what a network knows does not change what it costs."""

from pathlib import Path

import numpy as np

from bench.timing import milliseconds
from seqvision.config import ExportOptions, ModelOptions
from seqvision.models.classifier import Classifier
from seqvision.training.model_io import load_model, save_model
from seqvision_edge.card import (
    SPEC,
    Decision,
    ImageSpec,
    ModelCard,
    Origin,
    State,
    StateTensor,
    VideoSequence,
)
from seqvision_edge.session import Session
from seqvision_export.onnx_graph import convert
from seqvision_export.quantize.calibration_data import random_windows
from seqvision_export.quantize.select_precision import make


def random_model(folder: Path, encoder: str, size: int = 112, fps: float = 15.0) -> Path:
    """Write a model of 16 frames and nine labels; return its file."""
    options = ModelOptions.model_validate(
        {"encoder": encoder, "weights": "none", "bidirectional": False}
    )
    image = ImageSpec(height=size, width=size, channels=3, fit="stretch")
    model = Classifier(options, image, 9).eval()
    past = StateTensor(name="past", axes=("batch", "kept", model.memory))
    card = ModelCard(
        spec=SPEC,
        labels=tuple(f"label {number}" for number in range(9)),
        sequence=VideoSequence(kind="video", fps=fps, frames=16),
        image=image,
        state=State(kind="window", tensors=(past,)),
        decision=Decision(temperature=1.0, smoothing="none", smoothing_frames=1, min_confidence=0.0,
                          on_threshold=0.8, off_threshold=0.5, early=None,
                          minimum_seconds=0.0, cooldown_seconds=0.0, background=None),
        origin=Origin(version="bench", created="", options={}, data={}, metrics={}, notes=()),
        graph=None,
    )  # fmt: skip
    file = folder / f"bench-{encoder}-{size}.pt"
    save_model(file, model, options, card)
    return file


def exported(
    folder: Path, encoder: str, size: int = 112, fps: float = 15.0, *, int8: bool = True
) -> dict[str, Path]:
    """Return an fp32 file of such a model, and its fastest kind of int8 where it has any."""
    model, card = load_model(random_model(folder, encoder, size, fps))
    content = convert(model, card, ExportOptions().opset)
    files = {"fp32": content}
    # Noise chooses bad ranges, and the same arithmetic.
    kinds = ("int8",) if int8 else ()
    made = [each.content for each in make(content, card, kinds, random_windows(card))]
    if made:
        files["int8"] = min(made, key=_milliseconds)
    found = {}
    for precision, data in files.items():
        found[precision] = folder / f"bench-{encoder}-{size}-{precision}.onnx"
        found[precision].write_bytes(data)
    return found


def _milliseconds(content: bytes) -> float:
    """Return what a frame of a stream takes, undisturbed."""
    session = Session(content, "cpu")
    stream, image = session.stream(), session.card.image
    frame = np.zeros((1, image.height, image.width, image.channels), np.uint8)
    for _ in range(session.card.sequence.window):
        stream.push(frame)
    return min(milliseconds(lambda: stream.push(frame), 5) for _ in range(10))
