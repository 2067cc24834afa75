"""Timing that other tenants of the machine disturb as little as possible.

Candidates take turns, round by round, and what is compared is the ratio within each round.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median


def milliseconds(work: Callable[[], object], times: int) -> float:
    """Return what one call takes, over `times` calls."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return 1000 * (time.perf_counter() - began) / times


def in_turn(
    candidates: Mapping[str, Callable[[], float]],
    rounds: int,
    before: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """Get every candidate's figure in each round, each round beginning with another one.

    `before` is called before each round: it may wait for better times.
    """
    names = list(candidates)
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        before()
        first = number % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(candidates[name]())
    return found


def ratio(ones: list[float], others: list[float]) -> float:
    """Return the median of the rounds' ratios."""
    return median(one / other for one, other in zip(ones, others, strict=True))


def processor_seconds(pid: int) -> float:
    """Return what a process has used, its children apart."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def second_core() -> float:
    """Return how much more two threads do than one: 2 where the second core is really there."""
    import torch

    matrix = torch.rand(1024, 1024)
    torch.set_num_threads(2)
    rates = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        matrix @ matrix
        rates[threads] = 1 / min(milliseconds(lambda: matrix @ matrix, 4) for _ in range(6))
    return rates[2] / rates[1]


class SecondCore:
    """Wait until the second core is really there: on a shared machine it comes and goes.

    Attributes:
        found: how much more two threads did than one, at the end of each wait.
    """

    ENOUGH = 1.65

    def __init__(self, patience: float) -> None:
        """Wait at most `patience` seconds, all waits together."""
        self.found: list[float] = []
        self._left = patience

    def __call__(self) -> None:
        """Wait for it, or until the patience is used up."""
        while (scaling := second_core()) < self.ENOUGH and self._left > 0:
            began = time.monotonic()
            time.sleep(1.0)
            self._left -= time.monotonic() - began
        self.found.append(scaling)


class Contestant:
    """A candidate in a process of its own: own threads, own allocator, own caches.

    It works only on request, and then reports its clips per second.
    """

    def __init__(self, what: str, encoder: str, folder: Path) -> None:
        self.name = what
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.contestants", what, encoder, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()  # one prepares at a time, undisturbed

    def __call__(self) -> float:
        """Let it work once; return clips per second."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name} ended with {self._process.wait()}")
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
