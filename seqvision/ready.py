"""Whether a command can begin: what it reads is there, what it writes can be, and its options make
sense.  No torch, so that a refusal takes a moment and not the seconds of an import.
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from seqvision.calibration.places import Places, find_places
from seqvision.config import (
    BenchOptions,
    CalibrateOptions,
    CompareOptions,
    DataOptions,
    EvaluateOptions,
    ExportOptions,
    InspectOptions,
    PredictOptions,
    SegmentOptions,
    SelfTrainOptions,
    TrainOptions,
    TuneOptions,
    VerifyOptions,
    augment_file,
    check_sequence,
    place_of,
)
from seqvision.data.clips import Clip, find_background, labels_of
from seqvision.data.label_swaps import check_swaps
from seqvision.data.paths import find_paths
from seqvision.data.readers import find_data_set
from seqvision.data.readers.clip_list import LIST_NAME
from seqvision.errors import CheckpointError, DataError, ExportError, StudyError, WeightsError
from seqvision.rank import is_first
from seqvision.segmentation.listing import read_list
from seqvision.segmentation.marks import Mark, check_label, read_marks
from seqvision_edge.card import ModelCard
from seqvision_edge.errors import ModelError
from seqvision_edge.files import is_one_of, why_unwritable
from seqvision_edge.model_file import read_model

_MODEL_SUFFIXES = (".pt", ".safetensors")


def to_train(options: TrainOptions) -> list[Clip]:
    """Refuse what `train` would refuse later, as far as it can be known without decoding.

    Returns:
        The clips that are there; none in a process that leaves it to the first one to look.

    Raises:
        SeqvisionError: the clips, the options or the outputs cannot be used.
    """
    check_training(options)
    if not is_first():
        return []  # one process is enough to find the clips
    place = place_of(options)
    if options.resume is not None and not place.exists():
        raise DataError(
            f"{place}: no such folder or list; say where the clips of {options.resume} are now: "
            f"seqvision train CLIPS --resume {options.resume}"
        )
    stills = options.images.sequence != "video"
    found = find_data_set(place, options.clips.dataset, stills, options.clips.official).clips
    labels = labels_of(found)
    find_background(labels, options.clips.background)
    check_swaps(options.augmentation, labels)
    return found


def to_tune(options: TuneOptions) -> None:
    """Refuse what `tune` would refuse later, as far as it can be known without decoding.

    Raises:
        SeqvisionError: the clips, the options or the outputs cannot be used.
    """
    if options.max_ms is not None and not options.latency:
        raise StudyError("--max-ms: needs the times that --no-latency leaves out")
    if options.space is not None and not options.space.is_file():
        raise DataError(f"--space {options.space}: no such file")
    check_outputs({"--output": options.output}, (options.space, options.config))
    to_train(options.of_a_training())


def to_self_train(options: SelfTrainOptions) -> None:
    """Refuse what `self-train` cannot do, as far as it can be known without decoding.

    Raises:
        SeqvisionError: the model or the clips are not there, or the output cannot be written.
    """
    model, labelled, unlabelled = options.model, options.labelled, options.unlabelled
    if model is None or labelled is None or unlabelled is None:
        raise DataError(
            "seqvision self-train: give a model, its clips and clips without labels: "
            "seqvision self-train model.pt LABELLED UNLABELLED"
        )
    check_trained(model, "self-train")
    if options.output.suffix.lower() not in _MODEL_SUFFIXES:
        raise CheckpointError(f"--output {options.output}: must end in .pt or .safetensors")
    check_outputs({"--output": options.output}, (model, labelled, unlabelled))
    _check_folder("--runs", options.runs)
    if options.augment is not None:
        augment_file(options.augment)
    for place in (labelled, unlabelled):
        _check_clips(place)


def check_training(options: TrainOptions) -> None:
    """Refuse options that do not go together and places that cannot be written; looks at no clips.

    Raises:
        SeqvisionError: there is such an option.
    """
    if options.output.suffix.lower() not in _MODEL_SUFFIXES:
        raise CheckpointError(f"--output {options.output}: must end in .pt or .safetensors")
    check_outputs({"--output": options.output}, (options.data, options.root))
    _check_folder("--runs", options.runs)
    if options.resume is None:  # what a run was started with stays as it is
        check_sequence(options.clips, options.images, options.augmentation)
    if isinstance(options.augmentation.augment, str):
        augment_file(options.augmentation.augment)
    weights = options.model.weights
    if weights not in ("auto", "imagenet", "none") and not Path(weights).is_file():
        raise WeightsError(f"--weights {weights}: no such file (or: imagenet, none)")


def to_look(options: DataOptions) -> None:
    """Refuse what `data` cannot do.

    Raises:
        DataError: there is such an option.
    """
    check_sequence(options.clips, options.images, options.augmentation)
    if options.sheet is not None and options.sheet.suffix.lower() != ".png":
        raise DataError(f"--sheet {options.sheet}: must be a .png file")
    outputs = {"--json": options.json_, "--sheet": options.sheet}
    check_outputs(outputs, (options.data, options.root))
    _check_clips(place_of(options))


def to_evaluate(options: EvaluateOptions) -> None:
    """Refuse what `evaluate` cannot do.

    Raises:
        SeqvisionError: the model or the clips are not there, or an output cannot be written.
    """
    place = place_of(options)
    check_trained(options.model, "evaluate")
    _check_clips(place)
    check_outputs({"--output": options.output, "--report": options.report}, (options.model, place))


def to_calibrate(options: CalibrateOptions) -> Places:
    """Refuse what `calibrate` cannot do; return what it is to look at.

    Raises:
        SeqvisionError: the model or a path is not there, a truth cannot be read, or the file that
            is to be written is of another kind.
    """
    if not options.data:
        raise DataError(
            "seqvision calibrate: say by which clips, or untrimmed videos with their truth: "
            "seqvision calibrate MODEL PATH…"
        )
    suffix = options.model.suffix.lower()
    if suffix != ".onnx":
        check_trained(options.model, "calibrate")
    elif not options.model.is_file():
        read_model(options.model)  # says what is wrong
    output = options.output or options.model
    endings = (".onnx",) if suffix == ".onnx" else _MODEL_SUFFIXES
    if output.suffix.lower() not in endings:
        raise CheckpointError(f"--output {output}: must end in {' or '.join(endings)}")
    check_outputs({"--output": output}, options.data)
    return find_places(options.data)


def to_segment(options: SegmentOptions) -> list[Mark]:
    """Refuse what `segment` cannot do; return what is marked in the video.

    Raises:
        DataError: the video or its marks are not there or make no sense, or the folder has clips
            that no list names: with a list they would no longer be read.
    """
    if not options.video.is_file():
        raise DataError(f"{options.video}: no such video")
    beside = [options.video.with_suffix(suffix) for suffix in (".csv", ".json")]
    events = options.events or next((path for path in beside if path.is_file()), None)
    if events is None:
        raise DataError(
            f"{options.video}: say what happens in it: a CSV start,end,label, as in "
            f"seqvision segment {options.video} events.csv"
        )
    folder = options.output
    if folder.exists() and not folder.is_dir():
        raise DataError(f"--output {folder}: that is a file; name a folder")
    if not folder.absolute().parent.is_dir():
        raise DataError(f"--output {folder}: there is no folder {folder.parent}; make it first")
    if folder.is_dir() and not (folder / LIST_NAME).exists() and any(folder.iterdir()):
        raise DataError(
            f"--output {folder}: is not empty and has no {LIST_NAME}; choose a new folder"
        )
    read_list(folder)
    check_label("--background", options.background)
    return read_marks(events)


def to_predict(options: PredictOptions) -> None:
    """Refuse what `predict` cannot do.

    Raises:
        SeqvisionError: the model or a path is not there, or the CSV cannot be written.
    """
    if not options.paths:
        raise DataError("seqvision predict: say which clips: seqvision predict MODEL PATH…")
    if options.model.suffix.lower() != ".onnx":
        check_trained(options.model, "predict")
        for given in options.paths:
            if not Path(given).exists():
                find_paths(given)  # a pattern, or nothing
    check_outputs({"--csv": options.csv}, (options.model, *map(Path, options.paths)))


def to_export(options: ExportOptions) -> Path:
    """Refuse what `export` cannot do; return the file that it writes.

    Raises:
        SeqvisionError: the model or the clips are not there, or the file cannot be written.
    """
    check_trained(options.model, "export")
    for place in filter(None, (options.verify, options.calibrate)):
        _check_clips(place)
    if options.precision in ("int8", "auto") and not (options.calibrate or options.verify):
        raise ExportError(
            f"--precision {options.precision} needs clips to choose its ranges by: "
            "give --calibrate DATA (a folder or CSV of clips)"
        )
    target = options.output or options.model.with_suffix(".onnx")
    inputs = (options.model, options.verify, options.calibrate)
    if is_one_of(target, [options.model]):
        raise ExportError(f"--output {target}: that is the model itself; choose another name")
    if target.suffix.lower() != ".onnx" and not target.is_dir():
        raise ExportError(f"--output {target}: must end in .onnx")
    check_outputs({"--output": target, "the report": beside(target)}, inputs)
    return target


def to_verify(options: VerifyOptions) -> None:
    """Refuse what `verify` cannot do; a label that the model does not know, too.

    Raises:
        SeqvisionError: a file or the clips are not there, or the report cannot be written.
    """
    if options.model.suffix.lower() in _MODEL_SUFFIXES:
        raise ModelError(
            f"{options.model}: a model of a training; verify wants the exported file first: "
            f"seqvision verify {options.model.with_suffix('.onnx')} --against {options.model}"
        )
    check_trained(options.against, "verify --against")
    check_outputs(
        {"--report": options.report or beside(options.model)},
        (options.model, options.against, options.data),
    )
    if options.data is not None:
        _check_clips(options.data)
        _, file = read_model(options.model)
        check_labels(options.data, file.card)
    elif not options.model.is_file():
        read_model(options.model)  # says what is wrong


def to_bench(options: BenchOptions) -> None:
    """Refuse what `bench` cannot do.

    Raises:
        SeqvisionError: a file is not there, or the JSON cannot be written.
    """
    if options.model.suffix.lower() != ".onnx":
        check_trained(options.model, "bench")
    if options.against is not None:
        check_trained(options.against, "bench --against")
    if options.source is not None and not options.source.exists():
        raise DataError(f"--source {options.source}: no such file or folder")
    inputs = (options.model, options.source, options.against)
    check_outputs({"--json": options.json_}, inputs)


def to_inspect(options: InspectOptions) -> None:
    """Refuse a file that is not there.

    Raises:
        CheckpointError: it is not there.
    """
    if options.model.suffix.lower() != ".onnx":
        check_trained(options.model, "inspect")


def to_compare(options: CompareOptions) -> None:
    """Refuse what `compare` cannot do.

    Raises:
        DataError: no run is named, or the JSON cannot be written.
    """
    if not options.runs:
        raise DataError("seqvision compare: say which runs: seqvision compare runs/*")
    check_outputs({"--json": options.json_}, ())


def check_labels(data: Path, card: ModelCard) -> None:
    """Refuse clips of a label that a model does not know, before one of them is decoded.

    Raises:
        DataError: there is such a label, or there are no clips.
    """
    clips = find_data_set(data, images=card.sequence.kind != "video").clips
    strange = sorted({clip.label for clip in clips} - set(card.labels))
    if strange:
        raise DataError(strange_label(data, strange[0], card))


def strange_label(data: Path, label: str, card: ModelCard) -> str:
    """Return the line about a label that the model does not know."""
    known = ", ".join(card.labels)
    return f"{data}: the model does not know the label {label!r} (it knows {known})"


def check_trained(path: Path, verb: str) -> None:
    """Refuse a file that cannot be the model of a training.

    Raises:
        CheckpointError: it is not there, or it is an exported one.
    """
    if path.suffix.lower() == ".onnx":
        raise CheckpointError(
            f"{path}: an exported file; {verb} wants the model of the training, "
            f"such as {path.with_suffix('.pt')}"
        )
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, not a model file; a run folder has a model.pt")
    if not path.exists():
        raise CheckpointError(f"{path}: no such file; make one with: seqvision train FOLDER")


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path | None]) -> None:
    """Refuse files that cannot be written, before the work whose result they are.

    Args:
        outputs: flag → file; None where nobody asked for one.
        inputs: what is read, and must stay.

    Raises:
        DataError: one cannot be written, or two are the same.
    """
    read = [path for path in inputs if path is not None]
    named: dict[Path, str] = {}
    for flag, path in outputs.items():
        if path is None:
            continue
        reason = why_unwritable(path, read)
        if reason is not None:
            raise DataError(f"{flag} {path}: {reason}")
        other = named.setdefault(path.absolute(), flag)
        if other != flag:
            raise DataError(f"{flag} {path}: that is the file of {other}; choose another name")


def beside(model: Path) -> Path:
    """Return where the report of an exported file lies: beside it."""
    return model.with_name(model.name + ".report.json")


def _check_folder(flag: str, folder: Path) -> None:
    """Refuse a folder that is not there and cannot be made; it is not made yet."""
    there = folder.expanduser().absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            return
    except OSError as error:
        raise DataError(
            f"{flag} {folder}: no folder can be made there ({error.strerror}); choose another place"
        ) from None


def _check_clips(place: Path) -> None:
    if not place.exists():
        raise DataError(f"{place}: no such folder or list")
    if place.is_file() and place.suffix.lower() != ".csv":
        raise DataError(f"{place}: neither a folder nor a .csv list")
