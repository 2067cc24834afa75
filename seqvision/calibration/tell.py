"""What calibration found, as tables: before → after."""

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seqvision.calibration.clips import FEW, FromClips
from seqvision.calibration.events import FromTakes
from seqvision.calibration.figures import Figures
from seqvision.console import result_console
from seqvision_edge.card import Decision

Row = tuple[str, str, str]

# Where the budget allows fewer false events than this, a search by them is one by luck.
_ENOUGH_FALSE = 2


def print_clips(found: FromClips) -> None:
    """Print the calibration on clips."""
    table = _table(found.chosen)
    table.add_row("expected calibration error", *_pair(found.before.error, found.after.error))
    table.add_row("loss", *_pair(found.before.loss, found.after.loss))
    console = result_console()
    console.print(table)
    reject = found.reject
    summary = "no clip was misclassified" if reject.refused is None else (
        f"rejects {reject.refused:.0%} of {reject.unknown} predictions for unknown clips"
    )  # fmt: skip
    line = (
        f"unknown below {reject.threshold:g}: "
        f"keeps {reject.kept:.0%} of correct predictions, {summary}"
    )
    console.print(f"{line} ({reject.how})", soft_wrap=not console.is_terminal)
    if found.clips < FEW:
        _note(console, f"{found.clips} clips are few: figures and settings may be luck")


def print_takes(found: FromTakes, budget: float) -> None:
    """Print the event metrics on untrimmed videos."""
    count = "one video" if found.takes == 1 else f"{found.takes} videos"
    minutes = found.before.seconds / 60
    table = _table(f"{count}, {minutes:.1f} minutes, {found.true} events")
    table.add_column("on videos not searched", justify="right")
    others = found.held_out
    columns = [_events(each) for each in (found.before, found.after, others or found.after)]
    for (name, *cells), (_, after), (_, left) in zip(*columns, strict=True):
        table.add_row(name, *cells, after, left if others else "?")
    console = result_console()
    console.print(table)
    if others is None:
        _note(console, "only one video: the figures after are those of the very video that was "
              "searched, and optimistic; give more videos")  # fmt: skip
    if 0 < budget * minutes < 60 * _ENOUGH_FALSE:
        _note(console, f"in {minutes:.1f} minutes one false event is {60 / minutes:.0f} per hour "
              "already, and is avoided at the cost of true ones; give "
              f"{60 * _ENOUGH_FALSE / budget:.0f} minutes or more")  # fmt: skip
    after = found.after
    if not after.is_within(budget):
        _note(console, f"no settings keep within {budget:g} false per hour; these come nearest")
    elif not after.false:
        _note(console, f"no false event in {minutes:.1f} minutes shows only: fewer than "
              f"{after.surely_below:.0f} per hour, 95 % sure")  # fmt: skip


def print_settings(before: Decision, after: Decision) -> None:
    """Print each setting that changed."""
    table = _table("settings")
    old, new = before.model_dump(), after.model_dump()
    for name, value in old.items():
        if value != new[name]:
            table.add_row(name, _said(value), _said(new[name]))
    if table.row_count:
        result_console().print(table)
    else:
        result_console().print("the settings stay as they are")


def _table(title: str) -> Table:
    table = Table(title=escape(title), title_justify="left")
    table.add_column("")
    table.add_column("before", justify="right")
    table.add_column("after", justify="right")
    return table


def _pair(before: float, after: float) -> tuple[str, str]:
    return f"{before:.3f}", f"{after:.3f}"


def _events(figures: Figures) -> Iterator[tuple[str, str]]:
    yield "F1", f"{figures.f1:.3f}"
    yield "precision", f"{figures.precision:.3f}"
    yield "recall", f"{figures.recall:.3f}"
    yield "false per hour", f"{figures.false_per_hour:.0f}"
    yield "detection delay, s (median)", "–" if figures.delay is None else f"{figures.delay:.2f}"


def _said(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else escape(str(value))


def _note(console: Console, text: str) -> None:
    console.print(f"[yellow]note:[/] {escape(text)}", soft_wrap=not console.is_terminal)
