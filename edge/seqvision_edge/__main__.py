"""`python -m seqvision_edge` is `edge-run`."""

import sys

from seqvision_edge.programs import edge_run

sys.exit(edge_run())
