"""Turn typed fields into flags with a group, a placeholder and help; plain errors for bad values.

A class of options is inert data.  A field is one option; a field that is itself a class of options
adds the options of that class.  `Arg` holds what the type cannot express.
"""

import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from seqvision_edge.hints import did_you_mean, near_number, near_words
from seqvision_edge.number_parsing import refuse_odd, takes_numbers_only

FramesPerSecond = Annotated[float, Field(ge=0.01, le=1000)]

_METAVARS: Mapping[Any, str] = {int: "N", float: "NUMBER", Path: "PATH", str: "TEXT"}

# Characters of a value in a message.
_LONGEST = 100
# The last part of an error's location if a value fits none of several types: not a field's name.
_ONE_TYPE = re.compile(r"(constrained-)?(int|float|str|none)|.*\[.*")

_WHOLE, _NUMBER, _TEXT, _BOOL = (
    "must be a whole number", "must be a number", "must be a text", "must be true or false"
)  # fmt: skip
_LIST, _GROUP = "must be a list of values", "must be a group of names and values"
_WORDS = {
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "bool_parsing": _BOOL,
    "bool_type": _BOOL,
    "string_type": _TEXT,
    "path_type": "must be the path of a file or folder",
    "literal_error": "must be {expected}",
    "none_required": "must be left out",
    "tuple_type": _LIST,
    "list_type": _LIST,
    "too_short": "must have at least {min_length} values",
    "too_long": "must have at most {max_length} values",
    "dict_type": _GROUP,
    "model_type": _GROUP,
    "model_attributes_type": _GROUP,
    "extra_forbidden": "there is no such option",
    "missing": "is missing",
}


class Options(BaseModel):
    """Base of all options: frozen, no unknown keys; the docstring of a field is its help."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_plain(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse values that pydantic would convert to a number: a bool, `1_0`."""
        field = cls.model_fields[info.field_name or ""]
        if takes_numbers_only(list(_kinds(field.annotation))):
            for each in value if isinstance(value, list | tuple) else (value,):
                refuse_odd(each)
        return value

    examples: ClassVar[tuple[str, ...]] = ()
    """Command lines for the help, the most common one first."""
    heading: ClassVar[str] = ""
    """Heading in the help of the fields that set no other one."""
    headings: ClassVar[tuple[str, ...]] = ()
    """Order of the groups in the help; unlisted ones come last."""


@dataclass(frozen=True, slots=True)
class Arg:
    """Command-line properties of a field.

    Attributes:
        metavar: placeholder for the value; by default the choices of a Literal, or the type's.
        group: heading in the help; by default that of the class.
        default: the default in words; by default made from the value.
        off: the help for turning off a switch that is on by default.
        positional: also an argument without a flag.
        once: one value per occurrence, if the field takes several.
        needed: refuse a command without it, even if the field has a default ...
        unless: ... unless one of these other options is given.
        blank: an empty value is valid, such as no name.
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


"""A frame rate; a lower one would show each frame for longer than any gesture."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a command.

    Attributes:
        keys: names of the fields that lead to it, from the outermost class.
        arg: the command-line properties of the field.
        group: heading in the help.
        text: its sentence in the help.
        default: its default value.
        count: how many values it takes: 0 for a switch, None for one or more.
        choices: the words that it accepts.
        closed: only these words.
        kind: type of a value, apart from the choices.
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
        """Its name without leading dashes; a trailing underscore only avoids a reserved name."""
        return flag_name(self.keys[-1])

    @property
    def flag(self) -> str:
        return f"--{self.name}"

    @property
    def metavar(self) -> str:
        """The placeholder of the value in a usage line."""
        return self.arg.metavar or ("|".join(self.choices) if self.closed else _METAVARS[self.kind])

    @property
    def required(self) -> bool:
        return self.arg.needed or self.default is PydanticUndefined


def options_of(kind: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[Option]:
    """Yield the options of a class, including those of its sections."""
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
        return 0 if 0 in counts else counts.pop()  # a switch, whatever its default is called
    if origin is tuple:
        parts = get_args(annotation)
        return None if ... in parts else len(parts)
    return 0 if annotation is bool else 1


def first_problem(error: ValidationError) -> tuple[tuple[int | str, ...], str, Any]:
    """Return the location of the first bad value, what is wrong with it, and the value.

    A long text is shortened, since messages repeat it.
    """
    first, *rest = error.errors()
    loc, value = first["loc"], shortened(first["input"])
    if len(loc) < 2 or not _is_one_type(loc[-1]):
        return loc, _meant([first], in_words(first)), value
    # Every type that the value could have reports an error.
    same = [one for one in rest if one["loc"][:-1] == loc[:-1] and _is_one_type(one["loc"][-1])]
    messages = [in_words(one) for one in (first, *same)]
    words = ", or ".join(dict.fromkeys(text.removeprefix("must be ") for text in messages))
    message = f"must be {words}" if messages[0].startswith("must be ") else messages[0]
    return loc[:-1], _meant([first, *same], message), value


def shortened(value: Any) -> Any:
    """Return a value for a message; a long text is cut."""
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"{value[:_LONGEST]}…"
    return value


def in_words(problem: Mapping[str, Any]) -> str:
    """Return one of pydantic's errors as the end of a sentence: `must be at least 1`."""
    known = _WORDS.get(problem["type"])
    if known is not None:
        context = problem.get("ctx", {})
        shown = {name: f"{x:g}" if isinstance(x, float) else x for name, x in context.items()}
        return known.format(**shown).replace("'", "")
    message: str = problem["msg"]
    return message.removeprefix("Value error, ")


def _meant(problems: list[Any], message: str) -> str:
    """Return the message with the word or number that was probably meant."""
    for problem in problems:
        given = problem["input"]
        if not isinstance(given, str):
            continue
        if problem["type"] == "literal_error":
            hint = did_you_mean(near_words(given, _choices(problem)))
            if hint and re.fullmatch(r"cuda:\d+", given):
                hint += f" CUDA_VISIBLE_DEVICES={given[5:]} chooses the card"
            if hint:
                return f"no such choice; {hint}"
        elif problem["type"].endswith("_parsing") and (number := near_number(given)):
            return f"{message}; did you mean {number}?"
    return message


def _choices(problem: Mapping[str, Any]) -> list[str]:
    return re.findall(r"'([^']*)'", problem["ctx"]["expected"])


def _is_one_type(part: int | str) -> bool:
    return isinstance(part, str) and _ONE_TYPE.fullmatch(part) is not None
