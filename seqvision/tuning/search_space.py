"""The options that a search may change and their values: built in, or from a YAML file.

A space is plain data: a name of an option of `seqvision train` → `Choices` or a `Range`.  Some
options have no effect with certain others (a head without order has no direction): those are left
as they are and not drawn.

encoder: [small_cnn, mobilenet_v2]            one of these
lr: {low: 0.0003, high: 0.01, log: true}      a number between these
hidden: {low: 32, high: 256, step: 32}
dropout: 0.1                                  always this
"""

import difflib
import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from typing_extensions import Self

from seqvision.config import TrainOptions, option_parts
from seqvision.config.option_types import FROM_SCRATCH, LANDMARKS, NO_ENCODER, is_onnx
from seqvision.data.augment.recipe import read_content, read_recipe
from seqvision.errors import DataError
from seqvision_edge.option_fields import first_problem, shortened
from seqvision_edge.renamed_options import is_now, new_name
from seqvision_edge.yaml_file import YamlError, parse_yaml, read_yaml

Values = dict[str, Any]

_DECIDING = ("encoder", "head", "motion", "sequence", "freeze")
_OF_A_RECURRENT_HEAD = ("bidirectional", "pool", "layers", "projection")
_OF_A_PRETRAINED_ENCODER = ("weights", "freeze", "unfreeze_at", "encoder_lr_scale")
_OF_PIXELS = ("size", "fit", "grayscale", "normalize", "views")
_OF_SEQUENCES = {
    "frames": ("video", "vectors"),
    "fps": ("video", "vectors"),
    "step": ("rows", "columns"),
    "window": ("windows",),
    "stride": ("windows",),
    "patch": ("patches",),
    "order": ("patches",),
    "max_steps": ("rows", "columns", "windows"),
    "longer": ("rows", "columns", "windows"),
}

# Two trials compare only on the same clips, and by the same figure of the same epochs.
_NOT_SEARCHED = (
    "dataset", "official_split", "val", "fold", "split_by", "background", "image_fps", "seed",
    "epochs", "time", "monitor", "keep", "cache", "cache_size", "workers", "device", "autotune",
)  # fmt: skip


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

    def value(self, label: Any) -> Any:
        """Return what is called so in the study."""
        return self.values.get(label, label)

    def near(self, label: Any) -> list[Any]:
        """Return what the other values are called."""
        return [other for other in self.values if other != label]

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

    def value(self, label: Any) -> Any:
        """Return a number as it is."""
        return label

    def near(self, label: Any) -> list[Any]:
        """Return a greater and a smaller number: by a step, a quarter of the range, or twofold."""
        if not self.holds(label):
            return [self.low]
        if self.log:
            others = [label * 2, label / 2]
        else:
            quarter = (self.high - self.low) / 4
            away = self.step or (max(1, round(quarter)) if self.whole else quarter)
            others = [label + away, label - away]
        inside = [min(max(other, self.low), self.high) for other in others]
        numbers = [round(other) if self.whole else other for other in inside]
        return [other for other in dict.fromkeys(numbers) if other != label]

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
    """Return the values that a trial tries of the options that have an effect in it."""
    chosen: Values = {}
    for name, dimension in in_order(space):
        if not is_active(name, chosen, base):
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
        if not is_active(name, chosen, base):
            yield from extend(index + 1, labels, chosen)
            return
        for label, value in choices.values.items():
            yield from extend(index + 1, {**labels, name: label}, {**chosen, name: value})

    return extend(0, {}, {})


def in_order(space: Space) -> list[tuple[str, Dimension]]:
    """Return the dimensions, those first that decide whether others matter."""
    first = {name: index for index, name in enumerate(_DECIDING)}
    return sorted(space.items(), key=lambda item: first.get(item[0], len(first)))


def is_active(name: str, chosen: Values, base: TrainOptions) -> bool:
    """Return whether an option adds anything to those that are chosen already."""

    def now(other: str) -> Any:
        return chosen[other] if other in chosen else value_of(base, other)

    if now("encoder") in (*LANDMARKS, NO_ENCODER) and name in (
        *_OF_PIXELS,
        *_OF_A_PRETRAINED_ENCODER,
    ):
        return False
    if name in _OF_A_RECURRENT_HEAD:
        return bool(now("head") != "mean")
    if name in _OF_A_PRETRAINED_ENCODER:
        return now("encoder") not in FROM_SCRATCH and not is_onnx(now("encoder"))
    if name == "center":
        return bool(now("head") != "mean" and now("motion") != "only")
    if name == "views":
        return bool(now("freeze"))
    if name in _OF_SEQUENCES:
        return now("sequence") in _OF_SEQUENCES[name]
    return True


