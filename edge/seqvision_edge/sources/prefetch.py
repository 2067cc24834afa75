"""Decode ahead: the next frames of a file are read while the model works on this one.

OpenCV and onnxruntime both let go of Python's lock, so decoding and the model overlap.  Only files
are read ahead; of a camera the newest frame counts.
"""

import queue
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")

# Enough to even out frames that decode slowly, few enough that 4K frames cost little memory.
DEPTH = 4
_PATIENCE = 0.1


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None = None


def ahead(items: Iterable[Item], depth: int = DEPTH) -> Generator[Item, None, None]:
    """Yield the items, up to `depth` of them made ahead by one thread.

    What the iterable raises is raised here, after the items before it.  The thread has ended when
    the generator has: close it (`contextlib.closing`) before what the items come from.
    """
    box: queue.Queue[Item | _End] = queue.Queue(depth)
    left = threading.Event()

    def put(item: Item | _End) -> None:
        while not left.is_set():
            try:
                box.put(item, timeout=_PATIENCE)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for item in items:
                put(item)
                if left.is_set():
                    return
            put(_End())
        except BaseException as error:
            put(_End(error))

    thread = threading.Thread(target=work, name="decode-ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := box.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        left.set()
        thread.join()
