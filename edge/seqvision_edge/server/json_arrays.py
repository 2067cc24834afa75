"""Parse the body of a JSON request into arrays of pixels, with NumPy if they are regular.

A JSON parser creates an object for each of the 600,000 numbers of a clip, a list for each pixel,
and holds the GIL all the while.  Here the text itself is treated as an array: what is not a digit
must be exactly the brackets and commas of a regular array.  Anything else, valid or not, is left to
the parser if it is small, and refused if it is not.
"""

import re
from collections.abc import Iterable
from itertools import chain, pairwise
from typing import Any

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray
from pydantic_core import from_json

from seqvision_edge.errors import SourceError
from seqvision_edge.server.limits import Limits
from seqvision_edge.vector_text import json_vector

_CHANNELS = (1, 3)
# What a parser reads in some hundredths of a second.
_PARSED_BYTES = 256 << 10

_HEAD = re.compile(rb'\s{0,99}\{\s{0,99}"instances"\s{0,99}:\s{0,99}(?=\[)')
_TAIL = re.compile(rb"\]\s{0,99}\}\s{0,99}\Z")
_SPACES = b" \t\r\n"
_DIGITS = b"0123456789"
_MOST_AXES = 4  # of a clip


def read_instances(body: bytes, limits: Limits) -> list[NDArray[np.uint8]]:
    """Return the instances of `{"instances": […]}`, each `(time, height, width, channels)` RGB.

    A picture, `(height, width)` or `(height, width, channels)`, is a clip of one frame.

    Raises:
        HTTPException: 413 too many or too large, 422 not such JSON.
    """
    regular = read_regular(body)
    if regular is not None:
        _refuse_many(len(regular), limits)
        return [_clip(pixels, number, limits) for number, pixels in enumerate(regular)]
    if len(body) > _PARSED_BYTES:
        return _read_large(body, limits)
    try:
        given = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise HTTPException(422, f"not valid JSON: {str(error)[:200]}") from None
    if not isinstance(given, dict) or set(given) != {"instances"}:
        raise HTTPException(422, 'the body must be {"instances": [...]}, without other keys')
    instances = given["instances"]
    if not isinstance(instances, list) or not instances:
        raise HTTPException(422, "instances: must be a list of at least one clip or picture")
    _refuse_many(len(instances), limits)
    clips = []
    for number, instance in enumerate(instances):
        try:
            pixels = _pixels(instance)
        except (TypeError, ValueError) as error:
            raise HTTPException(422, f"instances.{number}: {error}") from None
        clips.append(_clip(pixels, number, limits))
    return clips


def read_vector_instances(body: bytes, features: int, limits: Limits) -> list[NDArray[np.float32]]:
    """Return the clips of `{"instances": […]}`, each `(time, features)`; null is a missing value.

    Raises:
        HTTPException: 413 too many or too large, 422 not such JSON.
    """
    if len(body) > _VECTOR_BYTES:
        raise HTTPException(413, f"a body of vectors has at most {_VECTOR_BYTES >> 20} MB")
    try:
        given = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise HTTPException(422, f"not valid JSON: {str(error)[:200]}") from None
    instances = given.get("instances") if isinstance(given, dict) and len(given) == 1 else None
    if not isinstance(instances, list) or not instances:
        raise HTTPException(422, 'the body must be {"instances": [clip, ...]}, without other keys')
    _refuse_many(len(instances), limits)
    clips = []
    for number, instance in enumerate(instances):
        where = f"instances.{number}"
        if not isinstance(instance, list) or not instance:
            raise HTTPException(422, f"{where}: a clip is a list of vectors, (time, features)")
        try:
            rows = [json_vector(row, f"{where}.{index}") for index, row in enumerate(instance)]
        except SourceError as error:
            raise HTTPException(422, str(error)) from None
        wrong = next((index for index, row in enumerate(rows) if len(row) != features), None)
        if wrong is not None:
            raise HTTPException(
                422,
                f"{where}.{wrong}: {len(rows[wrong])} numbers, the model reads {features} features",
            )
        clips.append(np.stack(rows))
    return clips


# What a parser reads in some tenths of a second.
_VECTOR_BYTES = 8 << 20


def _read_large(body: bytes, limits: Limits) -> list[NDArray[np.uint8]]:
    """Return instances of several sizes; each must be a regular array.

    A parser would block all other requests, for seconds if the body is millions of small items.
    """
    pieces = split_instances(body, limits.instances)
    if pieces is None:
        raise HTTPException(
            422, 'the body is {"instances": [...]}, nested lists of whole numbers from 0 to 255'
        )
    if isinstance(pieces, int):
        _refuse_many(pieces, limits)
        return []
    clips = []
    for number, piece in enumerate(pieces):
        pixels = read_array(piece)
        if pixels is None:
            raise HTTPException(
                422,
                f"instances.{number}: not a regular array of whole numbers from 0 to 255 "
                "with 2 to 4 axes",
            )
        clips.append(_clip(pixels, number, limits))
    return clips


def _refuse_many(count: int, limits: Limits) -> None:
    if count > limits.instances:
        raise HTTPException(413, f"instances: {count}, at most are {limits.instances}")


def _clip(pixels: NDArray[np.uint8], number: int, limits: Limits) -> NDArray[np.uint8]:
    """Return an instance of 2 to 4 axes with all axes of a clip."""
    if pixels.ndim == 2:
        pixels = pixels[None, :, :, None]
    elif pixels.ndim == 3:
        pixels = pixels[None]
    if pixels.shape[-1] not in _CHANNELS:
        raise HTTPException(
            422,
            f"instances.{number}: its shape is {pixels.shape}; a picture is (height, width) or "
            "(height, width, channels), a clip (time, height, width, channels), channels 1 or 3",
        )
    if pixels.shape[1] * pixels.shape[2] > limits.pixels:
        raise HTTPException(413, f"instances.{number}: at most {limits.pixels} pixels")
    return pixels


