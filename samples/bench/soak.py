"""Ten minutes of four cameras: memory must stay where it was after the first minute."""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.cameras import cameras
from bench.models import exported
from seqvision.console import progress

SECONDS, WARM_SECONDS = 600.0, 60.0
GROWTH_MB = 5.0
_EVERY = 5.0
_CAMERA_MB = 20.0
_SIZE = (640, 480)


def soak(folder: Path) -> dict[str, dict[str, float]]:
    """Run `edge-run` on four cameras with outputs; print and return what memory did."""
    model = exported(folder, "small_cnn")["fp32"]
    log = folder / "soak.jsonl"
    log.unlink(missing_ok=True)
    with cameras(4, 15, _SIZE) as urls:
        sources = [word for url in urls for word in ("--source", url)]
        command = [Path(sys.executable).with_name("edge-run"), "--model", model, *sources,
                   "--json", log, "--clips", folder / "soak-clips", "--no-window"]  # fmt: skip
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE) as process:  # fmt: skip
            try:
                seen = _watch(process)
            finally:
                process.terminate()
                process.communicate()
    found = {}
    table = Table("process", "after a minute", "at the end", "growth", "goal", "",
                  title=f"{SECONDS:.0f} s of four cameras, MB", title_justify="left")  # fmt: skip
    for name, series in seen.items():
        early, late = _ends(series)
        found[name] = {
            "after a minute, MB": early,
            "at the end, MB": late,
            "growth, MB": late - early,
        }
        verdict = "reached" if late - early <= GROWTH_MB else "not reached"
        table.add_row(name, f"{early:.1f}", f"{late:.1f}", f"{late - early:+.1f}",
                      f"≤ {GROWTH_MB:g}", verdict)  # fmt: skip
    Console().print(table)
    return found


def _watch(process: "subprocess.Popen[bytes]") -> dict[str, list[tuple[float, float]]]:
    """Return the memory of the run and of its cameras' processes over time: seconds, MB."""
    seen: dict[str, list[tuple[float, float]]] = {"the run": [], "its cameras, each": []}
    began = time.monotonic()
    with progress("soak, seconds") as advance:
        while (passed := time.monotonic() - began) < SECONDS:
            time.sleep(_EVERY)
            advance(round(passed), round(SECONDS))
            if process.poll() is not None:
                raise RuntimeError(f"edge-run ended with {process.returncode}")
            seen["the run"].append((passed, _megabytes(process.pid)))
            held = [_megabytes(pid) for pid in _children(process.pid)]
            seen["its cameras, each"].append((passed, median(held or [0.0])))
    return seen


def _ends(series: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the medians of the minute after the first one, and of the last."""
    early = [mb for at, mb in series if WARM_SECONDS <= at < 2 * WARM_SECONDS]
    late = [mb for at, mb in series if at >= series[-1][0] - WARM_SECONDS]
    return median(early), median(late)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    pids = [int(word) for file in tasks for word in file.read_text().split()]
    # Python's own helper process is no camera.
    return [each for each in pids if _megabytes(each) > _CAMERA_MB]


def _megabytes(pid: int) -> float:
    """Return the resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0
