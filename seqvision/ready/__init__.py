"""Whether a command can begin: what it reads is there, what it writes can be, and its options make
sense.  No torch, so that a refusal takes a moment and not the seconds of an import.
"""

from seqvision.ready.checks import (
    beside,
    check_labels,
    check_outputs,
    check_trained,
    unknown_label_error,
)
from seqvision.ready.clips import validate_data, validate_segment
from seqvision.ready.models import (
    to_inspect,
    validate_bench,
    validate_calibrate,
    validate_compare,
    validate_evaluate,
    validate_export,
    validate_predict,
    validate_verify,
)
from seqvision.ready.training import (
    check_training,
    validate_self_train,
    validate_train,
    validate_tune,
)

__all__ = [
    "beside",
    "check_labels",
    "check_outputs",
    "check_trained",
    "check_training",
    "to_inspect",
    "unknown_label_error",
    "validate_bench",
    "validate_calibrate",
    "validate_compare",
    "validate_data",
    "validate_evaluate",
    "validate_export",
    "validate_predict",
    "validate_segment",
    "validate_self_train",
    "validate_train",
    "validate_tune",
    "validate_verify",
]
