"""Train CNN + LSTM classifiers on frame sequences.  `seqvision --help` lists the commands."""

__version__ = "0.1.0"
