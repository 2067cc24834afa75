"""The first load of a model file on this machine, in a child process that may crash.

The static validation accepts only what `seqvision export` writes, but onnxruntime is 100 MB of
native code: a crash, a hang or excess memory there must not take down a run or a server.  So a file
that was never loaded here is loaded and run once by a small child process with limits; the hash of
a file that passes is remembered, and the next start skips the trial.

    parent → the file, on standard input
    child  → "loaded", then "ran" for each call; or "failed", the error's type and message

The trial runs on the CPU, whatever the device: the graph is read and optimised by the same code. If
there can be no child (see child_process.py) there is no trial, and nothing is remembered; a child
that fails to start is an error: the file is not loaded without a trial.
"""

import contextlib
import hashlib
import json
import os
import platform
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqvision_edge import __version__, child_process
from seqvision_edge.child_process import Child, Died, can_start, fields, start_child
from seqvision_edge.errors import ModelError

Shape = tuple[int, ...]

# Raise it when the trial changes: then every file is tried again.
_VERSION = 1
# Seconds: a load; that of the largest model that can be trained takes 6.
_LOAD = 60.0
# Seconds: the maximum for a call of many frames.
_LONGEST_CALL = 600.0
# The child ends itself, should the parent be gone or stopped.
_LONGER = 5.0
# Weights are copied, packed for the processor, and expanded from 1 byte to 4.
_COPIES = 12
_BASE = 512 << 20
_MOST_KEPT = 1000
_AXES_OF_PICTURES = 5
_LOADING = "loading it"
_NO_MEMORY = ("bad_alloc", "BFCArena", "MemoryError", "allocate memory", "out of memory")


@dataclass(frozen=True)
class Trial:
    """The task of the child.

    Attributes:
        calls: for each call the inputs' names, in order, with their shapes; the first is uint8 of
            pictures, float32 as the others of vectors.
        memory: bytes that the calls may use, in addition to the file.
        deadline: seconds that one frame may take.
    """

    calls: Sequence[Sequence[tuple[str, Shape]]]
    memory: int
    deadline: float

    def limits(self) -> list[tuple[float, str]]:
        """Return for each call its time limit in seconds, and a description.

        A call of several frames has the time of each, up to a maximum.
        """
        found = []
        for (_, (_, steps, *_)), *_ in self.calls:
            most = min(self.deadline * steps, max(self.deadline, _LONGEST_CALL))
            found.append((most, "one frame" if steps == 1 else f"a window of {steps} frames"))
        return found


def is_known(content: bytes) -> bool:
    """Return whether this file passed its trial on this machine, with this onnxruntime."""
    with contextlib.suppress(OSError):
        file = _folder() / _key(content)
        if file.is_file():
            os.utime(file)
            return True
    return False


def remember(content: bytes) -> None:
    """Record that a file passed; if that fails, it is tried again at the next start."""
    with contextlib.suppress(OSError):
        folder = _folder()
        (folder / _key(content)).touch(mode=0o600)
        kept = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime)
        for file in kept[:-_MOST_KEPT]:
            file.unlink()


def try_load(content: bytes, trial: Trial, where: str) -> bool:
    """Load and run a file in a child process with limits; return False if there can be no child.

    Raises:
        ModelError: onnxruntime refuses it, crashes, takes too long or too much memory, or the
            child could not be started; `where` names the file.
    """
    if not can_start():
        return False
    memory = _BASE + _COPIES * len(content) + 2 * trial.memory
    seconds = _LOAD + sum(most for most, _ in trial.limits()) + _LONGER
    task = {"calls": trial.calls, "memory": memory, "seconds": seconds}
    try:
        child = start_child(__name__, task)
    except Died as ending:
        raise ModelError(
            f"{where}: not loaded: the process that tries a new file {ending}; "
            "try again when the system has memory and processes to spare"
        ) from None
    try:
        reason = _watched(child, content, trial)
    finally:
        child.end()
    if reason is not None:
        raise ModelError(f"{where}: {reason}")
    return True


def _watched(child: Child, content: bytes, trial: Trial) -> str | None:
    """Return why a file cannot be used; None if it can."""

    def write() -> None:
        child.send(content)
        child.close_input()

    threading.Thread(target=write, daemon=True).start()
    stages = [(_LOAD, f"loading it takes longer than {_LOAD:g} s", _LOADING, "loaded")]
    for most, what in trial.limits():
        stages.append((most, f"{what} took longer than {most:g} s", "running it", "ran"))
    for seconds, late, doing, expected in stages:
        try:
            answer = child.receive(seconds)
            if answer[0] == "failed":
                kind, message = fields(answer, str, str)
                return _failure(kind, message, doing)
            if answer != [expected]:
                raise Died("nonsense")
        except TimeoutError:
            return f"{late}; it was stopped"
        except Died as ending:
            return f"onnxruntime crashes {doing} ({ending}); it is not used"
    return None


def _failure(kind: str, message: str, doing: str) -> str:
    from seqvision_edge.ort_session import refusal

    if any(word in f"{kind} {message}" for word in _NO_MEMORY):
        return f"{doing} takes too much memory; it was stopped"
    if doing == _LOADING:
        return refusal(message, kind)
    return f"cannot run ({(' '.join(message.split()) or kind)[:160]})"


def _key(content: bytes) -> str:
    """Return the name of a verdict: of this file, machine and software."""
    import onnxruntime

    runtime = onnxruntime.__version__
    about = [_VERSION, __version__, runtime, platform.machine(), platform.node()]
    file = hashlib.sha256(content).hexdigest()
    return hashlib.sha256(json.dumps([*about, file]).encode()).hexdigest()


def _folder() -> Path:
    """Return the folder of verdicts, created if missing.

    Raises:
        OSError: it cannot be created, or others may write there, so that it cannot be trusted.
    """
    from seqvision_edge.files import user_cache

    folder = user_cache() / "loaded-models"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    is_own = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    if not is_own or found.st_mode & 0o022:
        raise PermissionError(folder)
    return folder


def main() -> None:
    """Load and run the file on standard input; the child's entry point."""
    task = child_process.task()
    import sys

    import numpy as np

    from seqvision_edge.ort_session import CPU, create_session

    child_process.begin(task["memory"], task["seconds"])
    content = sys.stdin.buffer.read()
    try:
        session = create_session(content, CPU, 1)
        child_process.reply("loaded")
        for shapes in task["calls"]:
            feed: dict[str, Any] = {
                # Pictures have five axes and are bytes, vectors three.
                name: np.zeros(shape, np.float32)
                if index or len(shape) < _AXES_OF_PICTURES
                else np.full(shape, 128, np.uint8)
                for index, (name, shape) in enumerate(shapes)
            }
            session.run(None, feed)
            child_process.reply("ran")
    except Exception as error:  # onnxruntime raises a dozen unrelated types here
        child_process.reply("failed", type(error).__name__, str(error)[:2000])
    # Destructors of a broken session could still crash: the reply has been sent.
    os._exit(0)
