"""Checks before the work begins: inputs exist, outputs can be written, options go together.

A command or function of the API validates once, here, without torch; the work behind it takes what
was found and checks nothing again.
"""

from seqvision.validation.checks import (
    beside,
    check_outputs,
    check_trained,
    exported_path,
    find_for_model,
)
from seqvision.validation.models import (
    validate_bench,
    validate_calibrate,
    validate_compare,
    validate_evaluate,
    validate_export,
    validate_inspect,
    validate_predict,
    validate_verify,
)
from seqvision.validation.training import (
    check_combination,
    check_training,
    validate_data,
    validate_segment,
    validate_self_train,
    validate_train,
    validate_tune,
)

__all__ = [
    "beside",
    "check_combination",
    "check_outputs",
    "check_trained",
    "check_training",
    "exported_path",
    "find_for_model",
    "validate_bench",
    "validate_calibrate",
    "validate_compare",
    "validate_data",
    "validate_evaluate",
    "validate_export",
    "validate_inspect",
    "validate_predict",
    "validate_segment",
    "validate_self_train",
    "validate_train",
    "validate_tune",
    "validate_verify",
]
