"""`seqvision VERB …`.  A verb's module is imported only when it is called: help needs no torch."""

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from seqvision import __version__, verbs
from seqvision.rank import count, is_first, yield_to_rank0
from seqvision_edge import command_line, interrupts
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.files import stdout_reserved

# A fault that is not the user's: Python ends so too.
FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the entry point of `seqvision`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return command_line.run(lambda: _dispatch(given))
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
        SeqvisionError: there is no such command; what was probably meant is said.
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


VERBS: dict[str, tuple[str, Callable[[list[str]], int]]] = {
    "record": ("camera → labelled clips", verbs.record),
    "segment": ("long video + list of events → labelled clips", verbs.segment),
    "data": ("clips → statistics, problems", verbs.data),
    "train": ("clips → model.pt", verbs.train),
    "tune": ("clips → best options, model.pt", verbs.tune),
    "self-train": ("model.pt + unlabelled clips → better model.pt", verbs.self_train),
    "evaluate": ("model.pt + clips → accuracy, F1, report", verbs.evaluate),
    "compare": ("run folders → differences, significance", verbs.compare),
    "calibrate": ("model + clips, videos → temperature, thresholds", verbs.calibrate),
    "export": ("model.pt → model.onnx, verified", verbs.export),
    "verify": ("model.onnx + model.pt → comparison of their outputs", verbs.verify),
    "bench": ("model.onnx or model.pt → latency, memory, size", verbs.bench),
    "inspect": ("model file → inputs, outputs, settings, origin", verbs.inspect),
    "predict": ("model.pt or model.onnx + clips → labels", verbs.predict),
}
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Prepare": ("record", "segment", "data"),
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
