"""A step → the records of a client."""

from typing import Any

from seqvision_edge.frame import Frame
from seqvision_edge.step import Step


def records(step: Step) -> list[dict[str, Any]]:
    """Return what a step tells: of its frame, then its events, then the states of its source.

    A frame is answered, or it tells how full the window is: while that fills, and between two
    ticks of the model's clock.
    """
    plain: list[dict[str, Any]] = []
    if step.answered and step.prediction is not None:
        plain.append(step.prediction.to_json())
    elif step.frame is not None:
        plain.append(_waiting(step.frame, step.window_fill))
    plain += [event.to_json() for event in step.events]
    plain += [state.to_json() for state in step.changed]
    return plain


def _waiting(frame: Frame, window_fill: float) -> dict[str, Any]:
    return {
        "type": "waiting",
        "time": round(frame.time, 3),
        "frame": frame.index,
        "window_fill": round(window_fill, 3),
    }
