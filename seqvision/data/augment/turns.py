"""How the augmenters of a recipe may mirror or turn a picture, read from its plain data.

No imgaug: a training refuses a mirror that makes labels wrong before anything slow is imported.
"""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, Literal

Turn = Literal["mirror", "upside-down mirror", "quarter turn", "half turn"]
# From this angle on left is nearer to up than to left.
_MOST_DEGREES = 45.0
# The parameter that decides, and its default.
_MIRRORS: dict[str, Turn] = {"Fliplr": "mirror", "Flipud": "upside-down mirror"}
_ROTATIONS = ("Rotate", "Affine", "AffineCv2", "pillike.Affine")
# imgaug gives the value in `Name: value` to the first parameter.
_FIRST = {"Rotate": "rotate", "Rot90": "k", "Fliplr": "p", "Flipud": "p"}
_MOVES = ("Affine", "AffineCv2", "TranslateX", "Crop", "CropAndPad", "Pad", "Rotate")


def turns(content: Any) -> dict[str, set[Turn]]:
    """Return what each augmenter may do to directions, by its name, however deep it is nested."""
    found: dict[str, set[Turn]] = {}
    for section in ("clip", "frame") if isinstance(content, Mapping) else ():
        for name, values in _augmenters(content.get(section)):
            kinds = _turns_of(name, values)
            if kinds:
                found.setdefault(name, set()).update(kinds)
    return found


def _augmenters(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield every name of an augmenter with its values, from the outside to the inside."""
    if isinstance(content, str):
        yield content, {}
    elif isinstance(content, list):
        for item in content:
            yield from _augmenters(item)
    elif isinstance(content, Mapping):
        for name, values in content.items():
            if isinstance(name, str):
                yield name, values
            yield from _augmenters(values)


def _turns_of(name: str, values: Any) -> set[Turn]:
    if not isinstance(values, Mapping) or set(values) <= {"choice", "list", "tuple"}:
        first = _FIRST.get(name)
        values = {first: values} if first and values not in ({}, None) else {}
    if name in _MIRRORS:
        return {_MIRRORS[name]} if max(_numbers(values.get("p", 1)), default=1) > 0 else set()
    if name == "Rot90":
        return {kind for kind, quarters in _quarters(values.get("k", 1)) for _ in quarters}
    if name in _ROTATIONS:
        return _rotations(values.get("rotate"))
    if name == "WithPolarWarping":  # what moves there turns here
        inside = {inner for inner, _ in _augmenters(values)}
        return {"quarter turn", "half turn"} if inside & set(_MOVES) else set()
    return set()


def _quarters(k: Any) -> Iterator[tuple[Turn, set[int]]]:
    """Yield the turns that so many quarters make, each with the quarters that it is made of."""
    if isinstance(k, Mapping) and "tuple" in k:
        k = k["tuple"]
    values = {int(value) % 4 for value in _numbers(k, whole=True)}
    yield "quarter turn", values & {1, 3}
    yield "half turn", values & {2}


def _rotations(degrees: Any) -> set[Turn]:
    values = _numbers(degrees)
    low, high = min(values, default=0.0), max(values, default=0.0)
    every = [*values]
    if _is_range(degrees):
        # Every multiple of 45 degrees between the ends, and the ends.
        first = int(low // _MOST_DEGREES)
        steps = range(first, min(first + 16, int(high // _MOST_DEGREES) + 2))
        every += [step * _MOST_DEGREES for step in steps if low < step * _MOST_DEGREES < high]
    found: set[Turn] = set()
    for angle in every:
        apart = abs((angle + 180) % 360 - 180)  # from upright, 0 to 180
        if apart > _MOST_DEGREES:
            found.add("half turn" if apart > 180 - _MOST_DEGREES else "quarter turn")
    return found


def _is_range(value: Any) -> bool:
    if isinstance(value, Mapping):
        value = value.get("tuple")
    return isinstance(value, list) and len(value) == 2


def _numbers(value: Any, whole: bool = False) -> list[float]:
    """Return the numbers in a value: one, the ends of a range, or those that are chosen from."""
    if isinstance(value, Mapping):
        return [number for item in value.values() for number in _numbers(item)]
    if isinstance(value, list):
        numbers = [number for item in value for number in _numbers(item)]
        if whole and len(numbers) == 2:
            low, high = sorted(map(int, numbers))
            return [float(number) for number in range(low, min(high, low + 3) + 1)]
        return numbers
    # Whoever builds the augmenters refuses what is not finite.
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return [float(value)]
    return []
