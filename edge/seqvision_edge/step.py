"""What one frame of one source brought: all that an output may need."""

from dataclasses import dataclass, field

from seqvision_edge.frame import Frame
from seqvision_edge.result import Event, Prediction, SourceState

CONNECTING = SourceState("connecting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One frame's way through a run, as handed to every sink.

    Attributes:
        source: the name of the source that it belongs to.
        frame: the frame; None where something else is told: a new state, or the end of the source.
        prediction: the newest answer; None before the first one and after a value that is not
            finite.
        answered: whether `prediction` is this frame's own; the frames between two ticks of the
            model's clock keep the answer of the tick before.
        window_fill: how full the model's window is, 0 to 1.
        smoothed: the probabilities that decide, by label; empty while the window is not full.
            An answer that is unsure counts in them as 0 for every label.
        shown: the model's own probabilities, smoothed alike, where they can differ from `smoothed`.
        events: those that ended with this frame, each once.
        active: the event that goes on, as far as the newest answer is about.
        fps: frames per second that the run handles of this source.
        fired: the events to act on now, each gesture once: those that ended, or, with early firing,
            those that surely rise.
        state: how the source is.
        changed: the states that it went through since the step before, `state` being the last.
        nonfinite: how many of its answers were thrown away so far, because they were not finite.
    """

    source: str
    frame: Frame | None = None
    prediction: Prediction | None = None
    answered: bool = False
    window_fill: float = 0.0
    smoothed: dict[str, float] = field(default_factory=dict)
    shown: dict[str, float] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    active: Event | None = None
    fps: float = 0.0
    fired: tuple[Event, ...] = ()
    state: SourceState = CONNECTING
    changed: tuple[SourceState, ...] = ()
    nonfinite: int = 0

    @property
    def window_full(self) -> bool:
        """Whether the model's window is full."""
        return self.window_fill >= 1

    @property
    def is_unsure(self) -> bool:
        """Whether the newest answer is below `decision.min_confidence`."""
        return self.prediction is not None and self.prediction.unsure

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """Labels with their probabilities for a person to read, the most probable first.

        Of an unsure answer they are its own, which were judged; else smoothed.
        """
        shares = self.shown or self.smoothed
        if self.prediction is not None and self.is_unsure:
            shares = self.prediction.probabilities
        return sorted(shares.items(), key=lambda item: -item[1])
