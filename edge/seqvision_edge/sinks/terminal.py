"""Live view in a terminal: one line per source, and above them each event as a permanent line."""

import os
from collections.abc import Mapping, Sequence
from time import monotonic
from types import TracebackType

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text
from typing_extensions import Self

from seqvision_edge.drawing import colours, hexadecimal
from seqvision_edge.frame import Step
from seqvision_edge.overlay import Notice, age, notice, unsure
from seqvision_edge.safe_console import SafeConsole
from seqvision_edge.sanitize import printable
from seqvision_edge.types import Event, clock

_REDRAWS_PER_SECOND = 12
_NAME = 24
# Widths of the parts of a line, in columns.
_CLOCK, _BAR, _SHORT_BAR, _PERCENT, _RATE, _AGE, _SHORTEST = 9, 20, 10, 6, 10, 12, 8
_ECHO, _LAST = 3, 16
_WARNING, _LOST = "yellow", "red"
# Each is set by a terminal that re-wraps lines: tmux, GNOME's and others of VTE, kitty, …
_WRAPPING = (
    "TMUX", "VTE_VERSION", "KITTY_WINDOW_ID", "ALACRITTY_WINDOW_ID", "WEZTERM_PANE",
    "KONSOLE_VERSION", "TERM_PROGRAM", "WT_SESSION",
)  # fmt: skip
# The colour of transitional states, which are no fault.
_CALM = ("connecting", "ended")


Title = tuple[str, str]
"""The name of a source, and that of a region of it; "" for the whole picture."""


class TerminalSink:
    """Keep a line per source up to date: label, probability, age, speed, or what is wrong with it.

    A thread draws the lines, so that the seconds of a silent source are counted on, and a slow
    terminal does not delay the run.
    """

    def __init__(
        self,
        labels: Sequence[str],
        background: str | None,
        sources: Sequence[Title],
        console: Console | None = None,
        may_be_unsure: bool = False,
    ) -> None:
        """Keep a line for each of `sources`: a source's name, and a region's or "".

        `may_be_unsure` reserves space for the mark of an unsure prediction.
        """
        self._colours = colours(labels, background)
        self._widest = max(map(cell_len, labels))
        most = [*labels, "warming up", *(unsure(label) for label in labels if may_be_unsure)]
        self._width = max(map(cell_len, most))
        self._console = console or SafeConsole(highlight=False)
        self._lines = {title: _SourceLine(title[0]) for title in sources}
        self._several = len({source for source, _ in sources}) > 1
        longest = max(cell_len(printable(self._shown(*title))) for title in sources)
        has_name = len(sources) > 1 or any(region for _, region in sources)
        self._name = min(_NAME, longest) if has_name else 0
        self._drawn: tuple[int, list[int]] = 0, []
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
        """Print the events that ended, and keep the step for the next redraw."""
        for event in step.events:
            line = self._lines[step.source, event.view]
            line.last = event
            self._console.print(self._event(self._shown(step.source, event.view), event))
        for part in step.parts:
            self._lines[part.source, part.view].take(part)

    def _shown(self, source: str, region: str) -> str:
        """Return the name of a line: with one source, its regions' alone."""
        if not region:
            return source
        return f"{source} · {region}" if self._several else region

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def _view(self) -> Group:
        now = monotonic()
        self._wipe_wrapped()
        lines = [self._line(line, now) for line in self._lines.values()]
        self._drawn = self._console.width, [line.cell_len for line in lines]
        return Group(*lines)

    def _wipe_wrapped(self) -> None:
        """Wipe the rows into which a narrower terminal has wrapped the lines.

        Only if it wraps them: otherwise the rows above are events.
        """
        before, lengths = self._drawn
        width = self._console.width
        if width >= before or not wraps_again(os.environ):
            return
        rows = sum(max(0, length - 1) // width for length in lengths)
        up = [(ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)] * rows
        if up:
            self._console.control(
                Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), *up)
            )

    def _line(self, line: "_SourceLine", now: float) -> Text:
        step = line.step
        text = Text(style="dim", no_wrap=True, overflow="ellipsis")
        if self._name:
            name = self._shown(step.source, step.view)
            text.append(_fitted(_cut(name, self._name), self._name), style="not dim")
        else:
            text.append(f"{clock(line.time):>{_CLOCK}}")
        words = notice(step.state, None if line.seen is None else now - line.seen)
        if words is not None:
            text.append_text(_notice_text(words, step.state.state))
        else:
            text.append_text(self._answer(step))
            old = age(line.shown, now)
            for part, style, least in (
                (f"{step.fps:{_RATE - 4}.0f} fps", "", _RATE),
                (f"{old:{_AGE - 6}.2f} s old" if old is not None else "", "", _AGE),
                (printable(f"   {step.state.message}"), _WARNING, _LAST),
                (_last(line.last), "", _LAST),
            ):
                # A part that does not fit is left out as a whole.
                if part.strip() and text.cell_len + least <= self._console.width - _ECHO:
                    text.append(part, style=style)
        # A line that wraps could not be wiped.
        text.truncate(self._console.width - _ECHO, overflow="ellipsis")
        return text

    def _answer(self, step: Step) -> Text:
        """Return the current prediction; the bar shows its probability, or the window's fill."""
        width, bar = self._columns(step)
        if not step.window_full or not step.ranked:
            words, share = (
                ("no answer", 0.0) if step.window_full else ("warming up", step.window_fill)
            )
            if step.is_quiet:
                words, share = "quiet", 0.0
            return _bar(words, width, bar, share, "grey62", "not dim")
        label, share = step.ranked[0]
        if step.is_unsure:
            return _bar(unsure(label), width, bar, share, "grey62", "not dim")
        weight = "bold not dim" if step.active else "not dim"
        return _bar(label, width, bar, share, hexadecimal(self._colours[label]), weight)

    def _columns(self, step: Step) -> tuple[int, int]:
        """Return the widths of a label and of its bar, shrunk to leave space for what follows.

        The last columns of the line stay free for the ^C that a terminal echoes.
        """
        is_live = step.frame is not None and step.frame.arrived is not None
        taken = (self._name or _CLOCK) + 4 + _PERCENT + _RATE + (_AGE if is_live else 0)
        room = self._console.width - _ECHO - taken
        bar = _BAR if room - _BAR >= self._width else _SHORT_BAR
        return max(_SHORTEST, min(self._width, room - bar)), bar

    def _event(self, source: str, event: Event) -> Text:
        colour = self._colours[event.label]
        line = Text(f"{clock(event.start):>{_CLOCK}}  ", style="dim", no_wrap=True)
        line.append("● ", style=f"not dim {hexadecimal(colour)}")
        numbers = f"{event.confidence:{_PERCENT}.0%}", f"  {event.seconds:.1f} s"
        origin = f"   {_cut(source, self._name)}" if self._name else ""
        taken = _CLOCK + 4 + sum(map(cell_len, (*numbers, origin)))
        width = max(_SHORTEST, min(self._widest, self._console.width - 1 - taken))
        line.append(_fitted(event.label, width), style="not dim bold")
        line.append(numbers[0], style="not dim")
        line.append(numbers[1] + origin)
        line.truncate(self._console.width - 1, overflow="ellipsis")
        return line


