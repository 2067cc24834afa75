"""A start from nothing, in a process of its own: `python -m seqvision_export.bench.startup FILE`.

It prints as JSON how long the imports took and how long the card and the session, in seconds, and
the peak of memory after some live frames, in megabytes.  As on a device, torch is not there.
"""

import json
import sys
from pathlib import Path
from time import perf_counter


def measure_startup(model: Path, device: str, threads: int) -> dict[str, float]:
    """Start a model in a fresh process and return its measurements."""
    from seqvision.errors import ExportError  # not above: a device has no seqvision
    from seqvision_export.fresh_process import run_in_fresh_process

    module = "seqvision_export.bench.startup"
    code, printed = run_in_fresh_process("-m", module, str(model), device, str(threads))
    if code:
        raise ExportError(f"{model.name}: does not start in a process of its own (code {code})")
    found: dict[str, float] = json.loads(printed)
    return found


def main() -> None:
    """Start, run some frames, and print the measurements."""
    model, device, threads = sys.argv[1:]
    began = perf_counter()
    from seqvision_edge.session import Session, grey_step

    imported = perf_counter()
    session = Session(Path(model), device, int(threads))  # type: ignore[arg-type]
    ready = perf_counter()
    stream = session.stream()
    for _ in range(30):
        stream.push(grey_step(session.card)[None])
    print(  # noqa: T201
        json.dumps(
            {
                "import_seconds": imported - began,
                "ready_seconds": ready - imported,
                "memory_megabytes": _peak_megabytes(),
            }
        )
    )


def _peak_megabytes() -> float:
    """Return the most memory that this process had; NaN where the system does not report it.

    Linux counts what the parent had before `exec` into the usual figure, ru_maxrss.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1e3
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return float("nan")


if __name__ == "__main__":
    main()
