"""Plain data of a recipe → imgaug augmenters → the steps of a clip, tried once before the
training.

[a, b]             two numbers: drawn from the range a to b
{choice: [a, b]}   one of these
{list: [a, b]}     a list, {tuple: [a, b]} a tuple, where imgaug requires one
number, text, true, false, null, {x: …, y: …}   as they are

What is a matrix, a table or Gaussian noise becomes one; everything else is run by imgaug, with
one draw for all frames of the clip.
"""

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from seqvision.compat import iaa, imgaug
from seqvision.data.augment.ops import per_clip, per_frame
from seqvision.data.augment.pixels import ClipEdit, Step, drawn, own_generator, seeded
from seqvision.errors import DataError
from seqvision_edge.opencv import cv2
from seqvision_edge.option_fields import shortened

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

# Odd sizes, so that a crop to a multiple or to a power is seen; some break only on larger images.
_SMALL, _LARGE = (27, 21), (97, 129)
_DRAWS = 6


def names() -> dict[str, type]:
    """Return the augmenters of imgaug by their name: `Affine`, `pillike.Autocontrast`."""
    found = {}
    for prefix, module in _MODULES.items():
        for name, value in vars(module).items():
            is_own = not prefix or getattr(value, "__module__", "") == module.__name__
            if name[0] != "_" and _is_augmenter(value) and is_own:
                found[prefix + name] = value
    return found


def augmenter_name(augmenter: Any) -> str:
    """Return the name under which a YAML has this augmenter."""
    return next(name for name, kind in names().items() if kind is type(augmenter))


def build(items: Any, where: str) -> list[Any]:
    """Return the augmenters of a list.

    Args:
        items: each `Name`, `{Name: {parameter: value, …}}`, or `{Name: value}` for the first
            parameter.
        where: where the list stands, for errors: `light.yaml: clip`.

    Raises:
        DataError: no such augmenter or parameter, or an invalid value, with its position.
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


def plan_clip(augmenters: Iterable[Any], needs_colour: Callable[[Any], bool]) -> list[Step]:
    """Return steps that draw each augmenter once for all frames of a clip.

    `needs_colour`: the augmenter does not work on a grey image.
    """
    return [_choose(item, lambda leaf: per_clip(leaf, needs_colour(leaf))) for item in augmenters]


def plan_frames(augmenters: Iterable[Any], needs_colour: Callable[[Any], bool]) -> list[Step]:
    """Return steps that draw each augmenter anew for every frame.

    What Sometimes, OneOf and SomeOf choose holds for the clip: a camera is noisy, or it is not.
    """
    return [_choose(item, lambda leaf: per_frame(leaf, needs_colour(leaf))) for item in augmenters]


def leaves(augmenter: Any) -> Iterable[Any]:
    """Yield the augmenters that are drawn by themselves: what holds others is looked into."""
    if _holds_others(augmenter):
        for children in augmenter.get_children_lists():
            for child in children:
                yield from leaves(child)
    else:
        yield augmenter


def _holds_others(augmenter: Any) -> bool:
    kind = type(augmenter)
    if kind in (iaa.Sequential, iaa.SomeOf, iaa.OneOf):
        return True
    return kind is iaa.Sometimes


def _choose(augmenter: Any, leaf: Callable[[Any], Step]) -> Step:
    kind = type(augmenter)
    if not _holds_others(augmenter):
        return leaf(augmenter)
    if kind is iaa.Sometimes:
        p = drawn(augmenter.p)
        then, other = (
            [_choose(child, leaf) for child in children or ()]
            for children in (augmenter.then_list, augmenter.else_list)
        )
        return lambda work: _run(then if p(work.random) > 0.5 else other, work)
    steps = [_choose(child, leaf) for child in augmenter]
    if kind is iaa.Sequential:
        return _in_order(steps, augmenter.random_order)
    return _some_of(augmenter, steps)


def _in_order(steps: list[Step], is_random: bool) -> Step:
    def step(work: ClipEdit) -> None:
        _run(work.random.sample(steps, len(steps)) if is_random else steps, work)

    return step


def _some_of(augmenter: Any, steps: list[Step]) -> Step:
    """Run `n` of the steps: a number, a range, a range to all of them, or all."""
    n, count = augmenter.n, len(steps)
    if isinstance(n, tuple):
        n = imgaug.parameters.DiscreteUniform(n[0], count)
    if n is None or isinstance(n, int):
        n = imgaug.parameters.Deterministic(count if n is None else n)
    number = drawn(n)

    def step(work: ClipEdit) -> None:
        chosen = work.random.sample(range(count), min(count, int(number(work.random))))
        order = chosen if augmenter.random_order else sorted(chosen)
        _run([steps[i] for i in order], work)

    return step


def _run(steps: Sequence[Step], work: ClipEdit) -> None:
    for step in steps:
        step(work)


def try_out(augmenter: Any, where: str) -> None:
    """Run an augmenter, or those that it holds, on images of two sizes and several draws.

    Raises:
        DataError: one does not work here, or changes the size; it names the augmenter.
    """
    for leaf in leaves(augmenter):
        for draw in range(_DRAWS):
            trouble = _trouble(leaf, (*_SMALL, 3), draw)
            if trouble is None and draw < 2:
                trouble = _trouble(leaf, (*_LARGE, 3), draw)
            if trouble is not None:
                raise DataError(f"{where}: {augmenter_name(leaf)} {trouble}")


def needs_colour(augmenter: Any) -> bool:
    """Return whether an augmenter that works on RGB does not on one grey channel."""
    return any(_trouble(augmenter, (*_SMALL, 1), draw) for draw in range(_DRAWS))


def _trouble(augmenter: Any, shape: tuple[int, int, int], seed: int) -> str | None:
    image = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    try:
        with seeded(augmenter, seed):
            varied = augmenter.augment_image(image)
    except ImportError as error:
        return f"needs a package that is not here ({one_line(error).partition('. ')[0]})"
    except Exception as error:  # whatever an unmaintained library raises on newer parts
        return (
            f"does not work with NumPy {np.__version__} and OpenCV {cv2.__version__} "
            f"({type(error).__name__}: {one_line(error)})"
        )
    if varied.dtype != np.uint8:
        return f"makes {varied.dtype} of uint8"
    if varied.shape != shape:
        can_keep = "keep_size" in inspect.signature(type(augmenter)).parameters
        return (
            f"changes the size ({shape[1]}×{shape[0]} to {varied.shape[1]}×{varied.shape[0]}); "
            + ("give it keep_size: true" if can_keep else "put it into KeepSizeByResize")
        )
    return None
