"""`python -m seqvision_edge` is `edge-run`."""

import sys

from seqvision_edge.cli import main

sys.exit(main())
