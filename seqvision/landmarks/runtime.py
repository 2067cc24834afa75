"""A landmark encoder run by onnxruntime, which on a CPU takes a fifth of torch's time.

Its graph is converted once for each size of picture, and kept beside the weights.
"""

import contextlib
import hashlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from seqvision.console import status
from seqvision.landmarks.fetch import landmarks_folder
from seqvision_edge.files import atomic_write

# Pictures at once: more make the activations fall out of the processor's caches.
_BATCH = 4
_OPSET = 18
_sessions: dict[tuple[str, int], Any] = {}


def run_encoder(encoder: nn.Module, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the features of pictures `(pictures, 3, height, width)`, 0 to 1."""
    session = _session(encoder, pictures.shape[1:])
    pieces = [
        session.run(None, {"pictures": np.ascontiguousarray(pictures[at : at + _BATCH])})[0]
        for at in range(0, len(pictures), _BATCH)
    ]
    return np.concatenate(pieces)


def _session(encoder: nn.Module, shape: tuple[int, ...]) -> Any:
    threads = torch.get_num_threads()
    key = repr(encoder), threads
    if key not in _sessions:
        _sessions[key] = _kept(encoder, threads) or _new(encoder, shape, threads)
    return _sessions[key]


def _kept(encoder: nn.Module, threads: int) -> Any:
    """Return a session of the graph that an earlier run has converted; None where there is none."""
    with contextlib.suppress(Exception):  # a damaged file is converted anew
        return _load(_file(encoder).read_bytes(), threads)
    return None


def _new(encoder: nn.Module, shape: tuple[int, ...], threads: int) -> Any:
    with status("preparing the landmark networks", line=True):
        content = convert_encoder(encoder, shape)
    with contextlib.suppress(OSError), atomic_write(_file(encoder)) as unfinished:
        unfinished.write_bytes(content)
    return _load(content, threads)


def _load(content: bytes, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _file(encoder: nn.Module) -> Path:
    made_from = f"{encoder!r} {torch.__version__} {_OPSET}"
    digest = hashlib.sha256(made_from.encode()).hexdigest()[:16]
    return landmarks_folder() / f"encoder-{digest}.onnx"


def convert_encoder(encoder: nn.Module, shape: tuple[int, ...]) -> bytes:
    """Return a module of one input as an ONNX file; `shape` is that of one picture."""
    with quiet_export():
        program = torch.onnx.export(
            encoder.eval(),
            (torch.rand(2, *shape),),
            dynamo=True,
            opset_version=_OPSET,
            input_names=["pictures"],
            output_names=["features"],
            dynamic_shapes=({0: torch.export.Dim("pictures")},),
            verbose=False,
        )
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content


@contextlib.contextmanager
def quiet_export() -> Iterator[None]:
    """Keep the exporter's progress and its warnings about its own insides off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
