"""Decouple an output that may be slow or fail from the run, by a queue and threads.

What is picked from a step enters a bounded queue; workers send it.  When the queue is full, live
runs drop the oldest item (and count it), since a camera does not wait; runs on recordings wait.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from typing_extensions import Self

from seqvision_edge import interrupts
from seqvision_edge.errors import SinkError
from seqvision_edge.frame import Step

Item = TypeVar("Item")

# After an interrupted run, all outputs together have so long to send what is queued; those still
# busy are then requested to stop, and abandoned a little later.
FLUSH_SECONDS, CLOSE_SECONDS = 1.0, 1.4
# Poll interval of a wait, so that an interrupt is handled soon.
_POLL_SECONDS = 0.1


class Outlet(Protocol[Item]):
    """The output at the end of a queue.

    Attributes:
        name: its name in messages; without secrets.
        trouble: why nothing can be sent at the moment, in a few words; "" if all is well.
    """

    name: str
    trouble: str

    def open(self) -> None:
        """Open the output before the run.  Raises SinkError on a user's mistake."""

    def pick(self, step: Step) -> Iterable[Item]:
        """Return the items to send for a step; called by the run, so it must be quick."""

    def send(self, item: Item) -> None:
        """Send one item, however long that takes.  Raises SinkError when it is lost."""

    def stop(self) -> None:
        """Make a long `send` return soon; called from another thread."""

    def close(self) -> None:
        """Close the output; called by the worker after the last item.  May raise SinkError."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of items: `sent`, `dropped` from a full queue, `failed`, or `waiting`."""

    sent: int = 0
    dropped: int = 0
    failed: int = 0
    waiting: int = 0

    @property
    def lost(self) -> int:
        """Items that never arrive; once the run is over, including those still waiting."""
        return self.dropped + self.failed + self.waiting


class Queued(Generic[Item]):
    """A sink that queues what its outlet picks, and sends it in threads of its own."""

    def __init__(
        self, outlet: Outlet[Item], depth: int, *, waits: bool = False, workers: int = 1
    ) -> None:
        """Queue at most `depth` items; with `waits` a full queue blocks the run."""
        self.name = outlet.name
        self.last_error = ""
        self._outlet = outlet
        self._depth = depth
        self._waits = waits
        self._items: deque[Item] = deque()
        self._counts = Counts()
        self._error = ""
        self._over = False
        self._changed = threading.Condition()
        self._working = workers

    @property
    def counts(self) -> Counts:
        """The numbers of items so far."""
        with self._changed:
            return self._counts

    @property
    def trouble(self) -> str:
        """Why nothing can be sent at the moment; "" if all is well."""
        return self._outlet.trouble or self._error

    def __enter__(self) -> Self:
        self._outlet.open()
        for _ in range(self._working):
            threading.Thread(target=self._work, name=f"to {self.name}", daemon=True).start()
        return self

    def write(self, step: Step) -> None:
        """Queue what the outlet picks of the step."""
        for item in self._outlet.pick(step):
            self._put(item)

    def __exit__(self, *_: object) -> None:
        close_all([self])

    def finish(self) -> None:
        """Let the workers end once the queue is empty; nothing more is queued."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def wait(self, until: float) -> bool:
        """Wait for the workers until a time of the monotonic clock; return whether they ended."""
        with self._changed:
            self._changed.wait_for(lambda: not self._working, max(0.0, until - monotonic()))
            return not self._working

    def stop(self) -> None:
        """Discard what is queued, and make the current `send` return soon."""
        with self._changed:
            self._count(dropped=len(self._items), waiting=-len(self._items))
            self._items.clear()
        self._outlet.stop()

    def _put(self, item: Item) -> None:
        with self._changed:
            try:
                while self._waits and len(self._items) >= self._depth:
                    self._changed.wait(_POLL_SECONDS)
                    interrupts.check()
            except KeyboardInterrupt:
                # Items queued after a Ctrl-C must not wait for the same dead disk again.
                self._waits = False
                raise
            if len(self._items) >= self._depth:
                self._items.popleft()
                self._count(dropped=1, waiting=-1)
            self._items.append(item)
            self._count(waiting=1)

    def _count(self, **changes: int) -> None:
        """Add to the counts; the lock is held."""
        now = self._counts
        self._counts = replace(now, **{key: getattr(now, key) + n for key, n in changes.items()})
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._over)
                if not self._items:
                    break
                item = self._items.popleft()
                # A blocked put may continue; the item counts as waiting until it is sent.
                self._changed.notify_all()
            error = _error_of(self._outlet.send, item)
            with self._changed:
                self._error = error
                self.last_error = error or self.last_error
                if error:
                    self._count(failed=1, waiting=-1)
                else:
                    self._count(sent=1, waiting=-1)
        self._leave()

    def _leave(self) -> None:
        """End this worker; the last one closes the outlet."""
        with self._changed:
            is_last = self._working == 1
            if not is_last:
                self._working -= 1
        if is_last:
            error = _error_of(self._outlet.close)
            with self._changed:
                self._working = 0
                self.last_error = error or self.last_error
                self._count(failed=bool(error))


def close_all(sinks: Sequence[Queued[Any]], timeout: float = FLUSH_SECONDS) -> None:
    """Close all queues together: flush for `timeout` seconds, then stop and abandon what is stuck.

    A Ctrl-C ends the waiting.
    """
    for sink in sinks:
        sink.finish()
    try:
        until = monotonic() + timeout
        while not all(sink.wait(min(until, monotonic() + _POLL_SECONDS)) for sink in sinks):
            if monotonic() >= until or interrupts.is_waiting():
                break
    finally:
        busy = [sink for sink in sinks if not sink.wait(0)]
        for sink in busy:
            sink.stop()
        until = monotonic() + CLOSE_SECONDS - FLUSH_SECONDS
        for sink in busy:
            sink.wait(until)


def _error_of(function: Callable[..., None], *arguments: Any) -> str:
    """Call a function and return what it raised as one line; "" if it raised nothing.

    An error in an output is a loss of that output, and never ends its worker.
    """
    try:
        function(*arguments)
    except SinkError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
