"""THE WAY of a sitting: source → session → takes, with views that show it and bring keys."""

import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol

from typing_extensions import Self

from seqvision_edge import interrupts
from seqvision_edge.frame import Frame
from seqvision_edge.interrupts import Held
from seqvision_edge.recording.feed import RecordingFeed
from seqvision_edge.recording.session import Command, Moment, RecordingSession
from seqvision_edge.result import SourceState
from seqvision_edge.sources import Source

_LOOK_SECONDS = 0.05


class View(Protocol):
    """A window or a terminal."""

    def __enter__(self) -> Self: ...

    def commands(self) -> list[Command]:
        """Return what was asked for since the call before."""
        ...

    def show(self, moment: Moment, frame: Frame | None) -> None:
        """Show a moment, with the newest frame."""
        ...

    def say(self, line: str) -> None:
        """Print a line."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def record(source: Source, session: RecordingSession, views: Sequence[View]) -> None:
    """Record what the session wants, until it is done or somebody stops it.

    Whatever ends it, takes that were kept stay, and one that was going on is thrown away.

    Raises:
        SourceError: the source was lost for good, or has nothing in it.
        RecordingError: a take could not be written.
        KeyboardInterrupt: as it came.
    """
    frame: Frame | None = None
    # An exception in the middle of a take would leave a part of it, and the terminal as it is.
    with Held(), contextlib.ExitStack() as opened:
        opened.callback(session.abandon)
        for view in views:
            opened.enter_context(view)
        feed = opened.enter_context(RecordingFeed(source))
        while not session.is_over:
            items = feed.take(_LOOK_SECONDS)
            interrupts.check()
            if items is None:
                session.end()
            for item in items or ():
                if isinstance(item, SourceState):
                    session.handle_state(item)
                else:
                    session.see(item)
                    frame = item
            for view in views:
                for command in view.commands():
                    session.press(command)
            moment, news = session.moment(), session.news
            session.news = []
            for view in views:
                for line in news:
                    view.say(line)
                view.show(moment, frame)
