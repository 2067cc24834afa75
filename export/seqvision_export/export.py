"""THE WAY from model.pt to model.onnx: load → convert → prove → keep."""

import sys
from pathlib import Path

from seqvision.config import ExportOptions, VerifyOptions
from seqvision.data.readers import find_data_set
from seqvision.errors import ExportError
from seqvision.training.checkpoint import load_model
from seqvision_edge.files import is_one_of, replacing
from seqvision_export.convert import convert
from seqvision_export.graph import state_of
from seqvision_export.precision.choose import choose
from seqvision_export.precision.clips import gather
from seqvision_export.proof.proof import report_path, save, tell
from seqvision_export.proof.verify import prove_afresh


def export(options: ExportOptions) -> Path:
    """Write the ONNX file of a model and prove that it answers alike.

    The file gets its name only after the proof: what does not agree is never left behind.

    Raises:
        SeqvisionError: the model or the clips cannot be used, or the answers differ.
    """
    model, card = load_model(options.model)
    if options.verify is not None:
        # A wrong path is said now, not after the conversion.
        find_data_set(options.verify, images=card.sequence.kind != "video")
    card = card.model_copy(update={"state": state_of(model, options.state)})
    target = options.output or options.model.with_suffix(".onnx")
    if is_one_of(target, [options.model]):
        raise ExportError(f"--output {target}: that is the model itself; choose another name")
    clips = gather(options, card)
    try:
        with replacing(target) as unfinished, replacing(report_path(target)) as report_file:
            content = convert(model, card, options.opset)
            unfinished.write_bytes(content)
            report = prove_afresh(_proof_of(options, unfinished), str(target))
            if clips is not None:
                choice = choose(content, card, options, clips)
                measured = {**choice.to_json(), "fp32_against_torch": report["worst"]}
                if choice.content != content:
                    unfinished.write_bytes(choice.content)
                    report = prove_afresh(_proof_of(options, unfinished), str(target))
                report["precision"] = measured
            save(report_file, report)
            size = unfinished.stat().st_size
    except OSError as error:
        raise ExportError(f"{target}: cannot be written ({error.strerror})") from None
    tell(report)
    print(  # noqa: T201
        f"{len(card.labels)} labels, {card.sequence}, steps of {card.image.height}×"
        f"{card.image.width}, {size / 1e6:.1f} MB; the proof is kept in {report_path(target)}",
        file=sys.stderr,
    )
    return target


def _proof_of(options: ExportOptions, file: Path) -> VerifyOptions:
    return VerifyOptions(
        model=file,
        data=options.verify,
        against=options.model,
        image_fps=options.image_fps,
        cache=options.cache,
    )
