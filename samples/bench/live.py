"""What a live frame costs: against its encoder alone, the whole window again, torch, and int8."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.models import random_model

# encoder → goals, as ratios within one run: (of what, at least or at most).
GOALS: dict[str, tuple[tuple[str, str, float], ...]] = {
    "small_cnn": (("int8 / fp32", "≥", 1.7),),
    "mobilenet_v2": (
        ("live frame / encoder", "≤", 1.10),
        ("full window / live frame", "≥", 13),
        ("torch full window / live frame", "≥", 35),
        ("int8 / fp32", "≥", 2),
    ),
    "resnet18": (
        ("live frame / encoder", "≤", 1.10),
        ("full window / live frame", "≥", 13),
        ("torch full window / live frame", "≥", 13),
        ("int8 / fp32", "≥", 3.5),
    ),
}
READY_SECONDS = 0.5


def live(folder: Path) -> dict[str, dict[str, float]]:
    """Run `seqvision bench` on 16 frames of 112×112, one thread; print goals and figures."""
    from seqvision.config import BenchOptions
    from seqvision_export.bench.bench import bench

    found: dict[str, dict[str, float]] = {}
    for encoder in GOALS:
        report = bench(BenchOptions(model=random_model(folder, encoder), threads=(1,), seconds=2.0))
        runs = {run["precision"]: run for run in report["runs"]}
        fastest = max(
            (run["ratios"]["fp32 / this"] for name, run in runs.items() if "int8" in name)
        )
        ready = max(start["ready_seconds"] for start in report["startup"])
        found[encoder] = {**runs["fp32"]["ratios"], "int8 / fp32": fastest, "ready": ready}
    Console().print(_table(found))
    return found


def _table(found: dict[str, dict[str, float]]) -> Table:
    table = Table("encoder", "ratio", "goal", "found", "", title="live, 16 frames of 112×112, one "
                  "thread", title_justify="left")  # fmt: skip
    for encoder, goals in GOALS.items():
        for name, sign, goal in goals:
            value = found[encoder][name]
            reached = value >= goal if sign == "≥" else value <= goal
            table.add_row(encoder, name, f"{sign} {goal:g}", f"{value:.2f}",
                          "reached" if reached else "not reached")  # fmt: skip
        ready = found[encoder]["ready"]
        table.add_row(encoder, "card and session ready", f"< {READY_SECONDS} s", f"{ready:.2f} s",
                      "reached" if ready < READY_SECONDS else "not reached")  # fmt: skip
    return table
