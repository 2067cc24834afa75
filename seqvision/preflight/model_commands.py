"""Validation of model files and what is done with them."""

from dataclasses import replace
from pathlib import Path

from seqvision.calibration.inputs import CalibrationInputs, find_inputs
from seqvision.config import (
    BenchOptions,
    CalibrateOptions,
    CompareOptions,
    EvaluateOptions,
    ExportOptions,
    InspectOptions,
    PredictOptions,
    VerifyOptions,
    data_path,
)
from seqvision.data.datasets import DataSet
from seqvision.data.datasets.detect import find_paths
from seqvision.errors import CheckpointError, DataError, ExportError
from seqvision.preflight.shared_checks import (
    MODEL_SUFFIXES,
    check_clips,
    check_model_output,
    check_outputs,
    check_trained,
    exported_path,
    find_for_model,
    report_path,
)
from seqvision_edge.errors import ModelError
from seqvision_edge.files import is_one_of
from seqvision_edge.hints import path_error
from seqvision_edge.onnx_validation import read_model
from seqvision_edge.regions import parse_region


def validate_evaluate(options: EvaluateOptions) -> DataSet | None:
    """Refuse what `evaluate` cannot do; return the clips, where the model's labels are known.

    Raises:
        SeqvisionError: the model or the clips are not there, or an output cannot be written.
    """
    path = data_path(options)
    card = check_trained(options.model, "evaluate", path)
    check_clips(path)
    check_outputs({"--output": options.output, "--report": options.report}, (options.model, path))
    if card is None:
        return None
    return find_for_model(
        path,
        card,
        options.dataset,
        options.official_split,
        options.split,
        region=options.region,
    )


def validate_calibrate(options: CalibrateOptions) -> CalibrationInputs:
    """Refuse what `calibrate` cannot do; return what it is to look at.

    Raises:
        SeqvisionError: the model or a path is not there, a truth cannot be read, or the file that
            is to be written is of another kind.
    """
    if not options.data:
        raise DataError(
            "seqvision calibrate: clips, or untrimmed videos with their truth, are missing: "
            "seqvision calibrate MODEL PATH…"
        )
    suffix = options.model.suffix.lower()
    if suffix != ".onnx":
        card = check_trained(options.model, "calibrate", *options.data)
    else:
        card = read_model(options.model)[1].card
    output = options.output or options.model
    endings = (".onnx",) if suffix == ".onnx" else MODEL_SUFFIXES
    if output.suffix.lower() not in endings:
        raise CheckpointError(f"--output {output}: must end in {' or '.join(endings)}")
    curve = options.curve
    if curve is not None and curve.suffix.lower() not in (".svg", ".png"):
        raise DataError(f"--curve {curve}: must end in .svg or .png")
    numbers = None if curve is None else curve.with_suffix(".json")
    check_outputs(
        {"--output": output, "--curve": curve, "numbers of --curve": numbers}, options.data
    )
    inputs = find_inputs(options.data)
    if curve is not None and not inputs.takes:
        raise DataError(f"--curve {curve}: needs untrimmed videos with their truth")
    truths = {take.video.with_suffix(".json").resolve() for take in inputs.takes}
    if numbers is not None and numbers.resolve() in truths:
        raise DataError(f"--curve {curve}: its numbers would replace the truth {numbers}")
    check_model_output("--output", output)
    if card is None:
        return inputs
    sets = [
        find_for_model(path, card, unknown=options.unknown, region=options.region)
        for path in inputs.clips
    ]
    return replace(inputs, data_sets=tuple(sets))


def validate_predict(options: PredictOptions) -> None:
    """Refuse what `predict` cannot do.

    Raises:
        SeqvisionError: the model or a path is not there, or the CSV cannot be written.
    """
    if not options.paths:
        raise DataError("seqvision predict: the clips are missing: seqvision predict MODEL PATH…")
    if options.region is not None:
        parse_region(options.region)
    if options.every_window and options.test_views > 1:
        raise DataError(
            f"--test-views {options.test_views}: --every-window averages the windows of a clip "
            "already; choose one"
        )
    if options.model.suffix.lower() != ".onnx":
        if options.model.exists():
            for given in options.paths:
                if not Path(given).exists():
                    find_paths(given)  # a pattern, or nothing
        check_trained(options.model, "predict", *map(Path, options.paths))
    check_outputs({"--csv": options.csv}, (options.model, *map(Path, options.paths)))


def validate_export(options: ExportOptions) -> list[DataSet]:
    """Refuse what `export` cannot do; return its clips, where the model's labels are known.

    Raises:
        SeqvisionError: the model or the clips are not there, or the file cannot be written.
    """
    card = check_trained(options.model, "export")
    found = []
    for path in dict.fromkeys(filter(None, (options.verify, options.calibrate))):
        check_clips(path)
        if card is not None:
            found.append(find_for_model(path, card))
    if options.precision in ("int8", "auto") and not (options.calibrate or options.verify):
        raise ExportError(
            f"--precision {options.precision} needs clips to choose its ranges by: "
            "give --calibrate DATA (a folder or CSV of clips)"
        )
    target = exported_path(options)
    inputs = (options.model, options.verify, options.calibrate)
    if is_one_of(target, [options.model]):
        raise ExportError(f"--output {target}: that is the model itself; choose another name")
    if target.suffix.lower() != ".onnx" and not target.is_dir():
        raise ExportError(f"--output {target}: must end in .onnx")
    check_outputs({"--output": target, "the report": report_path(target)}, inputs)
    check_model_output("--output", target)
    return found


def validate_verify(options: VerifyOptions) -> None:
    """Refuse what `verify` cannot do; a label that the model does not know, too.

    Raises:
        SeqvisionError: a file or the clips are not there, or the report cannot be written.
    """
    if options.model.suffix.lower() in MODEL_SUFFIXES:
        raise ModelError(
            f"{options.model}: a model of a training; "
            "the first argument of verify is the exported file: "
            f"seqvision verify {options.model.with_suffix('.onnx')} --against {options.model}"
        )
    check_trained(options.against, "verify --against")
    check_outputs(
        {"--report": options.report or report_path(options.model)},
        (options.model, options.against, options.data),
    )
    if options.data is not None:
        check_clips(options.data)
        _, file = read_model(options.model)
        find_for_model(options.data, file.card)
    elif not options.model.is_file():
        read_model(options.model)  # raises the right message


def validate_bench(options: BenchOptions) -> None:
    """Refuse what `bench` cannot do.

    Raises:
        SeqvisionError: a file is not there, or the JSON cannot be written.
    """
    if options.source is not None and not options.source.exists():
        raise DataError(f"--source {path_error(options.source)}")
    if options.model.suffix.lower() != ".onnx":
        check_trained(options.model, "bench")
    elif not options.model.is_file():
        read_model(options.model)  # raises the right message
    if options.against is not None:
        check_trained(options.against, "bench --against")
    inputs = (options.model, options.source, options.against)
    check_outputs({"--json": options.json_}, inputs)


def validate_inspect(options: InspectOptions) -> None:
    """Refuse a file that is not there.

    Raises:
        CheckpointError: it is not there.
    """
    if options.model.suffix.lower() != ".onnx" or not options.model.exists():
        check_trained(options.model, "inspect")


def validate_compare(options: CompareOptions) -> None:
    """Refuse what `compare` cannot do.

    Raises:
        DataError: no run is named, or the JSON cannot be written.
    """
    if not options.runs:
        raise DataError("seqvision compare: the runs are missing: seqvision compare runs/*")
    check_outputs({"--json": options.json_}, ())
