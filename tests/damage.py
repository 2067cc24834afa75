"""A file cut short or with one bit turned: it gives one typed error, or what the whole one gives.

Needs no torch: the tests of both packages use it, in a process of its own with little memory.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from seqvision_edge.errors import SeqvisionError

# What a child process begins with; it is given the tests' folder, a file, a grid and a log.
CHILD = "import sys; sys.path.insert(0, sys.argv[1])\nimport damage\n"


def cuts_and_flips(size: int, cuts: int, flips: int, seed: int) -> list[tuple[str, int]]:
    """Return `("cut", byte)` and `("flip", bit)` at random places of a file."""
    generator = np.random.default_rng(seed)
    return [
        *(("cut", int(place)) for place in generator.integers(0, size, cuts)),
        *(("flip", int(place)) for place in generator.integers(0, 8 * size, flips)),
    ]


def arguments(file: Path, grid: Iterable[tuple[str, int]], log: Path) -> list[str]:
    """Return what a child process is given; `log` says where it was when it died."""
    return [str(Path(__file__).parent), str(file), json.dumps(list(grid)), str(log)]


def try_all(given: list[str], answer: Callable[[bytes], object]) -> int:
    """Ask for every damaged content; return how many were refused.

    Raises:
        AssertionError: an error of several lines, or an answer that is not that of the whole file.
    """
    file, grid, log = Path(given[1]), json.loads(given[2]), Path(given[3])
    whole = file.read_bytes()
    expected = answer(whole)
    refused = 0
    for kind, place in grid:
        log.write_text(f"{kind} {place}", encoding="utf-8")
        content = bytearray(whole)
        if kind == "cut":
            del content[place:]
        else:
            content[place // 8] ^= 1 << place % 8
        try:
            same = answer(bytes(content)) == expected
        except SeqvisionError as error:
            refused += 1
            if "\n" in str(error):
                raise AssertionError(f"{kind} {place}: several lines: {error}") from None
        else:
            assert same, f"{kind} {place}: another answer"
    return refused
