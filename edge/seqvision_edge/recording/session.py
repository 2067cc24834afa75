"""A recording session: source → takes, one after the other, controlled by frames and keys.

    ready ──go──▶ countdown ──▶ recording ──▶ countdown ──▶ … ──▶ done

It is independent of windows, terminals and cameras: time is that of the frames.
"""

import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol

from typing_extensions import Self

from seqvision_edge import interrupts
from seqvision_edge.frame import Frame
from seqvision_edge.interrupts import DeferredSignals
from seqvision_edge.overlay import SHOWN
from seqvision_edge.recording.take_folder import Takes
from seqvision_edge.recording.take_list import Take
from seqvision_edge.recording.writer import LONGEST_GAP, LONGEST_SECONDS, NewTake, RecordingFeed
from seqvision_edge.sources.factory import Source
from seqvision_edge.types import SourceState

Phase = Literal["ready", "countdown", "recording", "away", "done"]
# go: begin, pause, or end a take without a fixed length.  alone: no key can be pressed.
Command = Literal["go", "redo", "skip", "stop", "alone"]

_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class TakeSettings:
    """Settings of the takes.

    Attributes:
        person: the person recorded; may be empty.
        seconds: length of a take; None: until a key ends it.
        countdown: seconds before each take.
        waits: whether the first take waits for a key.
    """

    person: str = ""
    seconds: float | None = 2.0
    countdown: float = 3.0
    waits: bool = True


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """The state to show.

    Attributes:
        phase: the current phase.
        label: the label to perform now, or next; empty if nothing is left.
        after: the label after that; empty if there is none.
        seconds: remaining seconds of the countdown, or recorded seconds of the take.
        share: fraction of the take's length, 0 to 1; 0 without a fixed length.
        done: number of kept takes, including earlier sessions.
        total: number of takes in all.
        trouble: what is wrong with the source; empty if nothing is.
    """

    phase: Phase
    label: str
    after: str
    seconds: float
    share: float
    done: int
    total: int
    trouble: str


