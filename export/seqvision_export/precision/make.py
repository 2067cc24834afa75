"""fp32 → the same model in every number format that was asked for."""

from collections.abc import Iterator, Sequence

import onnx

from seqvision.console import progress
from seqvision_edge.card import ModelCard
from seqvision_edge.clip import Steps
from seqvision_export.convert import finish
from seqvision_export.precision.candidate import Candidate, Format
from seqvision_export.precision.half import to_fp16
from seqvision_export.precision.int8 import quantize, ranges_of
from seqvision_export.precision.plan import plans


def make(
    content: bytes, card: ModelCard, formats: Sequence[Format], calibrate: Sequence[Steps]
) -> Iterator[Candidate]:
    """Yield a model in smaller formats; none where its encoder computes nothing.

    Args:
        content: the model in fp32, as `convert` returns it.
        card: its card.
        formats: which ones; fp32 is not made again.
        calibrate: windows by which the ranges of int8 are chosen.
    """
    possible = plans(onnx.load_from_string(content))
    if "int8" in formats and possible:
        with progress("calibrating") as advance:
            ranges = ranges_of(content, calibrate, advance)
        for plan in possible:
            quantized = finish(quantize(content, plan, ranges), card, "int8")
            yield Candidate(f"int8, {plan.name}", "int8", quantized)
    if "fp16" in formats and possible:
        yield Candidate("fp16", "fp16", finish(to_fp16(content), card, "fp16"))
