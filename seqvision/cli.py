"""`seqvision COMMAND …`: options → the API → what is printed.  Help needs no torch.

torch and all that is slow to import comes after the refusals.
"""

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NoReturn, TypeVar

from pydantic import BaseModel

from seqvision import __version__
from seqvision.rank import count, is_first, yield_to_rank0
from seqvision.signals import stop_exit_code
from seqvision_edge import command_line, interrupts
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.files import stdout_reserved

# A fault that is not the user's: Python ends so too.
FAILED = 1
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Prepare": ("record", "segment", "data", "fetch", "landmarks"),
    "Train": ("train", "tune", "self-train"),
    "Evaluate": ("evaluate", "compare", "calibrate"),
    "Export": ("export", "verify", "bench", "inspect"),
    "Run": ("predict",),
}
# What other programs call it.
SYNONYMS: Mapping[str, str] = {
    "fit": "train",
    "learn": "train",
    "resume": "seqvision train --resume RUN",
    "test": "evaluate",
    "eval": "evaluate",
    "validate": "evaluate",
    "score": "evaluate",
    "infer": "predict",
    "inference": "predict",
    "classify": "predict",
    "detect": "predict",
    "convert": "export",
    "onnx": "export",
    "quantize": "seqvision export --precision int8",
    "benchmark": "bench",
    "profile": "bench",
    "check": "verify",
    "prove": "verify",
    "info": "inspect",
    "show": "inspect",
    "summary": "inspect",
    "split": "segment",
    "cut": "segment",
    "dataset": "data",
    "survey": "data",
    "look": "data",
    "capture": "record",
    "search": "tune",
    "optimize": "tune",
    "hpo": "tune",
    "sweep": "tune",
    "pseudo-label": "self-train",
    "selftrain": "self-train",
    "diff": "compare",
    "run": "edge-run",
    "live": "edge-run",
    "camera": "edge-run --camera 0",
    "webcam": "edge-run --camera 0",
    "serve": "edge-serve",
    "server": "edge-serve",
    "web": "edge-serve",
    "demo": "make demo",
    "version": "seqvision --version",
}

# Some of the clips could not be read, or recorded; edge-run ends so too.
PARTIAL = 3
OptionsType = TypeVar("OptionsType", bound=BaseModel)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the entry point of `seqvision`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return command_line.run_command(lambda: _dispatch(given))
    except Exception as error:
        # Not by the interpreter, which keeps the traceback and with it all that should be closed.
        from seqvision.console import print_crash

        print_crash(error)
        return FAILED


def _dispatch(given: list[str]) -> int:
    if not given:
        return _print_help()
    verb, *rest = given
    if verb in command_line.HELP or (verb == "help" and not Path("help").exists()):
        # seqvision help train, seqvision --help train
        return _verb(rest[0])([*rest[1:], "--help"]) if rest else _print_help()
    if verb in command_line.VERSION:
        print(f"seqvision {__version__}")  # noqa: T201
        return 0
    if count() == 1:  # torchrun ends its processes itself, also one that waits for the others
        interrupts.end_on_sigterm()
    # --json -: nothing but the file itself goes to standard output.  That of inspect is a switch.
    to_stdout = verb != "inspect" and any(each == "-" or each.endswith("=-") for each in rest)
    try:
        with stdout_reserved() if to_stdout else contextlib.nullcontext():
            return _verb(verb, rest)(rest)
    except SeqvisionError:
        yield_to_rank0()
        raise
    except KeyboardInterrupt as stopped:
        if not stopped.args and is_first():
            stopped.args = (f"seqvision {verb}: stopped",)
        raise
    finally:
        if "seqvision.console" in sys.modules:
            sys.modules["seqvision.console"].restore_terminal()


def _print_help() -> int:
    print(_help())  # noqa: T201
    return 0


def _verb(name: str, rest: Sequence[str] = ()) -> Callable[[list[str]], int]:
    """Return what carries out a command.

    Raises:
        SeqvisionError: there is no such command; the message suggests what was probably meant.
    """
    return VERBS[name][1] if name in VERBS else _refuse(name, rest)


def _refuse(name: str, rest: Sequence[str]) -> NoReturn:
    following = "".join(f" {each}" for each in rest)
    if name in ("edge-run", "edge-serve"):
        raise SeqvisionError(f"seqvision: {name} is a program of its own: {name}{following}")
    if name.startswith("-"):
        command = next((each for each in rest if each in VERBS), None)
        moved = [name, *(each for each in rest if each != command)]
        hint = f"seqvision {command} {' '.join(moved)}" if command else "seqvision train --help"
        raise SeqvisionError(f"seqvision: {name}: options come after the command: {hint}")
    plain = name.lower().replace("_", "-")
    if plain in VERBS:
        raise SeqvisionError(f"seqvision: no command {name!r}; did you mean {plain}?")
    if plain in SYNONYMS:
        raise SeqvisionError(f"seqvision: no command {name!r}; did you mean: {SYNONYMS[plain]}")
    path = Path(name)
    if path.suffix.lower() in (".onnx", ".pt", ".safetensors"):
        raise SeqvisionError(f"seqvision: {name}: the command is missing: seqvision inspect {name}")
    if path.exists():
        raise SeqvisionError(f"seqvision: {name}: the command is missing: seqvision train {name}")

    from seqvision_edge.hints import did_you_mean, near_words

    hint = did_you_mean(near_words(plain, VERBS)) or f"there are: {', '.join(VERBS)}"
    raise SeqvisionError(f"seqvision: no command {name!r}; {hint}")


