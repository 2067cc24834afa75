"""By which signal long work was stopped: its exit code is another for each."""

import signal

from seqvision_edge.command_line import Terminated

Stop = signal.Signals


def stop_of(error: KeyboardInterrupt) -> Stop:
    """Return the signal that raised an interrupt."""
    return signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT


def interrupt(stop: Stop, message: str = "") -> KeyboardInterrupt:
    """Return what a signal raises, with a message for the person who stopped the work."""
    kind = Terminated if stop == signal.SIGTERM else KeyboardInterrupt
    return kind(message) if message else kind()


def exit_code(stop: Stop | None) -> int:
    """Return the exit code of work that a signal stopped, or that none did."""
    return 0 if stop is None else 128 + stop
