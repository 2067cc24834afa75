"""`python -m seqvision_edge.serve` is `edge-serve`."""

import sys

from seqvision_edge.serve.cli import main

sys.exit(main())
