"""Train CNN + LSTM classifiers on frame sequences; `seqvision --help` lists the commands.

import seqvision as sv

run = sv.train("frames/", epochs=20)
path = sv.export(run.model)
sv.predict(path, ["a.mp4"])
"""

import os
from importlib import import_module

# As of `typing`, whose import is the longest part of a program's start in which Ctrl-C is Python's.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from seqvision.api import calibrate, evaluate, export, predict, self_train, train, tune, verify
    from seqvision.api_results import ClipPrediction, CrossValidation, Predictions, Run, Search
    from seqvision_edge.errors import SeqvisionError

__version__ = "0.2.0"

__all__ = [
    "ClipPrediction",
    "CrossValidation",
    "Predictions",
    "Run",
    "Search",
    "SeqvisionError",
    "__version__",
    "calibrate",
    "evaluate",
    "export",
    "predict",
    "self_train",
    "train",
    "tune",
    "verify",
]

# Read when torch is imported.  torch's threads spin while they wait for each other; next to the
# processes that load clips, that doubles the time of a step.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str) -> object:
    # The options take a moment to import: a command must report a mistake at once.
    if name == "SeqvisionError":
        from seqvision_edge.errors import SeqvisionError

        return SeqvisionError
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("seqvision.api"), name)


def __dir__() -> list[str]:
    return __all__
