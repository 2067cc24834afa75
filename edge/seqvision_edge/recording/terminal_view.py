"""Recording in a terminal: a live line, a line per take, and the keys."""

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

from seqvision_edge.background_label import backgrounds
from seqvision_edge.drawing import colours, hexadecimal
from seqvision_edge.frame import Frame
from seqvision_edge.recording.session import Command, RecordingStatus
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

# Arrow keys and the like send sequences that begin as Escape does.
_SEQUENCE = re.compile(r"\x1b(\[[0-9;]*[A-Za-z~]|O.)")


class TerminalView:
    """The terminal view of a session, which always exists; it reads keys too."""

    def __init__(
        self, labels: Sequence[str], console: Console | None = None, alone: bool = True
    ) -> None:
        """Show these labels; with `alone` there is no window that takes keys instead."""
        self._alone = alone
        background = next(iter(backgrounds(labels)), None)
        self._colours = {
            label: hexadecimal(colour) for label, colour in colours(labels, background).items()
        }
        self._width = max(map(len, map(printable, labels)), default=0)
        self._console = console or SafeConsole(stderr=True, highlight=False)
        self._keyboard = Keyboard()
        self._status: RecordingStatus | None = None
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
            self.print_line(HELP)
        return self

    def commands(self) -> list[Command]:
        """Return the commands since the last call."""
        pressed = (COMMANDS.get(key.lower()) for key in self._keyboard.pressed())
        return [each for each in pressed if each and (self._alone or each != "alone")]

    def show(self, status: RecordingStatus, frame: Frame | None) -> None:
        """Show this from now on; a pipe gets only the lines of `print_line`."""
        self._status = status

    def print_line(self, line: str) -> None:
        """Print a permanent line."""
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
        status = self._status
        if status is None:
            return text
        text.append(f"{status.done:>4}/{status.total}  ")
        text.append(
            printable(status.label).ljust(self._width),
            style=f"not dim bold {self._colours.get(status.label, '')}",
        )
        if status.phase == "recording":
            full = round(status.share * _BAR)
            text.append("  ● ", style="not dim bold red")
            text.append("━" * full, style="not dim red")
            text.append("━" * (_BAR - full) if status.share else "", style="grey30")
            text.append(f"{status.seconds:6.1f} s", style="not dim")
        else:
            text.append(f"  {words(status)}", style="not dim")
        if status.trouble:
            text.append(f"   {printable(status.trouble)}", style="not dim yellow")
        elif status.after:
            text.append(f"   then {printable(status.after)}")
        # Space for the ^C that a terminal echoes: a wrapped line could not be wiped.
        text.truncate(self._console.width - 3, overflow="ellipsis")
        return text


def words(status: RecordingStatus) -> str:
    """Return the text of the phase, readable from a distance."""
    if status.phase == "countdown":
        return f"in {status.seconds:.0f} …" if status.seconds >= 0.5 else "now"
    if status.phase == "ready":
        return "press Enter"
    if status.phase == "away":
        return "no picture"
    return "done" if status.phase == "done" else ""


"""The key at the end of the input."""


class Keyboard:
    """A context in which keys are read without Enter and without echo; Ctrl-C works as always.

    If the input is not a terminal each line is a key: its first character, or Enter if it is empty.
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
        """Return the keys since the last call, `"\\n"` for Enter."""
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
        """Read blocking, if the input cannot be polled: on Windows, and from a text stream."""
        with contextlib.suppress(OSError, ValueError):
            for line in sys.stdin or ():
                self._keys.append(line[0])
        self._keys.append(END)


def _number_of_stdin() -> int | None:
    """Return the file descriptor of standard input if it can be polled.

    A thread blocked on it would still wait at the end of the program, which Python cannot handle.
    """
    if sys.platform == "win32" and not (sys.stdin and sys.stdin.isatty()):
        return None
    try:
        return None if sys.stdin is None else sys.stdin.fileno()
    except (OSError, ValueError):
        return None
