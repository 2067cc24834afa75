"""What each command does: options → refusals → work → what comes next.

torch and all that is slow to import comes after the refusals.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from pydantic import BaseModel

from seqvision import __version__
from seqvision.rank import is_first
from seqvision.stopped import exit_code
from seqvision_edge import command_line

# Some of the clips could not be read, or recorded; edge-run ends so too.
PARTIAL = 3
Asked = TypeVar("Asked", bound=BaseModel)


def train(arguments: list[str]) -> int:
    from seqvision.api import train_given
    from seqvision.config import TrainOptions

    trained = train_given(_read(TrainOptions, "train", arguments))
    if is_first():
        _print(f"{trained.model} written; next: seqvision export {trained.model}")
    return exit_code(trained.stopped_by)


def tune(arguments: list[str]) -> int:
    from seqvision.api import tune_given
    from seqvision.config import TuneOptions

    tuned = tune_given(_read(TuneOptions, "tune", arguments))
    if tuned.model is not None:
        _print(f"{tuned.model} written; next: seqvision export {tuned.model}")
    return exit_code(tuned.stopped_by)


def self_train(arguments: list[str]) -> int:
    from seqvision.api import self_train_given
    from seqvision.config import SelfTrainOptions

    done = self_train_given(_read(SelfTrainOptions, "self-train", arguments))
    _print(f"{done.model} written; next: seqvision export {done.model}")
    return exit_code(done.stopped_by)


def data(arguments: list[str]) -> int:
    from seqvision.config import DataOptions

    options = _asked(DataOptions, "data", arguments)

    with _checking():
        from seqvision.ready import validate_data

        validate_data(options)

    with _loading("OpenCV", "seqvision.survey.survey"):
        from seqvision.survey.survey import survey

    survey(options)
    return 0


def evaluate(arguments: list[str]) -> int:
    from seqvision.api import evaluate_given
    from seqvision.config import EvaluateOptions

    evaluate_given(_read(EvaluateOptions, "evaluate", arguments))
    return 0


def export(arguments: list[str]) -> int:
    from seqvision.api import export_given
    from seqvision.config import ExportOptions

    exported = export_given(_read(ExportOptions, "export", arguments))

    from seqvision_edge.model_file import read_model

    _, file = read_model(exported)
    source = "--camera 0" if file.card.sequence.kind == "video" else "--source IMAGE"
    _print(f"{exported} written; next: edge-run {source} --model {exported}")
    return 0


def verify(arguments: list[str]) -> int:
    from seqvision.api import verify_given
    from seqvision.config import VerifyOptions

    given = _read(VerifyOptions, "verify", arguments)
    verify_given(given)
    options = given.build()
    _print(f"{options.model} answers as {options.against} does")
    return 0


def inspect(arguments: list[str]) -> int:
    from seqvision.config import InspectOptions

    options = _asked(InspectOptions, "inspect", arguments)

    with _checking():
        from seqvision.ready import to_inspect

        to_inspect(options)

    from seqvision.inspection.inspect import inspect

    inspect(options)
    return 0


def bench(arguments: list[str]) -> int:
    from seqvision.config import BenchOptions

    options = _asked(BenchOptions, "bench", arguments)

    with _checking():
        from seqvision.ready import validate_bench

        validate_bench(options)

    with _loading("torch, onnx and onnxruntime"):
        from seqvision_export.bench.bench import bench

    bench(options)
    return 0


def calibrate(arguments: list[str]) -> int:
    from seqvision.api import calibrate_given
    from seqvision.config import CalibrateOptions

    written = calibrate_given(_read(CalibrateOptions, "calibrate", arguments))
    follows = f"edge-run --model {written}"
    if written.suffix.lower() != ".onnx":
        follows = f"seqvision export {written}"
    _print(f"{written} written; next: {follows}")
    return 0


def segment(arguments: list[str]) -> int:
    from seqvision.config import SegmentOptions

    options = _asked(SegmentOptions, "segment", arguments)

    with _checking():
        from seqvision.ready import validate_segment

        validate_segment(options)

    from seqvision.segmentation.segment import segment

    made = segment(options)
    counts = ", ".join(f"{count} {label}" for label, count in sorted(made.clips.items()))
    follows = f"seqvision train {made.folder}"
    if made.alone:
        follows += " --no-groups (of one video only: its figures will flatter; cut a second one)"
    _print(f"{made.listed}: added {counts}; next: {follows}")
    return 0


def compare(arguments: list[str]) -> int:
    from seqvision.config import CompareOptions

    options = _asked(CompareOptions, "compare", arguments)

    with _checking():
        from seqvision.ready import validate_compare

        validate_compare(options)

    from seqvision.compare import compare

    compare(options)
    return 0


def predict(arguments: list[str]) -> int:
    from seqvision.api import predict_given
    from seqvision.config import PredictOptions

    return PARTIAL if predict_given(_read(PredictOptions, "predict", arguments)).damaged else 0


def record(arguments: list[str]) -> int:
    from seqvision.config import RecordOptions

    options = _asked(RecordOptions, "record", arguments)

    from seqvision.record import record

    return PARTIAL if record(options).incomplete else 0


def _print(result: str) -> None:
    """Print what came of a command, on standard output."""
    command_line.print_message(result, sys.stdout)


def _checking() -> AbstractContextManager[None]:
    """Say on a terminal that it is looked whether the command can begin."""
    from seqvision.console import status

    return status("looking at what is there")


def _loading(what: str, module: str = "torch") -> AbstractContextManager[None]:
    """Say that slow imports come, where they do."""
    from seqvision.console import loading

    return loading(what, module)


def _read(kind: type[Asked], verb: str, arguments: Sequence[str]) -> command_line.Given[Asked]:
    """Return the options as they were given; wrong ones are refused."""
    version = f"seqvision {__version__}"
    return command_line.read(kind, f"seqvision {verb}", arguments, version, programs)


def _asked(
    kind: type[Asked],
    verb: str,
    arguments: Sequence[str],
) -> Asked:
    """Return the options that were given; wrong ones are refused."""
    return _read(kind, verb, arguments).build()


def programs() -> Mapping[str, type[BaseModel]]:
    """Return every command and program with its options."""
    from seqvision import config

    return {
        "record": config.RecordOptions,
        "data": config.DataOptions,
        "segment": config.SegmentOptions,
        "train": config.TrainOptions,
        "tune": config.TuneOptions,
        "self-train": config.SelfTrainOptions,
        "evaluate": config.EvaluateOptions,
        "calibrate": config.CalibrateOptions,
        "compare": config.CompareOptions,
        "predict": config.PredictOptions,
        "export": config.ExportOptions,
        "bench": config.BenchOptions,
        "verify": config.VerifyOptions,
        "inspect": config.InspectOptions,
        **command_line.edge_programs(),
    }
