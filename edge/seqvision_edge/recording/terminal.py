"""What a terminal shows of a sitting: one line that changes, and a lasting line for each take."""

import threading
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text
from typing_extensions import Self

from seqvision_edge.background import backgrounds
from seqvision_edge.frame import Frame
from seqvision_edge.names import printable
from seqvision_edge.palette import colours, hexadecimal
from seqvision_edge.recording.keyboard import END, Keyboard
from seqvision_edge.recording.session import Command, Moment
from seqvision_edge.safe_console import SafeConsole

_REDRAWS_PER_SECOND = 12
_BAR = 20
COMMANDS: dict[str, Command] = {
    "\n": "go",
    "\r": "go",
    " ": "go",
    "r": "redo",
    "s": "skip",
    "q": "stop",
    "\x1b": "stop",
    END: "alone",
}
HELP = "Enter begins and pauses · r repeats · s puts off · q stops"


class TerminalView:
    """The view of a sitting that is always there; keys come from the terminal too."""

    def __init__(
        self, labels: Sequence[str], console: Console | None = None, alone: bool = True
    ) -> None:
        """Show these labels; `alone`: there is no window whose keys could be pressed instead."""
        self._alone = alone
        background = next(iter(backgrounds(labels)), None)
        self._colours = {
            label: hexadecimal(colour) for label, colour in colours(labels, background).items()
        }
        self._width = max(map(len, map(printable, labels)), default=0)
        self._console = console or SafeConsole(stderr=True, highlight=False)
        self._keyboard = Keyboard()
        self._moment: Moment | None = None
        self._drawing = threading.Lock()
        self._live = Live(
            console=self._console,
            refresh_per_second=_REDRAWS_PER_SECOND,
            transient=True,
            get_renderable=self._line,
        )

    def __enter__(self) -> Self:
        self._keyboard.__enter__()
        if self._console.is_terminal:
            self._live.__enter__()
            self.say(HELP)
        return self

    def commands(self) -> list[Command]:
        """Return what was asked for since the call before."""
        pressed = (COMMANDS.get(key.lower()) for key in self._keyboard.pressed())
        return [each for each in pressed if each and (self._alone or each != "alone")]

    def show(self, moment: Moment, frame: Frame | None) -> None:
        """Show this from now on; a pipe is told nothing but what `say` says."""
        self._moment = moment

    def say(self, line: str) -> None:
        """Print a line that stays."""
        text = Text(printable(line), no_wrap=self._console.is_terminal, overflow="ellipsis")
        self._console.print(text, soft_wrap=not self._console.is_terminal)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.__exit__(kind, error, trace)
        self._keyboard.__exit__(kind, error, trace)

    def _line(self) -> Text:
        text = Text(style="dim", no_wrap=True, overflow="ellipsis")
        moment = self._moment
        if moment is None:
            return text
        text.append(f"{moment.done:>4}/{moment.total}  ")
        text.append(
            printable(moment.label).ljust(self._width),
            style=f"not dim bold {self._colours.get(moment.label, '')}",
        )
        if moment.phase == "recording":
            full = round(moment.share * _BAR)
            text.append("  ● ", style="not dim bold red")
            text.append("━" * full, style="not dim red")
            text.append("━" * (_BAR - full) if moment.share else "", style="grey30")
            text.append(f"{moment.seconds:6.1f} s", style="not dim")
        else:
            text.append(f"  {words(moment)}", style="not dim")
        if moment.trouble:
            text.append(f"   {printable(moment.trouble)}", style="not dim yellow")
        elif moment.after:
            text.append(f"   then {printable(moment.after)}")
        # Room for the ^C that a terminal echoes: a wrapped line could not be wiped.
        text.truncate(self._console.width - 3, overflow="ellipsis")
        return text


def words(moment: Moment) -> str:
    """Return what a person is told of the phase, from afar."""
    if moment.phase == "countdown":
        return f"in {moment.seconds:.0f} …" if moment.seconds >= 0.5 else "now"
    if moment.phase == "ready":
        return "press Enter"
    if moment.phase == "away":
        return "no picture"
    return "done" if moment.phase == "done" else ""
