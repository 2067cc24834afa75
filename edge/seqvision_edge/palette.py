"""One colour per label, the same in the terminal, on the picture and in every run of a model."""

import colorsys
from collections.abc import Sequence

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

BACKGROUND: Colour = (148, 163, 184)
_FIRST: tuple[Colour, ...] = (
    (56, 189, 248),
    (251, 146, 60),
    (163, 230, 53),
    (244, 114, 182),
    (250, 204, 21),
    (167, 139, 250),
    (45, 212, 191),
    (248, 113, 113),
    (96, 165, 250),
    (217, 70, 239),
)
_GOLDEN = 0.618034


def colours(labels: Sequence[str], background: str | None) -> dict[str, Colour]:
    """Return the colour of each label; the background's is grey."""
    hues = [label for label in labels if label != background]
    chosen = {label: _colour(number) for number, label in enumerate(hues)}
    if background is not None:
        chosen[background] = BACKGROUND
    return chosen


def hexadecimal(colour: Colour) -> str:
    """Return the colour as `#rrggbb`."""
    red, green, blue = colour
    return f"#{red:02x}{green:02x}{blue:02x}"


def _colour(number: int) -> Colour:
    if number < len(_FIRST):
        return _FIRST[number]
    # Steps of the golden section never come back to a hue that is taken.
    red, green, blue = colorsys.hls_to_rgb(number * _GOLDEN % 1, 0.65, 0.8)
    return round(255 * red), round(255 * green), round(255 * blue)
