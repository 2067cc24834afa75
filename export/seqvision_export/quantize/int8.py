"""fp32 → int8: static quantization in onnxruntime's QDQ format, after Jacob et al. 2018.

Activations are unsigned bytes with one scale per tensor, weights signed bytes with one scale per
channel.  Recurrent layers, the head and the normalisation of pixels stay in float.

A convolution of three channels is often slower in int8 than in float, and so is a max-pool that
follows a float convolution; which of these plans is the fastest must be measured.
"""

import contextlib
import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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

from seqvision_edge.files import temporary_folder
from seqvision_edge.sampling import Steps
from seqvision_edge.session import Session
from seqvision_export.quantize.encoder_graph import (
    WEIGHED,
    can_widen,
    read_bytes,
    weighted_nodes,
    widen,
)
from seqvision_export.simplify import Nodes

_CLAMPS = ("Relu", "Clip")
# What lies between two integer convolutions and would cost two conversions in float.
BETWEEN = (*_CLAMPS, "Add", "Concat", "MaxPool")

_KINDS = (*WEIGHED, *BETWEEN)


def ranges_of(
    content: bytes, clips: Sequence[Steps], advance: Callable[[int, int], None] = lambda *_: None
) -> Any:
    """Return the smallest and the largest value of each activation over clips.

    Args:
        content: the model in fp32.
        clips: each `(time, height, width, channels)` uint8, chosen and sized as for training.
        advance: called with how many clips are done, of how many.
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


@dataclass(frozen=True)
class Int8Plan:
    """What int8 computes.

    Attributes:
        name: what the plan is called.
        nodes: the names of the nodes.
        keeps_pool: the max-pool after the first convolution is kept from it.
        reads_bytes: the first convolution reads the frames as they are.
    """

    name: str
    nodes: tuple[str, ...]
    keeps_pool: bool = False
    reads_bytes: bool = False


def quantize(content: bytes, plan: Int8Plan, ranges: Any) -> onnx.ModelProto:
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


def plans(proto: onnx.ModelProto) -> list[Int8Plan]:
    """Return the plans that this encoder allows; none where it has nothing to quantise."""
    names = [node.name for node in weighted_nodes(proto)]
    if not names:
        return []
    everything = _with_glue(proto, names)
    found = [Int8Plan("all", everything)]
    if can_widen(proto):
        found.append(Int8Plan("all, from bytes", everything, reads_bytes=True))
    if len(names) > 1:
        rest = _with_glue(proto, names[1:])
        found.append(Int8Plan("first conv kept", rest))
        if pool_after_first(proto) is not None:
            found.append(Int8Plan("first conv and pool kept", rest, keeps_pool=True))
    return found


def pool_after_first(proto: onnx.ModelProto) -> tuple[str, str] | None:
    """Return the names of the clamp and the max-pool that alone read the first convolution."""
    nodes = Nodes(proto)
    chain = [weighted_nodes(proto)[0]]
    for kinds in (_CLAMPS, ("MaxPool",)):
        users = nodes.users(chain[-1].output[0])
        if len(users) != 1 or users[0].op_type not in kinds:
            return None
        chain.append(users[0])
    return chain[1].name, chain[2].name


def keep_pool(proto: onnx.ModelProto) -> None:
    """Clamp after the first max-pool instead of before it: the same values, in any number format.

    onnxruntime moves a quantization up through a max-pool that is right before it, and its max-pool
    of bytes is many times as slow as that of floats.
    """
    found = pool_after_first(proto)
    if found is None:
        return
    nodes = Nodes(proto)
    order = [node.name for node in proto.graph.node]
    first, second = (order.index(name) for name in found)
    moved = list(proto.graph.node)
    moved[first], moved[second] = moved[second], moved[first]
    pool, clamp = moved[first], moved[second]
    before, between, after = clamp.input[0], clamp.output[0], pool.output[0]
    pool.input[0], pool.output[0] = before, between
    clamp.input[0], clamp.output[0] = between, after
    nodes.replace(moved)


def _with_glue(proto: onnx.ModelProto, names: list[str]) -> tuple[str, ...]:
    """Add what reads nothing but results of int8."""
    nodes = Nodes(proto)
    chosen = set(names)
    for node in proto.graph.node:
        makers = [nodes.maker(name) for name in node.input if name and name not in nodes.constants]
        if node.op_type in BETWEEN and all(maker and maker.name in chosen for maker in makers):
            chosen.add(node.name)
    return tuple(node.name for node in proto.graph.node if node.name in chosen)
