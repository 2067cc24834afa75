"""imgaug's augmenters → the steps that a clip goes through.

What is a matrix, a table or Gaussian noise becomes one; everything else is asked of imgaug, with
one draw for all frames of the clip.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from seqvision.compat import iaa, imgaug
from seqvision.data.augment.draw import drawn
from seqvision.data.augment.step import anew, once
from seqvision.data.augment.work import Step, Work


def plan_clip(augmenters: Iterable[Any], needs_colour: Callable[[Any], bool]) -> list[Step]:
    """Return steps that draw each augmenter once for all frames of a clip.

    `needs_colour` tells of an augmenter that it does not work on a grey image.
    """
    return [_choose(item, lambda leaf: once(leaf, needs_colour(leaf))) for item in augmenters]


def plan_frames(augmenters: Iterable[Any], needs_colour: Callable[[Any], bool]) -> list[Step]:
    """Return steps that draw each augmenter anew for every frame.

    What Sometimes, OneOf and SomeOf choose holds for the clip: a camera is noisy, or it is not.
    """
    return [_choose(item, lambda leaf: anew(leaf, needs_colour(leaf))) for item in augmenters]


def leaves(augmenter: Any) -> Iterable[Any]:
    """Yield the augmenters that are drawn by themselves: what holds others is looked into."""
    if _holds_others(augmenter):
        for children in augmenter.get_children_lists():
            for child in children:
                yield from leaves(child)
    else:
        yield augmenter


def _holds_others(augmenter: Any) -> bool:
    kind = type(augmenter)
    if kind in (iaa.Sequential, iaa.SomeOf, iaa.OneOf):
        return True
    return kind is iaa.Sometimes


def _choose(augmenter: Any, leaf: Callable[[Any], Step]) -> Step:
    kind = type(augmenter)
    if not _holds_others(augmenter):
        return leaf(augmenter)
    if kind is iaa.Sometimes:
        p = drawn(augmenter.p)
        then, other = (
            [_choose(child, leaf) for child in children or ()]
            for children in (augmenter.then_list, augmenter.else_list)
        )
        return lambda work: _run(then if p(work.random) > 0.5 else other, work)
    steps = [_choose(child, leaf) for child in augmenter]
    if kind is iaa.Sequential:
        return _in_order(steps, augmenter.random_order)
    return _some_of(augmenter, steps)


def _in_order(steps: list[Step], is_random: bool) -> Step:
    def step(work: Work) -> None:
        _run(work.random.sample(steps, len(steps)) if is_random else steps, work)

    return step


def _some_of(augmenter: Any, steps: list[Step]) -> Step:
    """Run as many of the steps as `n` says: a number, a range, a range to all of them, or all."""
    n, count = augmenter.n, len(steps)
    if isinstance(n, tuple):
        n = imgaug.parameters.DiscreteUniform(n[0], count)
    if n is None or isinstance(n, int):
        n = imgaug.parameters.Deterministic(count if n is None else n)
    number = drawn(n)

    def step(work: Work) -> None:
        chosen = work.random.sample(range(count), min(count, int(number(work.random))))
        order = chosen if augmenter.random_order else sorted(chosen)
        _run([steps[i] for i in order], work)

    return step


def _run(steps: Sequence[Step], work: Work) -> None:
    for step in steps:
        step(work)
