"""The live view of a terminal: one line per source, and above them each event as a lasting line."""

from collections.abc import Sequence
from time import monotonic
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text
from typing_extensions import Self

from seqvision_edge.names import printable
from seqvision_edge.notice import Notice, age, notice
from seqvision_edge.palette import colours, hexadecimal
from seqvision_edge.result import Event, clock
from seqvision_edge.step import Step

_REDRAWS_PER_SECOND = 12
_BAR = 20
_NAME = 24
_WARNING, _LOST = "yellow", "red"
# The colour of states that are on their way to something, and not of a fault.
_CALM = ("connecting", "ended")


class Terminal:
    """Keep a line per source up to date: label, probability, age, speed, or what is wrong with it.

    A thread draws them, so that a silent source's seconds go on and a slow terminal is waited for
    by nobody.
    """

    def __init__(
        self,
        labels: Sequence[str],
        background: str | None,
        sources: Sequence[str],
        console: Console | None = None,
    ) -> None:
        self._colours = colours(labels, background)
        self._width = max(map(len, (*labels, "warming up")))
        self._console = console or Console(highlight=False)
        self._lines = {source: _Line(source) for source in sources}
        self._name = min(_NAME, max(map(len, sources))) if len(sources) > 1 else 0
        self._live = Live(
            console=self._console,
            refresh_per_second=_REDRAWS_PER_SECOND,
            transient=True,
            get_renderable=self._view,
        )

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def write(self, step: Step) -> None:
        """Print the events that ended, and keep what the next drawing shows."""
        line = self._lines[step.source]
        for event in step.events:
            line.last = event
            self._console.print(self._event(step.source, event))
        line.take(step)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def _view(self) -> Group:
        now = monotonic()
        return Group(*(self._line(line, now) for line in self._lines.values()))

    def _line(self, line: "_Line", now: float) -> Text:
        step = line.step
        text = Text(style="dim", no_wrap=True, overflow="ellipsis")
        if self._name:
            text.append(_cut(step.source, self._name).ljust(self._name), style="not dim")
        else:
            text.append(f"{clock(line.time):>9}")
        words = notice(step.state, None if line.seen is None else now - line.seen)
        if words is not None:
            text.append_text(_told(words, step.state.state))
        else:
            text.append_text(self._answer(step))
            text.append(f"{step.fps:7.0f} fps")
            old = age(line.shown, now)
            text.append(f"{old:7.2f} s old" if old is not None else "")
            text.append(f"   {step.state.message}" if step.state.message else "", style=_WARNING)
            if line.last is not None:
                text.append(f"   last: {line.last.label} at {clock(line.last.start)}")
        # Room for the ^C that a terminal echoes: a wrapped line could not be wiped.
        text.truncate(self._console.width - 3, overflow="ellipsis")
        return text

    def _answer(self, step: Step) -> Text:
        """Return the answer in force; its bar shows how sure it is, or how full the window."""
        if not step.is_warm or not step.smoothed:
            return _bar("warming up", self._width, step.warmth, "grey62", "not dim")
        label = max(step.smoothed, key=step.smoothed.__getitem__)
        weight = "bold not dim" if step.active else "not dim"
        colour = hexadecimal(self._colours[label])
        return _bar(label, self._width, step.smoothed[label], colour, weight)

    def _event(self, source: str, event: Event) -> Text:
        colour = self._colours[event.label]
        line = Text(f"{clock(event.start):>9}  ", style="dim", no_wrap=True, overflow="ellipsis")
        line.append("● ", style=f"not dim {hexadecimal(colour)}")
        line.append(event.label.ljust(self._width), style="not dim bold")
        line.append(f"{event.confidence:6.0%}", style="not dim")
        line.append(f"  {event.seconds:.1f} s")
        if self._name:
            line.append(f"   {printable(source)}")
        return line


class _Line:
    """What is known of one source.

    `shown` is the newest step with a frame, `seen` when it came by the monotonic clock.
    """

    def __init__(self, source: str) -> None:
        self.step = self.shown = Step(source=source)
        self.seen: float | None = None
        self.time = 0.0
        self.last: Event | None = None

    def take(self, step: Step) -> None:
        if step.frame is not None:
            self.shown, self.seen, self.time = step, monotonic(), step.frame.time
        self.step = step


def _told(words: Notice, state: str) -> Text:
    colour = "grey62" if state in _CALM else _WARNING if state == "frozen" else _LOST
    text = Text("  ")
    text.append(f"○ {words.headline}", style=f"not dim {colour}")
    text.append(f"   {words.detail}" if words.detail else "")
    return text


def _bar(label: str, width: int, share: float, colour: str, weight: str) -> Text:
    """Return `label ━━━━━───── 62%`."""
    full = round(share * _BAR)
    text = Text()
    text.append("  " + label.ljust(width) + "  ", style=f"{weight} {colour}")
    text.append("━" * full, style=f"not dim {colour}")
    text.append("━" * (_BAR - full), style="grey30")
    text.append(f"{share:6.0%}", style="not dim")
    return text


def _cut(text: str, width: int) -> str:
    """Return the end of a name that is too long: paths and addresses differ there."""
    text = printable(text)
    return text if len(text) <= width else "…" + text[1 - width :]
