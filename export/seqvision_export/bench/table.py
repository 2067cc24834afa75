"""What was measured, as tables."""

from typing import Any

from rich.table import Table

from seqvision.console import result_console

_STAGES = ("live frame", "encoder", "head", "full window", "whole picture")


def show(found: dict[str, Any]) -> None:
    """Print what `bench` found."""
    console = result_console(markup=False)
    machine = found["machine"]
    console.print(
        f"{found['model']} on {machine['processor']}, {machine['cores']} cores, "
        f"onnxruntime {machine['onnxruntime']}",
        highlight=False,
    )
    runs = found["runs"]
    for device, threads in dict.fromkeys((run["device"], run["threads"]) for run in runs):
        same = [run for run in runs if (run["device"], run["threads"]) == (device, threads)]
        console.print(_runs(same, f"{device}, {threads} thread{'s' if threads > 1 else ''}"))
    console.print(
        "milliseconds, p50 (p95); saves: the full window, over one live frame", style="dim"
    )
    if found["preprocessing"]:
        console.print(_pictures(found["preprocessing"]))
    console.print(_starts(found["startup"]))


def _runs(runs: list[dict[str, Any]], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("precision")
    stages = [name for name in _STAGES if any(name in run["stages"] for run in runs)]
    live = "live frame" in stages
    last = ("frames/s", "saves") if live else ("pictures/s",)
    for name in (*stages, *last):
        table.add_column(name, justify="right", no_wrap=True)
    for run in runs:
        found, ratios = run["stages"], run["ratios"]
        first = found.get(stages[0])
        cells = [_time(found.get(name), name == stages[0]) for name in stages]
        cells.append(f"{first['per_second']:,.0f}" if first else "")
        if live:
            cells.append(_times(ratios.get("full window / live frame")))
        table.add_row(run["precision"], *cells)
    return table


def _pictures(stages: dict[str, Any]) -> Table:
    table = Table(title="preprocessing, one thread", title_justify="left")
    table.add_column("stage")
    table.add_column("ms, p50 (p95)", justify="right")
    table.add_column("per second", justify="right")
    for name, timing in stages.items():
        table.add_row(name, _time(timing), f"{timing['per_second']:,.0f}")
    return table


def _starts(starts: list[dict[str, Any]]) -> Table:
    table = Table(title="start in a fresh process, without torch", title_justify="left")
    table.add_column("precision")
    for column in ("file", "imports", "card and session", "peak memory"):
        table.add_column(column, justify="right")
    for one in starts:
        table.add_row(
            one["precision"],
            f"{one['bytes'] / 1e6:.1f} MB",
            f"{one['import_seconds']:.2f} s",
            f"{one['ready_seconds']:.2f} s",
            f"{one['memory_megabytes']:.0f} MB",
        )
    return table


def _time(timing: dict[str, float] | None, tail: bool = True) -> str:
    if timing is None:
        return ""
    digits = 3 if timing["p50_ms"] < 1 else 2
    rare = f" ({timing['p95_ms']:.{digits}f})" if tail else ""
    return f"{timing['p50_ms']:.{digits}f}{rare}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.1f} ×"
