"""Tables for the terminal."""

from rich.markup import escape
from rich.table import Table

from seqvision.console import result_console
from seqvision.metrics import Metrics


def metrics_table(metrics: Metrics, title: str) -> None:
    """Print the figures of a set of clips."""
    table = Table(title=escape(title), title_justify="left", show_footer=True)
    table.add_column("label", f"all {len(metrics.labels)}, mean")
    for name in ("precision", "recall", "f1"):
        table.add_column(name, f"{getattr(metrics, name):.3f}", justify="right")
    table.add_column("clips", str(metrics.clips), justify="right")
    for label, figures in metrics.labels.items():
        cells = (f"{value:.3f}" for value in (figures.precision, figures.recall, figures.f1))
        table.add_row(escape(label), *cells, str(figures.clips))
    console = result_console()
    console.print(table)
    console.print(f"accuracy [bold]{metrics.accuracy:.1%}[/]   loss {metrics.loss:.3f}")
