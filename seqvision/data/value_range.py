"""Which pixel values of pictures with more than 8 bits become black and white."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seqvision.data.clips import Clip
from seqvision.data.decode import Decoded
from seqvision_edge.errors import SourceError
from seqvision_edge.preprocess import ValueRange
from seqvision_edge.sources.factory import deep_pictures

# Clips that are looked at, and pictures of each.
_CLIPS: Final = 48
_PICTURES: Final = 3
# Of a thousand pixels one may be wrong: a sensor marks what it cannot measure with 65535.
_SHARE: Final = 0.999


def measure_range(clips: Sequence[Clip]) -> ValueRange | None:
    """Return the values of the clips' pictures that become black and white.

    From 0, or from the lowest values where some are negative, to the value that 99.9 % of the
    pixels of a picture do not exceed, rounded up to two digits; the highest whole number of a type
    marks what a sensor cannot measure.  Whole numbers that never exceed 255 are those of 8-bit
    pictures in wider files, fractions that never exceed 1 are shares of white: both stay as they
    are.

    Returns:
        None where no picture has more than 8 bits.
    """
    low = high = most = 0.0
    is_whole = is_deep = False
    for values in _pictures(clips):
        is_deep = True
        known = values[np.isfinite(values)]
        if values.dtype.kind in "iu":
            known = known[known < np.iinfo(values.dtype).max]
        if len(known):
            is_whole |= values.dtype.kind in "iu"
            below, above = np.quantile(known, (1 - _SHARE, _SHARE))
            low, high, most = min(low, below), max(high, above), max(most, float(known.max()))
    if not is_deep:
        return None
    if low == 0 and most <= 255 and is_whole:
        return 0.0, 255.0
    if low == 0 and most <= 1:
        return 0.0, 1.0
    return -_rounded_up(-low) if low < 0 else 0.0, _rounded_up(high)


def range_notes(decoded: Sequence[Decoded], value_range: ValueRange | None) -> tuple[str, ...]:
    """Return notes on the clips whose pictures have more than 8 bits."""
    deep = sum(clip.deep for clip in decoded)
    if not deep:
        return ()
    of = f"{deep} of {len(decoded)} clips have pictures with more than 8 bits"
    if value_range is None:
        return (f"{of}; only the upper 8 are read, because the model learnt from 8-bit pictures",)
    low, high = value_range
    if (low, high) == (0, 255):
        return (f"{of}, whose values do not exceed 255: they are read as 8-bit pictures",)
    missing = "; 0, such as missing depth, is black" if low == 0 else ""
    notes = [
        f"{of}: values from {low:g} (black) to {high:g} (white) are read{missing}; "
        "--value-range LOW,HIGH sets them"
    ]
    if deep < len(decoded):
        few = f"{len(decoded) - deep} of {len(decoded)} clips have 8 bits and stay as they are"
        notes.append(f"{few}: pictures of both kinds look different to the model")
    return tuple(notes)


def _pictures(clips: Sequence[Clip]) -> Iterator[NDArray[Any]]:
    """Yield every second pixel of some pictures with more than 8 bits."""
    chosen = np.linspace(0, len(clips) - 1, min(_CLIPS, len(clips))).round().astype(int)
    for clip in (clips[number] for number in chosen):
        if clip.index is not None:
            continue  # of an idx file, whose values have 8 bits
        try:
            for values in deep_pictures(clip.path, _PICTURES):
                yield values[::2, ::2]
        except SourceError:
            continue  # it is named where the clips are decoded


def _rounded_up(value: float) -> float:
    """Return the next number of two digits."""
    if value <= 0:
        return 1.0
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return round(math.ceil(value / step - 1e-9) * step, 9)
