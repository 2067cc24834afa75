"""Parse plain numbers: Python's own parser also accepts `1_0`, `١٠` and ` 1 `."""

import math
import re
from typing import Any, Literal, get_args, get_origin

from pydantic import BeforeValidator

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"\d{1,18}", re.ASCII)
_ODD = re.compile(r"[\d_.eE+-]*\d_[\d_.eE+-]*|.*[^\x00-\x7f].*", re.DOTALL)


def parse_number(text: str) -> float | None:
    """Return a text as a number; None if it is not one, or not finite."""
    text = text.strip()
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return value if math.isfinite(value) else None


def parse_whole_number(text: str) -> int | None:
    """Return digits as a number from 0 on; None for any other text."""
    return int(text) if _WHOLE.fullmatch(text) else None


def refuse_odd(value: Any) -> Any:
    """Refuse values that pydantic would convert to a number: a bool, `1_0`, non-ASCII digits.

    Runs before pydantic's conversion.  A value without digits is left to pydantic.

    Raises:
        ValueError: it is such a value.
    """
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    if isinstance(value, str) and _ODD.fullmatch(value) and any(map(str.isnumeric, value)):
        raise ValueError("must be a number, of the digits 0 to 9")
    return value


PLAIN = BeforeValidator(refuse_odd)
"""Marks the type of a number that is given as text."""


def takes_numbers_only(kinds: list[Any]) -> bool:
    """Return whether these types accept only numbers and some fixed words."""
    has_number = int in kinds or float in kinds
    return (
        has_number
        and all(kind in (int, float) or get_origin(kind) is Literal for kind in kinds)
        and bool not in {type(word) for kind in kinds for word in get_args(kind)}
    )