def _help() -> str:
    lines = []
    for heading, names in GROUPS.items():
        lines += [f"{heading}:", *(f"  {name:11} {VERBS[name][0]}" for name in names), ""]
    return "\n".join(
        (
            "usage: seqvision COMMAND …",
            "",
            "Train CNN + LSTM classifiers on frame sequences and export them for live use.",
            "",
            "Examples:",
            "  seqvision train frames/       # frames/<label>/<clip> → model.pt",
            "  seqvision export model.pt     # → model.onnx",
            "  edge-run --camera 0           # model.onnx, live",
            "",
            *lines[:-1],
            "  edge-run    model.onnx + a camera, stream or video → events",
            "  edge-serve  model.onnx → a page, REST and a WebSocket",
            "",
            "seqvision COMMAND --help explains the options of a command.",
            "seqvision --version prints the version.",
        )
    )


def train(arguments: list[str]) -> int:
    from seqvision.commands import train_given
    from seqvision.config import TrainOptions

    trained = train_given(_read(TrainOptions, "train", arguments))
    from seqvision.training.folds import CrossValidated

    if isinstance(trained, CrossValidated):
        if trained.held_out is not None:
            follows = f"seqvision train --config {trained.run}/options.yaml --folds 0"
            _print(f"{trained.run} written, without a model; next, to train it: {follows}")
        return stop_exit_code(trained.stopped_by)
    if is_first():
        _print(f"{trained.model} written; next: seqvision export {trained.model}")
    return stop_exit_code(trained.stopped_by)


def tune(arguments: list[str]) -> int:
    from seqvision.commands import tune_given
    from seqvision.config import TuneOptions

    tuned = tune_given(_read(TuneOptions, "tune", arguments))
    if tuned.model is not None:
        _print(f"{tuned.model} written; next: seqvision export {tuned.model}")
    return stop_exit_code(tuned.stopped_by)


def self_train(arguments: list[str]) -> int:
    from seqvision.commands import self_train_given
    from seqvision.config import SelfTrainOptions

    done = self_train_given(_read(SelfTrainOptions, "self-train", arguments))
    _print(f"{done.model} written; next: seqvision export {done.model}")
    return stop_exit_code(done.stopped_by)


def data(arguments: list[str]) -> int:
    from seqvision.config import DataOptions

    options = _options(DataOptions, "data", arguments)

    with _checking():
        from seqvision.preflight import validate_data, with_vectors

        options = with_vectors(options)
        data_set = validate_data(options)

    with _loading("OpenCV", "seqvision.dataset_report.analyze"):
        from seqvision.dataset_report.analyze import analyze_data_set

    analyze_data_set(options, data_set)
    return 0


def evaluate(arguments: list[str]) -> int:
    from seqvision.commands import evaluate_given
    from seqvision.config import EvaluateOptions

    evaluate_given(_read(EvaluateOptions, "evaluate", arguments))
    return 0


def export(arguments: list[str]) -> int:
    from seqvision.commands import export_given
    from seqvision.config import ExportOptions

    exported = export_given(_read(ExportOptions, "export", arguments))

    from seqvision_edge.onnx_validation import read_model

    _, file = read_model(exported)
    sources = {"video": "--camera 0", "vectors": "--source -"}
    source = sources.get(file.card.sequence.kind, "--source IMAGE")
    _print(f"{exported} written; next: edge-run {source} --model {exported}")
    return 0


def verify(arguments: list[str]) -> int:
    from seqvision.commands import verify_given
    from seqvision.config import VerifyOptions

    given = _read(VerifyOptions, "verify", arguments)
    verify_given(given)
    options = given.build()
    _print(f"{options.model} answers as {options.against} does")
    return 0


def inspect(arguments: list[str]) -> int:
    from seqvision.config import InspectOptions

    options = _options(InspectOptions, "inspect", arguments)

    with _checking():
        from seqvision.preflight import validate_inspect

        validate_inspect(options)

    from seqvision.inspect_model import inspect

    inspect(options)
    return 0


def bench(arguments: list[str]) -> int:
    from seqvision.config import BenchOptions

    options = _options(BenchOptions, "bench", arguments)

    with _checking():
        from seqvision.preflight import validate_bench

        validate_bench(options)

    with _loading("torch, onnx and onnxruntime"):
        from seqvision_export.bench.bench import bench

    bench(options)
    return 0


def calibrate(arguments: list[str]) -> int:
    from seqvision.commands import calibrate_given
    from seqvision.config import CalibrateOptions

    written = calibrate_given(_read(CalibrateOptions, "calibrate", arguments))
    follows = f"edge-run --model {written}"
    if written.suffix.lower() != ".onnx":
        follows = f"seqvision export {written}"
    _print(f"{written} written; next: {follows}")
    return 0


