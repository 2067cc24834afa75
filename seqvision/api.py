"""The Python API: every command as a function, with keyword arguments named as its options.

    import seqvision as sv

    run = sv.train("frames/", epochs=20, encoder="mobilenet_v2")
    path = sv.export(run.model)
    sv.predict(path, ["a.mp4"])[0].label

The functions print nothing.  Lines go to the logger `seqvision`, notes and warnings too; `progress`
shows a bar (True), or is called with what is done, how much of it, and how much there is.  A user's
mistake raises `SeqvisionError` with one line.  The first function that needs torch imports it.
What is printed and what is not is a matter of the whole process: calls must not overlap.

The command line stands on this module: a command reads its arguments into a `Given` and calls the
function whose name ends in `_given`.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pydantic import BaseModel

from seqvision import config
from seqvision.api_results import ClipPrediction, CrossValidation, Predictions, Run, Search, TqdmBar
from seqvision.console import Progress, importing, loading, silent, status
from seqvision.rank import count
from seqvision_edge.command_line import Given
from seqvision_edge.hints import near_words
from seqvision_edge.option_fields import options_of
from seqvision_edge.renamed_options import is_now, new_name

if TYPE_CHECKING:
    from seqvision.data.datasets import DataSet
    from seqvision.metrics import Metrics
    from seqvision.prediction import Predicted
    from seqvision.self_training.self_train import SelfTrained
    from seqvision.training.data import Data
    from seqvision.training.folds import CrossValidated
    from seqvision.training.train import Trained
    from seqvision.tuning.tune import Tuned

__all__ = [
    "ClipPrediction",
    "CrossValidation",
    "Predictions",
    "Run",
    "Search",
    "calibrate",
    "evaluate",
    "export",
    "predict",
    "self_train",
    "train",
    "tune",
    "verify",
]

Where = str | PathLike[str]
Kind = TypeVar("Kind", bound=BaseModel)


@overload
def train(
    data: Where | None = None, *, folds: int, progress: bool | Progress = False, **options: Any
) -> CrossValidation: ...


@overload
def train(
    data: Where | None = None, *, progress: bool | Progress = False, **options: Any
) -> Run: ...


def train(
    data: Where | None = None, *, progress: bool | Progress = False, **options: Any
) -> Run | CrossValidation:
    """Train a classifier on clips and write its model file and run folder.

    With `folds`, which a resumed cross-validation has too, each fold is trained and measured, and
    no model is written.

    Args:
        data: a folder `data/<label>/<clip>`, or a CSV with `path,label[,group][,split][,fps]`;
            None with `resume`.
        progress: show a bar, or call this with what is done, how much, and of how much.
        **options: those of `seqvision train`, such as `epochs=20`, `encoder="mobilenet_v2"`,
            `output="model.pt"`, `resume=run.folder`.

    Raises:
        SeqvisionError: the options, the clips or the weights cannot be used.
        TypeError: there is no such option.
    """
    with _silently(progress):
        trained = train_given(_given(config.TrainOptions, "train", options, data=data))
        from seqvision.training.folds import CrossValidated

        if isinstance(trained, CrossValidated):
            return _cross_validation(trained)
        return _run(trained)


def tune(data: Where | None = None, *, progress: bool | Progress = False, **options: Any) -> Search:
    """Search for the options that train the best model, and write that model.

    Args:
        data: as for `train`.
        progress: as for `train`.
        **options: those of `seqvision tune`, such as `trials=50`, `objective="f1"`; an option of
            `train` that is given is not searched.

    Raises:
        SeqvisionError: the clips, the space or the storage cannot be used.
        TypeError: there is no such option.
    """
    with _silently(progress):
        tuned = tune_given(_given(config.TuneOptions, "tune", options, data=data))
        run = None
        if tuned.model is not None and tuned.run is not None:
            epoch = 0 if tuned.best is None or tuned.best.epoch is None else tuned.best.epoch + 1
            run = _run_of(tuned.model, tuned.run, epoch, tuned.stopped_by is not None)
        complete = [row for row in tuned.rows if row.value is not None]
        best = tuned.best
        return Search(
            tuned.study,
            tuned.folder,
            run,
            {} if best is None else dict(best.params),
            None if best is None else best.value,
            len(complete),
        )


def self_train(
    model: Where,
    labelled: Where,
    unlabelled: Where,
    *,
    progress: bool | Progress = False,
    **options: Any,
) -> Run:
    """Let students learn from clips that a model labels itself; write the best one.

    Args:
        model: the first teacher, a model file of `train`.
        labelled: the clips that it learnt from.
        unlabelled: clips without labels.
        progress: as for `train`.
        **options: those of `seqvision self-train`, such as `rounds=3`, `threshold=0.9`.

    Raises:
        SeqvisionError: the options, the clips or the model cannot be used.
        TypeError: there is no such option.
    """
    with _silently(progress):
        given = _given(
            config.SelfTrainOptions, "self_train", options,
            model=model, labelled=labelled, unlabelled=unlabelled,
        )  # fmt: skip
        done = self_train_given(given)
        return _run_of(done.model, done.run, 0, done.stopped_by is not None)


def evaluate(
    model: Where, data: Where | None = None, *, progress: bool | Progress = False, **options: Any
) -> "Metrics":
    """Return a model's figures on labelled clips.

    Args:
        model: a model file of `train`.
        data: as for `train`.
        progress: as for `train`.
        **options: those of `seqvision evaluate`, such as `split="test"`, `report="report.html"`.

    Raises:
        SeqvisionError: the model or the clips cannot be used.
        TypeError: there is no such option.
    """
    with _silently(progress):
        return evaluate_given(
            _given(config.EvaluateOptions, "evaluate", options, model=model, data=data)
        )


def predict(
    model: Where,
    paths: Where | Sequence[Where],
    *,
    progress: bool | Progress = False,
    **options: Any,
) -> Predictions:
    """Name what is in clips without labels.

    Args:
        model: `model.onnx`, which needs no torch, or `model.pt`.
        paths: videos, folders of pictures, pictures, or folders of any of these.
        progress: as for `train`.
        **options: those of `seqvision predict`, such as `every_window=True`.

    Raises:
        SeqvisionError: the model cannot be used, a path leads nowhere, or no clip can be read.
        TypeError: there is no such option.
    """
    with _silently(progress):
        given = _given(config.PredictOptions, "predict", options, model=model, paths=paths)
        found = predict_given(given)
    return Predictions(
        tuple(
            ClipPrediction(each.name, each.label, each.probability, each.by_label, each.unsure)
            for each in found.answers
        ),
        tuple(found.damaged),
    )


def calibrate(
    model: Where,
    data: Where | Sequence[Where],
    *,
    progress: bool | Progress = False,
    **options: Any,
) -> Path:
    """Find temperature, thresholds and event settings; return the file that has them.

    Args:
        model: `model.pt` or `model.onnx`.
        data: labelled clips, untrimmed videos with a list of what happens in them, or both.
        progress: as for `train`.
        **options: those of `seqvision calibrate`, such as `max_false_per_hour=2`.

    Raises:
        SeqvisionError: the model, the clips or the videos cannot be used; nothing is written.
        TypeError: there is no such option.
    """
    with _silently(progress):
        return calibrate_given(
            _given(config.CalibrateOptions, "calibrate", options, model=model, data=data)
        )


def export(model: Where, *, progress: bool | Progress = False, **options: Any) -> Path:
    """Write the ONNX file of a model, proven to answer alike, and return its path.

    Args:
        model: a model file of `train`.
        progress: as for `train`.
        **options: those of `seqvision export`, such as `precision="auto"`, `calibrate="frames/"`.

    Raises:
        SeqvisionError: the model or the clips cannot be used, or the answers differ.
        TypeError: there is no such option.
    """
    with _silently(progress):
        return export_given(_given(config.ExportOptions, "export", options, model=model))


def verify(
    model: Where, data: Where | None = None, *, progress: bool | Progress = False, **options: Any
) -> Mapping[str, Any]:
    """Prove again that an ONNX file answers as its model does; return the proof.

    Args:
        model: `model.onnx`.
        data: clips to compare on too.
        progress: as for `train`.
        **options: those of `seqvision verify`, such as `against="model.pt"`.

    Raises:
        SeqvisionError: one of them cannot be used, or they answer differently.
        TypeError: there is no such option.
    """
    with _silently(progress):
        return verify_given(_given(config.VerifyOptions, "verify", options, model=model, data=data))


def train_given(given: Given[config.TrainOptions]) -> "Trained | CrossValidated":
    """Train with the given options; those of a run or a file replace the defaults."""
    from seqvision.config.resume import load_run_options, resume_options
    from seqvision.errors import CheckpointError

    default = kept = None
    yaml, resume = given.get("config"), given.get("resume")
    if resume is not None and yaml is not None:
        raise CheckpointError("--config: a resumed run keeps its own options; leave --config out")
    if resume is not None:
        default = kept = load_run_options(Path(resume))
    elif yaml is not None:
        default = config.from_yaml(Path(yaml))
    if default is not None:
        # Where the clips are is one option with two spellings: a flag wins over the file.
        path = None if given.get("root") is not None else default.data or default.root
        default = default.model_copy(update={"data": path, "root": None})
    options = given.build(default)
    if kept is not None and default is not None:
        options = resume_options(kept, options, default)

    if (yaml or resume) and "preset" in given.names and options.preset != "default":
        other = "--resume" if resume else "--config"
        raise CheckpointError(
            f"--preset {options.preset}: {other} brings all options; leave one of them out"
        )

    from seqvision.presets import choose_options

    with _checking():
        from seqvision.preflight import validate_train

        data_set = validate_train(options)
    note = None
    if default is None and data_set is not None and count() == 1:
        options, note = choose_options(options, data_set.clips, given.names)

    if options.folds:
        with loading("torch and lightning"):
            from seqvision.training.folds import fold_defaults, train_folds

        chosen = None
        if kept is None:
            options, chosen = fold_defaults(options, given.names)
        notes = [text for text in (note, chosen) if text is not None]
        if "output" in given.names:
            notes.append(f"--output {options.output}: no model is written with --folds")
        return train_folds(options, data_set, notes)

    began = time.monotonic()
    data: DataSet | Data | None = data_set
    if data_set is not None and kept is None and _can_load_before_torch(options):
        data = _load_while_importing(options, data_set)
    with loading("torch and lightning"):
        from seqvision.training.train import train

    return train(options, data, note, began)


def _can_load_before_torch(options: config.TrainOptions) -> bool:
    """Return whether clips may be decoded while torch is imported: it has nothing to refuse."""
    training = options.training
    return (
        count() == 1
        and training.device in ("auto", "cpu")
        and training.precision in ("auto", "32")
        and "torch" not in sys.modules
    )


def _load_while_importing(options: config.TrainOptions, data_set: "DataSet") -> "Data":
    """Decode the clips of a training while torch is imported, which takes seconds."""
    from seqvision.data.augment import with_content
    from seqvision.signals import interrupt, stop_of
    from seqvision.training.data import load_dataset

    try:
        with importing("seqvision.training.train", "torch and lightning"):
            return load_dataset(with_content(options), data_set)
    except KeyboardInterrupt as error:
        message = "stopped; no epoch was complete, so nothing is kept"
        raise interrupt(stop_of(error), message) from None


def tune_given(given: Given[config.TuneOptions]) -> "Tuned":
    """Search with the given options."""
    default = None
    path = given.get("config")
    if path is not None:
        begin = config.from_yaml(Path(path))
        parts = {part: getattr(begin, part) for part in set(config.option_parts().values())}
        clips = None if given.get("root") is not None else begin.data or begin.root
        default = config.TuneOptions(data=clips, **parts)
    options = given.build(default)

    with _checking():
        from seqvision.preflight import validate_tune

        data_set = validate_tune(options)

    with loading("torch, lightning and optuna"):
        from seqvision.tuning.tune import tune
        from seqvision_export.export import live_latency_ms

    return tune(options, given.names & config.option_parts().keys(), live_latency_ms, data_set)


def self_train_given(given: Given[config.SelfTrainOptions]) -> "SelfTrained":
    """Train students with the given options."""
    from seqvision.config.resume import check_resume_options, load_self_training_options

    kept = None
    resume = given.get("resume")
    if resume is not None:
        kept = load_self_training_options(Path(resume))
    options = given.build(kept)
    if kept is not None:
        check_resume_options(kept, options)

    with _checking():
        from seqvision.preflight import validate_self_train

        data_set = validate_self_train(options)

    with loading("torch and lightning"):
        from seqvision.self_training.self_train import self_train

    return self_train(options, data_set)


def evaluate_given(given: Given[config.EvaluateOptions]) -> "Metrics":
    """Evaluate with the given options."""
    options = given.build()

    with _checking():
        from seqvision.preflight import validate_evaluate

        data_set = validate_evaluate(options)

    with loading("torch"):
        from seqvision.evaluation import evaluate

    return evaluate(options, data_set)


def predict_given(given: Given[config.PredictOptions]) -> "Predicted":
    """Predict with the given options."""
    options = given.build()

    with _checking():
        from seqvision.preflight import validate_predict

        validate_predict(options)

    with loading("onnxruntime", "onnxruntime"):
        from seqvision.prediction import predict

    return predict(options)


def calibrate_given(given: Given[config.CalibrateOptions]) -> Path:
    """Calibrate with the given options."""
    options = given.build()

    with _checking():
        from seqvision.preflight import validate_calibrate

        inputs = validate_calibrate(options)

    with loading("torch"):
        from seqvision.calibration.calibrate import calibrate

    return calibrate(options, inputs)


def export_given(given: Given[config.ExportOptions]) -> Path:
    """Export with the given options."""
    options = given.build()

    with _checking():
        from seqvision.preflight import validate_export

        data_sets = validate_export(options)

    with loading("torch and onnx"):
        from seqvision_export.export import export

    return export(options, data_sets)


def verify_given(given: Given[config.VerifyOptions]) -> Mapping[str, Any]:
    """Verify with the given options."""
    options = given.build()

    with _checking():
        from seqvision.preflight import validate_verify

        validate_verify(options)

    with loading("onnxruntime", "onnxruntime"):
        from seqvision_export.verify.verify import verify

    return verify(options)


def _checking() -> contextlib.AbstractContextManager[None]:
    return status("looking at what is there")


def _given(
    kind: type[Kind], function: str, options: Mapping[str, Any], **arguments: Any
) -> Given[Kind]:
    """Return the keyword arguments of a function as a command line gives them.

    Raises:
        TypeError: there is no such option.
    """
    known = {option.keys[-1].strip("_"): option for option in options_of(kind)}
    values: dict[tuple[str, ...], Any] = {}
    for name, value in {**arguments, **options}.items():
        option = known.get(name)
        if option is None:
            new = new_name(name, known)
            if new is not None:
                raise TypeError(f"{function}(): {is_now(name, new.replace('-', '_'))}")
            near = near_words(name, known)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")
        if value is None:
            continue
        # A command line has texts where Python has paths.
        if isinstance(value, PathLike):
            value = str(value)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            value = [str(each) if isinstance(each, PathLike) else each for each in value]
        values[option.keys] = [value] if option.count is None and isinstance(value, str) else value
    return Given(kind, f"{function}()", values)


def _cross_validation(found: "CrossValidated") -> CrossValidation:
    over, report, nothing = found.accuracy, found.run / "report.html", float("nan")
    between = None if over is None else over.interval
    runs = [
        _run_of(next(row.run.glob("model.*")), row.run, row.epoch + 1, False, {"val": row.metrics})
        for row in found.folds
    ]
    return CrossValidation(
        folder=found.run,
        report=report if over is not None and report.is_file() else None,
        folds=tuple(runs),
        accuracy=nothing if over is None else over.mean,
        std=nothing if over is None else over.std,
        interval=None if between is None else (between.low, between.high),
        metrics=found.held_out,
        stopped=found.stopped_by is not None,
    )


def _run(trained: "Trained") -> Run:
    parts = {"val": trained.val, "test": trained.test}
    metrics = {name: part for name, part in parts.items() if part is not None}
    stopped = trained.stopped_by is not None
    return _run_of(trained.model, trained.run, trained.epoch + 1, stopped, metrics)


def _run_of(
    model: Path,
    folder: Path,
    epoch: int,
    stopped: bool,
    metrics: Mapping[str, "Metrics"] | None = None,
) -> Run:
    report = folder / "report.html"
    return Run(model, folder, report if report.is_file() else None, metrics or {}, epoch, stopped)


@contextlib.contextmanager
def _silently(progress: bool | Progress) -> Iterator[None]:
    """Print nothing in this block except the progress bar, if enabled."""
    with contextlib.ExitStack() as ends:
        call: Callable[[str, float, float | None], None] | None = None
        if callable(progress):
            call = progress
        elif progress:
            call = ends.enter_context(TqdmBar()).update
        ends.enter_context(silent(call))
        yield
