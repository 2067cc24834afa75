"""Numbers as people write them: Python takes more, such as `1_0`, `١٠` and ` 1 `."""

import math
import re
from typing import Any, Literal, get_args, get_origin

from pydantic import BeforeValidator

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"\d{1,18}", re.ASCII)
_ODD = re.compile(r"[\d_.eE+-]*\d_[\d_.eE+-]*|.*[^\x00-\x7f].*", re.DOTALL)


def number(text: str) -> float | None:
    """Return a text as a number; None where it is none, or not finite."""
    text = text.strip()
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return value if math.isfinite(value) else None


def whole_number(text: str) -> int | None:
    """Return digits as a number from 0 on; None where they are none."""
    return int(text) if _WHOLE.fullmatch(text) else None


def refuse_odd(value: Any) -> Any:
    """Refuse what stands for a number and is none: a truth value, `1_0`, digits of other scripts.

    For pydantic, before it makes a number of a text.  What has no digit is left to it.

    Raises:
        ValueError: it is such a thing.
    """
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    if isinstance(value, str) and _ODD.fullmatch(value) and any(map(str.isnumeric, value)):
        raise ValueError("must be a number, of the digits 0 to 9")
    return value


PLAIN = BeforeValidator(refuse_odd)
"""Belongs to the type of a number that comes as text."""


def takes_numbers_only(kinds: list[Any]) -> bool:
    """Whether a value of these types is a number, or one of some words, and no other text."""
    has_number = int in kinds or float in kinds
    return (
        has_number
        and all(kind in (int, float) or get_origin(kind) is Literal for kind in kinds)
        and bool not in {type(word) for kind in kinds for word in get_args(kind)}
    )
