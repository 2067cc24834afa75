"""`seqvision bench`: measure what a model costs on this machine.

load the file, or make the files that a model.pt becomes → time every stage in turn, for each
provider and number of threads → measure start-up, memory and size → print a table, write JSON.
"""

import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from rich.table import Table

from seqvision.config import BenchOptions, ExportOptions
from seqvision.console import Bar, print_line, print_written, result_console
from seqvision.errors import ExportError
from seqvision.models.classifier import Classifier
from seqvision.training.autotune import processor
from seqvision.training.model_io import load_model
from seqvision_edge.card import ModelCard, TimedSequence
from seqvision_edge.files import atomic_write, temporary_folder
from seqvision_edge.landmarks import layout_of
from seqvision_edge.providers import Device
from seqvision_edge.session import Session
from seqvision_export.bench.stages import (
    AGAIN,
    LIVE,
    Call,
    model_stages,
    picture_stages,
    torch_again,
)
from seqvision_export.bench.startup import measure_startup
from seqvision_export.onnx_graph import convert
from seqvision_export.quantize.calibration_data import random_windows
from seqvision_export.quantize.select_precision import Candidate, make
from seqvision_export.timing import Timing, interleaved_timing, ratio

_LIVE_STAGES = ("live frame", "encoder", "head", "full window")

_STAGES = ("live frame", "encoder", "head", "full window", "whole picture")


def bench(options: BenchOptions) -> dict[str, Any]:
    """Time every stage of a model, print the table and write the JSON.

    Raises:
        SeqvisionError: the model, the source or a device cannot be used.
    """
    model, card, subjects = _subjects(options)
    found: dict[str, Any] = {
        "model": str(options.model),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine_facts(),
        "runs": [],
        "startup": [],
    }
    pictures = picture_stages(card, options.source)
    ways = [(device, threads) for device in options.device
            for threads in options.threads or _thread_counts()]  # fmt: skip
    stages = len(_LIVE_STAGES) if isinstance(card.sequence, TimedSequence) else 1
    calls = len(pictures) + len(ways) * (stages * len(subjects) + (model is not None))
    with Bar("timing the preprocessing", calls * options.seconds, numbers=False) as bar:

        def advance(seconds: float) -> None:
            bar.update(bar.done + seconds)

        found["preprocessing"] = _plain(interleaved_timing(pictures, options.seconds, advance))
        _print_stages("preprocessing", found["preprocessing"])
        for device, threads in ways:
            way = f"{device}, {threads} thread{'' if threads == 1 else 's'}"
            bar.what = f"timing {way}"
            runs = _run(options, model, card, subjects, device, threads, advance)
            found["runs"] += runs
            for run in runs:
                _print_stages(f"{run['precision']}, {way}", run["stages"])
        bar.what = "starting fresh processes"
        for started in _starts(subjects):
            found["startup"].append(started)
            print_line(f"{started['precision']}: ready after {started['ready_seconds']:.2f} s")
    show_timings(found)
    if options.json_ is not None:
        _write(options.json_, found)
        print_written(options.json_)
    return found


def _print_stages(where: str, stages: Mapping[str, Mapping[str, float]]) -> None:
    """Print what each stage took, as soon as it is known."""
    for stage, timing in stages.items():
        print_line(f"{where}: {stage} {timing['p50_ms']:.3g} ms")


def machine_facts() -> dict[str, str]:
    """Return what the figures hold for."""
    return {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "onnxruntime": onnxruntime.__version__,
        "torch": torch.__version__,
    }


