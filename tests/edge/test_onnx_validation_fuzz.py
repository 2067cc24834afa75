"""Models with things wrong in them are refused or run; none crashes or hangs the process.

A share runs always; `SEQVISION_FUZZ=all` runs every seed and the whole sweep.
"""

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="onnx builds the files of these tests")
PROGRAM = Path(__file__).with_name("onnx_mutations.py")
# Far more than any of these models takes; a load that never ends takes for ever.
LONGEST = 60.0
ALL = os.environ.get("SEQVISION_FUZZ") == "all"
PARTS = 2


@pytest.mark.fuzz
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(
    ("kind", "count", "share"), [("mutated", 20_000, 100), ("swept", 15_900, 40)]
)
def test_no_mutated_graph_crashes_or_hangs_the_process(
    kind: str,
    count: int,
    share: int,
    part: int,
    record_property: Callable[[str, object], None],
) -> None:
    step = PARTS if ALL else PARTS * share
    failures = {}
    first = part if ALL else part * share
    while first < count:
        done, failed = _load_and_run(kind, first, count, step)
        if failed is None:
            break
        failures[failed] = done
        first = failed + step
    tried = len(range(part if ALL else part * share, count, step))
    record_property("tried", (f"model files, {kind}", tried))
    assert not failures, f"{kind}: number → how its process ended: {failures}"


def _load_and_run(kind: str, first: int, last: int, step: int) -> tuple[str, int | None]:
    """Load and run a range; return how its process ended, and the number that ended it if any."""
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), kind, *map(str, (first, last, step))],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdout is not None
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    number, busy = first, True
    try:
        while line := lines.get(timeout=LONGEST):
            number, busy = int(line.split()[0]), line.rstrip().endswith("…")
    except queue.Empty:
        return "hangs", number
    finally:
        process.kill()
        code = process.wait()
    ended_well = not busy and code in (0, -9)
    return f"code {code}", None if ended_well else number
