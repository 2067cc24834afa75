"""Run seqvision models on a device: numpy, OpenCV and onnxruntime, no torch."""

import os
from importlib import import_module

from seqvision_edge.errors import (
    CardError,
    DeviceError,
    ModelError,
    SeqvisionError,
    SinkError,
    SourceError,
)

# Like `typing`, whose import is the longest part of startup, during which Ctrl-C is Python's own.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from seqvision_edge.card import ModelCard
    from seqvision_edge.model import ClipPrediction, LiveStream, Model, Update, Window
    from seqvision_edge.preprocess import prepare
    from seqvision_edge.sampling import Sampler
    from seqvision_edge.session import Session, Stream
    from seqvision_edge.sources.factory import open_camera, open_path
    from seqvision_edge.types import Event, Prediction

__version__ = "0.2.0"

# Since 1.29 onnxruntime reports to Microsoft which models it loads and how they run, with an
# identifier of the device.  It reads this setting once, when it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "CardError",
    "ClipPrediction",
    "DeviceError",
    "Event",
    "LiveStream",
    "Model",
    "ModelCard",
    "ModelError",
    "Prediction",
    "Sampler",
    "SeqvisionError",
    "Session",
    "SinkError",
    "SourceError",
    "Stream",
    "Update",
    "Window",
    "__version__",
    "open_camera",
    "open_path",
    "prepare",
]

# Loaded on first use: a command must print --help or an option's error without the half second
# that OpenCV and onnxruntime take.
_HOMES = {
    "ClipPrediction": "model",
    "Event": "types",
    "LiveStream": "model",
    "Model": "model",
    "ModelCard": "card",
    "Prediction": "types",
    "Sampler": "sampling",
    "Session": "session",
    "Stream": "session",
    "Update": "model",
    "Window": "model",
    "open_camera": "sources.factory",
    "open_path": "sources.factory",
    "prepare": "preprocess",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
