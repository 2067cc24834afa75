"""One writer at a time in a folder, whatever process it is in."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = ".takes.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder for writing during the block.

    The system frees the lock of a process that dies.

    Raises:
        OSError: the folder cannot be written to, or its file system knows no locks.
    """
    with (folder / NAME).open("ab") as file:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
            try:
                yield
            finally:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
            yield
