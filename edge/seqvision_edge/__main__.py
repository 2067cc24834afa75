"""`python -m seqvision_edge` is `edge-run`."""

import sys

from seqvision_edge.entry_points import edge_run

sys.exit(edge_run())
