"""JSON lines: the run, predictions, events and source states."""

import _thread
import contextlib
import errno
import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from seqvision_edge import __version__
from seqvision_edge.card import Decision
from seqvision_edge.errors import SinkError
from seqvision_edge.files import STDOUT, is_held
from seqvision_edge.frame import Record, Step, records
from seqvision_edge.regions import Region
from seqvision_edge.sanitize import json_line
from seqvision_edge.session import Session
from seqvision_edge.sources.factory import Source

_BLOCK = 1 << 16
# A reader that is started together with the run may open the pipe a little later.
READER_SECONDS = 3.0


class JsonLines:
    """An outlet that appends a run to a file: first a line of type `run`, then every record.

    Lines are appended, so a restarted device keeps what it wrote before.  While the disk is full,
    lines are lost; the first line that fits again is preceded by a line of type `lost` with their
    number.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        """`about` describes the run for a reader: model, sources, labels, thresholds."""
        self.name = f"--json {path}"
        self.trouble = ""
        self._path = path
        self._about = about
        self._file: LineFile | None = None
        self._lost = 0

    def open(self) -> None:
        """Open the file and write the line of type `run`.  Raises SinkError when that fails."""
        try:
            self._file = LineFile(self._path, _is_torn)
            self._append({"type": "run", **self._about})
        except OSError as error:
            self.close()
            raise SinkError(f"{self.name}: cannot be written ({error.strerror})") from None

    def pick(self, step: Step) -> Iterator[Record]:
        """Return the step's own prediction, its events and the new states of its source."""
        return records(step)

    def send(self, record: Record) -> None:
        """Write one line.  Raises SinkError when there is no space."""
        try:
            if self._lost:
                self._append({"type": "lost", "lines": self._lost})
                self._lost = 0
            self._append(record)
        except BrokenPipeError:
            # The program reading `--json - |` has exited.
            _thread.interrupt_main()
            raise SinkError("its reader has closed the pipe") from None
        except OSError as error:
            self._lost += 1
            raise SinkError(str(error.strerror)) from None

    def stop(self) -> None:
        """Do nothing: a write returns by itself."""

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            # A full disk was already reported by the write; do not report it again.
            with contextlib.suppress(OSError):
                self._file.close()

    def _append(self, record: Mapping[str, Any]) -> None:
        assert self._file is not None, "an outlet is open before anything is sent"
        self._file.append(json_line(record))


def _is_torn(line: bytes) -> bool:
    """Return whether it is an incomplete record; after a power failure it may be zeros."""
    try:
        json.loads(line)
    except ValueError:
        return line[:1] in (b"{", b"\0")
    return False


class LineFile:
    """Append lines to a file, repairing an incomplete last line (full disk, power failure)."""

    def __init__(self, path: Path, is_torn: Callable[[bytes], bool]) -> None:
        """Open or create the file; `-` is standard output.

        `is_torn` returns whether an unterminated last line is incomplete: it is then cut off.
        A complete one only gets its line break.

        Raises:
            OSError: the file cannot be written.
        """
        # Unbuffered: each line reaches the reader as soon as it is written.
        self._file: IO[bytes]
        if path == STDOUT:
            self._file = os.fdopen(os.dup(1), "wb", buffering=0)
        else:
            self._file = _open(path)
            if stat.S_ISREG(os.fstat(self._file.fileno()).st_mode) and is_held(self._file.fileno()):
                self._file.close()
                raise OSError(errno.EBUSY, "another run writes to it", str(path))
            _mend(path, is_torn)
        self._torn = 0

    @property
    def is_empty(self) -> bool:
        """Return whether nothing has ever been written to the file."""
        return os.fstat(self._file.fileno()).st_size == 0

    def append(self, line: str) -> None:
        """Append a line and its line break.

        Raises:
            OSError: there is no space; nothing of the line stays.
        """
        self._take_back()
        data = line.encode() + b"\n"
        try:
            while self._torn < len(data):
                self._torn += self._file.write(data[self._torn :])
        except OSError:
            self._take_back()
            raise
        self._torn = 0

    def close(self) -> None:
        """Close the file; raises OSError if a failed write is reported only now."""
        self._file.close()

    def _take_back(self) -> None:
        """Cut off the part of a line that could not be written completely."""
        if self._torn:
            size = os.fstat(self._file.fileno()).st_size
            os.ftruncate(self._file.fileno(), size - self._torn)
            self._torn = 0


def _open(path: Path) -> IO[bytes]:
    """Open a file for appending; a named pipe only if a reader opens it soon.

    Opening a pipe would otherwise block silently until there is a reader.

    Raises:
        OSError: the file cannot be opened, or the pipe has no reader.
    """
    try:
        is_pipe = os.name != "nt" and stat.S_ISFIFO(path.stat().st_mode)
    except FileNotFoundError:
        is_pipe = False
    if not is_pipe:
        return path.open("ab", buffering=0)
    until = time.monotonic() + READER_SECONDS
    while True:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > until:
                why = "it is a pipe that nothing reads; start its reader first"
                raise OSError(errno.ENXIO, why, str(path)) from None
            time.sleep(0.05)
        else:
            os.set_blocking(handle, True)
            return os.fdopen(handle, "wb", buffering=0)


def _mend(path: Path, is_torn: Callable[[bytes], bool]) -> None:
    """Cut off an incomplete last line, or add its missing line break."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return
    except FileNotFoundError:
        return
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        start = _start_of_last_line(file, end)
        file.seek(start)
        if start == end:
            return
        if is_torn(file.read()):
            file.truncate(start)
        else:
            file.write(b"\n")


def _start_of_last_line(file: IO[bytes], end: int) -> int:
    """Return the offset after the last line break; `end` if there is no text after it."""
    while end > 0:
        start = max(0, end - _BLOCK)
        file.seek(start)
        at = file.read(end - start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


def run_header(
    session: Session,
    sources: Sequence[Source],
    decision: Decision,
    regions: Mapping[str, Sequence[Region]],
) -> dict[str, Any]:
    """Return the description of the run: model, sources with their regions, labels, thresholds."""
    card = session.card
    parts = {name: {region.name: region.numbers for region in own} for name, own in regions.items()}
    return {
        "version": __version__,
        "spec": card.spec,
        "model": session.where,
        "device": session.device,
        "sources": [
            {"name": source.name, "live": source.live, "fps": source.fps}
            | ({"regions": parts[source.name]} if source.name in parts else {})
            for source in sources
        ],
        "labels": list(card.labels),
        "sequence": card.sequence.model_dump(),
        "decision": decision.model_dump(),
    }
