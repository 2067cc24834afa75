"""The first load of a model file on this machine, in a process that may die of it.

The static reader accepts only what `seqvision export` writes, but onnxruntime is 100 MB of native
code: what crashes, hangs or eats memory there must not take down a camera's run or a server.  So a
file that was never loaded here is loaded and run once by a small child process with limits; a file
that passes is remembered by its hash, and the next start does without.

    child  → "ready": imports and limits are done; without it no trial is possible here
    parent → the file, on standard input
    child  → "loaded", then "ran" for each call; or "failed", the error's type and message

The trial is on the CPU, whatever the device: the graph is read and optimised by the same code.
Where there are no resource limits (Windows), or no Python to start, there is no trial.
"""

import contextlib
import hashlib
import json
import os
import platform
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from seqvision_edge import __version__
from seqvision_edge.errors import ModelError

Shape = tuple[int, ...]

# Raise it when the trial changes: every file is tried anew then.
_VERSION = 1
# Seconds: the start of the child, and a load; the largest model that can be trained takes 6.
_START, _LOAD = 30.0, 60.0
# The child ends itself, should the parent be gone or stopped.
_LONGER = 5.0
# Weights are copied, packed for the processor, and made 4 bytes each where they were 1.
_COPIES = 12
_BASE = 512 << 20
_MOST_KEPT = 1000
_LOADING = "loading it"
_NO_MEMORY = ("bad_alloc", "BFCArena", "MemoryError", "allocate memory", "out of memory")


@dataclass(frozen=True)
class Trial:
    """What a child is to do with a file.

    Attributes:
        calls: for each call the inputs' names, in order, with their shapes; the first is uint8.
        memory: bytes that the calls may take, beside the file.
        deadline: seconds that the first call may take.
    """

    calls: Sequence[Sequence[tuple[str, Shape]]]
    memory: int
    deadline: float


def is_known(content: bytes) -> bool:
    """Return whether this very file passed its trial on this machine, with this onnxruntime."""
    with contextlib.suppress(OSError):
        file = _folder() / _key(content)
        if file.is_file():
            os.utime(file)
            return True
    return False


def remember(content: bytes) -> None:
    """Keep that a file passed; where that cannot be kept, it is tried again at the next start."""
    with contextlib.suppress(OSError):
        folder = _folder()
        (folder / _key(content)).touch(mode=0o600)
        kept = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime)
        for file in kept[:-_MOST_KEPT]:
            file.unlink()


def try_load(content: bytes, trial: Trial, where: str) -> None:
    """Load and run a file in a child process with limits.

    Raises:
        ModelError: onnxruntime refuses it, crashes, takes too long or too much memory on it;
            `where` names it.
    """
    if not _is_possible():
        return
    memory = _BASE + _COPIES * len(content) + 2 * trial.memory
    task = {"calls": trial.calls, "memory": memory, "seconds": _LOAD + trial.deadline + _LONGER}
    paths = [str(Path(__file__).parents[1]), *filter(None, sys.path)]
    start = f"import sys; sys.path[:] = {paths!r}; import {__name__} as trial; trial.main()"
    try:
        # Without `site` the child starts sooner; the paths are those of this process.
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", start, json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Ctrl-C is for this process; it ends the child.
            start_new_session=True,
        )
    except OSError:
        return
    try:
        reason = _watched(child, content, trial)
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                assert pipe is not None
                pipe.close()
    if reason is not None:
        raise ModelError(f"{where}: {reason}")


def _is_possible() -> bool:
    frozen = getattr(sys, "frozen", False)  # the interpreter would be the program itself
    return os.name == "posix" and bool(sys.executable) and not frozen


def _watched(child: "subprocess.Popen[bytes]", content: bytes, trial: Trial) -> str | None:
    """Return why a file cannot be used; None where it can, or where no trial is possible."""
    assert child.stdin is not None
    assert child.stdout is not None
    lines = _Lines(child.stdout)
    try:
        is_ready = lines.next(_START) == ["ready"]
    except TimeoutError:
        is_ready = False
    if not is_ready:
        return None  # it has not seen a byte of the file
    threading.Thread(target=_write, args=(child.stdin, content), daemon=True).start()
    late = f"loading it takes longer than {_LOAD:g} s"
    doing, seconds = _LOADING, _LOAD
    for _ in range(1 + len(trial.calls)):
        try:
            line = lines.next(seconds)
        except TimeoutError:
            return f"{late}; it was stopped"
        if not line:
            return _death(child, doing)
        if line[0] == "failed":
            _, kind, message = line
            return _failure(kind, message, doing)
        late = f"one frame took longer than {trial.deadline:g} s"
        doing, seconds = "running it", trial.deadline
    return None


