"""`python -m seqvision_edge.server` is `edge-serve`."""

import sys

from seqvision_edge.entry_points import edge_serve

sys.exit(edge_serve())
