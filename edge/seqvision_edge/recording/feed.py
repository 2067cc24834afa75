"""A source that is read by a thread of its own, so that nothing else waits for it."""

import contextlib
import threading
from collections import deque
from types import TracebackType

from typing_extensions import Self

from seqvision_edge.frame import Frame
from seqvision_edge.result import SourceState
from seqvision_edge.sources import Source

# Two seconds of a camera, while a take is being finished; a file is only read a little ahead.
_LIVE, _RECORDED = 60, 8


class RecordingFeed:
    """Everything that a source brings, in order; what it brings at last is None.

    A recorded source waits for its reader.  Of a live one the oldest frames are lost where the
    reader is late for long.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._items: deque[Frame | SourceState] = deque()
        self._most = _LIVE if source.live else _RECORDED
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._ended = self._closed = False
        self._thread = threading.Thread(target=self._read, name="read", daemon=True)

    def take(self, seconds: float) -> list[Frame | SourceState] | None:
        """Return what has come, waiting for it so long; None after the last.

        Raises:
            BaseException: what ended the source, if it was not its end.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended, seconds)
            if self._items:
                items = list(self._items)
                self._items.clear()
                self._changed.notify_all()
                return items
            if self._error is not None:
                raise self._error
            return None if self._ended else []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            opened.enter_context(self._source)
            self._thread.start()
            opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._source.stop()
        self._thread.join()
        self._source.__exit__(kind, error, trace)

    def _read(self) -> None:
        try:
            for item in self._source:
                if not self._put(item):
                    return
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, item: Frame | SourceState) -> bool:
        with self._changed:
            if self._source.live:
                if len(self._items) >= self._most:
                    self._lose()
            else:
                self._changed.wait_for(lambda: len(self._items) < self._most or self._closed)
            self._items.append(item)
            self._changed.notify_all()
            return not self._closed

    def _lose(self) -> None:
        """Lose the oldest frame; states are few, and all of them count."""
        for index, item in enumerate(self._items):
            if isinstance(item, Frame):
                del self._items[index]
                return
