"""The errors that a user can cause, for all three packages.

SeqvisionError
├── CardError        a model's card is missing, damaged or of another spec
├── ModelError       a model file cannot be used
├── DeviceError      the requested accelerator is not available
├── SourceError      a camera, video or folder cannot be read
├── SinkError        an output cannot be written
├── RecordingError   takes cannot be recorded, stored or read
└── (seqvision.errors adds those of training and export)

Each message is one line: what is wrong, where, and what to do next.  The commands print it and
exit with code 2.
"""


class SeqvisionError(Exception):
    """Base of every error that a user can fix."""


class CardError(SeqvisionError):
    """A model's card is missing, damaged or of another spec."""


class ModelError(SeqvisionError):
    """A model file cannot be used."""


class DeviceError(SeqvisionError):
    """The requested accelerator is not available."""


class SourceError(SeqvisionError):
    """A camera, video or folder cannot be read."""


class SinkError(SeqvisionError):
    """An output cannot be written."""


class RecordingError(SeqvisionError):
    """Takes cannot be recorded, stored or read."""
