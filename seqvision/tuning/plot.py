"""study.png: how the search went, and what accuracy costs in time."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from seqvision.errors import StudyError
from seqvision.report.plots import pyplot
from seqvision.tuning.trials import Row, best_of, pareto
from seqvision_edge.files import atomic_write


def draw(rows: Sequence[Row], path: Path, objective: str, max_latency_ms: float | None) -> None:
    """Draw the trials in their order and, where they were timed, against milliseconds.

    Raises:
        StudyError: the file cannot be written.
    """
    complete = [row for row in rows if row.value is not None]
    if not complete:
        return
    plt = pyplot()
    front = pareto(rows)
    count = 2 if front else 1
    figure, panels = plt.subplots(
        1, count, figsize=(4.5 * count, 3.6), layout="constrained", squeeze=False
    )
    _draw_order(panels[0][0], complete, rows)
    if front:
        _draw_front(panels[0][1], complete, front, max_latency_ms)
    for axes in panels[0]:
        axes.set_ylabel(f"validation {objective}")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    try:
        with atomic_write(path) as unfinished:
            figure.savefig(unfinished, dpi=110)
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror})") from None
    finally:
        plt.close(figure)


def _draw_order(axes: Any, complete: Sequence[Row], rows: Sequence[Row]) -> None:
    numbers, values = zip(*((row.number, row.value or 0.0) for row in complete), strict=True)
    axes.scatter(numbers, values, color="#15c", s=16, label="finished", zorder=3)
    axes.step(numbers, list(accumulate(values, max)), color="#c60", where="post", label="best")
    low = min(values)
    for kind, marker in (("pruned", "x"), ("too slow", "1"), ("failed", "2")):
        some = [row.number for row in rows if row.kind == kind]
        if some:
            axes.scatter(some, [low] * len(some), color="#999", marker=marker, s=20, label=kind)
    axes.set(xlabel="trial", title="the search")
    axes.legend(frameon=False, fontsize="small")


def _draw_front(
    axes: Any, complete: Sequence[Row], front: Sequence[Row], max_latency_ms: float | None
) -> None:
    timed = [row for row in complete if row.ms is not None]
    axes.scatter([r.ms for r in timed], [r.value for r in timed], color="#8ab", s=16)
    axes.step(
        [r.ms for r in front], [r.value for r in front], color="#15c", where="post",
        marker="o", markersize=4, label="none is both as good and faster",
    )  # fmt: skip
    best = best_of(complete)
    if best is not None and best.ms is not None:
        axes.scatter([best.ms], [best.value], color="#c60", s=40, zorder=3, label="best")
    if max_latency_ms is not None:
        axes.axvline(
            max_latency_ms, color="#c60", linestyle=":", label=f"at most {max_latency_ms:g} ms"
        )
    axes.set_xscale("log")
    axes.set(xlabel="milliseconds of a live frame", title="what it costs")
    axes.legend(frameon=False, fontsize="small")
