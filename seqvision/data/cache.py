"""A folder of derived files, named after what they are made from, bounded in size.

Several trainings may share it and any of them may be killed: files appear by renaming, are never
changed, and whoever finds one missing makes it anew.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqvision.errors import DataError
from seqvision_edge.files import sweep

_DAY = 86400
# Less is a disk on which hardly a clip finds room.
_ROOM = 1 << 20


@dataclass(frozen=True)
class Cache:
    """A folder for derived files of at most `gigabytes`."""

    folder: Path
    gigabytes: float = 20.0

    def file(self, made_from: Any, suffix: str) -> Path:
        """Return the path of what is made from `made_from` (plain data)."""
        name = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:40]
        return self.folder.expanduser() / name[:2] / f"{name}{suffix}"

    def check(self) -> None:
        """Find out before the work that the folder can be written to.

        Raises:
            DataError: it cannot, or the disk is full.
        """
        folder = self.folder.expanduser()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise self.error(error) from None
        if shutil.disk_usage(folder).free < _ROOM:
            raise self.error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def error(self, error: OSError) -> DataError:
        """Return the message for a file that cannot be written."""
        return DataError(
            f"{self.folder.expanduser()}: decoded clips cannot be kept there ({error.strerror}); "
            "choose another folder with --cache"
        )

    def trim(self) -> None:
        """Remove the files that were not used for longest until the rest fits."""
        found = []
        for folder in self.folder.expanduser().glob("??"):
            sweep(folder)
        for path in self.folder.expanduser().glob("??/*"):
            try:
                stat = path.stat()
            except OSError:  # another training was faster
                continue
            if ".unfinished" in path.name:
                continue  # of a running training, whatever its age
            if path.name.startswith(".") and stat.st_mtime < time.time() - _DAY:
                path.unlink(missing_ok=True)  # left by a killed training of an older version
            else:
                found.append((stat.st_mtime, stat.st_size, path))
        over = sum(size for _, size, _ in found) - self.gigabytes * 1e9
        for _, size, path in sorted(found):
            if over <= 0:
                return
            path.unlink(missing_ok=True)
            over -= size


def touch(path: Path) -> None:
    """Mark a file as used just now."""
    os.utime(path)
