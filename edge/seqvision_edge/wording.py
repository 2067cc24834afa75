"""Errors of pydantic as plain sentences."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from seqvision_edge.hints import did_you_mean, near_number, near_words

# Characters of a value in a message.
_LONGEST = 100
# The last part of a place, where a value fits none of several types: no field is called so.
_ONE_TYPE = re.compile(r"(constrained-)?(int|float|str|none)|.*\[.*")


def first_problem(error: ValidationError) -> tuple[tuple[int | str, ...], str, Any]:
    """Return the place of the first bad value, what is wrong with it, and the value.

    Of a long text the value is the beginning: messages repeat it.
    """
    first, *rest = error.errors()
    loc, value = first["loc"], shortened(first["input"])
    if len(loc) < 2 or not _is_one_type(loc[-1]):
        return loc, _meant([first], in_words(first)), value
    # Every type that the value could have says what it misses.
    same = [one for one in rest if one["loc"][:-1] == loc[:-1] and _is_one_type(one["loc"][-1])]
    messages = [in_words(one) for one in (first, *same)]
    words = ", or ".join(dict.fromkeys(text.removeprefix("must be ") for text in messages))
    message = f"must be {words}" if messages[0].startswith("must be ") else messages[0]
    return loc[:-1], _meant([first, *same], message), value


def shortened(value: Any) -> Any:
    """Return a value for a message: of a long text the beginning."""
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"{value[:_LONGEST]}…"
    return value


def in_words(problem: Mapping[str, Any]) -> str:
    """Return one of pydantic's problems as the end of a sentence: `must be at least 1`."""
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
