"""One JSON line per answer, event and new state of a source, readable while the run goes on."""

import _thread
import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seqvision_edge.errors import SinkError
from seqvision_edge.names import json_line
from seqvision_edge.sinks.line_file import LineFile
from seqvision_edge.sinks.records import Record, records
from seqvision_edge.step import Step


class JsonLines:
    """An outlet that appends a run to a file: first what runs, then each record as it comes.

    Lines are appended, so a device that starts again keeps what it wrote before; a line of type
    `run` begins each run.  While the disk is full lines are lost; the first one that has room again
    comes after a line of type `lost`, which tells how many.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        """Describe the run in `about`: model, sources, labels and whatever a reader needs."""
        self.name = f"--json {path}"
        self.trouble = ""
        self._path = path
        self._about = about
        self._file: LineFile | None = None
        self._lost = 0

    def open(self) -> None:
        """Open the file and write what runs.  Raises SinkError when it cannot be written."""
        try:
            self._file = LineFile(self._path, _is_torn)
            self._append({"type": "run", **self._about})
        except OSError as error:
            self.close()
            raise SinkError(f"{self.name}: cannot be written ({error.strerror})") from None

    def pick(self, step: Step) -> Iterator[Record]:
        """Return the step's own answer, its events and the new states of its source."""
        return records(step)

    def send(self, record: Record) -> None:
        """Write one line.  Raises SinkError when there is no room."""
        try:
            if self._lost:
                self._append({"type": "lost", "lines": self._lost})
                self._lost = 0
            self._append(record)
        except BrokenPipeError:
            # The program behind `--json - |` has left: the run has no reader any more.
            _thread.interrupt_main()
            raise SinkError("nothing reads it any more") from None
        except OSError as error:
            self._lost += 1
            raise SinkError(str(error.strerror)) from None

    def stop(self) -> None:
        """Nothing waits: a write ends by itself."""

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            # A full disk was said by the write; closing would only say it again.
            with contextlib.suppress(OSError):
                self._file.close()

    def _append(self, record: Mapping[str, Any]) -> None:
        assert self._file is not None, "an outlet is open before anything is sent"
        self._file.append(json_line(record))


def _is_torn(line: bytes) -> bool:
    """Whether it is a piece of a record; after a power failure it may be zeros."""
    try:
        json.loads(line)
    except ValueError:
        return line[:1] in (b"{", b"\0")
    return False
