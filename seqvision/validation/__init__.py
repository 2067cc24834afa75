"""Checks before the work begins: inputs exist, outputs can be written, options go together.  No
torch.
"""

from seqvision.validation.checks import (
    beside,
    check_labels,
    check_outputs,
    check_trained,
    unknown_label_error,
)
from seqvision.validation.models import (
    to_inspect,
    validate_bench,
    validate_calibrate,
    validate_compare,
    validate_evaluate,
    validate_export,
    validate_predict,
    validate_verify,
)
from seqvision.validation.training import (
    check_training,
    validate_data,
    validate_segment,
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
