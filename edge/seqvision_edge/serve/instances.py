"""The body of a JSON request → arrays of pixels."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray
from pydantic_core import from_json

from seqvision_edge.serve.limits import Limits
from seqvision_edge.serve.regular import read_array, read_regular, split_instances

_CHANNELS = (1, 3)
# What a parser may read, in some hundredths of a second.
_PARSED_BYTES = 256 << 10


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
        raise HTTPException(422, 'the body is {"instances": [...]}, and nothing else')
    instances = given["instances"]
    if not isinstance(instances, list) or not instances:
        raise HTTPException(422, "instances: a list of at least one clip or picture")
    _refuse_many(len(instances), limits)
    clips = []
    for number, instance in enumerate(instances):
        try:
            pixels = _pixels(instance)
        except (TypeError, ValueError) as error:
            raise HTTPException(422, f"instances.{number}: {error}") from None
        clips.append(_clip(pixels, number, limits))
    return clips


def _read_large(body: bytes, limits: Limits) -> list[NDArray[np.uint8]]:
    """Return instances of several sizes; each must be a regular array.

    A parser would hold everybody else up, by seconds where the body is millions of small things.
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
                f"instances.{number}: its rows are not all equally long, or its pixels no whole "
                "numbers from 0 to 255, or it has not 2 to 4 axes",
            )
        clips.append(_clip(pixels, number, limits))
    return clips


def _refuse_many(count: int, limits: Limits) -> None:
    if count > limits.instances:
        raise HTTPException(413, f"instances: {count}, at most are {limits.instances}")


def _clip(pixels: NDArray[np.uint8], number: int, limits: Limits) -> NDArray[np.uint8]:
    """Return an instance of 2 to 4 axes with all of a clip's."""
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

    NumPy itself would take text, cut off fractions, and make every value as long as the longest.
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
        # A truth value counts as a number in Python.
        if set(map(type, values)) != {int}:
            raise TypeError
        pixels = bytes(values)
    except (TypeError, ValueError):
        raise ValueError("pixels are whole numbers from 0 to 255") from None
    return np.frombuffer(pixels, np.uint8).reshape(shape)
