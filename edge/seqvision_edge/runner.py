"""The main loop: sources → views (sampling, preprocess, stream, events), one model → sinks.

Each source is read in a thread of its own, so that a bad one never slows the others.  Of a live
source the newest frame wins: frames that were not processed in time are dropped and counted.  Of a
recorded one every frame is processed, a few of them read ahead while the model works.

An accelerator driver may hang.  onnxruntime is requested to stop such a call; if that has no effect
either, only ending the process helps.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from time import perf_counter
from typing import TypeVar

import onnxruntime as ort
from typing_extensions import Self

from seqvision_edge import interrupts
from seqvision_edge.card import Decision
from seqvision_edge.errors import SeqvisionError, SourceError
from seqvision_edge.frame import Frame, Step
from seqvision_edge.interrupts import DeferredSignals
from seqvision_edge.pipeline import preprocessed_frames
from seqvision_edge.pipeline.views import Request, Views, make_views
from seqvision_edge.regions import Region
from seqvision_edge.session import ModelOutput, Session, run_batch
from seqvision_edge.sinks import Idle, Quit, Sink
from seqvision_edge.sources.factory import Source
from seqvision_edge.types import Prediction, SourceState

# A prediction for a frame older than this many seconds is not reported as live.
MAX_AGE = 1.0
# Poll interval without frames: a window still has to be redrawn, and its keys read.
_IDLE_SECONDS = 0.25

# Enough to smooth out slow frames, few enough that 4K frames take little memory.
DEPTH = 4

Returned = TypeVar("Returned")

# Of one call.  The slowest device takes less for a batch of frames.
CALL_SECONDS = 20.0
# Seconds for a call to stop on request.
_MERCY_SECONDS = 3.0
_LOOKS = 10


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The results of a run, over all its sources.

    `prediction` is the last one: for a file that is one clip, the clip's.  `nonfinite` counts the
    discarded predictions, `damaged` the unreadable frames, `shed` the skipped ticks of the model's
    clock; `incomplete` lists what is missing from files, "clip.mp4: decoded 146 of 300 frames", and
    `failed` the sources that were given up, with the reason.
    """

    frames: int
    answers: int
    events: int
    seconds: float
    prediction: Prediction | None
    nonfinite: int
    damaged: int
    shed: int
    incomplete: tuple[str, ...]
    failed: tuple[str, ...]


def run(
    sources: Sequence[Source],
    session: Session,
    sinks: Sequence[Sink] = (),
    decision: Decision | None = None,
    max_age: float = MAX_AGE,
    call_seconds: float = CALL_SECONDS,
    stuck: Callable[[str], None] | None = None,
    regions: Mapping[str, Sequence[Region]] | None = None,
    when_moving: bool = False,
) -> RunSummary:
    """Run one model on its sources until all have ended, and pass every step to every sink.

    Args:
        sources: what to read, each in a thread of its own; closed here.
        session: the loaded model.
        sinks: the outputs; opened after the sources, and closed in any case.
        decision: how probabilities become events; None takes the card's.
        max_age: seconds after which the prediction for a live frame is too old to be reported.
        call_seconds: time limit of one call of the model.
        stuck: called, with one line, if a call that took longer cannot be stopped either.
        regions: those of each source, by its name; without any its view is the whole picture.
        when_moving: run the model on a picture or region only while something moves in it.

    Raises:
        CallFailed: the model failed, or took too long.
        SourceError: the only source cannot be read, or was lost.  One of several only fails.
        SinkError: an output cannot be opened.
        KeyboardInterrupt: Ctrl-C, after the sinks got the interrupted event.
    """
    began = perf_counter()
    tally = _Tally()
    cut_off: BaseException | None = None
    was_quit = False
    # An exception in the middle of threads and outputs would leave locks held and incomplete files.
    with DeferredSignals(), contextlib.ExitStack() as opened:
        for source in sources:
            opened.enter_context(source)
        outputs = [opened.enter_context(sink) for sink in sinks]
        interrupts.check()
        watchdog = opened.enter_context(Watchdog(session.where, call_seconds, stuck))
        views = [
            make_views(
                session,
                source,
                (regions or {}).get(source.name, ()),
                decision,
                max_age,
                lambda: perf_counter() - began,
                when_moving,
            )
            for source in sources
        ]

        running = dict(enumerate(views))

        def put_out(step: Step) -> None:
            tally.add(step)
            for output in outputs:
                output.write(step)

        try:
            with _reading(sources, views) as inbox:
                while (arrivals := inbox.take(_IDLE_SECONDS)) or arrivals is None:
                    interrupts.check()
                    if arrivals is None:
                        for output in outputs:
                            if isinstance(output, Idle):
                                output.idle()
                        continue
                    for step in _steps(session, watchdog, views, arrivals):
                        put_out(step)
                    for arrival in arrivals:
                        if arrival.ended:
                            last = _last_state(sources[arrival.source], arrival, len(sources) == 1)
                            put_out(running.pop(arrival.source).handle_state([last]))
        except Quit:
            was_quit = True
        except (KeyboardInterrupt, SourceError, CallFailed) as error:
            cut_off = error
        for each in running.values():
            put_out(each.end())
    if cut_off is not None:
        raise cut_off
    return tally.summary(perf_counter() - began, sources, views, was_quit)


