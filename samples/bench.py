"""What `make bench` measures, as ratios within one run.

- order: the LSTM against the mean of the same features, on samples in which no single frame tells
  a gesture from its reverse.  Blind to direction, 5 of 9 labels can be right: 55.6 %.
- live: one frame through the exported graph, against running the whole window again at each frame.

`python samples/bench.py FOLDER` keeps its samples and models in FOLDER.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

TRAINING = ("--size", "64", "--frames", "16", "--fps", "8", "--epochs", "20", "--patience", "0")


def main() -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("demo"))
    folder = parser.parse_args().folder
    samples = folder / "samples"
    if not (samples / "untrimmed.json").exists():
        script = Path(__file__).with_name("make_samples.py")
        subprocess.run([sys.executable, script, samples], check=True)
    order(samples / "clips", folder)
    live()
    return 0


def order(clips: Path, folder: Path) -> None:
    """Train both heads alike and print what they reach on performers held out."""
    table = Table("head", "held-out accuracy", "seconds", title="order", title_justify="left")
    for head in ("lstm", "mean"):
        runs = folder / f"bench-{head}"
        began = time.monotonic()
        command = [sys.executable, "-m", "seqvision", "train", clips, *TRAINING, "--head", head]
        command += ["--runs", runs, "--output", folder / f"{head}.pt", "--cache", folder / "cache"]
        subprocess.run(command, check=True, capture_output=True)
        newest = max(runs.glob("*/metrics.json"), key=lambda path: path.stat().st_mtime)
        metrics = json.loads(newest.read_text())
        right = metrics["val"]["accuracy"] * metrics["val"]["clips"]
        right += metrics["test"]["accuracy"] * metrics["test"]["clips"]
        share = right / (metrics["val"]["clips"] + metrics["test"]["clips"])
        table.add_row(head, f"{share:.1%}", f"{time.monotonic() - began:.0f}")
    table.add_row("blind to direction", "55.6%", "")
    Console().print(table)


def live() -> None:
    """Time one live frame against re-running the window, interleaved, and print medians."""
    from seqvision.config import ClipOptions, ModelOptions
    from seqvision.models.classifier import Classifier
    from seqvision_edge.card import ImageSpec
    from seqvision_edge.session import Session
    from seqvision_export.convert import convert

    table = Table("encoder", "one live frame", "window again", "ratio", title="live, 16 frames of "
                  "112×112, one thread", title_justify="left")  # fmt: skip
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
            steps.append(_milliseconds(step, 10))
            windows.append(_milliseconds(again, 2))
            ratios.append(windows[-1] / steps[-1])
        table.add_row(encoder, f"{median(steps):.2f} ms", f"{median(windows):.2f} ms",
                      f"{median(ratios):.1f} ×")  # fmt: skip
    Console().print(table)


def _milliseconds(work: Callable[[], None], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        work()
    return 1000 * (time.perf_counter() - began) / times


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
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
