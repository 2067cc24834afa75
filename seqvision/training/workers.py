"""The processes that load clips: how many, what they do with signals, and that they end.

They leave Ctrl-C and SIGTERM to the training, so it is the training that has to end them: whatever
waits for them without killing them, such as the end of the interpreter, waits for ever.
"""

import atexit
import contextlib
import multiprocessing
import multiprocessing.util
import os
import signal
import tempfile
from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling

from seqvision import rank
from seqvision.data.dataset import Item
from seqvision.training.hardware import tune_malloc

_PATIENCE = 5.0
# Bytes that the path of a socket may have where it may have fewest, and what is added to the
# temporary folder: /pymp-12345678/listener-12345678.
_SOCKET_PATH, _ADDED = 103, 32
_SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")


def prepare_worker(_: int) -> None:
    """Set up the process of a worker, in it."""
    tune_malloc()
    if hasattr(os, "nice"):
        # The threads of a step wait for each other: a clip that is made meanwhile on the core of
        # one of them holds up all.  A model that waits for clips leaves the cores to the workers.
        os.nice(10)
    # Ctrl-C reaches every process of a terminal, torchrun's signals those of a group; the training
    # process alone decides what to do, and still needs the clips of the step at hand.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)


def worker_count(requested: int | str) -> int:
    """Return how many workers a loader gets: as many as were given, or one less than cores."""
    if isinstance(requested, int):
        return requested
    return min(8, max(1, (os.cpu_count() or 1) // rank.local_count() - 1))


def can_hand_over() -> bool:
    """Let workers send batches by sockets of a short path; False if there is no folder.

    In a long temporary folder (TMPDIR) a socket cannot be bound: the worker prints a traceback and
    its batch is lost, for which the training then waits for ever.
    """
    if os.name == "nt":  # nothing lies in a folder there
        return True
    for folder in (tempfile.gettempdir(), *_SHORT_FOLDERS):
        is_short = len(os.fsencode(folder)) + _ADDED <= _SOCKET_PATH
        if is_short and os.access(folder, os.W_OK | os.X_OK):
            before, tempfile.tempdir = tempfile.tempdir, folder
            try:
                multiprocessing.util.get_temp_dir()  # made once, and known to the workers
            finally:
                tempfile.tempdir = before
            return True
    return False


@contextlib.contextmanager
def ended_workers(loader: DataLoader[Item]) -> Iterator[None]:
    """End the workers of a loader with the block: gently, or at once where the block fails."""
    atexit.unregister(_kill_all)
    atexit.register(_kill_all)  # after multiprocessing's own, so it is called before that
    try:
        yield
    except BaseException:
        _end(loader, _kill)
        raise
    _end(loader, _request_stop)


def _end(loader: DataLoader[Item], end: Any) -> None:
    iterator, loader._iterator = loader._iterator, None
    if iterator is not None and hasattr(iterator, "_workers"):
        end(iterator)


def _request_stop(iterator: Any) -> None:
    iterator._shutdown_workers()
    _kill(iterator)


def _kill(iterator: Any) -> None:
    """Kill the workers, whatever they are doing and whatever locks they hold."""
    if iterator._worker_pids_set:
        # Otherwise torch takes their end for a fault, and raises it in the middle of anything.
        signal_handling._remove_worker_pids(id(iterator))  # type: ignore[attr-defined]
        iterator._worker_pids_set = False
    iterator._shutdown = True  # torch's own way waits for workers that may hold a lock for ever
    for worker in iterator._workers:
        worker.kill()
    for worker in iterator._workers:
        worker.join(_PATIENCE)
    for queue in (*iterator._index_queues, iterator._worker_result_queue):
        queue.cancel_join_thread()
        queue.close()
    if hasattr(iterator, "_pin_memory_thread_done_event"):
        iterator._pin_memory_thread_done_event.set()


def _kill_all() -> None:
    """Kill what is left of them when the interpreter ends, before it waits for them."""
    children = [child for child in multiprocessing.active_children() if child.daemon]
    if children and hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for child in children:
        child.kill()
