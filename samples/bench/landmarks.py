"""Encoders of landmarks: one live step against their networks alone.

Processor time, not the clock's: other programs of this machine do not count.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from seqvision.config import ModelOptions
from seqvision.landmarks.encoder import LandmarkEncoder
from seqvision.landmarks.runtime import convert_encoder
from seqvision.models.classifier import Classifier
from seqvision_edge.card import (
    SPEC,
    Decision,
    ImageSpec,
    ModelCard,
    Origin,
    VideoSequence,
)
from seqvision_edge.session import Session
from seqvision_export.onnx_graph import convert, state_of

GOAL = 1.15
_ROUNDS, _FRAMES = 30, 15
# Encoder, networks for hands, how many hands.
_MODELS = (
    ("hands", "lite", 1),
    ("hands", "lite", 2),
    ("hands", "full", 2),
    ("pose", "lite", 2),
    ("hands+pose", "lite", 2),
)
_IMAGE = ImageSpec(height=240, width=320, channels=3, fit="pad")


def landmarks(folder: Path) -> dict[str, dict[str, float]]:
    """Time a live step of each kind against its networks; print goals and figures."""
    found: dict[str, dict[str, float]] = {}
    title = "320×240, one thread: a live step, head and all, against its networks alone"
    table = Table("model", "live step", "networks", "ratio", "goal", title=title)
    for name, kind, hands in _MODELS:
        calls = _contestants(name, kind, hands)
        best = dict.fromkeys(calls, float("inf"))
        for _ in range(_ROUNDS):
            for part, call in calls.items():
                began = time.thread_time()
                call()
                best[part] = min(best[part], 1000 * (time.thread_time() - began))
        step = best.pop("live step")
        networks = sum(best.values())
        title = name if name == "pose" else f"{name}, {kind}, {hands}"
        found[title] = {"live step, ms": step, "networks, ms": networks, "ratio": step / networks}
        goal = f"≤ {GOAL}" if (name, hands) == ("hands", 1) else ""
        table.add_row(title, f"{step:.1f} ms", f"{networks:.1f} ms", f"{step / networks:.2f}", goal)
    Console().print(table)
    return found


def _contestants(name: str, kind: str, hands: int) -> dict[str, Callable[[], object]]:
    options = ModelOptions.model_validate(
        {"encoder": name, "hands": hands, "landmarks": kind, "head": "gru"}
    )
    torch.manual_seed(0)
    model = Classifier(options, _IMAGE, 10).eval()
    encoder = model.encoder
    assert isinstance(encoder, LandmarkEncoder)
    stream = Session(convert(model, _card(model), 18), "cpu", threads=1, trial=False).stream()
    noise = np.random.default_rng(0).integers(0, 256, (_FRAMES, 240, 320, 3), np.uint8)
    stream.push(noise)
    calls: dict[str, Callable[[], object]] = {"live step": lambda: stream.push(noise[:1])}
    if encoder.hands is not None:
        palm, net = encoder.hands.palm, encoder.hands.net
        calls["palms"] = _alone(palm, (1, 3, palm.size, palm.size))
        calls["hands"] = _alone(net, (hands, 3, net.size, net.size))
    if encoder.pose is not None:
        calls["pose"] = _alone(encoder.pose.net, (1, 3, encoder.pose.size, encoder.pose.size))
    return calls


def _alone(network: nn.Module, shape: tuple[int, ...]) -> Callable[[], object]:
    session: Any = onnxruntime.InferenceSession(convert_encoder(network, shape[1:]), _one_thread())
    pixels = np.random.default_rng(0).random(shape, np.float32)
    return lambda: session.run(None, {"pictures": pixels})


def _one_thread() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return options


def _card(model: Classifier) -> ModelCard:
    decision = Decision(
        temperature=1.0, smoothing="none", smoothing_frames=1, min_confidence=0.0,
        on_threshold=0.8, off_threshold=0.6, early=None, minimum_seconds=0.0,
        cooldown_seconds=0.0, background=None,
    )  # fmt: skip
    return ModelCard(
        spec=SPEC,
        labels=tuple(f"label {number}" for number in range(10)),
        sequence=VideoSequence(kind="video", fps=10.0, frames=16),
        image=_IMAGE,
        state=state_of(model, "window"),
        decision=decision,
        origin=Origin(version="0", created="", options={}, data={}, metrics={}, notes=()),
        graph=None,
    )
