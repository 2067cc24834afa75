"""Plain data of a YAML file → imgaug augmenters: names and values, never code.

[a, b]             two numbers: drawn from the range a to b
{choice: [a, b]}   one of these
{list: [a, b]}     a list, {tuple: [a, b]} a tuple, where imgaug asks for one
number, text, true, false, null, {x: …, y: …}   as they are
"""

import difflib
import inspect
import math
from collections.abc import Iterator, Mapping
from typing import Any

from seqvision.compat import iaa
from seqvision.data.augment.draw import own_generator
from seqvision.errors import DataError
from seqvision_edge.wording import shortened

_MODULES = {"": iaa, "pillike.": iaa.pillike, "imgcorruptlike.": iaa.imgcorruptlike}
# Parameters whose values are augmenters.
_CHILDREN = ("children", "then_list", "else_list", "foreground", "background")
# Drawn from the clip's own seed.
_OURS = ("seed", "name", "random_state", "deterministic")
_WRAPPERS = ("choice", "list", "tuple")
_NOT_HERE = {
    "Augmenter": "not an augmenter by itself",
    "Lambda": "needs code",
    "AssertLambda": "needs code",
    "AssertShape": "changes nothing",
    "SaveDebugImageEveryNBatches": "writes files",
}


def names() -> dict[str, type]:
    """Return the augmenters of imgaug by their name: `Affine`, `pillike.Autocontrast`."""
    found = {}
    for prefix, module in _MODULES.items():
        for name, value in vars(module).items():
            is_own = not prefix or getattr(value, "__module__", "") == module.__name__
            if name[0] != "_" and _is_augmenter(value) and is_own:
                found[prefix + name] = value
    return found


def name_of(augmenter: Any) -> str:
    """Return the name under which a YAML has this augmenter."""
    return next(name for name, kind in names().items() if kind is type(augmenter))


def build(items: Any, where: str) -> list[Any]:
    """Return the augmenters of a list.

    Args:
        items: each `Name`, `{Name: {parameter: value, …}}`, or `{Name: value}` for the first
            parameter.
        where: where the list stands, for errors: `light.yaml: clip`.

    Raises:
        DataError: no such augmenter or parameter, or a value that it does not take, with its place.
    """
    if not isinstance(items, list):
        raise DataError(f"{where}: not a list of augmenters, each beginning with a dash")
    return [_augmenter(item, f"{where}[{number}]") for number, item in enumerate(items)]


def _augmenter(item: Any, where: str) -> Any:
    name: Any = item
    given: Any = {}
    if isinstance(item, Mapping) and len(item) == 1:
        ((name, given),) = item.items()
    if not isinstance(name, str):
        raise DataError(f"{where}: not the name of an augmenter, or Name: {{parameter: value}}")
    kind = _kind(name, where)
    where = f"{where}.{name}"
    known = [key for key in inspect.signature(kind).parameters if key not in _OURS]
    if not isinstance(given, Mapping) or (given and set(given) <= set(_WRAPPERS)):
        if not known:
            raise DataError(f"{where}: takes no value")
        given = {known[0]: given}
    values = {}
    for key, value in given.items():
        _check_parameter(key, known, where)
        values[key] = _value(key, value, f"{where}.{key}")
    return _make(kind, values, where)


def _kind(name: str, where: str) -> type:
    known = names()
    if name in _NOT_HERE:
        raise DataError(f"{where}: {name} cannot be used here: {_NOT_HERE[name]}")
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "see imgaug.augmenters for the names"
    raise DataError(f"{where}: no augmenter {name}; {hint}")


def _check_parameter(key: Any, known: list[str], where: str) -> None:
    if key in _OURS:
        raise DataError(f"{where}.{key}: is set by the training's seed; leave it out")
    if key not in known:
        near = difflib.get_close_matches(str(key), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none'}"
        raise DataError(f"{where}.{key}: no such parameter; {hint}")


def _value(key: str, value: Any, where: str) -> Any:
    if key in _CHILDREN and value is not None:
        return build(value if isinstance(value, list) else [value], where)
    return _plain(value, where)


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise DataError(f"{where}: {value} is not a finite number")
        return value
    if isinstance(value, list):
        items = [_plain(item, f"{where}[{number}]") for number, item in enumerate(value)]
        is_range = len(items) == 2 and all(_is_number(item) for item in items)
        if not is_range and any(_is_number(item) for item in items):
            given = shortened(str(value))
            raise DataError(
                f"{where}: {given} is not a range; write [low, high], "
                f"or {{choice: {given}}} for one of these"
            )
        return tuple(items) if is_range else items
    if isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in _WRAPPERS:
        ((wrapper, items),) = value.items()
        if not isinstance(items, list) or not items:
            raise DataError(f"{where}.{wrapper}: not a list")
        plain = [_plain(item, f"{where}.{wrapper}[{n}]") for n, item in enumerate(items)]
        return tuple(plain) if wrapper == "tuple" else plain
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
    raise DataError(
        f"{where}: {shortened(repr(value))} is neither a number, a text, a list nor a mapping"
    )


def _make(kind: type, values: dict[str, Any], where: str) -> Any:
    needed = [
        key
        for key, parameter in inspect.signature(kind).parameters.items()
        if parameter.default is parameter.empty and key not in values
    ]
    if needed:
        raise DataError(f"{where}: needs {', '.join(needed)}")
    try:
        with own_generator(0):
            return kind(**values)
    except Exception as error:  # imgaug asserts, and raises bare Exception
        for key in values:
            if len(values) > 1 and _fails(kind, {key: values[key]}):
                where = f"{where}.{key}"
                break
        else:
            where = f"{where}.{next(iter(values))}" if len(values) == 1 else where
        raise DataError(f"{where}: {one_line(error)}") from None


def _fails(kind: type, values: dict[str, Any]) -> bool:
    try:
        with own_generator(0):
            kind(**values)
    except TypeError:  # it needs its other parameters too
        return False
    except Exception:
        return True
    return False


def count_values(content: Any) -> Iterator[None]:
    """Yield once for every value in plain data, however deep."""
    yield None
    if isinstance(content, Mapping):
        content = list(content.values())
    if isinstance(content, list):
        for item in content:
            yield from count_values(item)


def one_line(error: BaseException) -> str:
    """Return the message of an error, shortened to one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}…"


def _is_augmenter(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, iaa.Augmenter)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
