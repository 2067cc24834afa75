"""Draws from a clip's own generator: imgaug's parameters one value at a time, and whole augmenters.

imgaug draws arrays for batches of images; a draw of one number costs it 20 to 50 µs.  A clip needs
about ten, so the usual parameters are read once and drawn from Python's own generator.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from seqvision.compat import imgaug

_iap = imgaug.parameters

Drawn = Callable[[Random], Any]
"""Gives the parameter's next value."""


def drawn(parameter: Any) -> Drawn:
    """Return a function that draws a value of an imgaug parameter.

    The usual ones (a number, a range, one of several, a probability) are drawn directly; any other
    is asked by its own `draw_sample`.
    """
    kind = type(parameter)
    if kind is _iap.Deterministic:
        value = parameter.value
        return lambda random: value
    if kind is _iap.Uniform and (bounds := _bounds(parameter)):
        low, span = bounds[0], bounds[1] - bounds[0]
        return lambda random: low + span * random.random()
    if kind is _iap.DiscreteUniform and (bounds := _bounds(parameter)):
        first, count = int(bounds[0]), int(bounds[1]) - int(bounds[0]) + 1
        return lambda random: first + int(count * random.random())
    if kind is _iap.Choice and parameter.p is None and _are_plain(parameter.a):
        values = list(parameter.a)
        return lambda random: values[int(len(values) * random.random())]
    if kind is _iap.Binomial and type(parameter.p) is _iap.Deterministic:
        share = parameter.p.value
        return lambda random: float(random.random() < share)
    if kind is _iap.Normal:
        loc, scale = drawn(parameter.loc), drawn(parameter.scale)
        return lambda random: random.gauss(loc(random), scale(random))
    return lambda random: parameter.draw_sample(imgaug.random.RNG(random.getrandbits(31)))


@contextlib.contextmanager
def seeded(augmenter: Any, seed: int) -> Iterator[None]:
    """Let imgaug run an augmenter on a seed, and leave its global generator as it is.

    Some augmenters make others while they run, and those ask the global generator for a seed.
    """
    with own_generator(seed):
        augmenter.seed_(seed)
        yield


@contextlib.contextmanager
def own_generator(seed: int) -> Iterator[None]:
    """Give imgaug another global generator for a while, and keep its warnings to itself.

    They are what newer libraries have against the way in which it calls them.
    """
    before = imgaug.random.GLOBAL_RNG
    imgaug.random.GLOBAL_RNG = imgaug.random.RNG(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        imgaug.random.GLOBAL_RNG = before


def _bounds(parameter: Any) -> tuple[float, float] | None:
    ends = parameter.a, parameter.b
    if any(type(end) is not _iap.Deterministic for end in ends):
        return None
    low, high = sorted(end.value for end in ends)
    return low, high


def _are_plain(values: Any) -> bool:
    return all(isinstance(value, int | float | str) for value in values)
