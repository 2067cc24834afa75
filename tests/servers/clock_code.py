"""Pictures that show the wall clock as a bar code, so that a frame's true age is in its pixels.

Only the standard library: the server that draws them runs in Debian's own Python.
"""

import time
from typing import Any

SIZE = (320, 240)
FPS = 15
_BITS = 40
_CELL = SIZE[0] // _BITS
_ROWS = 32
_BLACK, _WHITE = b"\x10", b"\xeb"


def now() -> int:
    """Return the wall clock in milliseconds, modulo 2^40."""
    return int(time.time() * 1000) % (1 << _BITS)


def draw(milliseconds: int) -> bytes:
    """Return grey pixels by rows: the bar code, and below it a shade that never stands still."""
    code = b"".join((_WHITE if milliseconds >> bit & 1 else _BLACK) * _CELL for bit in range(_BITS))
    shade = bytes([64 + milliseconds // 20 % 128])
    return code * _ROWS + shade * (SIZE[0] * (SIZE[1] - _ROWS))


def read(bgr: Any) -> int:
    """Return the milliseconds that a `(height, width, 3)` frame shows."""
    row = bgr[8 : _ROWS - 8].mean(axis=(0, 2))
    cells = (row[bit * _CELL + 2 : (bit + 1) * _CELL - 2].mean() for bit in range(_BITS))
    return sum(1 << bit for bit, level in enumerate(cells) if level > 128)


def age(bgr: Any) -> float:
    """Return how many seconds ago a frame was made."""
    return ((now() - read(bgr)) % (1 << _BITS)) / 1000
