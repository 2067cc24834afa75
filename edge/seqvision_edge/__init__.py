"""Run seqvision models on a device: numpy, OpenCV and onnxruntime, no torch."""

from seqvision_edge.card import ModelCard
from seqvision_edge.errors import (
    CardError,
    DeviceError,
    ModelError,
    SeqvisionError,
    SinkError,
    SourceError,
)
from seqvision_edge.session import Session, Stream

__version__ = "0.1.0"

__all__ = [
    "CardError",
    "DeviceError",
    "ModelCard",
    "ModelError",
    "SeqvisionError",
    "Session",
    "SinkError",
    "SourceError",
    "Stream",
    "__version__",
]
