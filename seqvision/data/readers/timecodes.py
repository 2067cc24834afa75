"""Times and frame numbers in the cells of a table: `7.35`, `1:02:07.35`, `00:00:07,350`, `90 s`."""

import re

from seqvision_edge.numerals import number

_UNIT = re.compile(r"(?i)\s*(ms|msec|s|sec|secs|seconds?)$")
_SPOKEN = re.compile(r"(?i)(?:(\d+)\s*h)?\s*(?:(\d+)\s*m(?:in)?)?\s*(?:(\d+(?:[.,]\d+)?)\s*s)?")


def seconds(text: str) -> float | None:
    """Return seconds or a clock as seconds; None where it is neither, or below 0."""
    text = text.strip().replace("\u2212", "-")
    scale = 1.0
    if ":" not in text and (unit := _UNIT.search(text)):
        number = text[: unit.start()]
        if _number(number) is not None:
            text, scale = number, 0.001 if unit[1].lower().startswith("m") else 1.0
    if (
        re.search("(?i)[hms]", text)
        and (spoken := _SPOKEN.fullmatch(text))
        and any(spoken.groups())
    ):
        hours, minutes, rest = (_number(part or "0") or 0.0 for part in spoken.groups())
        return 3600 * hours + 60 * minutes + rest
    total = 0.0
    parts = text.split(":")
    for index, part in enumerate(parts):
        value = _number(part)
        is_last = index == len(parts) - 1
        if value is None or value < 0 or (index and value >= 60):
            return None
        if not is_last and not part.isdecimal():
            return None
        total = 60 * total + value
    return total * scale if len(parts) <= 3 else None


def frame_number(text: str) -> int | None:
    """Return the number of a frame, from 0; `12.0` as pandas writes it is one too."""
    text = re.sub(r"[.,]0*$", "", text.strip())
    return int(text) if text.isdecimal() and text.isascii() else None


def _number(text: str) -> float | None:
    return number(text.replace(",", ".", 1))
