"""The errors of training and export; each is a `seqvision_edge.SeqvisionError`.

SeqvisionError (seqvision_edge.errors)
├── DataError         the clips cannot be used
├── WeightsError      pretrained weights cannot be had or do not fit
├── CheckpointError   a model.pt or a run folder cannot be read
├── ResourceError     the disk or a process gave out in the middle of the work
│   └── OutOfMemoryError   or the memory
├── StudyError        a study cannot be kept, or is about something else
└── ExportError       the exported graph does not answer as the model does
"""

from seqvision_edge.errors import SeqvisionError


class DataError(SeqvisionError):
    """The clips cannot be used."""


class WeightsError(SeqvisionError):
    """Pretrained weights cannot be had or do not fit."""


class CheckpointError(SeqvisionError):
    """A model.pt or a run folder cannot be read."""


class ResourceError(SeqvisionError):
    """The disk, a process or memory gave out in the middle of the work."""


class OutOfMemoryError(ResourceError):
    """The memory of this machine or of its GPU is too small."""


class StudyError(SeqvisionError):
    """A study cannot be kept, or is about something else."""


class ExportError(SeqvisionError):
    """The exported graph does not answer as the model does."""