def _pixels(nested: Any) -> NDArray[np.uint8]:
    """Return nested lists as an array of 2 to 4 axes.

    NumPy itself would accept text, truncate fractions, and pad every value to the longest.
    """
    shape: list[int] = []
    level: Iterable[Any] = [nested]
    first = nested
    while isinstance(first, list):
        size = len(first)
        if not size:
            raise ValueError("an axis is empty")
        rows = list(level)
        if not all(type(row) is list and len(row) == size for row in rows):
            raise ValueError("its rows are not all equally long")
        shape.append(size)
        if len(shape) > 4:
            raise ValueError("more than 4 axes")
        level = chain.from_iterable(rows)
        first = first[0]
    if len(shape) < 2:
        raise ValueError("fewer than 2 axes")
    values = list(level)
    try:
        # In Python a bool counts as a number.
        if set(map(type, values)) != {int}:
            raise TypeError
        pixels = bytes(values)
    except (TypeError, ValueError):
        raise ValueError("pixels are whole numbers from 0 to 255") from None
    return np.frombuffer(pixels, np.uint8).reshape(shape)


def read_regular(body: bytes) -> NDArray[np.uint8] | None:
    """Return the instances as one array, `(instances, …)`; None if they are not regular."""
    text = _list_of(body)
    return None if text is None else read_array(text, 3, _MOST_AXES + 1)


def split_instances(body: bytes, most: int) -> list[bytes] | int | None:
    """Return the text of each instance, for `read_array`; None if the body has another form.

    If there are more than `most`, only their number is returned.
    """
    text = _list_of(body)
    if text is None:
        return None
    letters = np.frombuffer(text, np.uint8)
    steps = (letters == ord("[")).astype(np.int8)
    steps -= letters == ord("]")
    depth = np.cumsum(steps, dtype=np.int32)
    if depth[-1] != 0 or (depth[:-1] < 1).any():
        return None
    commas = np.flatnonzero((letters == ord(",")) & (depth == 1))
    if len(commas) >= most:
        return len(commas) + 1
    ends = [0, *commas.tolist(), len(text) - 1]
    return [text[begin + 1 : end] for begin, end in pairwise(ends)]


def read_array(text: bytes, least: int = 2, most: int = _MOST_AXES) -> NDArray[np.uint8] | None:
    """Return a nested list without spaces as an array of `least` to `most` axes.

    None if it is not a regular array of whole numbers from 0 to 255.
    """
    axes = len(text) - len(text.lstrip(b"["))
    if not least <= axes <= most:
        return None
    shape = _shape_of(text.translate(None, _DIGITS), axes)
    if shape is None:
        return None
    values = _numbers(np.frombuffer(text, np.uint8))
    if values is None or values.size != np.prod(shape):
        return None
    return values.reshape(shape)


def _list_of(body: bytes) -> bytes | None:
    """Return the list of instances without its spaces; None if the body has another form."""
    head, tail = _HEAD.match(body), _TAIL.search(body[-256:])
    if head is None or tail is None:
        return None
    text = body[head.end() : len(body) - len(tail[0]) + 1]
    plain = text.translate(None, _SPACES)
    # Removing a space must not join two digits.
    if len(plain) < len(text) and _count_numbers(plain) != _count_numbers(text):
        return None
    return plain


def _count_numbers(text: bytes) -> int:
    is_digit = np.frombuffer(text, np.uint8) - np.uint8(ord("0")) < len(_DIGITS)
    return int(np.count_nonzero(is_digit[1:] & ~is_digit[:-1])) + bool(is_digit[:1].any())


def _shape_of(skeleton: bytes, axes: int) -> tuple[int, ...] | None:
    """Return the shape of the regular array with this skeleton of brackets and commas."""
    shape: list[int] = []
    # For each axis, from the last to the first, the text of one element.
    element, rest = b"", skeleton
    for axis in range(axes - 1, -1, -1):
        end = rest.find(b"]" * (axes - axis), axis)
        row = rest[axis : end + axes - axis]
        size, left = divmod(len(row) - 1, len(element) + 1)
        if end < 0 or left or size < 1:
            return None
        shape.insert(0, size)
        element = b"[" + ((element + b",") * size)[:-1] + b"]"
        if row != element:
            return None
    return tuple(shape) if skeleton == element else None


def _numbers(text: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return the whole numbers, 0 to 255, of a text that has otherwise only brackets and commas.

    Each number begins and ends where one may, so a regular skeleton is right if it has as many
    numbers as positions for them.
    """
    digits = text - np.uint8(ord("0"))  # what is smaller wraps around
    is_digit = digits < len(_DIGITS)
    if len(text) < 3 or is_digit[0] or is_digit[-1]:
        return None
    begins = ~is_digit[:-1] & is_digit[1:]  # with the next byte
    ends = is_digit[:-1] & ~is_digit[1:]
    wrong = (
        begins & (text[:-1] == ord("]")),
        ends & (text[1:] == ord("[")),
        begins[:-1] & (digits[1:-1] == 0) & is_digit[2:],
        is_digit[:-3] & is_digit[1:-2] & is_digit[2:-1] & is_digit[3:],
    )
    if any(map(np.any, wrong)):
        return None
    # Each byte as the last digit of a number of up to three.
    units = (digits * is_digit).astype(np.uint16)
    values = units.copy()
    values[1:] += 10 * units[:-1]
    values[2:] += 100 * units[:-2] * is_digit[1:-1]
    found = values[np.flatnonzero(ends)]  # a mask would take ten times as long
    return found.astype(np.uint8) if found.max(initial=0) <= 255 else None
