"""Keys of the terminal, as they are pressed; lines where standard input is no terminal."""

import contextlib
import os
import re
import sys
import threading
from collections import deque
from types import TracebackType
from typing import Any

from typing_extensions import Self

# What arrows and their like send: it begins as Escape does.
_SEQUENCE = re.compile(r"\x1b(\[[0-9;]*[A-Za-z~]|O.)")
END = "\x04"
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
