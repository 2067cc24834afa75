"""One comparison of two answers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# In which a clip is answered for.
WAYS = ("torch", "one call", "frame by frame")
# Of probabilities.  fp16 has three digits; in int8 the two ways through the same file still agree,
# only torch does not.
TOLERANCES = {"fp32": 1e-4, "int8": 1e-4, "fp16": 5e-3}


@dataclass(frozen=True)
class Case:
    """One comparison: what it was, and how far apart the answers are.

    `limit` is how far they may be; None: it is only told, because the precision was reduced.
    """

    name: str
    difference: float
    limit: float | None

    @property
    def holds(self) -> bool:
        """Whether the answers are as near as they must be; a NaN is not."""
        return self.limit is None or self.difference <= self.limit


def distance(
    found: NDArray[np.float32], expected: NDArray[np.float32], relative: bool = False
) -> float:
    """Return the largest difference; infinite for another shape or a value that is no number.

    `relative` divides by the largest expected value, for features, which have no scale.
    """
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    if not expected.size:
        return 0.0
    scale = max(1.0, float(np.abs(expected).max())) if relative else 1.0
    return float(np.abs(found - expected).max()) / scale
