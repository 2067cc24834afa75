"""Watchdog for calls of the model that fail or hang during a run.

A driver of an accelerator may hang.  onnxruntime is asked to stop such a call; where it does not
listen either, only the end of the process helps.
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import onnxruntime as ort
from typing_extensions import Self

from seqvision_edge.errors import SeqvisionError

Answer = TypeVar("Answer")

# Of one call.  The slowest device answers for a batch of frames sooner.
CALL_SECONDS = 20.0
# A call that was asked to stop has so long to do it.
_MERCY_SECONDS = 3.0
_LOOKS = 10


class CallFailed(SeqvisionError):  # noqa: N818
    """The model failed, or took too long, while it ran."""


class Watchdog:
    """Watch calls, one at a time, from a thread of its own."""

    def __init__(self, where: str, seconds: float, stuck: Callable[[str], None] | None) -> None:
        """Describe it.

        Args:
            where: names the model.
            seconds: that one call may take.
            stuck: called, with one line, where a call cannot even be stopped.
        """
        self._where = where
        self._seconds = seconds
        self._stuck = stuck
        self._options = ort.RunOptions()
        self._options.log_severity_level = 4
        self._began: float | None = None
        self._is_late = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def call(self, work: Callable[[ort.RunOptions], Answer]) -> Answer:
        """Call the model; what it is given lets the call be stopped.

        Raises:
            CallFailed: onnxruntime gave an error, or it took too long.
        """
        self._began = time.monotonic()
        try:
            return work(self._options)
        except Exception as error:
            if self._is_late:
                raise CallFailed(f"{self._late}; it was stopped") from None
            if not type(error).__module__.startswith("onnxruntime"):
                raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise CallFailed(f"{self._where}: failed while it ran ({reason[:160]})") from None
        finally:
            self._began = None

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def _late(self) -> str:
        return f"{self._where}: an answer took longer than {self._seconds:g} s"

    def _watch(self) -> None:
        while not self._over.wait(min(1.0, self._seconds / _LOOKS)):
            began = self._began
            if began is None:
                continue
            taken = time.monotonic() - began
            if taken > self._seconds and not self._is_late:
                self._is_late = True
                self._options.terminate = True
            if taken > self._seconds + _MERCY_SECONDS and self._stuck is not None:
                self._stuck(f"{self._late} and cannot be stopped")
                return