@dataclass(frozen=True, slots=True)
class Arrival:
    """The new states of one source, and the frame after them, if any.

    Attributes:
        source: the number of the source.
        states: its state changes before the frame.
        frame: its next frame; of a live source the newest.
        ended: whether the source has ended.
        error: the error that ended it; None for a regular end.
    """

    source: int
    states: tuple[SourceState, ...]
    frame: Frame | None
    ended: bool
    error: BaseException | None


class Watchdog:
    """Watch calls, one at a time, from a thread of its own."""

    def __init__(self, where: str, seconds: float, stuck: Callable[[str], None] | None) -> None:
        """Store the settings.

        Args:
            where: the name of the model.
            seconds: time limit of one call.
            stuck: called, with one line, if a call cannot even be stopped.
        """
        self._where = where
        self._seconds = seconds
        self._stuck = stuck
        self._options = ort.RunOptions()
        self._options.log_severity_level = 4
        self._began: float | None = None
        self._is_late = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def call(self, work: Callable[[ort.RunOptions], Returned]) -> Returned:
        """Call the model with run options by which the call can be stopped.

        Raises:
            CallFailed: onnxruntime raised an error, or the call took too long.
        """
        self._began = time.monotonic()
        try:
            return work(self._options)
        except Exception as error:
            if self._is_late:
                raise CallFailed(f"{self._late}; it was stopped") from None
            if not type(error).__module__.startswith("onnxruntime"):
                raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise CallFailed(f"{self._where}: failed while it ran ({reason[:160]})") from None
        finally:
            self._began = None

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def _late(self) -> str:
        return f"{self._where}: a call took longer than {self._seconds:g} s"

    def _watch(self) -> None:
        while not self._over.wait(min(1.0, self._seconds / _LOOKS)):
            began = self._began
            if began is None:
                continue
            taken = time.monotonic() - began
            if taken > self._seconds and not self._is_late:
                self._is_late = True
                self._options.terminate = True
            if taken > self._seconds + _MERCY_SECONDS and self._stuck is not None:
                self._stuck(f"{self._late} and cannot be stopped")
                return


def _steps(
    session: Session, watchdog: Watchdog, views: Sequence[Views], arrivals: Sequence[Arrival]
) -> Iterator[Step]:
    """Yield the steps of the arrivals, with one call of the model for all views of their frames."""
    framed: list[tuple[Views, Frame, int]] = []
    requests: list[Request] = []
    for arrival in arrivals:
        own = views[arrival.source]
        if arrival.states:
            yield own.handle_state(arrival.states)
        if arrival.frame is not None:
            own_requests = own.requests(arrival.frame)
            framed.append((own, arrival.frame, len(own_requests)))
            requests += own_requests
    answers: Iterator[ModelOutput] = iter(())
    if requests:
        answers = iter(watchdog.call(lambda options: run_batch(session, requests, options)))
    for own, frame, count in framed:
        yield own.handle_outputs(frame, list(islice(answers, count)))


def _last_state(source: Source, arrival: Arrival, alone: bool) -> SourceState:
    """Return the final state of a source.

    Raises:
        BaseException: the error that ended it, unless it is a fault of one source among several.
    """
    error = arrival.error
    if error is None:
        incomplete = source.incomplete
        return SourceState("ended", "partial" if incomplete else "", incomplete or "")
    if alone or not isinstance(error, SourceError):
        raise error
    return SourceState("failed", "lost", str(error))


