"""PNGs for the run folder: the confusion matrix and the curves."""

import warnings
from pathlib import Path
from typing import Any

from seqvision.metrics import Metrics
from seqvision.report.run_folder import column


def draw_confusion(metrics: Metrics, path: Path, title: str) -> None:
    """Draw the confusion matrix; colours are shares of the true label, numbers are clips."""
    plt = pyplot()
    labels = list(metrics.labels)
    rows = [[value / max(1, sum(row)) for value in row] for row in metrics.confusion]
    side = 2.2 + 0.5 * len(labels)
    figure, axes = plt.subplots(figsize=(side + 0.9, side), layout="constrained")
    image = axes.imshow(rows, vmin=0, vmax=1, cmap="Blues")
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted label", ylabel="true label")
    axes.set_title(f"{title}: accuracy {metrics.accuracy:.1%}, {metrics.clips} clips", loc="left")
    axes.spines[:].set_visible(False)
    for y, row in enumerate(metrics.confusion):
        for x, value in enumerate(row):
            if value:
                colour = "white" if rows[y][x] > 0.5 else "#123"
                axes.text(x, y, str(value), ha="center", va="center", color=colour)
    figure.colorbar(image, ax=axes, fraction=0.04, label="share of the true label")
    # "tight", because the constrained layout forgets the long labels next to a square picture.
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)


def draw_curves(logs: Path, path: Path, best_epoch: int) -> None:
    """Draw loss and accuracy per epoch from the CSV logs of a run and of what it resumed.

    `best_epoch` counts from 0, the picture from 1.
    """
    plt, best = pyplot(), best_epoch + 1
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axes, name in zip(panels, ("loss", "accuracy"), strict=True):
        for part, colour in (("train", "#8ab"), ("val", "#15c")):
            points = column(logs, f"{part}/{name}") or [(1, float("nan"))]
            axes.plot(*zip(*points, strict=True), color=colour, label=part, linewidth=1.8)
        axes.axvline(best, color="#c60", linestyle=":", label=f"best, epoch {best}")
        axes.set(xlabel="epoch", title=name)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if name == "accuracy":
            axes.set_ylim(0, 1.02)
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def pyplot() -> Any:
    """Return matplotlib, drawing to files only, with fonts for any script that are here."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib import font_manager

    # Labels are in any script; of the fonts that have many letters, those that are here.
    here = set(font_manager.get_font_names())
    plt.rcParams["font.family"] = ["DejaVu Sans", *(name for name in _WIDE_FONTS if name in here)]
    # A letter that no font has becomes a box, and that is no reason to speak of it.
    warnings.filterwarnings("ignore", "Glyph .* missing from font")
    return plt


_WIDE_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans Arabic",
    "Noto Sans Devanagari",
    "Noto Emoji",
    "Arial Unicode MS",
    "Microsoft YaHei",
    "Yu Gothic",
    "PingFang SC",
    "Hiragino Sans",
    "WenQuanYi Micro Hei",
)
