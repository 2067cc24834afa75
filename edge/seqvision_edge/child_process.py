"""A small child process with limits: it reads what strangers made, and may die of it.

The parent starts a module's `main()` with a task; the child bounds itself, does what the parent
writes to its standard input, and answers in JSON lines.  Nothing is unpickled, so a child that a
file has taken over can answer nonsense and no more.

A child knows nothing of the program that starts it, its main module least of all.  It ends with its
parent.  Where there are no resource limits (Windows), or no Python to start, there is none.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqvision_edge.errors import SeqvisionError

# Seconds: its start.
_START = 30.0
_READY = "ready"
_PART = 1 << 16


class Died(SeqvisionError):  # noqa: N818
    """The child has ended without an answer; the text says how."""


class Child:
    """A running child, seen from its parent."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._rest = b""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, content: bytes) -> None:
        """Write to its standard input; a child that has died is told by what it does not answer."""
        with contextlib.suppress(OSError, ValueError):
            self._stdin.write(content)
            self._stdin.flush()

    def close_input(self) -> None:
        """Let it see the end of its input."""
        with contextlib.suppress(OSError, ValueError):
            self._stdin.close()

    def receive(self, seconds: float) -> list[Any]:
        """Return its next answer.

        Raises:
            TimeoutError: none within `seconds`.
            Died: it has ended.
        """
        until = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = max(0.0, until - time.monotonic())
            if not select.select([self._stdout], [], [], left)[0]:
                raise TimeoutError
            part = os.read(self._stdout.fileno(), _PART)
            if not part or len(self._rest) > _PART:
                raise Died(self._ending())
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, list) or not answer:
            raise Died("nonsense")
        return answer

    def end(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(OSError, ValueError):
                pipe.close()

    def _ending(self) -> str:
        self._process.kill()
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return "SIGKILL, as where the system has too little memory"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def start_child(module: str, task: dict[str, Any], files: Sequence[int] = ()) -> Child | None:
    """Start a module's `main()` and wait until it is ready; None where there can be no child.

    Args:
        module: its full name; what it imports is what the start costs.
        task: what `task()` returns there.
        files: descriptors that it inherits.
    """
    frozen = getattr(sys, "frozen", False)  # the interpreter would be the program itself
    if os.name != "posix" or not sys.executable or frozen:
        return None
    paths = [str(Path(__file__).parents[1]), *filter(None, sys.path)]
    start = f"import sys; sys.path[:] = {paths!r}; import {module} as child; child.main()"
    try:
        process = subprocess.Popen(
            # Without `site` it starts sooner; the paths are those of this process.
            [sys.executable, "-S", "-c", start, json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=files,
            # Ctrl-C is for this process; it ends the child.
            start_new_session=True,
        )
    except OSError:
        return None
    child = Child(process)
    try:
        if child.receive(_START) == [_READY]:
            return child
    except (TimeoutError, Died):
        pass
    except BaseException:
        child.end()
        raise
    child.end()
    return None


# ---- the child's side ----


def task() -> dict[str, Any]:
    """Return what the parent gave; the first thing that a child does."""
    with contextlib.suppress(OSError, AttributeError):
        _die_with_parent()
    given: dict[str, Any] = json.loads(sys.argv[1])
    return given


def begin(memory: int, seconds: float | None = None) -> None:
    """Bound this process and tell the parent that it is ready: all that is needed is imported.

    Args:
        memory: bytes that it may take from here on.
        seconds: that it may live and compute; None: the parent minds the time.
    """
    limit_memory(memory)
    _lower("RLIMIT_CORE", 0)
    _lower("RLIMIT_FSIZE", 0)
    if seconds is not None:
        _lower("RLIMIT_CPU", int(seconds) + 1)
        live_for(seconds)
    answer(_READY)


def limit_memory(bytes_more: int) -> None:
    """Bound the memory that this process may write to, from here on; nothing on Windows.

    Address space is not bounded: it is reserved by gigabytes, and costs nothing.
    """
    _lower("RLIMIT_DATA", memory_of("VmData", 256 << 20) + bytes_more)


def _lower(kind: str, most: int) -> None:
    """Lower a limit of this process; what a system does not know stays as it was."""
    with contextlib.suppress(ImportError, OSError, ValueError, AttributeError):
        import resource

        number = getattr(resource, kind)
        soft, hard = resource.getrlimit(number)
        there = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
        resource.setrlimit(number, (min([most, *there]), hard))


def live_for(seconds: float) -> None:
    """End this process after some time, in whatever call it is; 0: no longer."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


def answer(*words: Any) -> None:
    """Send the parent a line."""
    os.write(1, json.dumps(words).encode() + b"\n")


def memory_of(kind: str, unknown: int = 0) -> int:
    """Return a figure of /proc/self/status in bytes; `unknown` where there is none."""
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        for line in status.splitlines():
            if line.startswith(f"{kind}:"):
                return int(line.split()[1]) << 10
    return unknown


def _die_with_parent() -> None:
    """Let the system end this process when its parent dies, however that is."""
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
