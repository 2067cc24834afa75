"""What long work says: its steps in lines, its progress as a bar on a terminal."""

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


def say(text: str) -> None:
    """Say something, in rich's markup, on stderr; the first process alone does."""
    if is_first():
        Console(stderr=True, highlight=False).print(text, soft_wrap=True)


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