class RecordingSession:
    """State machine of a recording session; `messages` are lines to print, oldest first."""

    def __init__(
        self,
        takes: Takes,
        labels: Sequence[str],
        settings: TakeSettings,
        fps: float,
        already: int = 0,
    ) -> None:
        """Begin a session.

        Args:
            takes: the folder of takes.
            labels: the label of each take.
            manner: the settings of the takes.
            fps: the source's declared rate.
            already: number of takes of earlier sessions, for the progress.
        """
        self._takes = takes
        self._labels = deque(labels)
        self._settings = settings
        self._fps = fps
        self._already = already
        self._total = already + len(labels)
        self._new: NewTake | None = None
        self._start = self._now = 0.0
        self._begun = not settings.waits
        self._trouble = ""
        self.phase: Phase = "countdown" if self._begun else "ready"
        self._counting = False
        self.kept: list[Take] = []
        self.messages: list[str] = []
        self.was_stopped = False
        if not labels:
            self.phase = "done"

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to record, or the user stopped."""
        return self.phase == "done"

    @property
    def missing(self) -> int:
        """Number of takes still to record."""
        return len(self._labels)

    def see(self, frame: Frame) -> None:
        """Process the next frame.

        Raises:
            RecordingError: a take could not be written; only that one is lost.
        """
        if self.is_over:
            return
        silent = frame.time - self._now
        self._now = frame.time
        self._trouble = ""
        if self.phase == "away":
            self._wait()
        if self.phase == "recording":
            assert self._new is not None
            if silent > LONGEST_GAP:
                self._repeat(f"no frame for {silent:.1f} s")
            elif self._is_full(frame.time):
                self._keep()
            else:
                self._new.write(frame.bgr, frame.time)
                return
        if self.phase == "countdown":
            self._count(frame)

    def handle_state(self, state: SourceState) -> None:
        """Handle a state change of the source; an interrupted take is recorded again."""
        if self.is_over:
            return
        if state.state in SHOWN:
            self._trouble = state.message if state.state == "frozen" else ""
            return
        self._trouble = state.message or state.state
        if self.phase == "recording":
            self._repeat(state.message or state.state)
        if self.phase in ("countdown", "recording") and state.state != "connecting":
            self.phase = "away"

    def press(self, command: Command) -> None:
        """Execute the command of a key.

        Raises:
            RecordingError: a take could not be written or deleted.
        """
        if self.phase == "done":
            return
        if command == "stop":
            self.was_stopped = True
            self.abandon()
        elif command == "alone":
            self._begun = True
            if self.phase == "ready":
                self._wait()
        elif command == "go":
            self._go()
        elif command == "redo":
            self._redo()
        elif command == "skip":
            self._throw_away()
            self._labels.rotate(-1)
            self._wait()

    def end(self) -> None:
        """Handle the end of the source: keep the current take if it is complete."""
        if self._new is not None:
            if self._is_full(self._now + 1 / self._fps):
                self._keep()
            else:
                self.messages.append(
                    f"{self._labels[0]}: the source ended in the middle of the take"
                )
        self.abandon()

    def abandon(self) -> None:
        """Discard the current take, and end."""
        self._throw_away()
        self.phase = "done"

    def status(self) -> RecordingStatus:
        """Return the state to show now."""
        length = self._settings.seconds
        seconds = share = 0.0
        if self.phase == "recording":
            seconds = self._now - self._start
            share = min(1.0, seconds / length) if length else 0.0
        elif self.phase == "countdown":
            gone = self._now - self._start if self._counting else 0.0
            seconds = max(0.0, self._settings.countdown - gone)
        label, after = [*self._labels, "", ""][0], [*self._labels, "", ""][1]
        done = self._already + len(self.kept)
        return RecordingStatus(
            self.phase, label, after, seconds, share, done, self._total, self._trouble
        )

    def _go(self) -> None:
        if self.phase == "ready":
            self._begun = True
            self._wait()
        elif self.phase == "recording" and self._settings.seconds is None:
            self._keep()
        else:
            # A pause; an unfinished take of a fixed length is discarded.
            self._throw_away()
            self._begun = False
            self.phase = "ready"

    def _redo(self) -> None:
        if self.phase == "recording":
            self._throw_away()
        elif self.kept:
            take = self.kept.pop()
            self._takes.delete(take)
            self._labels.appendleft(take.label)
            self.messages.append(f"{take.path} is deleted and recorded again")
        self._wait()

    def _wait(self) -> None:
        """Begin the countdown of the next take, or wait for a key before it."""
        self.phase = "countdown" if self._begun else "ready"
        self._counting = False

    def _count(self, frame: Frame) -> None:
        if not self._counting:
            self._start, self._counting = frame.time, True
        if frame.time - self._start < self._settings.countdown - self._hair():
            return
        self._new = self._takes.begin(self._labels[0], self._settings.person, self._fps)
        self._new.write(frame.bgr, frame.time)
        self._start = frame.time
        self.phase = "recording"

    def _is_full(self, time: float) -> bool:
        """Return whether a frame of this time is past the end of the take."""
        return time - self._start >= (self._settings.seconds or LONGEST_SECONDS) - self._hair()

    def _hair(self) -> float:
        # Times jitter: a frame belongs to the nearest tick.
        return 0.5 / self._fps

    def _keep(self) -> None:
        assert self._new is not None
        new, self._new = self._new, None
        take = new.keep()
        self._labels.popleft()
        self.kept.append(take)
        self.messages.append(f"{take.path}  {new.frames} frames at {new.fps:.3g} fps")
        if not self._labels:
            self.phase = "done"
            return
        # If a key ends a take, a key begins the next one.
        self._begun = self._begun and self._settings.seconds is not None
        self._wait()

    def _repeat(self, why: str) -> None:
        self._throw_away()
        self.messages.append(f"{self._labels[0]}: take interrupted and repeated ({why})")
        self._wait()

    def _throw_away(self) -> None:
        if self._new is not None:
            self._new.discard()
            self._new = None


class View(Protocol):
    """A window or a terminal."""

    def __enter__(self) -> Self: ...

    def commands(self) -> list[Command]:
        """Return the commands since the last call."""
        ...

    def show(self, status: RecordingStatus, frame: Frame | None) -> None:
        """Show the state, with the newest frame."""
        ...

    def print_line(self, line: str) -> None:
        """Print a line."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def run_session(source: Source, session: RecordingSession, views: Sequence[View]) -> None:
    """Record the session's takes, until it is done or the user stops it.

    However it ends, kept takes stay, and an unfinished one is discarded.

    Raises:
        SourceError: the source was lost for good, or is empty.
        RecordingError: a take could not be written.
        KeyboardInterrupt: Ctrl-C.
    """
    frame: Frame | None = None
    # An exception in the middle of a take would leave an unfinished file and a changed terminal.
    with DeferredSignals(), contextlib.ExitStack() as opened:
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
            status, messages = session.status(), session.messages
            session.messages = []
            for view in views:
                for line in messages:
                    view.print_line(line)
                view.show(status, frame)
