"""`seqvision VERB …`.  A verb's module is imported only when it is called: help needs no torch."""

import sys
from collections.abc import Callable, Sequence

from seqvision import __version__, verbs
from seqvision.rank import give_way
from seqvision_edge import command_line
from seqvision_edge.errors import SeqvisionError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the entry point of `seqvision`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return command_line.run(lambda: _dispatch(given))


def _dispatch(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help"):
        print(_help())  # noqa: T201
        return 0
    if given[0] == "--version":
        print(f"seqvision {__version__}")  # noqa: T201
        return 0
    verb, *rest = given
    if verb not in VERBS:
        import difflib

        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(VERBS)}"
        raise SeqvisionError(f"seqvision: no command {verb!r}; {hint}")
    try:
        return VERBS[verb][1](rest)
    except SeqvisionError:
        give_way()
        raise


def _help() -> str:
    lines = [f"  {verb:10} {text}" for verb, (text, _) in VERBS.items()]
    return "\n".join(
        (
            "usage: seqvision COMMAND …",
            "",
            "Train CNN + LSTM classifiers on frame sequences and export them for live use.",
            "",
            *lines,
            "",
            "seqvision COMMAND --help explains its options; edge-run runs the exported model.",
        )
    )


VERBS: dict[str, tuple[str, Callable[[list[str]], int]]] = {
    "record": ("a camera → clips of your own, label by label", verbs.record),
    "data": ("clips → what they are, what is wrong with them, a contact sheet", verbs.data),
    "segment": ("a long video + what happens when → labelled clips", verbs.segment),
    "train": ("clips → model.pt", verbs.train),
    "tune": ("clips → the options that train the best model.pt", verbs.tune),
    "self-train": ("model.pt + clips without labels → a better model.pt", verbs.self_train),
    "evaluate": ("model.pt + clips → accuracy, precision, recall, F1, report", verbs.evaluate),
    "calibrate": ("model.pt + clips, videos → temperature, thresholds, events", verbs.calibrate),
    "compare": ("run folders → what differs, and whether it is more than luck", verbs.compare),
    "predict": ("model.pt or model.onnx + any clips → what is in them", verbs.predict),
    "export": ("model.pt → model.onnx, proven to answer alike", verbs.export),
    "bench": ("model.onnx or model.pt → what it costs on this machine", verbs.bench),
    "verify": ("model.onnx + model.pt → the proof again, on clips too", verbs.verify),
    "inspect": ("model.pt or model.onnx → what it is: contract, settings, origin", verbs.inspect),
}
