"""Every command as one function: options as they were given → checked at the door → the work.

The command line (`cli.py`) and the Python API (`api.py`) read their arguments into a `Given` and
call these.  What can be refused is refused before torch is imported.
"""

import contextlib
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqvision import config
from seqvision.console import importing, loading, status
from seqvision.rank import count
from seqvision_edge.command_line import Given

if TYPE_CHECKING:
    from seqvision.data.datasets import DataSet
    from seqvision.metrics import Metrics
    from seqvision.prediction import Predicted
    from seqvision.self_training.self_train import SelfTrained
    from seqvision.training.data import Data
    from seqvision.training.folds import CrossValidated
    from seqvision.training.train import Trained
    from seqvision.tuning.tune import Tuned


def train_given(given: Given[config.TrainOptions]) -> "Trained | CrossValidated":
    """Train with the given options; those of a run or a file replace the defaults."""
    from seqvision.config.option_types import LANDMARKS
    from seqvision.config.resume import load_run_options, resume_options
    from seqvision.errors import CheckpointError, DataError

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

    if given.values.get(("model", "freeze")) is False and options.model.encoder in LANDMARKS:
        raise DataError(
            f"--no-freeze: the networks of --encoder {options.model.encoder} never learn; leave it "
            "out"
        )
    if (yaml or resume) and "preset" in given.names and options.preset != "default":
        other = "--resume" if resume else "--config"
        raise CheckpointError(
            f"--preset {options.preset}: {other} brings all options; leave one of them out"
        )

    from seqvision.presets import choose_options

    with _checking():
        from seqvision.preflight import validate_train, with_vectors

        options = with_vectors(options)
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
    from seqvision.errors import StudyError

    default = None
    path = given.get("config")
    if path is not None:
        begin = config.from_yaml(Path(path))
        if begin.distillation != config.DistillationOptions():
            raise StudyError(
                f"--config {path}: trained with --teacher, which a search does not use; leave the "
                "section distillation out"
            )
        parts = {part: getattr(begin, part) for part in set(config.option_parts().values())}
        # Its --time was that of one training.
        parts["training"] = begin.training.model_copy(update={"time": None})
        clips = None if given.get("root") is not None else begin.data or begin.root
        default = config.TuneOptions(data=clips, **parts)
    options = given.build(default)

    with _checking():
        from seqvision.preflight import validate_tune, with_vectors

        options = with_vectors(options)
        data_set = validate_tune(options)

    began = time.monotonic()
    with loading("torch, lightning and optuna"):
        from seqvision.tuning.tune import tune
        from seqvision_export.export import live_latency_ms

    fixed = given.names & config.option_parts().keys()
    return tune(options, fixed, live_latency_ms, data_set, began)


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
