"""The options that a search may change, and the values that each may have.

A space is plain data: a name of an option of `seqvision train` → `Choices` or a `Range`.  Some
options say nothing beside certain others (a head without order has no direction): those are left
as they are and not drawn.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from seqvision.config import TrainOptions, option_parts
from seqvision.models.encoders import FROM_SCRATCH

Values = dict[str, Any]


@dataclass(frozen=True)
class Choices:
    """Values of which one is taken, by what they are called in the study."""

    values: Mapping[str | int | float | bool | None, Any]

    def distribution(self) -> BaseDistribution:
        """Return what a sampler draws from."""
        return CategoricalDistribution(list(self.values))

    def holds(self, value: Any) -> bool:
        """Return whether an option may have this value."""
        return called(value) in self.values

    def on_a_grid(self) -> "Choices":
        """Return the values that a grid tries."""
        return self

    def plain(self) -> Any:
        """Return it as JSON."""
        return list(self.values.values())


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`: in equal steps, or all; even, or even in their logarithm.

    A grid tries the steps, or else `points` of them.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    points: int = 3

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int)

    def distribution(self) -> BaseDistribution:
        """Return what a sampler draws from."""
        if self.whole:
            return IntDistribution(int(self.low), int(self.high), self.log, int(self.step or 1))
        return FloatDistribution(self.low, self.high, self.log, self.step)

    def holds(self, value: Any) -> bool:
        """Return whether an option may have this value."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high

    def on_a_grid(self) -> Choices:
        """Return the values that a grid tries."""
        if self.step is not None:
            found = np.arange(self.low, self.high + self.step / 1e6, self.step)
        else:
            spaced = np.geomspace if self.log else np.linspace
            found = spaced(self.low, self.high, self.points)
        numbers = [round(each) if self.whole else float(f"{each:.6g}") for each in found.tolist()]
        return Choices({number: number for number in dict.fromkeys(numbers)})

    def plain(self) -> Any:
        """Return it as JSON."""
        return {"low": self.low, "high": self.high, "log": self.log, "step": self.step}


Dimension = Choices | Range
Space = dict[str, Dimension]


def called(value: Any) -> str | int | float | bool | None:
    """Return what a value is called in a study: itself, or its JSON where it is not one value."""
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value)


def with_values(options: TrainOptions, values: Values) -> TrainOptions:
    """Return options with other values.

    Raises:
        ValidationError: a value is not one that its option can have.
    """
    parts = option_parts()
    content = options.model_dump()
    for name, value in values.items():
        content[parts[name]][name] = value
    return TrainOptions.model_validate(content)


def value_of(options: TrainOptions, name: str) -> Any:
    """Return the value of an option."""
    return getattr(getattr(options, option_parts()[name]), name)


def suggest(trial: optuna.Trial, space: Space, base: TrainOptions) -> Values:
    """Return the values that a trial tries of the options that say something in it."""
    chosen: Values = {}
    for name, dimension in in_order(space):
        if not matters(name, chosen, base):
            continue
        if isinstance(dimension, Choices):
            label = trial.suggest_categorical(name, list(dimension.values))
            chosen[name] = dimension.values[label]
        elif dimension.whole:
            step = int(dimension.step or 1)
            low, high = int(dimension.low), int(dimension.high)
            chosen[name] = trial.suggest_int(name, low, high, step=step, log=dimension.log)
        else:
            chosen[name] = trial.suggest_float(
                name, dimension.low, dimension.high, step=dimension.step, log=dimension.log
            )
    return chosen


def combinations(space: Space, base: TrainOptions) -> Iterator[Values]:
    """Yield every combination of a grid once, by what the values are called in the study."""
    dimensions = [(name, dimension.on_a_grid()) for name, dimension in in_order(space)]

    def extend(index: int, labels: Values, chosen: Values) -> Iterator[Values]:
        if index == len(dimensions):
            yield labels
            return
        name, choices = dimensions[index]
        if not matters(name, chosen, base):
            yield from extend(index + 1, labels, chosen)
            return
        for label, value in choices.values.items():
            yield from extend(index + 1, {**labels, name: label}, {**chosen, name: value})

    return extend(0, {}, {})


def in_order(space: Space) -> list[tuple[str, Dimension]]:
    """Return the dimensions, those first that decide whether others matter."""
    first = {name: index for index, name in enumerate(_DECIDING)}
    return sorted(space.items(), key=lambda item: first.get(item[0], len(first)))


def matters(name: str, chosen: Values, base: TrainOptions) -> bool:
    """Return whether an option adds anything to those that are chosen already."""

    def now(other: str) -> Any:
        return chosen[other] if other in chosen else value_of(base, other)

    if name in _OF_A_RECURRENT_HEAD:
        return bool(now("head") != "mean")
    if name in _OF_A_PRETRAINED_ENCODER:
        return now("encoder") not in FROM_SCRATCH
    if name == "views":
        return bool(now("freeze"))
    if name in _OF_SEQUENCES:
        return now("sequence") in _OF_SEQUENCES[name]
    return True


_DECIDING = ("encoder", "head", "sequence", "freeze")
_OF_A_RECURRENT_HEAD = ("bidirectional", "pool", "layers", "projection")
_OF_A_PRETRAINED_ENCODER = ("weights", "freeze", "unfreeze_at", "encoder_lr_scale")
_OF_SEQUENCES = {
    "frames": ("video",),
    "fps": ("video",),
    "step": ("rows", "columns"),
    "window": ("windows",),
    "stride": ("windows",),
    "patch": ("patches",),
    "order": ("patches",),
    "max_steps": ("rows", "columns", "windows"),
    "longer": ("rows", "columns", "windows"),
}
