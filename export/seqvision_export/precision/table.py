"""What was measured, for the terminal."""

from collections import Counter
from collections.abc import Sequence

from rich.table import Table

from seqvision.chance import is_better
from seqvision.console import console, print_line
from seqvision_export.precision.candidate import Measured
from seqvision_export.precision.clips import Clips


def show(measured: Sequence[Measured], chosen: Measured | None, clips: Clips) -> None:
    """Print a row for each candidate to stderr, and what the figures rest on."""
    table = Table(title="one live frame on this machine", title_justify="left")
    table.add_column("")
    for name in ("ms", "speed", "accuracy", "points lost", "MB"):
        table.add_column(name, justify="right")
    table.add_column("")
    for one in measured:
        table.add_row(
            one.candidate.name,
            f"{one.milliseconds:.3f}",
            f"{one.ratio:.2f} ×",
            "" if one.accuracy is None else f"{one.accuracy:.1%}",
            "" if one.drop is None else f"{one.drop:.1f}",
            f"{one.size / 1e6:.1f}",
            "kept" if one is chosen else one.refused,
            style="bold" if one is chosen else "",
        )
    console.print(table)
    for line in _notes(measured, chosen, clips):
        print_line(line)


def _notes(measured: Sequence[Measured], chosen: Measured | None, clips: Clips) -> list[str]:
    lines = []
    if clips.judge:
        one = 100 / len(clips.judge)
        lines.append(
            f"accuracy on {len(clips.judge)} clips, each worth {one:.2g} points"
            + (", which also calibrated int8" if clips.same and _has_int8(measured) else "")
        )
        label, often = Counter(clips.judge.labels).most_common(1)[0]
        share, right = often / len(clips.judge), measured[0].accuracy
        if right is not None and not is_better(right, len(clips.judge), share):
            lines.append(
                f"warning: fp32 itself is right on {right:.1%}, not clearly more than chance "
                f"(always naming {label}: {share:.1%}), so a drop of accuracy means nothing here"
            )
    if chosen is not None and chosen.agreement is not None and chosen is not measured[0]:
        lines.append(
            f"{chosen.candidate.name} names {chosen.agreement:.1%} of the clips as fp32 does"
        )
    if chosen is not None and chosen.ratio < 1:
        lines.append(
            f"{chosen.candidate.name} is slower than fp32 here ({chosen.ratio:.2f} ×): "
            "--precision auto would keep fp32"
        )
    return lines


def _has_int8(measured: Sequence[Measured]) -> bool:
    return any(one.candidate.precision == "int8" for one in measured)
