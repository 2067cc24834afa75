"""What a person sees in the terminal, and what a pipe gets instead.

A terminal has one live line, with each event as a lasting line above it.  A pipe or file gets the
events alone, one per line: start, end (seconds), label and confidence, with tabs between.  The
summary goes to stderr, so that it is never taken for an event.
"""

import sys
from collections.abc import Sequence
from time import monotonic, perf_counter
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text
from typing_extensions import Self

from seqvision_edge.card import ModelCard
from seqvision_edge.palette import Colour, colours, hexadecimal
from seqvision_edge.result import Event, clock
from seqvision_edge.sinks import Sink
from seqvision_edge.step import Step

_REDRAWS_PER_SECOND = 12
_BAR = 20


def console(card: ModelCard) -> Sink:
    """Return the live line where stdout is a terminal, and plain lines where it is not."""
    if sys.stdout.isatty():
        return LiveLine(card.labels, card.decision.background)
    return PlainLines()


class PlainLines:
    """Print each event as `start  end  label  confidence`, tab-separated."""

    def __enter__(self) -> Self:
        self._tally = _Tally()
        return self

    def write(self, step: Step) -> None:
        """Print the events that ended."""
        self._tally.add(step)
        for event in step.events:
            line = f"{event.start:.2f}\t{event.end:.2f}\t{event.label}\t{event.confidence:.3f}"
            print(line, flush=True)  # noqa: T201

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tally.print()


class Answers:
    """Print the answer for each picture as `picture  label  probability`, tab-separated."""

    def __enter__(self) -> Self:
        self._tally = _Tally()
        return self

    def write(self, step: Step) -> None:
        """Print the picture's answer."""
        self._tally.add(step)
        answer = step.prediction
        if step.answered and answer is not None:
            picture = answer.image or f"{answer.time:.2f}"
            print(f"{picture}\t{answer.label}\t{answer.probability:.3f}", flush=True)  # noqa: T201

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tally.print(pictures=True)


class LiveLine:
    """Keep one line up to date: time, label, probability, speed and the last event."""

    def __init__(
        self, labels: Sequence[str], background: str | None, console: Console | None = None
    ) -> None:
        self._colours = colours(labels, background)
        self._width = max(map(len, (*labels, "warming up")))
        self._console = console or Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._drawn = 0.0
        self._last: Event | None = None

    def __enter__(self) -> Self:
        self._tally = _Tally()
        self._live.__enter__()
        return self

    def write(self, step: Step) -> None:
        """Print the events that ended, and draw the line anew a few times per second."""
        self._tally.add(step)
        for event in step.events:
            self._last = event
            self._console.print(_event_line(event, self._colours[event.label], self._width))
        now = monotonic()
        if step.frame is not None and now - self._drawn >= 1 / _REDRAWS_PER_SECOND:
            self._drawn = now
            self._live.update(self._line(step, step.frame.time), refresh=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, trace)
        self._tally.print()

    def _line(self, step: Step, time: float) -> Text:
        line = Text(f"{clock(time):>9}  ", style="dim", no_wrap=True, overflow="ellipsis", end="")
        line.append_text(self._answer(step))
        line.append(f"{step.fps:7.0f} fps", style="dim")
        if self._last is not None:
            line.append(f"   last: {self._last.label} at {clock(self._last.start)}", style="dim")
        # Room for the ^C that a terminal echoes: a wrapped line could not be wiped.
        line.truncate(self._console.width - 3, overflow="ellipsis")
        return line

    def _answer(self, step: Step) -> Text:
        """Return the answer in force; its bar shows how sure it is, or how full the window."""
        if not step.is_warm:
            return _bar("warming up", self._width, step.warmth, "grey62", "not dim")
        label = max(step.smoothed, key=step.smoothed.__getitem__)
        weight = "bold not dim" if step.active else "not dim"
        colour = hexadecimal(self._colours[label])
        return _bar(label, self._width, step.smoothed[label], colour, weight)


class _Tally:
    """Count the steps of a run, and print what they came to."""

    def __init__(self) -> None:
        self._began = perf_counter()
        self._frames = self._answers = self._events = 0
        self._last: Step | None = None

    def add(self, step: Step) -> None:
        self._frames += step.frame is not None
        self._answers += step.answered
        self._events += len(step.events)
        self._last = step

    def print(self, pictures: bool = False) -> None:
        if self._last is None:
            return
        seconds = perf_counter() - self._began
        if pictures:
            speed = f"{self._frames / seconds:.0f} per second"
            _say(" · ".join((_count(self._frames, "picture"), speed)))
            return
        counts = (_count(self._frames, "frame"), _count(self._answers, "answer"))
        speed = f"{self._frames / seconds:.0f} fps"
        _say(" · ".join((*counts, speed, _count(self._events, "event"))))
        answer = self._last.prediction
        if not self._events and answer is not None:
            short = "" if answer.warm else " (the clip is shorter than the model's window)"
            _say(f"last answer: {answer.label} {answer.probability:.0%}{short}")


def _event_line(event: Event, colour: Colour, width: int) -> Text:
    line = Text(f"{clock(event.start):>9}  ", style="dim", no_wrap=True, overflow="ellipsis")
    line.append("● ", style=f"not dim {hexadecimal(colour)}")
    line.append(event.label.ljust(width), style="not dim bold")
    line.append(f"{event.confidence:6.0%}", style="not dim")
    line.append(f"  {event.seconds:.1f} s")
    return line


def _bar(label: str, width: int, share: float, colour: str, weight: str) -> Text:
    """Return `label ━━━━━───── 62%`."""
    full = round(share * _BAR)
    text = Text()
    text.append("  " + label.ljust(width) + "  ", style=f"{weight} {colour}")
    text.append("━" * full, style=f"not dim {colour}")
    text.append("━" * (_BAR - full), style="grey30")
    text.append(f"{share:6.0%}", style="not dim")
    return text


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
