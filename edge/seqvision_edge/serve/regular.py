"""`{"instances": [[[1, 2], …], …]}` of equally large instances → pixels, by NumPy.

A parser of JSON makes an object of each of the 600,000 numbers of a clip, and a list of each pixel,
and holds Python's lock all the while.  Here the text itself is an array: what is not a digit must
be exactly the brackets and commas of a regular array.  Whatever else there is, also all that is
wrong, is left to the parser.
"""

import re

import numpy as np
from numpy.typing import NDArray

_HEAD = re.compile(rb'\s{0,99}\{\s{0,99}"instances"\s{0,99}:\s{0,99}(\[+)')
_TAIL = re.compile(rb"(\]+)\s{0,99}\}\s{0,99}\Z")
_DIGITS = b"0123456789"
_MOST_AXES = 5  # of a clip, and the list of instances


def read_regular(body: bytes) -> NDArray[np.uint8] | None:
    """Return the instances as one array, `(instances, …)`; None where they are for the parser."""
    head, tail = _HEAD.match(body), _TAIL.search(body[-256:])
    if head is None or tail is None:
        return None
    text = body[head.start(1) : len(body) - len(tail[0]) + len(tail[1])]
    near = np.frombuffer(text, np.uint8)
    if ((near[1:] == ord(" ")) & (near[:-1] != ord(","))).any():
        return None
    # As Python and others write it.  No other space: two digits must not come together.
    text = text.translate(None, b" ")
    skeleton = text.translate(None, _DIGITS)
    shape = _shape_of(skeleton, len(head[1]))
    if shape is None:
        return None
    values = _numbers(np.frombuffer(text, np.uint8))
    if values is None or values.size != np.prod(shape):
        return None
    return values.reshape(shape)


def _shape_of(skeleton: bytes, axes: int) -> tuple[int, ...] | None:
    """Return the shape of the regular array that has this skeleton, brackets and commas alone."""
    if not 3 <= axes <= _MOST_AXES:
        return None
    shape: list[int] = []
    # Of each axis, from the last to the first, what one element of it looks like.
    element, rest = b"", skeleton
    for axis in range(axes - 1, -1, -1):
        end = rest.find(b"]" * (axes - axis), axis)
        row = rest[axis : end + axes - axis]
        size, left = divmod(len(row) - 1, len(element) + 1)
        if end < 0 or left or size < 1:
            return None
        shape.insert(0, size)
        element = b"[" + b",".join([element] * size) + b"]"
        if row != element:
            return None
    return tuple(shape) if skeleton == element else None


def _numbers(text: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return the whole numbers, 0 to 255, of a text that has no more than brackets and commas.

    Each begins and ends where a number may, so a regular skeleton is right if it has as many
    numbers as places for them.
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
