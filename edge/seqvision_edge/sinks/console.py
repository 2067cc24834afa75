"""Plain lines where there is no terminal, the events of a run, its summary.

A pipe or file gets the events alone, one per line: start, end (seconds), label and confidence, with
tabs between; of several sources, the source's name comes after them.  The summary goes to stderr,
so that it is never taken for an event.
"""

import sys
from collections.abc import Sequence
from time import perf_counter
from types import TracebackType

from typing_extensions import Self

from seqvision_edge.card import Decision, ModelCard
from seqvision_edge.command_line import print_message, print_text
from seqvision_edge.frame import Step
from seqvision_edge.overlay import unsure
from seqvision_edge.sanitize import printable
from seqvision_edge.sinks import Sink
from seqvision_edge.sinks.terminal import TerminalSink
from seqvision_edge.types import Event


def console(
    card: ModelCard, sources: Sequence[str], decision: Decision, pictures: bool = False
) -> Sink:
    """Return what suits stdout: the view of a terminal, or plain lines; `pictures` have answers."""
    if pictures:
        return Summed(Answers(), pictures=True)
    if sys.stdout.isatty():
        may_be_unsure = decision.min_confidence > 0
        view: Sink = TerminalSink(
            card.labels, card.decision.background, sources, may_be_unsure=may_be_unsure
        )
    else:
        view = PlainLines(several=len(sources) > 1)
    return Summed(view, decision=decision)


class PlainLines:
    """Print each event as `start  end  label  confidence`, tab-separated."""

    def __init__(self, several: bool = False) -> None:
        """`several` adds the name of the source."""
        self._several = several

    def __enter__(self) -> Self:
        return self

    def write(self, step: Step) -> None:
        """Print the events that ended."""
        for event in step.events:
            line = f"{event.start:.2f}\t{event.end:.2f}\t{event.label}\t{event.confidence:.3f}"
            print_text(f"{line}\t{printable(step.source)}" if self._several else line)

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""


class Answers:
    """Print the answer for each picture as `picture  label  probability`, tab-separated.

    A fourth field, `unsure`, ends the line of an answer that is below `decision.min_confidence`.
    """

    def __enter__(self) -> Self:
        return self

    def write(self, step: Step) -> None:
        """Print the picture's answer."""
        answer = step.prediction
        if step.answered and answer is not None:
            picture = answer.image or f"{answer.time:.2f}"
            line = f"{printable(picture)}\t{answer.label}\t{answer.probability:.3f}"
            print_text(f"{line}\tunsure" if answer.unsure else line)

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""


class Summed:
    """A sink, and at its end what its steps came to, on stderr."""

    def __init__(
        self, sink: Sink, pictures: bool = False, decision: Decision | None = None
    ) -> None:
        """`pictures` are counted instead of frames and events.

        With `decision`, a run without an event ends with what was missing for one.
        """
        self._sink = sink
        self._pictures = pictures
        self._decision = decision
        self._best: tuple[float, str] | None = None
        self._frames = self._answers = self._events = 0
        self._last: dict[str, Step] = {}
        self._fullest: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._began = perf_counter()
        self._sink.__enter__()
        return self

    def write(self, step: Step) -> None:
        """Count the step and hand it on."""
        self._frames += step.frame is not None and not step.frame.repeated
        self._answers += step.answered
        self._events += len(step.events)
        self._last[step.source] = step
        self._fullest[step.source] = max(step.window_fill, self._fullest.get(step.source, 0.0))
        if self._decision is not None and step.answered:
            for label, probability in step.smoothed.items():
                if label != self._decision.background:
                    self._best = max(self._best or (0.0, label), (probability, label))
        self._sink.write(step)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sink.__exit__(kind, error, trace)
        if not self._last:
            return
        seconds = perf_counter() - self._began
        if self._pictures:
            speed = f"{self._frames / seconds:.0f} per second"
            _say(" · ".join((_count(self._frames, "picture"), speed)))
            return
        counts = (_count(self._frames, "frame"), _count(self._answers, "answer"))
        speed = f"{self._frames / seconds:.0f} fps"
        _say(" · ".join((*counts, speed, _count(self._events, "event"))))
        for source, step in self._last.items():
            if not self._events or self._fullest[source] < 1:
                self._print_prediction(source, step)
        if not self._events and not any(step.active for step in self._last.values()):
            self._explain_no_event()

    def _explain_no_event(self) -> None:
        if self._decision is None or self._best is None:
            return
        probability, label = self._best
        decision = self._decision
        if probability < decision.on_threshold:
            _say(
                f"no event: the most probable was {label} with {probability:.0%}, and an event "
                f"begins at {decision.on_threshold:.0%} (--on-threshold {decision.on_threshold:g})"
            )
        elif decision.minimum_seconds:
            _say(
                f"no event: {label} reached {probability:.0%}, but not for "
                f"{decision.minimum_seconds:g} s (--minimum-seconds)"
            )

    def _print_prediction(self, source: str, step: Step) -> None:
        answer, fill = step.prediction, self._fullest[source]
        if answer is None:
            return
        short = ""
        if fill < 1:
            short = " (the model's window was never full)"
        if step.window_fill == fill < 1:
            short = f" (the clip is shorter than the model's window: it fills {fill:.0%})"
        where = f" of {printable(source)}" if len(self._last) > 1 else ""
        label = unsure(answer.label) if answer.unsure else answer.label
        _say(f"last answer{where}: {label} {answer.probability:.0%}{short}")


def _say(text: str) -> None:
    print_message(text)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


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
