"""What an option is: typed fields → flags, with a group, a placeholder and a sentence for the help.

A class of options is inert data.  A field is one option; a field that is a class of options itself
adds the options of that class.  `Arg` says what the type cannot.
"""

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from seqvision_edge.numerals import refuse_odd, takes_numbers_only


class Options(BaseModel):
    """Base of all options: frozen, no unknown keys; the docstring of a field is its help."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_plain(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what pydantic would take for a number: a truth value, `1_0`."""
        field = cls.model_fields[info.field_name or ""]
        if takes_numbers_only(list(_kinds(field.annotation))):
            for each in value if isinstance(value, list | tuple) else (value,):
                refuse_odd(each)
        return value

    examples: ClassVar[tuple[str, ...]] = ()
    """Command lines for the help, the usual one first."""
    heading: ClassVar[str] = ""
    """Heading in the help of the fields that name no other one."""
    headings: ClassVar[tuple[str, ...]] = ()
    """Order of the groups in the help; those that are not named come last."""


@dataclass(frozen=True, slots=True)
class Arg:
    """What the command line needs to know of a field.

    Attributes:
        metavar: placeholder for the value; by default the choices of a Literal, or the type's.
        group: heading in the help; by default that of the class.
        default: the default in words; by default made from the value.
        off: what the opposite of a switch does that is on by default.
        positional: also an argument without a flag.
        once: one value each time it is given, where the field takes several.
        needed: refuse a command without it, even where the field has a default ...
        unless: ... but for these other options, any of which takes its place.
        blank: an empty value is one, such as no name.
    """

    metavar: str = ""
    group: str = ""
    default: str = ""
    off: str = ""
    positional: bool = False
    once: bool = False
    needed: bool = False
    unless: tuple[str, ...] = ()
    blank: bool = False


FramesPerSecond = Annotated[float, Field(ge=0.01, le=1000)]
"""A rate of frames: with less, a frame stands still for longer than any gesture."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a command.

    Attributes:
        keys: names of the fields that lead to it, from the outermost class.
        arg: what the field says of itself.
        group: heading in the help.
        text: its sentence in the help.
        default: its value where nobody gives one.
        count: how many values it takes: 0 for a switch, None for one or more.
        choices: the words that it takes.
        closed: nothing but these words.
        kind: type of a value, choices aside.
    """

    keys: tuple[str, ...]
    arg: Arg
    group: str
    text: str
    default: Any
    count: int | None
    choices: tuple[str, ...]
    closed: bool
    kind: Any

    @property
    def name(self) -> str:
        """Its name without dashes before it; a trailing underscore only avoids a name in use."""
        return flag_name(self.keys[-1])

    @property
    def flag(self) -> str:
        return f"--{self.name}"

    @property
    def metavar(self) -> str:
        """What stands for the value in a usage line."""
        return self.arg.metavar or ("|".join(self.choices) if self.closed else _METAVARS[self.kind])

    @property
    def required(self) -> bool:
        return self.arg.needed or self.default is PydanticUndefined


_METAVARS: Mapping[Any, str] = {int: "N", float: "NUMBER", Path: "PATH", str: "TEXT"}


def options_of(kind: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[Option]:
    """Yield the options of a class, those of its sections included."""
    for name, field in kind.model_fields.items():
        keys, annotation = (*above, name), field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from options_of(annotation, keys)
        else:
            yield _option(keys, field, getattr(kind, "heading", ""))


def flag_name(field: str) -> str:
    """Return the flag of a field: `smoothing_frames` → smoothing-frames."""
    return field.strip("_").replace("_", "-")


def _option(keys: tuple[str, ...], field: FieldInfo, group: str) -> Option:
    arg = next((each for each in field.metadata if isinstance(each, Arg)), Arg())
    kinds = list(_kinds(field.annotation))
    words = tuple(word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind))
    return Option(
        keys,
        arg,
        arg.group or group or "Options",
        " ".join((field.description or "").split()),
        field.default,
        _count(field.annotation),
        words,
        bool(words) and all(get_origin(kind) is Literal for kind in kinds),
        next((kind for kind in _METAVARS if kind in kinds), str),
    )


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yield the types of a single value: of `tuple[int, ...] | None` it is int."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin in (Union, types.UnionType) or origin is tuple:
        for part in get_args(annotation):
            if part not in (type(None), ...):
                yield from _kinds(part)
    else:
        yield annotation


def _count(annotation: Any) -> int | None:
    """Return how many values an option of this type takes, None for one or more."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _count(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        counts = {_count(part) for part in get_args(annotation) if part is not type(None)}
        return counts.pop()
    if origin is tuple:
        parts = get_args(annotation)
        return None if ... in parts else len(parts)
    return 0 if annotation is bool else 1
