"""Outputs of a run: the terminal, a window, files, other programs.

A sink is a context manager that receives every step.  It validates its settings when it is opened,
so that a wrong output is reported before the run begins.  An output that may be slow or fail is an
outlet behind a queue (`outlet.py`); `group.py` combines all of them into one sink.
"""

from types import TracebackType
from typing import Protocol, runtime_checkable

from typing_extensions import Self

from seqvision_edge.frame import Step


class Sink(Protocol):
    """An output of a run."""

    def __enter__(self) -> Self:
        """Open the output.  Raises SinkError, in one line, when it cannot be written."""
        ...

    def write(self, step: Step) -> None:
        """Write the next step; the last one has no frame.

        Raises:
            SinkError: the output can no longer be written.
            Quit: the user ended the run.
        """
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish and close the output, whatever ended the run."""
        ...


@runtime_checkable
class Idle(Protocol):
    """A sink that has work to do while no source delivers anything."""

    def idle(self) -> None:
        """Do that work; called a few times per second.  Raises Quit as `write` does."""
        ...


class Quit(Exception):  # noqa: N818
    """The user ended the run; not an error."""
