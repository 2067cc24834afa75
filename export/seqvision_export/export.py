"""`seqvision export`: model.pt → model.onnx: load → convert → verify → keep."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqvision.config import ExportOptions, VerifyOptions
from seqvision.console import print_line, print_note, print_step, print_warning
from seqvision.data.clips import background_note
from seqvision.data.datasets import DataSet
from seqvision.errors import ExportError
from seqvision.models.classifier import Classifier
from seqvision.output_files import exported_by, lock_output, replacing_other
from seqvision.preflight.shared_checks import exported_path, find_for_model, report_path
from seqvision.statistics import chance_warning
from seqvision.training.model_io import load_model
from seqvision.training.run_context import steps_text
from seqvision_edge.card import ModelCard, TimedSequence
from seqvision_edge.files import atomic_write
from seqvision_edge.landmarks import layout_of
from seqvision_edge.session import Session, random_steps
from seqvision_export.onnx_graph import convert, state_of
from seqvision_export.quantize.calibration_data import gather_clips
from seqvision_export.quantize.select_precision import choose_precision
from seqvision_export.timing import interleaved_timing
from seqvision_export.verify.report import print_summary, save_report
from seqvision_export.verify.verify import verify_in_subprocess

# Calls of a few milliseconds: enough of them for some without interruption.
_SECONDS = 0.3


def export(options: ExportOptions, data_sets: Sequence[DataSet] = ()) -> Path:
    """Write the ONNX file of a model and prove that it answers alike.

    The file gets its name only after the proof: what does not agree is never left behind.

    Args:
        options: validated ones (`seqvision.preflight.validate_export`).
        data_sets: the clips of --calibrate and --verify that validation has found.

    Raises:
        SeqvisionError: the model or the clips cannot be used, the answers differ, or another
            process writes the file.
    """
    target = exported_path(options)
    with lock_output(target):
        return _export(options, target, data_sets)


def _export(options: ExportOptions, target: Path, data_sets: Sequence[DataSet]) -> Path:
    model, card = load_model(options.model)
    if card.vectors is not None and options.precision != "fp32":
        raise ExportError(
            f"--precision {options.precision}: {options.model} reads vectors, so it has no encoder "
            "to make smaller; leave it out"
        )
    if layout_of(card) and options.precision != "fp32":
        raise ExportError(
            f"--precision {options.precision}: {options.model} has landmarks, whose networks are "
            "exported in fp32 only; leave it out"
        )
    found = {data_set.path: data_set for data_set in data_sets}
    for path in filter(None, (options.verify, options.calibrate)):
        found[path] = found.get(path) or find_for_model(path, card)
    card = card.model_copy(update={"state": state_of(model, options.state)})
    doubt = chance_warning(card)
    if doubt is not None:
        print_warning(f"{options.model}: {doubt}")
    if card.decision.background is None and isinstance(card.sequence, TimedSequence):
        note = background_note(card.labels, None, None).replace(
            "--background LABEL", "seqvision train --background LABEL"
        )
        print_note(f"{options.model}: {note}")
    clips = gather_clips(options, card, found)
    kept: list[Path] = []
    try:
        with (
            atomic_write(report_path(target)) as report_file,
            replacing_other(
                target, lambda: exported_by(target, card), kept, report_path(target)
            ) as unfinished,
        ):
            print_step("converting the network to ONNX")
            content = convert(model, card, options.opset)
            unfinished.write_bytes(content)
            print_step(f"proving it in a fresh process{' on clips too' if options.verify else ''}")
            report = verify_in_subprocess(_proof_of(options, unfinished), str(target))
            if clips is not None:
                choice = choose_precision(content, card, options, clips)
                measured = {**choice.to_json(), "fp32_against_torch": report["worst"]}
                if choice.content != content:
                    unfinished.write_bytes(choice.content)
                    print_step(f"proving {choice.chosen.candidate.name} in a fresh process")
                    report = verify_in_subprocess(_proof_of(options, unfinished), str(target))
                report["precision"] = measured
            save_report(report_file, report)
            size = unfinished.stat().st_size
    except OSError as error:
        raise ExportError(f"{target}: cannot be written ({error.strerror})") from None
    if kept:
        print_note(f"{target}: the model of another training is kept as {kept[0]}")
    print_summary(report)
    print_line(
        f"{len(card.labels)} labels{_background(card)}, {card.sequence}"
        f"{steps_text(card.image, card.sequence)}, {size / 1e6:.1f} MB; "
        f"the proof is kept in {report_path(target)}"
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


def live_latency_ms(model: Classifier, card: ModelCard) -> float:
    """Return the milliseconds of one live frame, its window full; of a whole image for stills.

    In fp32, on one thread of the CPU, undisturbed: what else runs here meanwhile is not counted.
    """
    session = Session(convert(model, card, ExportOptions().opset), "cpu", threads=1, trial=False)
    # What a picture shows does not change what it costs.
    clip = random_steps(np.random.default_rng(0), card, card.sequence.window)
    if isinstance(card.sequence, TimedSequence):
        stream = session.stream()
        stream.push(clip)
        timing = interleaved_timing({0: lambda: stream.push(clip[:1])}, _SECONDS)[0]
    else:
        timing = interleaved_timing({0: lambda: session.run(clip[None])}, _SECONDS)[0]
    return timing.undisturbed
