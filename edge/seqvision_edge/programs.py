"""The programs, as their installed scripts start them; imports nothing but the standard library."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any


def edge_run() -> int:
    """Run `edge-run` and return its exit code."""

    def load() -> Callable[[], int]:
        from seqvision_edge.cli import main

        return main

    return start(load)


def edge_serve() -> int:
    """Run `edge-serve` and return its exit code."""

    def load() -> Callable[[], int]:
        from seqvision_edge.serve.cli import main

        return main

    return start(load)


def start(load: Callable[[], Callable[[], int]]) -> int:
    """Import a program by `load`, run it, and return its exit code.

    Ctrl-C ends the process without a traceback also while it imports, and while the interpreter
    ends: what a `try` inside the program cannot see.
    """
    handler = _end_silently()
    try:
        main = load()
        signal.signal(signal.SIGINT, handler)
        return main()
    except KeyboardInterrupt:
        return 130
    finally:
        _end_silently()


def _end_silently() -> Callable[[int, FrameType | None], Any] | int | signal.Handlers | None:
    """Let SIGINT end the process at once, unless it is ignored; return the handler before."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return handler
