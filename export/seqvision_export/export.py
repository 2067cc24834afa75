"""The way from model.pt to model.onnx: load → convert → prove → keep."""

import sys
from pathlib import Path

from seqvision.config import ExportOptions
from seqvision.data.steps import centre
from seqvision.errors import ExportError
from seqvision.evaluate import load_clips
from seqvision.training.checkpoint import load_model
from seqvision_edge.files import replacing
from seqvision_edge.session import Session
from seqvision_export.convert import convert
from seqvision_export.verify import verify


def export(options: ExportOptions) -> Path:
    """Write the ONNX file of a model and prove that it answers alike.

    The file gets its name only after the proof: what does not agree is never left behind.

    Raises:
        SeqvisionError: the model or the clips cannot be used, or the answers differ.
    """
    model, card = load_model(options.model)
    target = options.output or options.model.with_suffix(".onnx")
    clips = []
    if options.verify is not None:
        _, decoded, _ = load_clips(options.verify, card, options.image_fps, options.cache)
        clips = [centre(clip, card.image, card.sequence) for clip in decoded]
    try:
        with replacing(target) as unfinished:
            unfinished.write_bytes(convert(model, card, options.opset))
            session = Session(unfinished, device="cpu")
            proof = verify(model, session, clips)
            size = unfinished.stat().st_size
    except OSError as error:
        raise ExportError(f"{target}: cannot be written ({error.strerror})") from None
    print(  # noqa: T201
        f"proven: torch, one call and frame by frame agree in {len(proof.cases)} comparisons"
        f"{f' ({len(clips)} real clips)' if clips else ''}; "
        f"largest difference {proof.worst.difference:.1g} ({proof.worst.name})\n"
        f"{len(card.labels)} labels, {card.sequence}, steps of {card.image.height}×"
        f"{card.image.width}, {size / 1e6:.1f} MB",
        file=sys.stderr,
    )
    return target
