"""One JSON line per answer and per event, readable while the run goes on."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from typing_extensions import Self

from seqvision_edge.errors import SinkError
from seqvision_edge.step import Step


class JsonLines:
    """Append a run to a file: first what runs, then each answer and event as it comes.

    Lines are appended, so a device that starts again keeps what it wrote before; a line of type
    `run` begins each run.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        """Describe the run in `about`: model, source, labels and whatever a reader needs."""
        self._path = path
        self._about = about
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        try:
            # Line buffered: each line is with the reader as soon as it is whole.
            self._file = self._path.open("a", encoding="utf-8", newline="\n", buffering=1)
        except OSError as error:
            raise SinkError(f"--json {self._path}: cannot be written ({error.strerror})") from None
        self._put({"type": "run", **self._about})
        return self

    def write(self, step: Step) -> None:
        """Write the step's answer, if it is a new one, and its events."""
        if step.answered and step.prediction is not None:
            self._put(step.prediction.to_json())
        for event in step.events:
            self._put(event.to_json())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            # A full disk was said by the write; closing would only say it again.
            with contextlib.suppress(OSError):
                self._file.close()

    def _put(self, record: Mapping[str, Any]) -> None:
        assert self._file is not None, "a sink is written to inside its with block"
        try:
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        except OSError as error:
            raise SinkError(f"--json {self._path}: {error.strerror}") from None
