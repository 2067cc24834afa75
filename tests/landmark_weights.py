"""The weights of the landmark networks for tests, fetched once; without them tests are skipped."""

import fcntl
import os
import socket

import pytest

from seqvision.errors import WeightsError
from seqvision.landmarks.fetch import VARIABLE, fetch, landmarks_file, landmarks_folder

# The operators that only these networks bring into a file.
OF_LANDMARKS = {"GridSample", "Max", "ReduceMax", "Sqrt"}


def landmark_weights(*kinds: str) -> None:
    """Fetch the weights, or skip: neither the npm registry nor a local archive is there."""
    if all(landmarks_file(kind).is_file() for kind in kinds):
        return
    if not os.environ.get(VARIABLE):
        try:
            socket.create_connection(("registry.npmjs.org", 443), timeout=10).close()
        except OSError:
            pytest.skip(f"the npm registry cannot be reached, and {VARIABLE} names no archive")
    landmarks_folder().mkdir(parents=True, exist_ok=True)
    try:
        # One process of a run fetches, the others wait for it.
        with (landmarks_folder() / ".tests.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            fetch(tuple(kind for kind in kinds if not landmarks_file(kind).is_file()))
    except (OSError, WeightsError) as error:
        pytest.skip(f"the landmark networks cannot be had: {error}")
    if not all(landmarks_file(kind).is_file() for kind in kinds):
        pytest.skip(f"{VARIABLE} names a folder without {' or '.join(kinds)}")
