"""What people are told of a source that gives nothing to look at, in a few plain words."""

from dataclasses import dataclass

from seqvision_edge.result import SourceState
from seqvision_edge.step import Step

# A label is for what is seen now; under any other state it would be an old one.
# A scene may rightly stand still, so a frozen picture is only warned of.
SHOWN = ("live", "warming_up", "frozen")
STILL = "the picture stands still"


@dataclass(frozen=True, slots=True)
class Notice:
    """One line to be read from afar, and one that says more; the second may be empty."""

    headline: str
    detail: str = ""


def notice(state: SourceState, silent: float | None) -> Notice | None:
    """Return what to show instead of a picture and its label; None where they may be shown.

    `silent` is for how many seconds nothing came; None where nothing ever did.
    """
    if state.state in SHOWN:
        return None
    again = f"attempt {state.attempt}" if state.attempt > 1 else ""
    if state.state == "ended":
        return Notice("ended", state.message)
    if state.state == "failed":
        return Notice("given up", state.message)
    if silent is None:
        words = state.message or again
        return Notice("connecting …" if state.state == "connecting" else "no data yet", words)
    if state.state == "stalled":
        # Its message would only say the same.
        return Notice(silence(silent))
    return Notice(silence(silent), state.message or (again and f"connecting again, {again}"))


def unsure(label: str) -> str:
    """Return the text for an answer below `decision.min_confidence` with this best label."""
    return f"unsure · {label}"


def silence(seconds: float) -> str:
    """Return for how long nothing came, as people say it: `no data for 4 s`, `… for 3 min`."""
    if seconds < 120:
        return f"no data for {seconds:.0f} s"
    if seconds < 7200:
        return f"no data for {seconds / 60:.0f} min"
    return f"no data for {seconds / 3600:.0f} h"


def age(step: Step, now: float) -> float | None:
    """Return how many seconds ago a live source gave the step's frame; None where none did.

    `now` is the monotonic clock.
    """
    arrived = step.frame.arrived if step.frame is not None else None
    return None if arrived is None else max(0.0, now - arrived)
