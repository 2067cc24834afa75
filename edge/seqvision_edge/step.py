"""What one frame brought: all that an output may need."""

from dataclasses import dataclass

from seqvision_edge.frame import Frame
from seqvision_edge.result import Event, Prediction


@dataclass(frozen=True, slots=True)
class Step:
    """One frame's way through a run, as handed to every sink.

    Attributes:
        frame: the frame; None in the last step of a run, which can only bring events.
        prediction: the newest answer; None before the first one and after a value that is not
            finite.
        answered: whether `prediction` is this frame's own; the frames between two ticks of the
            model's clock keep the answer of the tick before.
        warmth: how full the model's window is, 0 to 1.
        smoothed: the probabilities that decide, by label; empty while the window is not full.
        events: those that ended with this frame.
        active: the event that goes on, its `end` being now.
        fps: frames per second that the run handles.
    """

    frame: Frame | None
    prediction: Prediction | None
    answered: bool
    warmth: float
    smoothed: dict[str, float]
    events: tuple[Event, ...]
    active: Event | None
    fps: float

    @property
    def is_warm(self) -> bool:
        """Whether the model's window is full."""
        return self.warmth >= 1