class Inbox:
    """Collect the frames of all source threads (`put`) for a single reader (`take`)."""

    def __init__(self, live: Sequence[bool]) -> None:
        """Begin empty; `live` is, for each source, whether its frames arrive in real time."""
        self._boxes = [_Box(each) for each in live]
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._taken = threading.Condition(self._lock)
        self._closed = False

    def put(self, source: int, item: Frame | SourceState) -> bool:
        """Add a frame or state of a source; return False when the reader has stopped.

        Waits while a recorded source is too far ahead.
        """
        box = self._boxes[source]
        with self._lock:
            while box.is_full and not self._closed:
                self._taken.wait()
            if self._closed:
                return False
            box.put(item)
            self._arrived.notify()
            return True

    def end(self, source: int, error: BaseException | None = None) -> None:
        """Record that a source has ended, and its error."""
        with self._lock:
            self._boxes[source].ended = True
            self._boxes[source].error = error
            self._arrived.notify()

    def take(self, seconds: float | None = None) -> list[Arrival] | None:
        """Wait for items, and return one arrival for each source that has any.

        Empty when all sources have ended and everything was taken; None after so many seconds
        without an item.
        """
        with self._lock:
            while not any(box.is_ready for box in self._boxes):
                if all(box.gone for box in self._boxes):
                    return []
                if not self._arrived.wait(seconds):
                    return None
            arrivals = [box.take(number) for number, box in enumerate(self._boxes) if box.is_ready]
            self._taken.notify_all()
            return arrivals

    def close(self) -> None:
        """Release every waiting `put`: the reader has stopped."""
        with self._lock:
            self._closed = True
            self._taken.notify_all()


@contextlib.contextmanager
def _reading(sources: Sequence[Source], views: Sequence[Views]) -> Iterator[Inbox]:
    """Read every source in a thread of its own; all have ended at the end of the block."""
    inbox = Inbox([source.live for source in sources])

    def read(number: int, source: Source) -> None:
        try:
            for item in preprocessed_frames(views[number], source):
                if not inbox.put(number, item):
                    return
        except BaseException as error:
            inbox.end(number, error)
        else:
            inbox.end(number)

    threads = [
        threading.Thread(target=read, args=each, name=f"read {each[1].name}", daemon=True)
        for each in enumerate(sources)
    ]
    for thread in threads:
        thread.start()
    try:
        yield inbox
    finally:
        inbox.close()
        for source in sources:
            source.stop()
        for thread in threads:
            thread.join()


class _Tally:
    """Count the steps of a run."""

    def __init__(self) -> None:
        self._frames = self._answers = self._events = 0
        self._prediction: Prediction | None = None
        self._failed: list[str] = []

    def add(self, step: Step) -> None:
        self._frames += step.frame is not None and not step.frame.repeated
        self._events += len(step.events)
        for part in step.parts:
            self._answers += part.answered
            self._prediction = part.prediction or self._prediction
        self._failed += [
            f"{step.source}: {state.message}" for state in step.changed if state.state == "failed"
        ]

    def summary(
        self,
        seconds: float,
        sources: Sequence[Source],
        views: Sequence[Views],
        was_quit: bool,
    ) -> RunSummary:
        missing = [(source.name, source.incomplete) for source in sources if not was_quit]
        return RunSummary(
            frames=self._frames,
            answers=self._answers,
            events=self._events,
            seconds=seconds,
            prediction=self._prediction,
            nonfinite=sum(each.nonfinite for each in views),
            damaged=sum(source.damaged for source in sources),
            shed=sum(each.shed for each in views),
            incomplete=tuple(f"{name}: {what}" for name, what in missing if what),
            failed=tuple(self._failed),
        )


@dataclass(slots=True)
class _Box:
    """The items of one source that have not been taken."""

    live: bool
    items: deque[Frame | SourceState] = field(default_factory=deque)
    ended: bool = False
    error: BaseException | None = None
    gone: bool = False

    @property
    def is_full(self) -> bool:
        return not self.live and len(self.items) >= DEPTH

    @property
    def is_ready(self) -> bool:
        return bool(self.items) or (self.ended and not self.gone)

    def put(self, item: Frame | SourceState) -> None:
        newer = self.live and isinstance(item, Frame) and self.items
        if newer and isinstance(self.items[-1], Frame):
            self.items.pop()
        self.items.append(item)

    def take(self, number: int) -> Arrival:
        """Return everything up to the next frame."""
        states: list[SourceState] = []
        frame: Frame | None = None
        while self.items and frame is None:
            item = self.items.popleft()
            if isinstance(item, Frame):
                frame = item
            else:
                states.append(item)
        self.gone = self.ended and not self.items
        return Arrival(number, tuple(states), frame, self.gone, self.error if self.gone else None)


class CallFailed(SeqvisionError):  # noqa: N818
    """The model failed, or took too long, while it ran."""
