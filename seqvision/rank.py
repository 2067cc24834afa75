"""Which process of a training this is, where torchrun started several.

torchrun sets it in the environment; a process by itself is the first of one.
"""

import os
import time


def rank() -> int:
    """Return the number of this process among all, from 0."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Return the number of this process among those of this machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def count() -> int:
    """Return how many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_count() -> int:
    """Return how many of them run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def is_first() -> bool:
    """Return whether this process writes the files and talks to the user."""
    return rank() == 0


def yield_to_rank0() -> None:
    """Let the first process of this machine report the error: when it ends, torchrun ends all.

    If nothing happens, the fault is this process's own, and it has to report it.
    """
    if local_rank():
        time.sleep(10)
