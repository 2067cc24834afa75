"""The events of a run, kept in memory."""

from typing_extensions import Self

from seqvision_edge.result import Event
from seqvision_edge.step import Step


class EventList:
    """Keep every event in `events`, and the time of the last frame in `seconds`: for a score."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def write(self, step: Step) -> None:
        """Keep the events that ended."""
        self.events.extend(step.events)
        if step.frame is not None:
            self.seconds = step.frame.time

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""
