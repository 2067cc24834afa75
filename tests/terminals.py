"""A program on a real pseudo-terminal, and the screen that a person would see there.

`pexpect` runs the program, `pyte` draws what it prints.  A thread reads all the time, so a program
never waits for a test that looks away.
"""

import fcntl
import os
import re
import select
import signal
import struct
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pexpect
import pyte
from preloaded import Preloaded, edge_code

SIZES: Final = ((80, 24), (120, 40))
"""Columns and rows of the terminals on which commands are tried."""

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]")
_UNSET = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


class Terminal:
    """Run `command` on a terminal of `columns` x `rows`; as a context manager, end it afterwards.

    `env` is added to this process's variables; a value of None removes one.  With `code`, that runs
    in a `Preloaded` process, and the words of `command` are only its `sys.argv`; so does a command
    of the edge package, where `edge_code` allows it.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        columns: int = 80,
        rows: int = 24,
        cwd: str | Path | None = None,
        env: Mapping[str, str | None] | None = None,
        code: str | None = None,
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
        self._taken = 0  # readings
        self._reading = True
        self._screen = pyte.HistoryScreen(columns, rows, history=100_000, ratio=0.5)
        self._stream = pyte.ByteStream(self._screen)
        words = [str(word) for word in command]
        where = Path.cwd() if cwd is None else cwd
        kind = "training"
        own = {name: value for name, value in (env or {}).items() if value is not None}
        if code is None and (edge := edge_code(words, os.environ | own)) is not None:
            (words, code), kind = edge, "edge"
        self._child: pexpect.spawn | _Forked
        if code is None:
            self._child = pexpect.spawn(
                words[0],
                words[1:],
                cwd=str(where),
                env=variables,  # type: ignore[arg-type]  # typeshed means os._Environ
                dimensions=(rows, columns),
            )
            self._child.delaybeforesend = None
            self._child.delayafterclose = self._child.delayafterterminate = 0.0
        else:
            self._child = _Forked(words, code, where, variables, (rows, columns), kind)
        _keep_output(self._child.child_fd)
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

    def wait_for(self, pattern: str, timeout: float = 120.0) -> re.Match[str]:
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

    def wait_exit(self, timeout: float = 120.0) -> int:
        """Return the exit code (-n after signal n); fail with the screen if it still runs."""
        end = time.monotonic() + timeout
        while self._child.isalive():
            if time.monotonic() > end:
                raise AssertionError(f"still running after {timeout:g} s:\n{self._seen()}")
            time.sleep(0.02)
        self._read_to_the_end()
        if self._child.exitstatus is not None:
            return int(self._child.exitstatus)
        return -int(self._child.signalstatus or 0)

    def _read_to_the_end(self, quiet: float = 10.0) -> None:
        """Wait until all that was printed is on the screen.

        A process that stays behind keeps the terminal open; then there is nothing to read.
        """
        last, seen = time.monotonic(), -1
        while self._reader.is_alive():
            if self._taken > seen:
                last, seen = time.monotonic(), self._taken
            elif time.monotonic() > last + quiet and not self._reading:
                return
            self._reader.join(0.05)

    def processes(self) -> list[int]:
        """Return the ids of the processes of this terminal that still run, children too."""
        return [pid for pid in _running() if _session_of(pid) == self.pid]

    def left_behind(self, seconds: float = 10.0) -> list[int]:
        """Return the processes that still run some time after the program has ended.

        A child that ends with its parent does so a moment later.
        """
        until = time.monotonic() + seconds
        while (found := self.processes()) and time.monotonic() < until:
            time.sleep(0.02)
        return found

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
            self._reading = bool(select.select([terminal], [], [], 0.1)[0])
            if not self._reading:
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
            self._taken += 1

    def _seen(self) -> str:
        return "\n".join(f"| {line}" for line in self.lines)


class _Forked:
    """A `Preloaded` process on a terminal, with what is used here of `pexpect.spawn`."""

    def __init__(
        self, argv: list[str], code: str, cwd: str | Path, env: Mapping[str, str],
        size: tuple[int, int], kind: str,
    ) -> None:  # fmt: skip
        self.child_fd, other = os.openpty()
        self.setwinsize(*size)
        files = (other, other, other)
        self._process = Preloaded(argv, code, cwd, env, files, on_terminal=True, kind=kind)
        os.close(other)
        self.pid = self._process.pid

    @property
    def exitstatus(self) -> int | None:
        status = self._process.poll()
        return None if status is None or status < 0 else status

    @property
    def signalstatus(self) -> int | None:
        status = self._process.poll()
        return None if status is None or status >= 0 else -status

    def isalive(self) -> bool:
        return self._process.poll() is None

    def send(self, keys: str) -> None:
        os.write(self.child_fd, keys.encode())

    def sendintr(self) -> None:
        self.send("\x03")

    def setwinsize(self, rows: int, columns: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.child_fd, termios.TIOCSWINSZ, size)

    def close(self, force: bool) -> None:
        os.close(self.child_fd)


def _keep_output(terminal: int) -> None:
    """Let Ctrl-C discard nothing: else the system drops what was printed and is not read yet.

    A test that waits for a word and interrupts would lose the rest of its line, now and then.
    """
    attributes = termios.tcgetattr(terminal)
    attributes[3] |= termios.NOFLSH
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)


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