class _Lines:
    """The child's lines, each a JSON list, waited for no longer than may be."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._rest = b""

    def next(self, seconds: float) -> list[str]:
        """Return the next line; an empty list where the child has ended.

        Raises:
            TimeoutError: none within `seconds`.
        """
        until = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._pipe], [], [], left)[0]:
                raise TimeoutError
            part = os.read(self._pipe.fileno(), 1 << 16)
            if not part:
                return []
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        found: list[str] = json.loads(line)
        return found


def _write(pipe: IO[bytes], content: bytes) -> None:
    with contextlib.suppress(OSError, ValueError):
        pipe.write(content)
        pipe.close()


def _death(child: "subprocess.Popen[bytes]", doing: str) -> str:
    """Return how a child ended that gave no answer."""
    code = child.wait()
    if code == -signal.SIGXCPU:
        return f"{doing} takes too much time; it was stopped"
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    if code == -signal.SIGKILL:
        how += ", as where the system has too little memory"
    return f"onnxruntime crashes {doing} ({how}); it is not used"


def _failure(kind: str, message: str, doing: str) -> str:
    from seqvision_edge.ort_session import refusal

    if any(word in f"{kind} {message}" for word in _NO_MEMORY):
        return f"{doing} takes too much memory; it was stopped"
    if doing == _LOADING:
        return refusal(message, kind)
    return f"cannot run ({(' '.join(message.split()) or kind)[:160]})"


def _key(content: bytes) -> str:
    """Return the name under which a verdict is kept: of this file, machine and software."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        runtime = version("onnxruntime")
    except PackageNotFoundError:  # another build of it, such as that for CUDA
        import onnxruntime

        runtime = onnxruntime.__version__
    about = [_VERSION, __version__, runtime, platform.machine(), platform.node()]
    file = hashlib.sha256(content).hexdigest()
    return hashlib.sha256(json.dumps([*about, file]).encode()).hexdigest()


def _folder() -> Path:
    """Return the folder of verdicts, made where it is missing.

    Raises:
        OSError: it cannot be made, or others may write there, whose word is not taken.
    """
    from seqvision_edge.files import user_cache

    folder = user_cache() / "loaded-models"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(folder)
    return folder


def main() -> None:
    """Load and run what comes through standard input: the child's side."""
    import resource

    task: dict[str, Any] = json.loads(sys.argv[1])
    with contextlib.suppress(OSError, AttributeError):
        _die_with_parent()
    import numpy as np

    from seqvision_edge.ort_session import CPU, create_session

    _limit(resource, task["memory"], task["seconds"])
    _answer("ready")
    content = sys.stdin.buffer.read()
    try:
        session = create_session(content, CPU, 1)
        _answer("loaded")
        for shapes in task["calls"]:
            feed: dict[str, Any] = {
                name: np.zeros(shape, np.float32) if place else np.full(shape, 128, np.uint8)
                for place, (name, shape) in enumerate(shapes)
            }
            session.run(None, feed)
            _answer("ran")
    except Exception as error:  # onnxruntime raises a dozen unrelated types here
        _answer("failed", type(error).__name__, str(error)[:2000])
    # Destructors of a broken session could still crash: it has answered.
    os._exit(0)


def _answer(*words: str) -> None:
    os.write(1, json.dumps(words).encode() + b"\n")


def _limit(resource: Any, memory: int, seconds: float) -> None:
    """Bound this process; whatever a system does not know stays as it was."""

    def lower(kind: str, most: int) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            number = getattr(resource, kind)
            hard = resource.getrlimit(number)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(number, (most, hard))

    # Memory that is written to: address space alone is reserved by gigabytes and costs nothing.
    lower("RLIMIT_DATA", _data_bytes() + memory)
    lower("RLIMIT_CPU", int(seconds) + 1)
    lower("RLIMIT_CORE", 0)
    lower("RLIMIT_FSIZE", 0)
    # Its default is death, in whatever call the process is.
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _data_bytes() -> int:
    """Return how much memory this process has written to by now, in bytes."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 256 << 20
    for line in status.splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) << 10
    return 256 << 20


def _die_with_parent() -> None:
    """Let the system end this process when its parent dies, however that is."""
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
