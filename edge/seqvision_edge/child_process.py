"""A small child process with limits, for untrusted input that may crash it.

The parent starts a module's `main()` with a task; the child limits itself, processes what the
parent writes to its standard input, and replies in JSON lines.  Nothing is unpickled, so a child
that a file has taken over can only send wrong replies.

A child does not import the program that starts it, in particular not its main module.  It ends with
its parent.  Without resource limits (Windows) or a Python interpreter there is no child
(`can_start`); if there can be one and it fails to start, nothing is read without it.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Final

from seqvision_edge.errors import SeqvisionError

# Seconds: startup; poll interval of a waiting parent.
_START = 30.0
LOOK: Final = 0.1
_READY = "ready"
_NONSENSE = "nonsense"
_PART = 1 << 16
# Largest number in a reply.
_LARGEST = 1 << 53
_LONGEST_WAIT = 3600.0


Kind = type[Any] | UnionType


class Died(SeqvisionError):  # noqa: N818
    """The child has ended without a reply, or sent an invalid one; the text is the reason."""


class Child:
    """A running child, seen from its parent."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._rest = b""
        self._lock = threading.Lock()
        # A child that does not read must not block its parent.
        os.set_blocking(self._stdin.fileno(), False)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def send(self, content: bytes, check: Callable[[], None] = lambda: None) -> None:
        """Write to its standard input; a dead child is detected by the missing reply.

        Args:
            content: bytes.
            check: called while the child does not accept them all; if it raises, writing ends.
        """
        left = memoryview(content)
        while left:
            try:
                with self._lock:
                    left = left[self._stdin.write(left) or 0 :]
                if left:
                    _wait(self._stdin.fileno(), select.POLLOUT, LOOK)
            except (OSError, ValueError):
                return
            if left:
                check()

    def close_input(self) -> None:
        """Close its standard input."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stdin.close()

    def receive(self, seconds: float) -> list[Any]:
        """Return its next reply.

        Raises:
            TimeoutError: none within `seconds`.
            Died: it has ended, or sent an invalid reply.
        """
        until = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = max(0.0, until - time.monotonic())
            if not _wait(self._stdout.fileno(), select.POLLIN, left):
                if left > _LONGEST_WAIT:
                    continue
                raise TimeoutError
            part = os.read(self._stdout.fileno(), _PART)
            if not part:
                raise Died(self._ending())
            if len(self._rest) > _PART:
                raise Died(_NONSENSE)
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, list) or not answer or not isinstance(answer[0], str):
            raise Died(_NONSENSE)
        return answer

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._stdin, self._stdout):
            with self._lock, contextlib.suppress(OSError, ValueError):
                pipe.close()

    def _ending(self) -> str:
        self._process.kill()
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return "SIGKILL, as where the system has too little memory"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def fields(answer: list[Any], *kinds: Kind) -> list[Any]:
    """Return the values after a reply's first word, checked for these types; numbers are bounded.

    Raises:
        Died: it has other values, or another number of them.
    """
    values = answer[1:]
    if len(values) != len(kinds) or not all(map(_is_of, values, kinds)):
        raise Died(_NONSENSE)
    return values


def _is_of(value: Any, kind: Kind) -> bool:
    if kind not in {int, float}:
        return isinstance(value, kind)
    is_number = isinstance(value, int if kind is int else (int, float))
    return is_number and not isinstance(value, bool) and abs(value) <= _LARGEST


def can_start() -> bool:
    """Return whether a child is possible: there is a Python interpreter, and limits."""
    frozen = getattr(sys, "frozen", False)  # the interpreter would be the program itself
    is_there = bool(sys.executable) and Path(sys.executable).is_file()
    return os.name == "posix" and is_there and not frozen


def start_child(module: str, task: dict[str, Any], files: Sequence[int] = ()) -> Child:
    """Start a module's `main()` and wait until it is ready; only if `can_start`.

    Args:
        module: its full name; its imports determine the startup time.
        task: the value of `task()` in the child.
        files: file descriptors that it inherits.

    Raises:
        Died: it could not be started.
    """
    paths = [str(Path(__file__).parents[1]), *filter(None, sys.path)]
    start = f"import sys; sys.path[:] = {paths!r}; import {module} as child; child.main()"
    try:
        process = subprocess.Popen(
            # Without `site` it starts faster; the paths are those of this process.
            [sys.executable, "-S", "-c", start, json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            pass_fds=files,
            # Only this process handles Ctrl-C; it ends the child.
            start_new_session=True,
        )
    except OSError as error:
        raise could_not_start(error.strerror or str(error)) from None
    child = Child(process)
    try:
        if child.receive(_START) != [_READY]:
            raise Died(_NONSENSE)
    except TimeoutError:
        child.end()
        raise could_not_start(f"not ready within {_START:g} s") from None
    except Died as ending:
        child.end()
        raise could_not_start(str(ending)) from None
    except BaseException:
        child.end()
        raise
    return child


def could_not_start(reason: str) -> Died:
    """Return the error for a child that fails to start."""
    return Died(f"could not be started ({reason})")


def _wait(descriptor: int, event: int, seconds: float) -> bool:
    """Wait until a descriptor, of any number, can be read or written, or is closed."""
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(1000 * min(seconds, _LONGEST_WAIT)))


# ---- the child's side ----


def task() -> dict[str, Any]:
    """Return the task from the parent; the first call in a child."""
    with contextlib.suppress(OSError, AttributeError):
        _die_with_parent()
    given: dict[str, Any] = json.loads(sys.argv[1])
    return given


def begin(memory: int, seconds: float | None = None) -> None:
    """Limit this process and report to the parent that it is ready: all imports are done.

    Args:
        memory: bytes that it may allocate from now on.
        seconds: limit of its life and CPU time; None: the parent enforces the time.
    """
    limit_memory(memory)
    _lower("RLIMIT_CORE", 0)
    _lower("RLIMIT_FSIZE", 0)
    if seconds is not None:
        _lower("RLIMIT_CPU", int(seconds) + 1)
        live_for(seconds)
    reply(_READY)


def limit_memory(bytes_more: int) -> None:
    """Limit the memory that this process may allocate, from now on; nothing on Windows.

    Address space is not limited: it is reserved by gigabytes, and costs nothing.
    """
    _lower("RLIMIT_DATA", memory_of("VmData", 256 << 20) + bytes_more)


def _lower(kind: str, most: int) -> None:
    """Lower a limit of this process; unsupported limits are skipped."""
    with contextlib.suppress(ImportError, OSError, ValueError, AttributeError):
        import resource

        number = getattr(resource, kind)
        soft, hard = resource.getrlimit(number)
        there = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
        resource.setrlimit(number, (min([most, *there]), hard))


def live_for(seconds: float) -> None:
    """End this process after some time, even inside a call; 0: cancel."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


def reply(*words: Any) -> None:
    """Send the parent a reply."""
    os.write(1, json.dumps(words).encode() + b"\n")


def memory_of(kind: str, unknown: int = 0) -> int:
    """Return a value of /proc/self/status in bytes; `unknown` if there is none."""
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        for line in status.splitlines():
            if line.startswith(f"{kind}:"):
                return int(line.split()[1]) << 10
    return unknown


def _die_with_parent() -> None:
    """Let the system kill this process when its parent dies, for any reason."""
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
