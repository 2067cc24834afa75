"""Whether a command can begin: what it reads is there, what it writes can be, and its options make
sense.  No torch, so that a refusal takes a moment and not the seconds of an import.
"""

from seqvision.ready.checks import beside, check_labels, check_outputs, check_trained, strange_label
from seqvision.ready.clips import to_look, to_segment
from seqvision.ready.models import (
    to_bench,
    to_calibrate,
    to_compare,
    to_evaluate,
    to_export,
    to_inspect,
    to_predict,
    to_verify,
)
from seqvision.ready.training import check_training, to_self_train, to_train, to_tune

__all__ = [
    "beside",
    "check_labels",
    "check_outputs",
    "check_trained",
    "check_training",
    "strange_label",
    "to_bench",
    "to_calibrate",
    "to_compare",
    "to_evaluate",
    "to_export",
    "to_inspect",
    "to_look",
    "to_predict",
    "to_segment",
    "to_self_train",
    "to_train",
    "to_tune",
    "to_verify",
]
