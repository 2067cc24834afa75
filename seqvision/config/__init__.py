"""Every option, once: its name, type, default and explanation.

These classes are inert data.  The command line, the YAML of `--config` and the record in a run
folder are made from them; the verbs are functions that take them.
"""

from seqvision.config.combinations import (
    augment_file,
    check_center,
    check_landmarks,
    check_sequence,
    check_vectors,
)
from seqvision.config.commands import (
    BenchOptions,
    CalibrateOptions,
    CompareOptions,
    EvaluateOptions,
    ExportOptions,
    InspectOptions,
    PredictOptions,
    SelfTrainOptions,
    TrainOptions,
    VerifyOptions,
    data_path,
)
from seqvision.config.data_commands import (
    DataOptions,
    FetchOptions,
    LandmarksOptions,
    RecordOptions,
    SegmentOptions,
)
from seqvision.config.distillation import DistillationOptions, check_teachers
from seqvision.config.option_types import ENCODERS, PRESETS, Chance, Part, Speed, seconds_of
from seqvision.config.training import (
    AugmentOptions,
    ClipOptions,
    ModelOptions,
    SequenceOptions,
    TrainingOptions,
)
from seqvision.config.tuning import TuneOptions, option_parts
from seqvision.config.yaml_io import flattened, from_yaml, to_yaml

__all__ = [
    "ENCODERS",
    "PRESETS",
    "AugmentOptions",
    "BenchOptions",
    "CalibrateOptions",
    "Chance",
    "ClipOptions",
    "CompareOptions",
    "DataOptions",
    "DistillationOptions",
    "EvaluateOptions",
    "ExportOptions",
    "FetchOptions",
    "InspectOptions",
    "LandmarksOptions",
    "ModelOptions",
    "Part",
    "PredictOptions",
    "RecordOptions",
    "SegmentOptions",
    "SelfTrainOptions",
    "SequenceOptions",
    "Speed",
    "TrainOptions",
    "TrainingOptions",
    "TuneOptions",
    "VerifyOptions",
    "augment_file",
    "check_center",
    "check_landmarks",
    "check_sequence",
    "check_teachers",
    "check_vectors",
    "data_path",
    "flattened",
    "from_yaml",
    "option_parts",
    "seconds_of",
    "to_yaml",
]
