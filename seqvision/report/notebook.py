"""Results as a notebook shows them: small tables, and the curves of a training."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from seqvision.metrics import Metrics


def metrics_tables(metrics: Mapping[str, Metrics]) -> str:
    """Return a table of figures for each set of clips, as HTML."""
    return "".join(metrics_html(name, each) for name, each in metrics.items())


def metrics_html(name: str, metrics: Metrics) -> str:
    """Return the figures of a set of clips as an HTML table."""
    rows = "".join(
        f"<tr><td>{escape(label)}</td><td>{each.precision:.3f}</td><td>{each.recall:.3f}</td>"
        f"<td>{each.f1:.3f}</td><td>{each.clips}</td></tr>"
        for label, each in metrics.labels.items()
    )
    return (
        f"<table><caption>{escape(name)}: accuracy {metrics.accuracy:.1%}, F1 {metrics.f1:.3f}, "
        f"{metrics.clips} clips</caption><tr><th>label</th><th>precision</th><th>recall</th>"
        f"<th>F1</th><th>clips</th></tr>{rows}</table>"
    )


def predictions_table(
    rows: Sequence[tuple[str, str, float, bool]], damaged: Sequence[str], most: int = 50
) -> str:
    """Return the labels of clips as an HTML table, of long lists the beginning.

    Args:
        rows: path, label, probability and whether the answer is unsure, of each clip.
        damaged: a line for each clip that is not whole.
        most: how many rows are shown.
    """
    cells = "".join(
        f"<tr><td style='text-align:left'>{escape(path)}</td><td>{escape(label)}</td>"
        f"<td>{probability:.1%}</td><td>{'unsure' if unsure else ''}</td></tr>"
        for path, label, probability, unsure in rows[:most]
    )
    more = f"<p>and {len(rows) - most} more</p>" if len(rows) > most else ""
    lines = "".join(f"<p>{escape(line)}</p>" for line in damaged)
    head = "<tr><th>clip</th><th>label</th><th>probability</th><th></th></tr>"
    return f"<table>{head}{cells}</table>{more}{lines}"


def curves_image(picture: Path) -> str:
    """Return the curves of a training as an HTML image; nothing where there are none."""
    if not picture.is_file():
        return ""
    data = b64encode(picture.read_bytes()).decode()
    return f'<img alt="loss and accuracy by epoch" src="data:image/png;base64,{data}">'
