"""A small real model that classifies colours, with pictures and videos of colours.  No torch.

The model tells which colour it sees.  It keeps the contract of every exported model: a window of
step features is the state, and the answer depends on the order of the window.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from seqvision_edge.card import METADATA_KEY, ModelCard
from seqvision_edge.opencv import cv2

LABELS = ("red", "green", "blue", "none")
COLOURS = {  # BGR
    "red": (30, 30, 220),
    "green": (30, 220, 30),
    "blue": (220, 30, 30),
    "none": (90, 90, 90),
    "black": (0, 0, 0),
}
WINDOW = 6
FPS = 10.0
# Answers are about the middle of the window.
LAG = (WINDOW - 1) / FPS / 2

# Settings of the decision that came with spec 3.
NEW_IN_3 = ("smoothing", "reject", "early")

Image = NDArray[np.uint8]
Segments = Sequence[tuple[str, float]]


def card_data(**changes: Any) -> dict[str, Any]:
    """Return a card as plain data; `changes` replace whole keys."""
    data: dict[str, Any] = {
        "spec": 4,
        "labels": list(LABELS),
        "sequence": {"kind": "video", "fps": FPS, "frames": WINDOW},
        "image": {"height": 12, "width": 16, "channels": 3, "fit": "stretch", "value_range": None},
        "state": {"kind": "window", "tensors": [{"name": "past", "axes": ["batch", "kept", 3]}]},
        "decision": {
            "temperature": 1.0,
            "smoothing": "mean",
            "smoothing_frames": 2,
            "reject": 0.0,
            "enter": 0.6,
            "leave": 0.4,
            "early": None,
            "minimum_seconds": 0.2,
            "cooldown_seconds": 0.0,
            "background": "none",
        },
        "origin": {
            "version": "0.1.0",
            "created": "2025-01-01T00:00:00+00:00",
            "options": {},
            "data": {},
            "metrics": {},
            "notes": [],
        },
        "graph": None,
    }
    return {**data, **changes}


def older_card_data(spec: int) -> dict[str, Any]:
    """Return a card as it was written in an older spec."""
    data = card_data(spec=spec)
    if spec < 3:
        for key in NEW_IN_3:
            del data["decision"][key]
    if spec < 4:
        data["image"] = {key: data["image"][key] for key in ("height", "width", "channels", "fit")}
    if spec < 2:
        del data["graph"]
    return data


def make_card(**changes: Any) -> ModelCard:
    return ModelCard.from_json(json.dumps(card_data(**changes)), "test")


def model_bytes(card: ModelCard | None = None, *, nan_on_black: bool = False) -> bytes:
    """Return the colour model as ONNX; `nan_on_black` makes a black picture give NaN."""
    onnx = pytest.importorskip("onnx", reason="onnx builds the models of these tests")
    from onnx import TensorProto, helper, numpy_helper

    card = card or make_card()
    window = card.sequence.window
    one, half = 12.0, -6.0
    arrays: dict[str, NDArray[Any]] = {
        "axes": np.array([2, 3], np.int64),
        "full": np.array([255], np.float32),
        "zero": np.array([0], np.float32),
        "time": np.array([1], np.int64),
        "start": np.array([0], np.int64),
        "second": np.array([1], np.int64),
        "newest": np.array([-1], np.int64),
        "window": np.array([-window], np.int64),
        "kept": np.array([-(window - 1)], np.int64),
        "end": np.array([1 << 40], np.int64),
        "colours": np.array(
            [[one, half, half, 0], [half, one, half, 0], [half, half, one, 0]], np.float32
        ),
        "change": 2 * np.eye(3, 4, dtype=np.float32),
        "bias": np.array([-3, -3, -3, 0], np.float32),
    }
    steps: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        ("Cast", ["frames"], ["as_float"], {"to": TensorProto.FLOAT}),
        ("ReduceMean", ["as_float", "axes"], ["mean"], {"keepdims": 0}),
        ("Div", ["mean", "full"], ["clean"], {}),
        ("Div", ["clean", "clean"], ["nan_if_zero"], {}),
        ("Mul", ["nan_if_zero", "zero"], ["nothing"], {}),
        ("Add", ["clean", "nothing"], ["spoilt"], {}),
        ("Concat", ["past", "spoilt" if nan_on_black else "clean"], ["all"], {"axis": 1}),
        ("Slice", ["all", "window", "end", "time"], ["seen"], {}),
        ("Slice", ["all", "kept", "end", "time"], ["past_next"], {}),
        ("ReduceMean", ["seen", "time"], ["average"], {"keepdims": 0}),
        ("Slice", ["seen", "newest", "end", "time"], ["last"], {}),
        ("Slice", ["seen", "start", "second", "time"], ["first"], {}),
        ("Sub", ["last", "first"], ["moved"], {}),
        ("ReduceSum", ["moved", "time"], ["change_of"], {"keepdims": 0}),
        ("MatMul", ["average", "colours"], ["still"], {}),
        ("MatMul", ["change_of", "change"], ["moving"], {}),
        ("Add", ["still", "moving"], ["both"], {}),
        ("Add", ["both", "bias"], ["logits"], {}),
        ("Softmax", ["logits"], ["probabilities"], {"axis": -1}),
    ]
    image = card.image
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, outputs, **more) for kind, inputs, outputs, more in steps],
        "colours",
        [
            helper.make_tensor_value_info(
                "frames",
                TensorProto.UINT8,
                ["batch", "time", image.height, image.width, image.channels],
            ),
            helper.make_tensor_value_info("past", TensorProto.FLOAT, ["batch", "kept", 3]),
        ],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 4]),
            helper.make_tensor_value_info("past_next", TensorProto.FLOAT, ["batch", "left", 3]),
        ],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def picture(colour: str, size: tuple[int, int] = (64, 48)) -> Image:
    """Return one BGR picture of a colour; `size` is (width, height)."""
    return np.full((size[1], size[0], 3), COLOURS[colour], np.uint8)


def write_video(path: Path, segments: Segments, fps: float = 20.0, codec: str = "mp4v") -> Path:
    """Write a video of colours, each for some seconds."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (64, 48))
    assert writer.isOpened()
    for colour, seconds in segments:
        for _ in range(round(seconds * fps)):
            writer.write(picture(colour))
    writer.release()
    return path
