"""`{"instances": [[[1, 2], …], …]}` → pixels, by NumPy.

A parser of JSON makes an object of each of the 600,000 numbers of a clip, and a list of each pixel,
and holds Python's lock all the while.  Here the text itself is an array: what is not a digit must
be exactly the brackets and commas of a regular array.  Whatever else there is, also all that is
wrong, is left to the parser where it is small, and is refused where it is not.
"""

import re
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_HEAD = re.compile(rb'\s{0,99}\{\s{0,99}"instances"\s{0,99}:\s{0,99}(?=\[)')
_TAIL = re.compile(rb"\]\s{0,99}\}\s{0,99}\Z")
_SPACES = b" \t\r\n"
_DIGITS = b"0123456789"
_MOST_AXES = 4  # of a clip


def read_regular(body: bytes) -> NDArray[np.uint8] | None:
    """Return the instances as one array, `(instances, …)`; None where they are not one."""
    text = _list_of(body)
    return None if text is None else read_array(text, 3, _MOST_AXES + 1)


def split_instances(body: bytes, most: int) -> list[bytes] | int | None:
    """Return the text of each instance, for `read_array`; None where the body is none.

    Where there are more than `most`, only their number is returned.
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

    None where it is no regular one of whole numbers from 0 to 255.
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
    """Return the list of instances without its spaces; None where the body is something else."""
    head, tail = _HEAD.match(body), _TAIL.search(body[-256:])
    if head is None or tail is None:
        return None
    text = body[head.end() : len(body) - len(tail[0]) + 1]
    plain = text.translate(None, _SPACES)
    # Two digits must not come together.
    if len(plain) < len(text) and _count_numbers(plain) != _count_numbers(text):
        return None
    return plain


def _count_numbers(text: bytes) -> int:
    is_digit = np.frombuffer(text, np.uint8) - np.uint8(ord("0")) < len(_DIGITS)
    return int(np.count_nonzero(is_digit[1:] & ~is_digit[:-1])) + bool(is_digit[:1].any())


def _shape_of(skeleton: bytes, axes: int) -> tuple[int, ...] | None:
    """Return the shape of the regular array that has this skeleton, brackets and commas alone."""
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
        element = b"[" + ((element + b",") * size)[:-1] + b"]"
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
