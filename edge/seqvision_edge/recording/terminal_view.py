"""Recording in a terminal: a line that changes, a line per take, and the keys."""

import contextlib
import os
import re
import sys
import threading
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text
from typing_extensions import Self

from seqvision_edge.background import backgrounds
from seqvision_edge.drawing import colours, hexadecimal
from seqvision_edge.frame import Frame
from seqvision_edge.recording.session import Command, Moment
from seqvision_edge.safe_console import SafeConsole
from seqvision_edge.sanitize import printable

_REDRAWS_PER_SECOND = 12
_BAR = 20

END = "\x04"

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

# What arrows and their like send: it begins as Escape does.
_SEQUENCE = re.compile(r"\x1b(\[[0-9;]*[A-Za-z~]|O.)")


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


"""What comes when nobody can press a key any more."""


class Keyboard:
    """A context in which keys come without Enter and are not echoed; Ctrl-C works as always.

    Of what is no terminal each line is a key: its first letter, or Enter where it is empty.
    """

    def __init__(self) -> None:
        self._keys: deque[str] = deque()
        self._is_terminal = sys.stdin is not None and sys.stdin.isatty()
        self._number = _number_of_stdin()
        self._rest = b""
        self._before: Any = None

    def __enter__(self) -> Self:
        if self._number is None:
            threading.Thread(target=self._read_lines, name="keys", daemon=True).start()
        elif self._is_terminal and sys.platform != "win32":
            import termios
            import tty

            self._before = termios.tcgetattr(self._number)
            tty.setcbreak(self._number)
        return self

    def pressed(self) -> list[str]:
        """Return the keys since the call before, `"\\n"` for Enter."""
        self._look()
        return [self._keys.popleft() for _ in range(len(self._keys))]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None and sys.platform != "win32":
            import termios

            assert self._number is not None
            termios.tcsetattr(self._number, termios.TCSADRAIN, self._before)

    def _look(self) -> None:
        if sys.platform == "win32":
            import msvcrt

            while self._is_terminal and msvcrt.kbhit():
                self._keys.append(msvcrt.getwch().replace("\r", "\n"))
            return
        import select

        while self._number is not None and select.select([self._number], [], [], 0)[0]:
            data = os.read(self._number, 64)
            if not data:
                self._keys.append(END)
                self._number = None
            elif self._is_terminal:
                self._keys.extend(_SEQUENCE.sub("", data.decode(errors="replace")))
            else:
                *lines, self._rest = (self._rest + data).split(b"\n")
                self._keys.extend(line.decode(errors="replace")[:1] or "\n" for line in lines)

    def _read_lines(self) -> None:
        """Read where the system cannot say whether something has come: on Windows, from a text."""
        with contextlib.suppress(OSError, ValueError):
            for line in sys.stdin or ():
                self._keys.append(line[0])
        self._keys.append(END)


def _number_of_stdin() -> int | None:
    """Return the file number of standard input where it can be asked whether something has come.

    A thread that waits for it would still wait at the end of the program, and Python dislikes that.
    """
    if sys.platform == "win32" and not (sys.stdin and sys.stdin.isatty()):
        return None
    try:
        return None if sys.stdin is None else sys.stdin.fileno()
    except (OSError, ValueError):
        return None
