"""Run a command for each event: fields as environment variables, and as JSON on its stdin.

A command and its children are one process group.  A group whose command still runs is ended with
the run, even if the run is killed.  What a command has left in the background when it exited by
itself (a program that a gesture opens) keeps running.
"""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seqvision_edge.errors import SinkError
from seqvision_edge.frame import Record, Step, message

# The text for any label, and for a label that is literally `*`.
_ANY, _STAR = "*", r"\*"
AT_ONCE = 4
TIMEOUT_SECONDS = 10.0
_GUARD_SECONDS = 1.0
# A process that ends the commands of a run that was killed: its stdin closes with the run, however
# that ends.  No preexec_fn: this process has threads, so no code of ours may run before the exec.
_GUARD = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
running = set()
for line in sys.stdin:
    (running.add if line[0] == "+" else running.discard)(int(line[1:]))
for group in running:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""
_FIELDS = (
    "label",
    "source",
    "start",
    "end",
    "peak",
    "confidence",
    "reported_at",
    "id",
    "timestamp",
)


@dataclass(frozen=True, slots=True)
class Reaction:
    """The command for the events of a label; None is any label."""

    label: str | None
    command: tuple[str, ...]


def reaction(text: str, labels: Sequence[str]) -> Reaction:
    r"""Parse `LABEL=command arguments`; `*` is any label, `\*` the label `*`.

    Raises:
        SinkError: unknown label, command not found, or wrong quoting.
    """
    # A label may itself contain a =.
    names: dict[str, str | None] = {label: label for label in labels}
    if _ANY in names:
        names.setdefault(_STAR, _ANY)
    names[_ANY] = None
    able = [name for name in names if text.startswith(f"{name}=")]
    if not able:
        known = ", ".join(labels)
        raise SinkError(f"--on-event {text!r}: begin with LABEL= or *=; the labels are {known}")
    name = max(able, key=len)
    try:
        command = shlex.split(text[len(name) + 1 :])
    except ValueError as error:
        raise SinkError(f"--on-event {text!r}: {error}") from None
    if not command or not shutil.which(command[0]):
        raise SinkError(f"--on-event {text!r}: no such command")
    return Reaction(names[name], tuple(command))


class Commands:
    """An outlet that runs commands, never through a shell: a label is data, not a command."""

    def __init__(self, reactions: Sequence[Reaction], seconds: float = TIMEOUT_SECONDS) -> None:
        """`seconds` limits the run time of each command."""
        self.name = "--on-event"
        self.trouble = ""
        self._reactions = reactions
        self._seconds = seconds
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._over = False

    def open(self) -> None:
        """Start the process that ends the commands if this one is killed; it needs Python."""
        # In a frozen program sys.executable is the program itself, which would run a second time.
        if os.name != "posix" or not sys.executable or getattr(sys, "frozen", False):
            return
        with contextlib.suppress(OSError):
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _GUARD],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def pick(self, step: Step) -> Iterator[tuple[tuple[str, ...], Record]]:
        """Return the commands for the events to act on now."""
        for event in step.fired:
            plain = message(step.source, event)
            for reaction in self._reactions:
                if reaction.label in (None, event.label):
                    yield reaction.command, plain

    def send(self, item: tuple[tuple[str, ...], Record]) -> None:
        """Run a command until it exits.  Raises SinkError when it fails or takes too long."""
        command, record = item
        process = self._start(command, record)
        try:
            process.communicate(json.dumps(record).encode(), self._seconds)
        except subprocess.TimeoutExpired:
            _kill(process)
            process.wait()
            raise SinkError(f"{command[0]} took longer than {self._seconds:g} s") from None
        finally:
            with self._lock:
                self._running.discard(process)
                self._notify_guard("-", process.pid)
        if process.returncode:
            raise SinkError(f"{command[0]} {_ending(process.returncode)}")

    def stop(self) -> None:
        """Kill what still runs."""
        with self._lock:
            self._over = True
            for process in self._running:
                _kill(process)

    def close(self) -> None:
        """End the guard process; nothing runs after the last command."""
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(OSError):
                self._guard.stdin.close()
            try:
                self._guard.wait(_GUARD_SECONDS)
            except subprocess.TimeoutExpired:
                self._guard.kill()
                self._guard.wait()

    def _start(self, command: tuple[str, ...], record: Record) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._over:
                raise SinkError("the run was over")
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    # Its output must not be taken for events, nor disturb the terminal view.
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL if sys.stderr.isatty() else None,
                    env={**os.environ, **_variables(record)},
                    # Its own group: Ctrl-C reaches only us, and a kill reaches its children.
                    start_new_session=True,
                )
            except OSError as error:
                raise SinkError(f"{command[0]}: {error.strerror}") from None
            self._running.add(process)
            self._notify_guard("+", process.pid)
            return process

    def _notify_guard(self, sign: str, group: int) -> None:
        """Add or remove a process group that is to end with this process; lock held."""
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                self._guard.stdin.write(f"{sign}{group}\n".encode())
                self._guard.stdin.flush()


def _variables(record: Record) -> dict[str, str]:
    """Return the environment variables, `SEQVISION_LABEL` and so on; NUL bytes are removed."""
    fields = (*_FIELDS, "view") if "view" in record else _FIELDS
    return {f"SEQVISION_{name.upper()}": str(record[name]).replace("\0", "") for name in fields}


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a command, and on POSIX all processes it started."""
    if process.poll() is not None:
        return
    with contextlib.suppress(OSError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _ending(code: int) -> str:
    return f"ended with code {code}" if code > 0 else f"was ended by signal {-code}"
