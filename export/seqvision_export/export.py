"""THE WAY from model.pt to model.onnx: load → convert → prove → keep."""

from pathlib import Path

from seqvision import ready
from seqvision.chance import chance_warning
from seqvision.config import ExportOptions, VerifyOptions
from seqvision.console import print_line, print_note, print_step, print_warning
from seqvision.data.clips import background_note
from seqvision.errors import ExportError
from seqvision.output_files import alone_with, exported_by, replacing_other
from seqvision.ready import beside
from seqvision.training.checkpoint import load_model
from seqvision_edge.card import ModelCard
from seqvision_edge.files import atomic_write
from seqvision_export.convert import convert
from seqvision_export.graph import state_of
from seqvision_export.precision.choose import choose
from seqvision_export.precision.clips import gather
from seqvision_export.proof.proof import print_summary, save
from seqvision_export.proof.verify import verify_in_subprocess


def export(options: ExportOptions) -> Path:
    """Write the ONNX file of a model and prove that it answers alike.

    The file gets its name only after the proof: what does not agree is never left behind.

    Raises:
        SeqvisionError: the model or the clips cannot be used, the answers differ, or another
            process writes the file.
    """
    target = ready.validate_export(options)
    with alone_with(target):
        return _export(options, target)


def _export(options: ExportOptions, target: Path) -> Path:
    model, card = load_model(options.model)
    for path in filter(None, (options.verify, options.calibrate)):
        ready.check_labels(path, card)
    card = card.model_copy(update={"state": state_of(model, options.state)})
    doubt = chance_warning(card)
    if doubt is not None:
        print_warning(f"{options.model}: {doubt}")
    if card.decision.background is None and card.sequence.kind == "video":
        note = background_note(card.labels, None, None).replace(
            "--background LABEL", "seqvision train --background LABEL"
        )
        print_note(f"{options.model}: {note}")
    clips = gather(options, card)
    kept: list[Path] = []
    try:
        with (
            atomic_write(beside(target)) as report_file,
            replacing_other(
                target, lambda: exported_by(target, card), kept, beside(target)
            ) as unfinished,
        ):
            print_step("converting the network to ONNX")
            content = convert(model, card, options.opset)
            unfinished.write_bytes(content)
            print_step(f"proving it in a fresh process{' on clips too' if options.verify else ''}")
            report = verify_in_subprocess(_proof_of(options, unfinished), str(target))
            if clips is not None:
                choice = choose(content, card, options, clips)
                measured = {**choice.to_json(), "fp32_against_torch": report["worst"]}
                if choice.content != content:
                    unfinished.write_bytes(choice.content)
                    print_step(f"proving {choice.chosen.candidate.name} in a fresh process")
                    report = verify_in_subprocess(_proof_of(options, unfinished), str(target))
                report["precision"] = measured
            save(report_file, report)
            size = unfinished.stat().st_size
    except OSError as error:
        raise ExportError(f"{target}: cannot be written ({error.strerror})") from None
    if kept:
        print_note(f"{target}: the model of another training is kept as {kept[0]}")
    print_summary(report)
    print_line(
        f"{len(card.labels)} labels{_background(card)}, {card.sequence}, "
        f"steps of {card.image.width}×{card.image.height}, {size / 1e6:.1f} MB; "
        f"the proof is kept in {beside(target)}"
    )
    return target


def _background(card: ModelCard) -> str:
    background = card.decision.background
    return f" ({background}: nothing happens)" if background is not None else ""


def _proof_of(options: ExportOptions, file: Path) -> VerifyOptions:
    return VerifyOptions(
        model=file,
        data=options.verify,
        against=options.model,
        image_fps=options.image_fps,
        cache=options.cache,
    )
