"""Keys of the terminal, as they are pressed; lines where standard input is no terminal."""

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
    """A context in which keys come without Enter and are not echoed; Ctrl-C works as always."""

    def __init__(self) -> None:
        self._keys: deque[str] = deque()
        self._is_terminal = sys.stdin is not None and sys.stdin.isatty()
        self._before: Any = None

    def __enter__(self) -> Self:
        if not self._is_terminal:
            threading.Thread(target=self._read_lines, name="keys", daemon=True).start()
        elif sys.platform != "win32":
            import termios
            import tty

            self._before = termios.tcgetattr(sys.stdin.fileno())
            tty.setcbreak(sys.stdin.fileno())
        return self

    def pressed(self) -> list[str]:
        """Return the keys since the call before, `"\\n"` for Enter."""
        if self._is_terminal:
            self._look()
        keys = list(self._keys)
        self._keys.clear()
        return keys

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None and sys.platform != "win32":
            import termios

            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._before)

    def _look(self) -> None:
        if sys.platform == "win32":
            import msvcrt

            while msvcrt.kbhit():
                self._keys.append(msvcrt.getwch().replace("\r", "\n"))
            return
        import select

        number = sys.stdin.fileno()
        while select.select([number], [], [], 0)[0]:
            data = os.read(number, 64)
            if not data:
                self._keys.append(END)
                return
            self._keys.extend(_SEQUENCE.sub("", data.decode(errors="replace")))

    def _read_lines(self) -> None:
        """Take each line's first letter; an empty line is Enter."""
        try:
            for line in sys.stdin or ():
                self._keys.append(line[0])
        except (OSError, ValueError):
            pass
        self._keys.append(END)