def _subjects(options: BenchOptions) -> tuple[Classifier | None, ModelCard, list[Candidate]]:
    """Return the network where there is one, the card, and the files to time."""
    if options.model.suffix.lower() == ".onnx":
        card = Session(options.model, device="cpu").card
        precision = card.graph.precision if card.graph else "fp32"
        given = Candidate(precision, precision, options.model.read_bytes())
        model = load_model(options.against)[0] if options.against is not None else None
        return model, card, [given]
    model, card = load_model(options.model)
    content = convert(model, card, ExportOptions().opset)
    # Noise chooses bad ranges, and the same arithmetic.
    landmarks = layout_of(card) is not None  # whose networks are exported in fp32 only
    made = [] if landmarks else make(content, card, options.precision, random_windows(card))
    fp32 = [Candidate("fp32", "fp32", content)] if "fp32" in options.precision else []
    subjects = [*fp32, *made]
    if not subjects:
        raise ExportError(f"{options.model}: its encoder has no other precision than fp32")
    return model, card, subjects


def _run(
    options: BenchOptions,
    model: Classifier | None,
    card: ModelCard,
    subjects: Sequence[Candidate],
    device: Device,
    threads: int,
    advance: Callable[[float], None],
) -> list[dict[str, Any]]:
    """Time all files on one device with so many threads, in turns with each other and torch."""
    work: dict[tuple[str, str], Call] = {}
    for subject in subjects:
        for stage, call in model_stages(subject.content, device, threads).items():
            work[subject.name, stage] = call
    if model is not None:
        work["torch", AGAIN] = torch_again(model, card, threads)
    timings = interleaved_timing(work, options.seconds, advance)
    runs: list[dict[str, Any]] = []
    for subject in subjects:
        own = {stage: timing for (name, stage), timing in timings.items() if name == subject.name}
        ratios = _ratios(own, timings)
        if subject is not subjects[0]:
            stage, timing = next(iter(own.items()))
            ratios[f"{subjects[0].name} / this"] = ratio(timings[subjects[0].name, stage], timing)
        runs.append({"precision": subject.name, "device": device, "threads": threads,
                     "stages": _plain(own), "ratios": ratios})  # fmt: skip
    if model is not None:
        runs.append({"precision": "torch fp32", "device": "cpu", "threads": threads,
                     "stages": _plain({AGAIN: timings["torch", AGAIN]}), "ratios": {}})  # fmt: skip
    return runs


def _ratios(
    own: Mapping[str, Timing], timings: Mapping[tuple[str, str], Timing]
) -> dict[str, float]:
    """Return what a live frame of a file saves, and what its head adds to the encoder."""
    if LIVE not in own:
        return {}
    live = own[LIVE]
    found = {"full window / live frame": ratio(own[AGAIN], live)}
    if "encoder" in own:  # not of vectors
        found = {"live frame / encoder": ratio(live, own["encoder"]), **found}
    if ("torch", AGAIN) in timings:
        found["torch full window / live frame"] = ratio(timings["torch", AGAIN], live)
    return found


def _starts(subjects: Sequence[Candidate]) -> Iterator[dict[str, Any]]:
    """Start every file in a fresh process, the first time to fill the disk's cache."""
    with temporary_folder() as folder:
        for subject in subjects:
            file = folder / "model.onnx"
            file.write_bytes(subject.content)
            tries = [measure_startup(file, "cpu", 1) for _ in range(3)]
            best = min(tries, key=lambda found: found["ready_seconds"])
            yield {"precision": subject.name, "bytes": len(subject.content), **best}


def _plain(timings: Mapping[str, Timing]) -> dict[str, dict[str, float]]:
    return {
        name: {"p50_ms": timing.p50, "p95_ms": timing.p95, "per_second": timing.per_second}
        for name, timing in timings.items()
    }


def _thread_counts() -> tuple[int, ...]:
    cores = os.cpu_count() or 1
    return (1,) if cores == 1 else (1, cores)


def _write(path: Path, found: dict[str, Any]) -> None:
    try:
        with atomic_write(path) as unfinished:
            unfinished.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ExportError(f"--json {path}: cannot be written ({error.strerror})") from None


def show_timings(found: dict[str, Any]) -> None:
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
    console.print(_start_table(found["startup"]))


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


def _start_table(starts: list[dict[str, Any]]) -> Table:
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
