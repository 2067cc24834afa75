"""fp32 → int8: static quantization in onnxruntime's QDQ format, after Jacob et al. 2018.

Activations are unsigned bytes with one scale per tensor, weights signed bytes with one scale per
channel.  Recurrent layers, the head and the normalisation of pixels stay in float.
"""

import contextlib
import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QDQQuantizer,
    QuantType,
    create_calibrator,
)

from seqvision_edge.clip import Steps
from seqvision_edge.files import temporary_folder
from seqvision_edge.session import Session
from seqvision_export.precision.encoder import WEIGHED
from seqvision_export.precision.pixels import read_bytes, widen
from seqvision_export.precision.plan import BETWEEN, Plan, keep_pool

_KINDS = (*WEIGHED, *BETWEEN)


def ranges_of(
    content: bytes, clips: Sequence[Steps], advance: Callable[[int, int], None] = lambda *_: None
) -> Any:
    """Return the smallest and the largest value of each activation over clips.

    Args:
        content: the model in fp32.
        clips: each `(time, height, width, channels)` uint8, chosen and sized as for training.
        advance: is told how many clips are done, of how many.
    """
    reader = _Reader(Session(content, device="cpu", trial=False), clips, advance)
    with temporary_folder() as folder, _quiet():
        model, augmented = folder / "model.onnx", folder / "augmented.onnx"
        model.write_bytes(content)
        calibrator = create_calibrator(
            model, list(_KINDS), str(augmented), CalibrationMethod.MinMax
        )
        calibrator.collect_data(reader)
        return calibrator.compute_data()


def quantize(content: bytes, plan: Plan, ranges: Any) -> onnx.ModelProto:
    """Return the model with the nodes of a plan in int8.

    Args:
        content: the model in fp32.
        plan: one of its plans.
        ranges: what `ranges_of` found.
    """
    original = onnx.load_from_string(content)
    extra: dict[str, Any] = {
        # Features leave the last matrix product as floats.
        "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]
    }
    if plan.keeps_pool:
        keep_pool(original)
    pixels = widen(original) if plan.reads_bytes else None
    if pixels is not None:
        scale, zero = np.array(1, np.float32), np.array(pixels.zero, np.uint8)
        extra["TensorQuantOverrides"] = {pixels.centred: [{"scale": scale, "zero_point": zero}]}
        ranges = copy.copy(ranges)
        ranges.data = {**ranges.data, pixels.wide: ranges[pixels.result]}
    proto = onnx.shape_inference.infer_shapes(original)
    with _quiet():
        quantizer = QDQQuantizer(
            proto,
            True,  # one scale for each channel of a weight
            False,  # all eight bits: for processors whose sums of products do not saturate
            QuantType.QInt8,
            QuantType.QUInt8,
            ranges,
            list(plan.nodes),
            [],
            list(_KINDS),
            extra,
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
    found: onnx.ModelProto = quantizer.model.model
    found.producer_name, found.producer_version = original.producer_name, original.producer_version
    found.ir_version = original.ir_version
    del found.graph.value_info[:], found.opset_import[:]
    found.opset_import.extend(original.opset_import)
    if pixels is not None:
        read_bytes(found, pixels)
    return found


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Clips, one after the other, each as the inputs of one call with an empty past."""

    def __init__(
        self, session: Session, clips: Sequence[Steps], advance: Callable[[int, int], None]
    ) -> None:
        self._feeds = self._each(session, clips, advance)

    @staticmethod
    def _each(
        session: Session, clips: Sequence[Steps], advance: Callable[[int, int], None]
    ) -> Iterator[dict[str, Any]]:
        names = [tensor.name for tensor in session.card.state.tensors]
        for number, clip in enumerate(clips, 1):
            yield {"frames": clip[None], **dict(zip(names, session.empty_state(), strict=True))}
            advance(number, len(clips))

    def get_next(self) -> dict[str, Any] | None:
        """Return the next clip's inputs; None after the last."""
        return next(self._feeds, None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantizer's advice, which is about its own options, off the terminal."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(previous)
