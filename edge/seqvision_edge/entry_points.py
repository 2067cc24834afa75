"""The entry points of the installed scripts.

Imports next to nothing: until `start` Ctrl-C is Python's, which prints a traceback.
"""

import signal
from collections.abc import Callable


def edge_run() -> int:
    """Run `edge-run` and return its exit code."""

    def load() -> Callable[[], int]:
        from seqvision_edge.cli import main

        return main

    return start(load)


def edge_serve() -> int:
    """Run `edge-serve` and return its exit code."""

    def load() -> Callable[[], int]:
        from seqvision_edge.server.cli import main

        return main

    return start(load)


def start(load: Callable[[], Callable[[], int]]) -> int:
    """Import a program with `load`, run it, and return its exit code.

    Ctrl-C exits without a traceback also during the imports, and interpreter shutdown is not
    interrupted: a `try` inside the program could handle neither.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        if handler is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)

        from seqvision_edge.interrupts import exit_code

        main = load()
        signal.signal(signal.SIGINT, handler)
        return main()
    except KeyboardInterrupt as stopped:
        return exit_code(stopped)
    finally:
        _ignore_signals()


def _ignore_signals() -> None:
    """Ignore signals during interpreter shutdown: everything is closed by then."""
    while True:
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
        except KeyboardInterrupt:
            continue
        return
