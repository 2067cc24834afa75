"""The events of a run, kept in memory."""

from types import TracebackType

from typing_extensions import Self

from seqvision_edge.result import Event
from seqvision_edge.step import Step


class EventList:
    """Keep every event in `events`, for a program or a score."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __enter__(self) -> Self:
        return self

    def write(self, step: Step) -> None:
        """Keep the events that ended."""
        self.events.extend(step.events)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is open."""
