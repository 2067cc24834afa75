"""What takes long is made once in a test run, by the first of its processes that needs it."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path


def once(name: str, make: Callable[[Path], object]) -> Path:
    """Return the file or folder that `make` writes; whoever comes second waits and reads it.

    Args:
        name: what it is, different for everything.
        make: writes it to the path that it is given.
    """
    path = Path(os.environ["SEQVISION_TEST_RUN"]) / name
    with path.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            unfinished = path.with_name(f"{name}.part")
            make(unfinished)
            unfinished.rename(path)
    return path