def wraps_again(environment: Mapping[str, str]) -> bool:
    """Return whether the terminal re-wraps existing lines when its width changes.

    xterm, GNU screen and the Linux console cut it off instead.
    """
    return "STY" not in environment and any(name in environment for name in _WRAPPING)


class _SourceLine:
    """The latest data of one source.

    `shown` is the newest step with a frame, `seen` its arrival by the monotonic clock.
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


def _notice_text(words: Notice, state: str) -> Text:
    colour = "grey62" if state in _CALM else _WARNING if state == "frozen" else _LOST
    text = Text("  ")
    text.append(f"○ {words.headline}", style=f"not dim {colour}")
    text.append(f"   {words.detail}" if words.detail else "")
    return text


def _bar(label: str, width: int, bar: int, share: float, colour: str, weight: str) -> Text:
    """Return `label ━━━━━───── 62%`: label in `width` columns, bar in `bar` columns, percentage."""
    full = round(share * bar)
    text = Text()
    text.append(f"  {_fitted(label, width)}  ", style=f"{weight} {colour}")
    text.append("━" * full, style=f"not dim {colour}")
    text.append("━" * (bar - full), style="grey30")
    text.append(f"{share:{_PERCENT}.0%}", style="not dim")
    return text


def _last(event: Event | None) -> str:
    return "" if event is None else f"   last: {printable(event.label)} at {clock(event.start)}"


def _fitted(text: str, width: int) -> str:
    """Return a text padded or cut to so many columns: CJK letters take two."""
    text = printable(text)
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(set_cell_size(text, width - 1).rstrip() + "…", width)


def _cut(text: str, width: int) -> str:
    """Return the end of a name that is too long: paths and addresses differ there."""
    text = printable(text)
    if cell_len(text) <= width:
        return text
    while cell_len(text) > width - 1:
        text = text[1:]
    return f"…{text}"
