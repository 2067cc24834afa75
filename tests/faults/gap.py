"""Which answers a fault should have prevented."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from colour_model import WINDOW

MODEL_FPS = 12.0
# Seconds that the model's window takes to fill.
WARM_UP = WINDOW / MODEL_FPS
# A frame that came as the fault began is no frame of the gap.
_EDGE = 0.2


def labels_in_gap(answers: Sequence[dict[str, Any]], failed: float, back: float) -> int:
    """Count answers for frames between a fault and its end, or for windows that reach over it.

    Args:
        answers: records of type "prediction".
        failed, back: seconds since 1970.
    """
    times = [
        datetime.fromisoformat(each["captured_at"].replace("Z", "+00:00")).timestamp()
        for each in answers
    ]
    # Frames answer ticks, and a tick may come a part of a period early.
    return sum(failed + _EDGE < time < back + 0.7 * WARM_UP for time in times)
