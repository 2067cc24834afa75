"""THE WAY: sources → pipelines (sampler, preprocess, stream, decision), one model → sinks."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

from seqvision_edge import interrupts
from seqvision_edge.batch import Answer, Frames, run_batch
from seqvision_edge.card import Decision
from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame
from seqvision_edge.inbox import Arrival, Inbox
from seqvision_edge.interrupts import Held
from seqvision_edge.pipeline import Pipeline, make_pipeline, preprocessed_frames
from seqvision_edge.result import Prediction, SourceState
from seqvision_edge.session import Session
from seqvision_edge.sinks import Idle, Quit, Sink
from seqvision_edge.sources import Source
from seqvision_edge.step import Step
from seqvision_edge.watchdog import CALL_SECONDS, CallFailed, Watchdog

# An answer for a frame that is older than this many seconds is not told as live.
MAX_AGE = 1.0
# While nothing comes, a window still wants to be drawn, and its keys to be read.
_IDLE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run came to, over all its sources.

    `prediction` is the last answer: for a file that is one clip, the clip's.  `nonfinite` counts
    the answers that were thrown away, `damaged` the frames that could not be read, `shed` the ticks
    of the model's clock that it had no time for; `incomplete` says what is missing from files,
    "clip.mp4: decoded 146 of 300 frames", and `failed` which sources were given up, and why.
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
) -> RunSummary:
    """Run one model on its sources until all have ended, and hand every step to every sink.

    Args:
        sources: what to read, each by a thread of its own; closed here.
        session: the loaded model.
        sinks: where the steps go; opened after the sources, and closed whatever happens.
        decision: how answers become events; None takes the card's way.
        max_age: seconds after which the answer for a live frame is too old to be told.
        call_seconds: that one call of the model may take.
        stuck: called, with one line, where a call that took longer cannot be stopped either.

    Raises:
        CallFailed: the model failed, or took too long.
        SourceError: the only source cannot be read, or was lost.  One of several only fails.
        SinkError: an output cannot be opened.
        KeyboardInterrupt: as it came, after the sinks have got the event that it cut off.
    """
    began = perf_counter()
    tally = _Tally()
    cut_off: BaseException | None = None
    was_quit = False
    # An exception in the middle of threads and outputs would leave locks taken and files torn.
    with Held(), contextlib.ExitStack() as opened:
        for source in sources:
            opened.enter_context(source)
        outputs = [opened.enter_context(sink) for sink in sinks]
        interrupts.check()
        watchdog = opened.enter_context(Watchdog(session.where, call_seconds, stuck))
        pipelines = [
            make_pipeline(session, source, decision, max_age, lambda: perf_counter() - began)
            for source in sources
        ]

        running = dict(enumerate(pipelines))

        def put_out(step: Step) -> None:
            tally.add(step)
            for output in outputs:
                output.write(step)

        try:
            with _reading(sources, pipelines) as inbox:
                while (arrivals := inbox.take(_IDLE_SECONDS)) or arrivals is None:
                    interrupts.check()
                    if arrivals is None:
                        for output in outputs:
                            if isinstance(output, Idle):
                                output.idle()
                        continue
                    for step in _steps(session, watchdog, pipelines, arrivals):
                        put_out(step)
                    for arrival in arrivals:
                        if arrival.ended:
                            last = _last_state(sources[arrival.source], arrival, len(sources) == 1)
                            put_out(running.pop(arrival.source).handle_state([last]))
        except Quit:
            was_quit = True
        except (KeyboardInterrupt, SourceError, CallFailed) as error:
            cut_off = error
        for pipeline in running.values():
            put_out(pipeline.end())
    if cut_off is not None:
        raise cut_off
    return tally.summary(perf_counter() - began, sources, pipelines, was_quit)


def _steps(
    session: Session,
    watchdog: Watchdog,
    pipelines: Sequence[Pipeline],
    arrivals: Sequence[Arrival],
) -> Iterator[Step]:
    """Yield what the arrivals brought, with one call of the model for all of their frames."""
    framed: list[tuple[Pipeline, Frame, Frames | None]] = []
    for arrival in arrivals:
        pipeline = pipelines[arrival.source]
        if arrival.states:
            yield pipeline.handle_state(arrival.states)
        if arrival.frame is not None:
            framed.append((pipeline, arrival.frame, pipeline.model_input(arrival.frame)))
    requests = [(pipeline.stream, frames) for pipeline, _, frames in framed if frames is not None]
    answers: Iterator[Answer] = iter(())
    if requests:
        answers = iter(watchdog.call(lambda options: run_batch(session, requests, options)))
    for pipeline, frame, frames in framed:
        probabilities = next(answers) if frames is not None else None
        yield pipeline.handle_output(frame, probabilities, inferred=frames is not None)


def _last_state(source: Source, arrival: Arrival, alone: bool) -> SourceState:
    """Return the state that a source has ended in.

    Raises:
        BaseException: what ended it, unless it is a fault of one source among several.
    """
    error = arrival.error
    if error is None:
        incomplete = source.incomplete
        return SourceState("ended", "partial" if incomplete else "", incomplete or "")
    if alone or not isinstance(error, SourceError):
        raise error
    return SourceState("failed", "lost", str(error))


@contextlib.contextmanager
def _reading(sources: Sequence[Source], pipelines: Sequence[Pipeline]) -> Iterator[Inbox]:
    """Read every source in a thread of its own; all have ended at the end of the block."""
    inbox = Inbox([source.live for source in sources])

    def read(number: int, source: Source) -> None:
        try:
            for item in preprocessed_frames(pipelines[number], source):
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
        self._answers += step.answered
        self._events += len(step.events)
        self._prediction = step.prediction or self._prediction
        self._failed += [
            f"{step.source}: {state.message}" for state in step.changed if state.state == "failed"
        ]

    def summary(
        self,
        seconds: float,
        sources: Sequence[Source],
        pipelines: Sequence[Pipeline],
        was_quit: bool,
    ) -> RunSummary:
        missing = [(source.name, source.incomplete) for source in sources if not was_quit]
        return RunSummary(
            frames=self._frames,
            answers=self._answers,
            events=self._events,
            seconds=seconds,
            prediction=self._prediction,
            nonfinite=sum(pipeline.stream.nonfinite for pipeline in pipelines),
            damaged=sum(source.damaged for source in sources),
            shed=sum(pipeline.shed for pipeline in pipelines),
            incomplete=tuple(f"{name}: {what}" for name, what in missing if what),
            failed=tuple(self._failed),
        )
