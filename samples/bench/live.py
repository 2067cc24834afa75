"""What a live frame costs: one frame through the exported graph, against the whole window again."""

from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.timing import milliseconds


def live(_: Path) -> dict[str, float]:
    """Time one live frame against re-running the window, interleaved; print medians."""
    from seqvision.config import ClipOptions, ModelOptions
    from seqvision.models.classifier import Classifier
    from seqvision_edge.card import ImageSpec
    from seqvision_edge.session import Session
    from seqvision_export.convert import convert

    table = Table("encoder", "one live frame", "window again", "ratio", title="live, 16 frames of "
                  "112×112, one thread", title_justify="left")  # fmt: skip
    found = {}
    image = ImageSpec(height=112, width=112, channels=3, fit="stretch")
    for encoder in ("small_cnn", "mobilenet_v2", "resnet18"):
        options = ModelOptions.model_validate({"encoder": encoder, "weights": "none"})
        model = Classifier(options, image, 9).eval()
        session = Session(convert(model, _card(image, model.features, ClipOptions().frames), 18))
        clip = np.random.default_rng(0).integers(0, 256, (16, 112, 112, 3), np.uint8)
        stream = session.stream()
        stream.push(clip)

        def step(stream=stream, clip=clip) -> None:  # type: ignore[no-untyped-def]
            stream.push(clip[:1])

        def again(session=session, clip=clip) -> None:  # type: ignore[no-untyped-def]
            session.run(clip[None])

        ratios, steps, windows = [], [], []
        for _ in range(15):
            steps.append(milliseconds(step, 10))
            windows.append(milliseconds(again, 2))
            ratios.append(windows[-1] / steps[-1])
        found[encoder] = median(ratios)
        table.add_row(encoder, f"{median(steps):.2f} ms", f"{median(windows):.2f} ms",
                      f"{median(ratios):.1f} ×")  # fmt: skip
    Console().print(table)
    return found


def _card(image, features: int, frames: int):  # type: ignore[no-untyped-def]
    from seqvision_edge.card import (
        SPEC,
        Decision,
        ModelCard,
        Origin,
        State,
        StateTensor,
        VideoSequence,
    )

    return ModelCard(
        spec=SPEC,
        labels=tuple(f"label {number}" for number in range(9)),
        sequence=VideoSequence(kind="video", fps=15.0, frames=frames),
        image=image,
        state=State(
            kind="window", tensors=(StateTensor(name="past", axes=("batch", "kept", features)),)
        ),
        decision=Decision(temperature=1.0, smoothing_frames=1, enter=0.8, leave=0.5,
                          minimum_seconds=0.0, cooldown_seconds=0.0, background=None),
        origin=Origin(version="bench", created="", options={}, data={}, metrics={}, notes=()),
        graph=None,
    )  # fmt: skip
