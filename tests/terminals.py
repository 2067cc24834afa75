"""A program on a real pseudo-terminal, and the screen that a person would see there.

`pexpect` runs the program, `pyte` draws what it prints.  A thread reads all the time, so a program
never waits for a test that looks away.
"""

import os
import re
import select
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pexpect
import pyte

SIZES: Final = ((80, 24), (120, 40))
"""Columns and rows of the terminals on which commands are tried."""

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]")
_UNSET = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


class Terminal:
    """Run `command` on a terminal of `columns` x `rows`; as a context manager, end it afterwards.

    `env` is added to this process's variables; a value of None removes one.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        columns: int = 80,
        rows: int = 24,
        cwd: str | Path | None = None,
        env: Mapping[str, str | None] | None = None,
    ) -> None:
        variables: dict[str, str] = {k: v for k, v in os.environ.items() if k not in _UNSET}
        changes = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(env or {})}
        variables |= {name: value for name, value in changes.items() if value is not None}
        for name, value in changes.items():
            if value is None:
                variables.pop(name, None)
        self._printed = bytearray()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._screen = pyte.HistoryScreen(columns, rows, history=100_000, ratio=0.5)
        self._stream = pyte.ByteStream(self._screen)
        program, *arguments = (str(word) for word in command)
        self._child = pexpect.spawn(
            program,
            arguments,
            cwd=None if cwd is None else str(cwd),
            env=variables,  # type: ignore[arg-type]  # typeshed means os._Environ
            dimensions=(rows, columns),
        )
        self._child.delaybeforesend = None
        self._child.delayafterclose = self._child.delayafterterminate = 0.0
        self.pid: int = self._child.pid
        self.columns = columns
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def screen(self) -> list[str]:
        """Return the lines that are visible now, without blanks at their ends."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    @property
    def lines(self) -> list[str]:
        """Return the lines that scrolled away, and the visible ones down to the last filled one."""
        with self._lock:
            above = [_text_of(line, self._screen.columns) for line in self._screen.history.top]
            visible = [line.rstrip() for line in self._screen.display]
        while visible and not visible[-1]:
            visible.pop()
        return above + visible

    @property
    def raw(self) -> str:
        """Return every character printed so far, escape sequences too."""
        with self._lock:
            return self._printed.decode(errors="replace")

    @property
    def text(self) -> str:
        """Return all that was printed so far, without escape sequences, lines ending in `\\n`."""
        return _ESCAPES.sub("", self.raw).replace("\r\n", "\n")

    def wait_for(self, pattern: str, timeout: float = 60.0) -> re.Match[str]:
        """Return the first match in what was printed or is visible; fail if none comes in time."""
        seen = re.compile(pattern, re.MULTILINE)
        end = time.monotonic() + timeout
        while True:
            ended = not self._reader.is_alive()
            for text in (self.text, "\n".join(self.screen)):
                if found := seen.search(text):
                    return found
            if ended or time.monotonic() > end:
                why = "the program ended" if ended else f"{timeout:g} s passed"
                raise AssertionError(f"{why} without {pattern!r}; its terminal:\n{self._seen()}")
            time.sleep(0.02)

    def press(self, keys: str) -> None:
        """Type keys, as their characters: `"q"`, `"\\r"`, `"\\x1b[A"`."""
        self._child.send(keys)

    def interrupt(self) -> None:
        """Press Ctrl-C: the terminal signals every process in its foreground."""
        self._child.sendintr()

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; its processes get SIGWINCH."""
        self.columns = columns
        with self._lock:
            self._screen.resize(rows, columns)
        self._child.setwinsize(rows, columns)

    def wait_exit(self, timeout: float = 60.0) -> int:
        """Return the exit code (-n after signal n); fail with the screen if it still runs."""
        end = time.monotonic() + timeout
        while self._child.isalive():
            if time.monotonic() > end:
                raise AssertionError(f"still running after {timeout:g} s:\n{self._seen()}")
            time.sleep(0.02)
        self._reader.join(5.0)
        if self._child.exitstatus is not None:
            return int(self._child.exitstatus)
        return -int(self._child.signalstatus or 0)

    def processes(self) -> list[int]:
        """Return the ids of the processes of this terminal that still run, children too."""
        return [pid for pid in _running() if _session_of(pid) == self.pid]

    def close(self) -> None:
        """End every process of this terminal, and the terminal."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._closing.set()
        self._reader.join()
        self._child.close(force=True)

    def _read(self) -> None:
        # Not pexpect's own reading: that also waits for the child, as the test's thread does.
        terminal = self._child.child_fd
        while not self._closing.is_set():
            if not select.select([terminal], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(terminal, 65536)
            except OSError:  # EIO: the other end is closed
                return
            if not data:
                return
            with self._lock:
                self._printed += data
                self._stream.feed(data)

    def _seen(self) -> str:
        return "\n".join(f"| {line}" for line in self.lines)


def _text_of(line: Mapping[int, Any], columns: int) -> str:
    return "".join(line[column].data for column in range(columns)).rstrip()


def _running() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _session_of(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[3])
