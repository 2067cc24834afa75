"""The Python API: every command as a function, with keyword arguments named as its options.

    import seqvision as sv

    run = sv.train("frames/", epochs=20, encoder="mobilenet_v2")
    path = sv.export(run.model)
    sv.predict(path, ["a.mp4"])[0].label

The functions print nothing.  Lines go to the logger `seqvision`, notes and warnings too; `progress`
shows a bar (True), or is called with what is done, how much of it, and how much there is.  A user's
mistake raises `SeqvisionError` with one line.  The first function that needs torch imports it.
What is printed and what is not is a matter of the whole process: calls must not overlap.

A function and its command on the command line call the same function of `commands.py`.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pydantic import BaseModel

from seqvision import config
from seqvision.api_results import ClipPrediction, CrossValidation, Predictions, Run, Search, TqdmBar
from seqvision.commands import (
    calibrate_given,
    evaluate_given,
    export_given,
    predict_given,
    self_train_given,
    train_given,
    tune_given,
    verify_given,
)
from seqvision.console import Progress, silent
from seqvision_edge.command_line import Given
from seqvision_edge.hints import near_words
from seqvision_edge.option_fields import options_of
from seqvision_edge.renamed_options import is_now, new_name

if TYPE_CHECKING:
    from seqvision.metrics import Metrics
    from seqvision.training.folds import CrossValidated
    from seqvision.training.train import Trained

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
