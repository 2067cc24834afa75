"""Times of calls, taken in turns: a machine that slows down slows all of them down."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TypeVar

import numpy as np

Name = TypeVar("Name", bound=Hashable)

# A turn is long enough for caches to be the caller's own, and short enough to have many.
_TURN_SECONDS = 0.02
_FEWEST_ROUNDS = 5


@dataclass(frozen=True)
class Timing:
    """Milliseconds of single calls, and of the fastest call of each round.

    What interrupts a call makes it slower, never faster: the fastest is the one that nothing
    interrupted.
    """

    p50: float
    p95: float
    rounds: tuple[float, ...]

    @property
    def undisturbed(self) -> float:
        """What a call takes where nothing else runs: the median of the rounds."""
        return median(self.rounds)

    @property
    def per_second(self) -> float:
        """Calls in a second."""
        return 1000 / self.p50


def interleaved_timing(
    work: Mapping[Name, Callable[[], object]],
    seconds: float,
    advance: Callable[[float], None] = lambda _: None,
) -> dict[Name, Timing]:
    """Time calls in rounds, each beginning with another one.

    Args:
        work: what to call, by name.
        seconds: about how long each is called in all, besides one round to warm up.
        advance: called after each round with the seconds that it took.
    """
    names = list(work)
    calls: dict[Name, list[float]] = {name: [] for name in names}
    rounds: dict[Name, list[float]] = {name: [] for name in names}
    for name in names:
        _turn(work[name])
    spent = number = 0.0
    while spent < seconds * len(names) or number < _FEWEST_ROUNDS:
        first, before = int(number) % len(names), spent
        for name in names[first:] + names[:first]:
            found = _turn(work[name])
            calls[name] += found
            rounds[name].append(min(found))
            spent += sum(found) / 1000
        number += 1
        advance(spent - before)
    return {
        name: Timing(
            float(np.percentile(calls[name], 50)),
            float(np.percentile(calls[name], 95)),
            tuple(rounds[name]),
        )
        for name in names
    }


def ratio(slow: Timing, fast: Timing) -> float:
    """Return how many times as long one takes as the other: the median over the rounds."""
    return median(a / b for a, b in zip(slow.rounds, fast.rounds, strict=True))


def _turn(call: Callable[[], object]) -> list[float]:
    """Call for a short time, at least once; return each call's milliseconds."""
    found = []
    end = perf_counter() + _TURN_SECONDS
    while True:
        began = perf_counter()
        call()
        now = perf_counter()
        found.append(1000 * (now - began))
        if now >= end:
            return found