class _Range(BaseModel):
    """A range as the YAML has it."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    low: int | float
    high: int | float
    log: bool = False
    step: Annotated[int | float | None, Field(gt=0)] = None
    points: Annotated[int, Field(ge=2, le=100)] = 3

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low is not below high")
        if self.log and self.low <= 0:
            raise ValueError("with log, low must be above 0")
        if self.log and self.step is not None:
            raise ValueError("give log or step, not both")
        return self


def read_space(
    path: Path | None, base: TrainOptions, fixed: Collection[str]
) -> tuple[Space, TrainOptions]:
    """Return what is searched, and the options that a trial begins with.

    Args:
        path: the YAML; None for the usual space of such data.
        base: the options of the command line.
        fixed: names of those that were given there: they are not searched.

    Raises:
        DataError: the file cannot be read, a name or a value in it is wrong, or nothing is left to
            search.
    """
    where = f"--space {path}" if path else "the usual space"
    content = _read(path) if path else _usual(base)
    space: Space = {}
    always: dict[str, Any] = {}
    for given, about in content.items():
        name = str(given).replace("-", "_")
        _check_name(name, where)
        if name in fixed:
            continue
        entry = f"{where}: {name}"
        if isinstance(about, list):
            choices = _choices(name, about, entry, base)
            if len(choices.values) > 1:
                space[name] = choices
            else:
                (always[name],) = choices.values.values()
        elif isinstance(about, Mapping) and name != "augment":
            space[name] = _range(name, about, entry, base)
        else:
            (always[name],) = _choices(name, [about], entry, base).values.values()
    if not space:
        raise DataError(f"{where}: nothing is left to search; give an option two values or more")
    return space, with_values(base, always)


def _usual(base: TrainOptions) -> Mapping[str, Any]:
    kind = base.images.sequence
    name = {"video": "video", "vectors": "vectors", "rows": "bands", "columns": "bands"}.get(
        kind, "pieces"
    )
    text = resources.files(__package__).joinpath("spaces", f"{name}.yaml").read_text("utf8")
    content: dict[str, Any] = parse_yaml(text)
    return content


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = read_yaml(path)
    except YamlError as error:
        raise DataError(f"--space {path}: {error}") from None
    if not isinstance(content, dict) or not content:
        raise DataError(f"--space {path}: no options in it; it needs lines like head: [lstm, gru]")
    return content


def _check_name(name: str, where: str) -> None:
    searched = [option for option in option_parts() if option not in _NOT_SEARCHED]
    if name in _NOT_SEARCHED:
        raise DataError(
            f"{where}: {name} is not searched: trials compare on the same clips and epochs; "
            f"give --{name.replace('_', '-')}"
        )
    if name not in searched:
        new = new_name(name, option_parts())
        if new is not None:
            raise DataError(f"{where}: {is_now(name, new.replace('-', '_'))}")
        near = difflib.get_close_matches(name, searched, n=1)
        hint = f"did you mean {near[0]}?" if near else "see: seqvision train --help"
        raise DataError(f"{where}: no option {name}; {hint}")


def _choices(name: str, values: list[Any], entry: str, base: TrainOptions) -> Choices:
    found: dict[Any, Any] = {}
    if not values:
        raise DataError(f"{entry}: no values")
    for value in values:
        label = called(value)
        # 1 and True are one key of a dict, and one value of a study.
        if label in found:
            raise DataError(f"{entry}: {shortened(str(label))} is there twice")
        found[label] = _checked(name, value, entry, base)
    return Choices(found)


def _range(name: str, about: Mapping[str, Any], entry: str, base: TrainOptions) -> Range:
    try:
        given = _Range.model_validate(about)
    except ValidationError as error:
        raise DataError(f"{entry}: {_problem(error)}") from None
    for end in (given.low, given.high):
        _checked(name, end, entry, base)
    if _takes_fractions(name, given.low, given.high, base):
        step = None if given.step is None else float(given.step)
        return Range(float(given.low), float(given.high), given.log, step, given.points)
    if given.step is not None and given.step != int(given.step):
        raise DataError(f"{entry}: step {given.step}: its values are whole numbers")
    step = None if given.step is None else int(given.step)
    return Range(int(given.low), int(given.high), given.log, step, given.points)


def _takes_fractions(name: str, low: float, high: float, base: TrainOptions) -> bool:
    try:
        with_values(base, {name: low + (high - low) / math.pi})
    except ValidationError:
        return False
    return True


def _checked(name: str, value: Any, entry: str, base: TrainOptions) -> Any:
    """Return a value as its option has it; the content of an augmentation file for its name."""
    if (
        name == "sequence"
        and {"video", "vectors"} & {value, base.images.sequence}
        and (value != base.images.sequence)
    ):
        raise DataError(
            f"{entry}: {shortened(str(value))}: clips and still images are not searched together"
        )
    if name == "encoder" and base.images.vectors:
        raise DataError(f"{entry}: the clips are vectors, which need no encoder; leave it out")
    try:
        checked = value_of(with_values(base, {name: value}), name)
    except ValidationError as error:
        raise DataError(f"{entry}: {shortened(str(value))}: {_problem(error)}") from None
    if name == "augment":
        try:
            read_recipe(checked)
        except DataError as error:
            raise DataError(f"{entry}: {error}") from None
        return checked if checked in ("none", "light", "strong") else read_content(checked)
    return checked


def _problem(error: ValidationError) -> str:
    loc, message, _ = first_problem(error)
    # `low` of a range is worth naming; `model.hidden` was named already.
    return f"{loc[0]}: {message}" if len(loc) == 1 else message
