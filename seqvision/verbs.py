"""What each command does: options → refusals → work → what comes next.

torch and all that is slow to import comes after the refusals.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import BaseModel

from seqvision.rank import count, is_first
from seqvision.stopped import exit_code
from seqvision_edge import command_line

# Some of the clips could not be read, or recorded; edge-run ends so too.
PARTIAL = 3
Asked = TypeVar("Asked", bound=BaseModel)


def train(arguments: list[str]) -> int:
    from pathlib import Path

    from seqvision.config import TrainOptions, from_yaml
    from seqvision.config.resume import going_on, kept_options
    from seqvision.errors import CheckpointError
    from seqvision.few_clips import suit_few_clips
    from seqvision.ready import to_train

    default = kept = None
    config, resume = _value_of("--config", arguments), _value_of("--resume", arguments)
    if resume is not None and config is not None:
        raise CheckpointError("--config: a run that goes on has options of its own; leave it out")
    if resume is not None:
        default = kept = kept_options(Path(resume))
    elif config is not None:
        default = from_yaml(Path(config))
    if default is not None:
        # Where the clips are is one option with two spellings: a flag wins over the file.
        place = None if _value_of("--root", arguments) is not None else default.data or default.root
        default = default.model_copy(update={"data": place, "root": None})
    options = command_line.parse(TrainOptions, "seqvision train", arguments, default)
    if kept is not None and default is not None:
        options = going_on(kept, options, default)
    clips = to_train(options)
    note = None
    if default is None and count() == 1:
        options, note = suit_few_clips(options, clips, _given(arguments))

    from seqvision.training.train import train

    trained = train(options, settled=True, note=note)
    if is_first():
        print(f"{trained.model} written; next: seqvision export {trained.model}")  # noqa: T201
    return exit_code(trained.stopped_by)


def tune(arguments: list[str]) -> int:
    from pathlib import Path

    from seqvision.config import TuneOptions, from_yaml, option_parts
    from seqvision.ready import to_tune

    default = None
    path = _value_of("--config", arguments)
    if path is not None:
        begin = from_yaml(Path(path))
        parts = {part: getattr(begin, part) for part in set(option_parts().values())}
        place = None if _value_of("--root", arguments) is not None else begin.data or begin.root
        default = TuneOptions(data=place, **parts)
    options = command_line.parse(TuneOptions, "seqvision tune", arguments, default)
    to_tune(options)
    command_line.end_on_sigterm()

    from seqvision.tuning.tune import tune
    from seqvision_export.latency import live_frame

    tuned = tune(options, _given(arguments) & option_parts().keys(), live_frame)
    if tuned.model is not None:
        print(f"{tuned.model} written; next: seqvision export {tuned.model}")  # noqa: T201
    return exit_code(tuned.stopped_by)


def self_train(arguments: list[str]) -> int:
    from pathlib import Path

    from seqvision.config import SelfTrainOptions
    from seqvision.config.self_training_resume import check_going_on, kept_self_training
    from seqvision.ready import to_self_train

    kept = None
    resume = _value_of("--resume", arguments)
    if resume is not None:
        kept = kept_self_training(Path(resume))
    options = command_line.parse(SelfTrainOptions, "seqvision self-train", arguments, kept)
    if kept is not None:
        check_going_on(kept, options)
    to_self_train(options)
    command_line.end_on_sigterm()

    from seqvision.self_training.self_train import self_train

    done = self_train(options)
    print(f"{done.model} written; next: seqvision export {done.model}")  # noqa: T201
    return exit_code(done.stopped_by)


def data(arguments: list[str]) -> int:
    from seqvision.config import DataOptions
    from seqvision.ready import to_look

    options = _asked(DataOptions, "data", arguments, to_look)

    from seqvision.survey.survey import survey

    survey(options)
    return 0


def evaluate(arguments: list[str]) -> int:
    from seqvision.config import EvaluateOptions
    from seqvision.ready import to_evaluate

    options = _asked(EvaluateOptions, "evaluate", arguments, to_evaluate)

    from seqvision.evaluate import evaluate

    evaluate(options)
    return 0


def export(arguments: list[str]) -> int:
    from seqvision.config import ExportOptions
    from seqvision.ready import to_export

    options = _asked(ExportOptions, "export", arguments, to_export)

    from seqvision_edge.model_file import read_model
    from seqvision_export.export import export

    exported = export(options)
    _, file = read_model(exported)
    source = "--camera 0" if file.card.sequence.kind == "video" else "--source IMAGE"
    print(f"{exported} written; next: edge-run {source} --model {exported}")  # noqa: T201
    return 0


def verify(arguments: list[str]) -> int:
    from seqvision.config import VerifyOptions
    from seqvision.ready import to_verify

    options = _asked(VerifyOptions, "verify", arguments, to_verify)

    from seqvision_export.proof.verify import verify

    verify(options)
    print(f"{options.model} answers as {options.against} does")  # noqa: T201
    return 0


def inspect(arguments: list[str]) -> int:
    from seqvision.config import InspectOptions
    from seqvision.ready import to_inspect

    options = _asked(InspectOptions, "inspect", arguments, to_inspect)

    from seqvision.inspection.inspect import inspect

    inspect(options)
    return 0


def bench(arguments: list[str]) -> int:
    from seqvision.config import BenchOptions
    from seqvision.ready import to_bench

    options = _asked(BenchOptions, "bench", arguments, to_bench)

    from seqvision_export.bench.bench import bench

    bench(options)
    return 0


def calibrate(arguments: list[str]) -> int:
    from seqvision.config import CalibrateOptions
    from seqvision.ready import to_calibrate

    options = _asked(CalibrateOptions, "calibrate", arguments, to_calibrate)

    from seqvision.calibration.calibrate import calibrate

    written = calibrate(options)
    follows = f"edge-run --model {written}"
    if written.suffix.lower() != ".onnx":
        follows = f"seqvision export {written}"
    print(f"{written} written; next: {follows}")  # noqa: T201
    return 0


def segment(arguments: list[str]) -> int:
    from seqvision.config import SegmentOptions

    options = command_line.parse(SegmentOptions, "seqvision segment", arguments)

    from seqvision.segmentation.segment import segment

    made = segment(options)
    counts = ", ".join(f"{count} {label}" for label, count in sorted(made.clips.items()))
    follows = f"seqvision train {made.folder}"
    if made.alone:
        follows += " --no-groups (of one video only: its figures will flatter; cut a second one)"
    print(f"{made.listed}: added {counts}; next: {follows}")  # noqa: T201
    return 0


def compare(arguments: list[str]) -> int:
    from seqvision.config import CompareOptions

    options = command_line.parse(CompareOptions, "seqvision compare", arguments)

    from seqvision.compare import compare

    compare(options)
    return 0


def predict(arguments: list[str]) -> int:
    from seqvision.config import PredictOptions

    options = command_line.parse(PredictOptions, "seqvision predict", arguments)

    from seqvision.predict import predict

    return PARTIAL if predict(options).damaged else 0


def record(arguments: list[str]) -> int:
    from seqvision.config import RecordOptions

    options = command_line.parse(RecordOptions, "seqvision record", arguments)
    command_line.end_on_sigterm()

    from seqvision.record import record

    return PARTIAL if record(options).incomplete else 0


def _asked(
    kind: type[Asked], verb: str, arguments: Sequence[str], check: Callable[[Asked], object]
) -> Asked:
    """Return the options that were given, after what can be refused in a moment was looked at."""
    options = command_line.parse(kind, f"seqvision {verb}", arguments)
    check(options)
    return options


def _value_of(flag: str, arguments: Sequence[str]) -> str | None:
    """Return what follows a flag: needed before parsing, because it changes the defaults."""
    for number, argument in enumerate(arguments):
        if argument == flag and number + 1 < len(arguments):
            return arguments[number + 1]
        if argument.startswith(f"{flag}="):
            return argument.partition("=")[2]
    return None


def _given(arguments: Sequence[str]) -> set[str]:
    """Return the names of the options that are given, as their fields are called."""
    flags = (argument.partition("=")[0] for argument in arguments if argument.startswith("--"))
    names = {flag.removeprefix("--").replace("-", "_") for flag in flags}
    return names | {name.removeprefix("no_") for name in names}
