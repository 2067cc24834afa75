"""Progress of long work: a bar on a terminal, nothing in a file."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from seqvision.rank import is_first


def tell_step(what: str) -> None:
    """Say on stderr which step of a long work begins."""
    if is_first():
        print(f"{what} …", file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar for `what`; call the result with the number done and the total."""
    console = Console(stderr=True)
    with Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (sys.stderr.isatty() and is_first()),
    ) as bar:
        task = bar.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            # Telling a bar costs more than an image of a few pixels.
            if done == total or done % max(1, total // 500) == 0:
                bar.update(task, completed=done, total=total)

        yield advance