def segment(arguments: list[str]) -> int:
    from seqvision.config import SegmentOptions

    options = _options(SegmentOptions, "segment", arguments)

    with _checking():
        from seqvision.preflight import validate_segment

        marks = validate_segment(options)

    from seqvision.segmentation.segment import segment

    made = segment(options, marks)
    counts = ", ".join(f"{count} {label}" for label, count in sorted(made.clips.items()))
    follows = f"seqvision train {made.folder}"
    if made.alone:
        follows += (
            " --split-by none (of one video only: its figures will flatter; cut a second one)"
        )
    _print(f"{made.listed}: added {counts}; next: {follows}")
    return 0


def compare(arguments: list[str]) -> int:
    from seqvision.config import CompareOptions

    options = _options(CompareOptions, "compare", arguments)

    with _checking():
        from seqvision.preflight import validate_compare

        validate_compare(options)

    from seqvision.compare import compare

    compare(options)
    return 0


def predict(arguments: list[str]) -> int:
    from seqvision.commands import predict_given
    from seqvision.config import PredictOptions

    return PARTIAL if predict_given(_read(PredictOptions, "predict", arguments)).damaged else 0


def record(arguments: list[str]) -> int:
    from seqvision.config import RecordOptions

    options = _options(RecordOptions, "record", arguments)

    from seqvision.record import record

    return PARTIAL if record(options).incomplete else 0


def fetch(arguments: list[str]) -> int:
    from seqvision.config import FetchOptions

    options = _options(FetchOptions, "fetch", arguments)

    from seqvision.landmarks.fetch import ARCHIVES, fetch
    from seqvision_edge.hints import join_and

    kinds = tuple(ARCHIVES) if options.what == "landmarks" else (options.what,)
    written = fetch(kinds, options.archive)
    names = join_and([str(path) for path in written])
    encoders = {"hands": "hands", "pose": "pose", "landmarks": "hands+pose"}
    _print(f"{names} written; next: seqvision train frames/ --encoder {encoders[options.what]}")
    return 0


def landmarks(arguments: list[str]) -> int:
    from seqvision.config import LandmarksOptions

    options = _options(LandmarksOptions, "landmarks", arguments)

    with _checking():
        from seqvision.preflight import validate_landmarks

        data_set = validate_landmarks(options)

    with _loading("torch"):
        from seqvision.landmarks.write_vectors import write_landmarks

    count = write_landmarks(options, data_set)
    clips = f"{count} clips" if count > 1 else "1 clip"
    _print(f"{options.output}: {clips} written; next: seqvision train {options.output}")
    return 0


VERBS: dict[str, tuple[str, Callable[[list[str]], int]]] = {
    "record": ("camera → labelled clips", record),
    "segment": ("long video + list of events → labelled clips", segment),
    "data": ("clips → statistics, problems", data),
    "fetch": ("weights of --encoder hands, pose → the cache", fetch),
    "landmarks": ("clips → their landmarks as vectors", landmarks),
    "train": ("clips → model.pt", train),
    "tune": ("clips → best options, model.pt", tune),
    "self-train": ("model.pt + unlabelled clips → better model.pt", self_train),
    "evaluate": ("model.pt + clips → accuracy, F1, report", evaluate),
    "compare": ("run folders → differences, significance", compare),
    "calibrate": ("model + clips, videos → temperature, thresholds", calibrate),
    "export": ("model.pt → model.onnx, verified", export),
    "verify": ("model.onnx + model.pt → comparison of their outputs", verify),
    "bench": ("model.onnx or model.pt → latency, memory, size", bench),
    "inspect": ("model file → inputs, outputs, settings, origin", inspect),
    "predict": ("model.pt or model.onnx + clips → labels", predict),
}


def _print(result: str) -> None:
    """Print the result of a command on standard output."""
    command_line.print_message(result, sys.stdout)


def _checking() -> AbstractContextManager[None]:
    """Show on a terminal that the inputs are being checked."""
    from seqvision.console import status

    return status("checking the inputs")


def _loading(what: str, module: str = "torch") -> AbstractContextManager[None]:
    """Show on a terminal that slow imports are running, if any are."""
    from seqvision.console import loading

    return loading(what, module)


def _read(
    kind: type[OptionsType], verb: str, arguments: Sequence[str]
) -> command_line.Given[OptionsType]:
    """Return the options as they were given; wrong ones are refused."""
    version = f"seqvision {__version__}"
    return command_line.read_arguments(kind, f"seqvision {verb}", arguments, version, programs)


def _options(
    kind: type[OptionsType],
    verb: str,
    arguments: Sequence[str],
) -> OptionsType:
    """Return the options that were given; wrong ones are refused."""
    return _read(kind, verb, arguments).build()


def programs() -> Mapping[str, type[BaseModel]]:
    """Return every command and program with its options."""
    from seqvision import config

    return {
        "record": config.RecordOptions,
        "data": config.DataOptions,
        "segment": config.SegmentOptions,
        "fetch": config.FetchOptions,
        "landmarks": config.LandmarksOptions,
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
