"""THE WAY of a recording session: source → takes, one after the other, led by frames and keys.

    ready ──go──▶ countdown ──▶ recording ──▶ countdown ──▶ … ──▶ done

It knows nothing of windows, terminals and cameras: time is that of the frames.
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
from seqvision_edge.interrupts import Held
from seqvision_edge.overlay import SHOWN
from seqvision_edge.recording.take import Take
from seqvision_edge.recording.takes import Takes
from seqvision_edge.recording.writer import LONGEST_GAP, LONGEST_SECONDS, NewTake, RecordingFeed
from seqvision_edge.sources.factory import Source
from seqvision_edge.types import SourceState

Phase = Literal["ready", "countdown", "recording", "away", "done"]
# go: begin, pause, or end a take without a fixed length.  alone: nobody can press a key.
Command = Literal["go", "redo", "skip", "stop", "alone"]

_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Manner:
    """How takes are recorded.

    Attributes:
        person: who is recorded; may be empty.
        seconds: how long a take is; None: until a key ends it.
        countdown: seconds before each take.
        waits: whether the first take waits for a key.
    """

    person: str = ""
    seconds: float | None = 2.0
    countdown: float = 3.0
    waits: bool = True


@dataclass(frozen=True, slots=True)
class Moment:
    """What there is to show at a moment.

    Attributes:
        phase: what is going on.
        label: what the person is to show now, or next; empty when nothing is left.
        after: the label after that; empty when there is none.
        seconds: of the countdown what is left, of a take what is recorded.
        share: of the take's length, 0 to 1; 0 where it has none.
        done: takes that are kept, those of earlier sittings included.
        total: of how many.
        trouble: what is wrong with the source; empty when nothing is.
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
    """State machine of a recording session; `news` are lines to print, oldest first."""

    def __init__(
        self, takes: Takes, wanted: Sequence[str], manner: Manner, fps: float, already: int = 0
    ) -> None:
        """Begin a sitting.

        Args:
            takes: where they are kept.
            wanted: the label of each take.
            manner: how they are recorded.
            fps: what the source says of its rate.
            already: takes of earlier sittings, for the progress.
        """
        self._takes = takes
        self._wanted = deque(wanted)
        self._manner = manner
        self._fps = fps
        self._already = already
        self._total = already + len(wanted)
        self._new: NewTake | None = None
        self._start = self._now = 0.0
        self._begun = not manner.waits
        self._trouble = ""
        self.phase: Phase = "countdown" if self._begun else "ready"
        self._counting = False
        self.kept: list[Take] = []
        self.news: list[str] = []
        self.was_stopped = False
        if not wanted:
            self.phase = "done"

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to record, or somebody stopped."""
        return self.phase == "done"

    @property
    def missing(self) -> int:
        """How many takes are still wanted."""
        return len(self._wanted)

    def see(self, frame: Frame) -> None:
        """Take the next frame.

        Raises:
            RecordingError: a take could not be written; it is lost, those before it are not.
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
        """Take how the source is; a take that it tears is recorded again."""
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
        """Do what a key asks for.

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
            self._wanted.rotate(-1)
            self._wait()

    def end(self) -> None:
        """The source has come to its end: keep a take that is whole by then."""
        if self._new is not None:
            if self._is_full(self._now + 1 / self._fps):
                self._keep()
            else:
                self.news.append(f"{self._wanted[0]}: the source ended in the middle of the take")
        self.abandon()

    def abandon(self) -> None:
        """Throw away a take that is going on, and end."""
        self._throw_away()
        self.phase = "done"

    def moment(self) -> Moment:
        """Return what there is to show now."""
        length = self._manner.seconds
        seconds = share = 0.0
        if self.phase == "recording":
            seconds = self._now - self._start
            share = min(1.0, seconds / length) if length else 0.0
        elif self.phase == "countdown":
            gone = self._now - self._start if self._counting else 0.0
            seconds = max(0.0, self._manner.countdown - gone)
        label, after = [*self._wanted, "", ""][0], [*self._wanted, "", ""][1]
        done = self._already + len(self.kept)
        return Moment(self.phase, label, after, seconds, share, done, self._total, self._trouble)

    def _go(self) -> None:
        if self.phase == "ready":
            self._begun = True
            self._wait()
        elif self.phase == "recording" and self._manner.seconds is None:
            self._keep()
        else:
            # A pause; a take of a fixed length that is cut short is none.
            self._throw_away()
            self._begun = False
            self.phase = "ready"

    def _redo(self) -> None:
        if self.phase == "recording":
            self._throw_away()
        elif self.kept:
            take = self.kept.pop()
            self._takes.delete(take)
            self._wanted.appendleft(take.label)
            self.news.append(f"{take.path} is deleted and recorded again")
        self._wait()

    def _wait(self) -> None:
        """Begin the countdown of the next take, or wait for a key before it."""
        self.phase = "countdown" if self._begun else "ready"
        self._counting = False

    def _count(self, frame: Frame) -> None:
        if not self._counting:
            self._start, self._counting = frame.time, True
        if frame.time - self._start < self._manner.countdown - self._hair():
            return
        self._new = self._takes.begin(self._wanted[0], self._manner.person, self._fps)
        self._new.write(frame.bgr, frame.time)
        self._start = frame.time
        self.phase = "recording"

    def _is_full(self, time: float) -> bool:
        """Whether a frame of this time is no part of the take any more."""
        return time - self._start >= (self._manner.seconds or LONGEST_SECONDS) - self._hair()

    def _hair(self) -> float:
        # Times tremble: a frame belongs to the tick that it is next to.
        return 0.5 / self._fps

    def _keep(self) -> None:
        assert self._new is not None
        new, self._new = self._new, None
        take = new.keep()
        self._wanted.popleft()
        self.kept.append(take)
        self.news.append(f"{take.path}  {new.frames} frames at {new.fps:.3g} fps")
        if not self._wanted:
            self.phase = "done"
            return
        # Where a key ends a take, a key begins the next one.
        self._begun = self._begun and self._manner.seconds is not None
        self._wait()

    def _repeat(self, why: str) -> None:
        self._throw_away()
        self.news.append(f"{self._wanted[0]}: torn in the middle, so this take is repeated ({why})")
        self._wait()

    def _throw_away(self) -> None:
        if self._new is not None:
            self._new.discard()
            self._new = None


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
