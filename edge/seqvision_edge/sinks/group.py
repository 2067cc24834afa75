"""Combine all outputs of a run into one sink: opened in order, closed within one deadline,
losses reported."""

import contextlib
import sys
from collections.abc import Sequence
from time import monotonic
from types import TracebackType
from typing import Any

from typing_extensions import Self

from seqvision_edge.command_line import print_text
from seqvision_edge.frame import Step
from seqvision_edge.sinks import Idle, Sink
from seqvision_edge.sinks.outlet import FLUSH_SECONDS, Queued, close_all

# A recording that has ended may wait for its outputs: that costs only time.
_RECORDED_FLUSH_SECONDS = 10.0
_OVER = ("ended", "failed")
# An unstable network must not fill the terminal with messages.
_QUIET_SECONDS = 10.0


class SinkGroup:
    """Pass every step to every output; a failing output is reported and never ends the run."""

    def __init__(
        self, program: str, queued: Sequence[Queued[Any]], direct: Sequence[Sink], live: bool
    ) -> None:
        """Take outputs that have a queue (`queued`), and those that are written to directly.

        `live` means that the run ends by being interrupted; outputs then get a short deadline.
        """
        self._program = program
        self._queued = queued
        self._direct = direct
        self._live = live
        self._opened = contextlib.ExitStack()
        self._begun: list[Queued[Any]] = []
        self._news = {sink: _TroubleReporter() for sink in queued}
        self._running: set[str] = set()

    @property
    def incomplete(self) -> tuple[str, ...]:
        """What was lost, one line per output: `--json a.jsonl: 118 sent, 3 lost (…)`."""
        return tuple(_losses(sink) for sink in self._queued if sink.counts.lost)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            # Closed in reverse order: the screen is restored before waiting for the queues.
            opened.callback(self._close_queues)
            for queue in self._queued:
                self._begun.append(queue.__enter__())
            for sink in self._direct:
                opened.enter_context(sink)
            self._opened = opened.pop_all()
        return self

    def write(self, step: Step) -> None:
        """Pass the step on, and print a line when an output gets stuck or works again."""
        if step.state.state in _OVER:
            self._running.discard(step.source)
        else:
            self._running.add(step.source)
        for sink in (*self._queued, *self._direct):
            sink.write(step)
        self._print_changes()

    def idle(self) -> None:
        """Keep the screen alive while no source delivers anything.  Raises Quit as `write` does."""
        for sink in self._direct:
            if isinstance(sink, Idle):
                sink.idle()
        self._print_changes()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._opened.__exit__(kind, error, trace)
        finally:
            for line in self.incomplete:
                self._print(line)

    def _close_queues(self) -> None:
        whole = not self._live and not self._running
        close_all(self._begun, _RECORDED_FLUSH_SECONDS if whole else FLUSH_SECONDS)

    def _print_changes(self) -> None:
        now = monotonic()
        for sink, news in self._news.items():
            line = news.of(sink.trouble, now)
            if line:
                self._print(f"{sink.name}: {line}")

    def _print(self, text: str) -> None:
        print_text(f"{self._program}: {text}", sys.stderr)


class _TroubleReporter:
    """Report when an output gets stuck, and when it works again."""

    def __init__(self) -> None:
        self._reported = ""
        self._at = -_QUIET_SECONDS

    def of(self, trouble: str, now: float) -> str:
        if bool(trouble) == bool(self._reported) or now - self._at < _QUIET_SECONDS:
            return ""
        self._reported, self._at = trouble, now
        return trouble or "works again"


def _losses(sink: Queued[Any]) -> str:
    counts = sink.counts
    why = f" ({sink.last_error})" if sink.last_error else ""
    return f"{sink.name}: {counts.sent} sent, {counts.lost} lost{why}"
