"""Checks before the work begins: inputs exist, outputs can be written, options go together.

A command or function of the API validates once, here, without torch; the work behind it takes what
was found and checks nothing again.
"""

from seqvision.preflight.data_commands import (
    check_combination,
    check_training,
    validate_data,
    validate_landmarks,
    validate_segment,
    validate_self_train,
    validate_train,
    validate_tune,
    with_vectors,
)
from seqvision.preflight.model_commands import (
    validate_bench,
    validate_calibrate,
    validate_compare,
    validate_evaluate,
    validate_export,
    validate_inspect,
    validate_predict,
    validate_verify,
)
from seqvision.preflight.shared_checks import (
    check_outputs,
    check_trained,
    exported_path,
    find_for_model,
    report_path,
)

__all__ = [
    "check_combination",
    "check_outputs",
    "check_trained",
    "check_training",
    "exported_path",
    "find_for_model",
    "report_path",
    "validate_bench",
    "validate_calibrate",
    "validate_compare",
    "validate_data",
    "validate_evaluate",
    "validate_export",
    "validate_inspect",
    "validate_landmarks",
    "validate_predict",
    "validate_segment",
    "validate_self_train",
    "validate_train",
    "validate_tune",
    "validate_verify",
    "with_vectors",
]
