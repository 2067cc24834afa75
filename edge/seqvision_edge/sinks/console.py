"""Plain-text output without a terminal, the event list of a run, and its summary.

A pipe or file gets only the events, one per line: start, end (seconds), label and confidence,
tab-separated; with several sources, the source's name follows, and with regions that of the region.
The summary goes to stderr, so that it cannot be mistaken for an event.
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
from seqvision_edge.sinks.terminal import TerminalSink, Title
from seqvision_edge.types import Event


def console_sink(
    card: ModelCard, sources: Sequence[Title], decision: Decision, pictures: bool = False
) -> Sink:
    """Return the sink for stdout: the terminal view, or plain lines (one each for `pictures`).

    `sources` are the names of the sources, each with those of its regions.
    """
    if pictures:
        return SummarySink(PredictionLines(), pictures=True)
    if sys.stdout.isatty():
        may_be_unsure = decision.min_confidence > 0
        view: Sink = TerminalSink(
            card.labels, card.decision.background, sources, may_be_unsure=may_be_unsure
        )
    else:
        several = len({source for source, _ in sources}) > 1
        view = PlainLines(several, any(region for _, region in sources))
    return SummarySink(view, decision=decision)


class PlainLines:
    """Print each event as `start  end  label  confidence`, tab-separated."""

    def __init__(self, several: bool = False, regions: bool = False) -> None:
        """`several` appends the name of the source, `regions` that of the region."""
        self._several = several
        self._regions = regions

    def __enter__(self) -> Self:
        return self

    def write(self, step: Step) -> None:
        """Print the events that ended."""
        for event in step.events:
            line = f"{event.start:.2f}\t{event.end:.2f}\t{event.label}\t{event.confidence:.3f}"
            line += f"\t{printable(step.source)}" if self._several else ""
            line += f"\t{printable(event.view)}" if self._regions else ""
            print_text(line)

    def __exit__(self, *_: object) -> None:
        """Do nothing: no file is open."""


class PredictionLines:
    """Print the prediction of each picture as `picture  label  probability`, tab-separated.

    With regions that of each follows, with its name.  A last field, `unsure`, is added if the
    probability is below `decision.min_confidence`.
    """

    def __enter__(self) -> Self:
        return self

    def write(self, step: Step) -> None:
        """Print the picture's prediction."""
        for part in step.parts:
            answer = part.prediction
            if part.answered and answer is not None:
                picture = answer.image or f"{answer.time:.2f}"
                line = f"{printable(picture)}\t{answer.label}\t{answer.probability:.3f}"
                line += f"\t{printable(answer.view)}" if answer.view else ""
                print_text(f"{line}\tunsure" if answer.unsure else line)

    def __exit__(self, *_: object) -> None:
        """Do nothing: no file is open."""


class SummarySink:
    """Wrap a sink and print a summary of the run to stderr at the end."""

    def __init__(
        self, sink: Sink, pictures: bool = False, decision: Decision | None = None
    ) -> None:
        """`pictures` counts pictures instead of frames and events.

        With `decision`, the summary of a run without events explains which threshold was missed.
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
        """Count the step and pass it on."""
        self._frames += step.frame is not None and not step.frame.repeated
        self._events += len(step.events)
        for part in step.parts:
            self._add(part)
        self._sink.write(step)

    def _add(self, step: Step) -> None:
        self._answers += step.answered
        self._last[step.title] = step
        self._fullest[step.title] = max(step.window_fill, self._fullest.get(step.title, 0.0))
        if self._decision is not None and step.answered:
            for label, probability in step.smoothed.items():
                if label != self._decision.background:
                    self._best = max(self._best or (0.0, label), (probability, label))

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
            _print(" · ".join((_count(self._frames, "picture"), speed)))
            return
        counts = (_count(self._frames, "frame"), _count(self._answers, "answer"))
        speed = f"{self._frames / seconds:.0f} fps"
        _print(" · ".join((*counts, speed, _count(self._events, "event"))))
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
            _print(
                f"no event: the most probable was {label} with {probability:.0%}, and an event "
                f"begins at {decision.on_threshold:.0%} (--on-threshold {decision.on_threshold:g})"
            )
        elif decision.minimum_seconds:
            _print(
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
        _print(f"last answer{where}: {label} {answer.probability:.0%}{short}")


def _print(text: str) -> None:
    print_message(text)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


class EventList:
    """Collect all events in `events`, and the time of the last frame in `seconds`, for scoring."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def write(self, step: Step) -> None:
        """Collect the events that ended."""
        self.events.extend(step.events)
        if step.frame is not None:
            self.seconds = step.frame.time

    def __exit__(self, *_: object) -> None:
        """Do nothing: no file is open."""
