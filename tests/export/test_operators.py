"""What the exporter emits and what the runner accepts are one list."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from export_models import build, name

from seqvision.config import ENCODERS, ModelOptions
from seqvision_edge.model_file import OPERATORS
from seqvision_edge.session import Session
from seqvision_export.convert import convert
from seqvision_export.graph import state_of

HEADS = [
    ModelOptions(encoder="flatten", head=head, bidirectional=bi, pool=pool, motion=motion)
    for head in ("lstm", "gru")
    for bi in (False, True)
    for pool in ("last", "attention")
    for motion in ("none", "only", "both")
] + [
    ModelOptions(encoder="flatten", head="mean", motion=motion)
    for motion in ("none", "only", "both")
]
FORWARD = [
    options
    for options in HEADS
    if options.head != "mean" and not options.bidirectional and options.pool == "last"
]
# Files that were exported before graphs were simplified must load for ever.
EARLIER = {"Range", "Unsqueeze"}
# They are built of the layers of resnet18 and mobilenet_v2; test_export.py loads them, too.
LARGE = ("resnet50", "vgg16")
# The encoder and what follows it are exported one after the other: neither changes the other.
CASES = [
    *((options, "window") for options in HEADS),
    *((options, "carry") for options in FORWARD),
    *((ModelOptions(encoder=encoder), "window") for encoder in ENCODERS if encoder not in LARGE),
    *((ModelOptions(encoder=encoder), "carry") for encoder in ("small_cnn", "mobilenet_v3_small")),
]


def operators(content: bytes) -> set[str]:
    """Return the operators of a file, with what a runner may not know marked by its domain."""
    graph = onnx.load_from_string(content).graph
    return {node.op_type if not node.domain else str((node.domain, node)) for node in graph.node}


def quantized(content: bytes, folder: Path) -> bytes:
    """Return a model in INT8, as onnxruntime's static quantization writes it."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Once(CalibrationDataReader):
        def __init__(self) -> None:
            width = Session(content).card.state.tensors[0].axes[2]
            frames = np.random.default_rng(0).integers(0, 256, (1, 3, 32, 40, 3), np.uint8)
            self.left: list[dict[str, Any]] = [
                {"frames": frames, "past": np.zeros((1, 0, width), np.float32)}
            ]

        def get_next(self) -> dict[str, Any] | None:
            return self.left.pop() if self.left else None

    target = folder / "int8.onnx"
    quantize_static(
        onnx.load_from_string(content),
        target,
        Once(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        per_channel=True,
    )
    return target.read_bytes()


@pytest.mark.slow
def test_every_export_is_within_the_list_and_the_list_holds_nothing_else(tmp_path: Path) -> None:
    emitted: set[str] = set()
    for options, kind in CASES:
        channels = 1 if options.encoder == "resnet18" else 3
        model, card = build(options, channels=channels, temperature=1.5)
        content = convert(model, card.model_copy(update={"state": state_of(model, kind)}), 18)
        found = operators(content)
        assert found <= OPERATORS, f"{name(options)}, {kind}"
        Session(content)
        emitted |= found
    model, card = build(ModelOptions())
    emitted |= operators(quantized(convert(model, card, 18), tmp_path))
    assert emitted | EARLIER == OPERATORS, "an operator that no export needs is one more way in"


@pytest.mark.parametrize("opset", range(18, 25))
def test_every_opset_that_can_be_exported_is_accepted(opset: int) -> None:
    model, card = build(ModelOptions(encoder="flatten", motion="both", pool="attention"))
    content = convert(model, card, opset)
    assert operators(content) <= OPERATORS
    assert onnx.load_from_string(content).opset_import[0].version == opset
    Session(content)
