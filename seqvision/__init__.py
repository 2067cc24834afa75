"""Train CNN + LSTM classifiers on frame sequences.  `seqvision --help` lists the commands."""

import os

__version__ = "0.1.0"

# Read when torch is imported.  torch's threads spin while they wait for each other; beside the
# processes that load clips, that doubles the time of a step.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
