"""The program `seqvision`, as its installed script and `python -m seqvision` start it."""

import sys
from collections.abc import Callable

from seqvision_edge.entry_points import start


def run() -> int:
    """Run `seqvision` and return its exit code."""
    return start(_load)


def _load() -> Callable[[], int]:
    from seqvision.cli import main

    return main


if __name__ == "__main__":
    sys.exit(run())
