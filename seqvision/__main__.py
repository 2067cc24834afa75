"""`python -m seqvision`."""

import sys

from seqvision.cli import main

sys.exit(main())
