"""What the fault tests found, as `docs/faults.md`.

Each test adds its row to a file of its own, because tests run in several processes; `make faults`
clears the folder, runs the tests and calls this.
"""

import json
import platform
import sys
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from faults.gap import WARM_UP

FOLDER = Path(__file__).parents[2] / "build" / "faults"

_HEAD = """# Faults

What `edge-run` does when something fails, as measured by `make faults` on {day}
({machine}). Cameras are an emulated V4L2 device under OpenCV's own backend, streams come from a
real GStreamer RTSP server and from HTTP servers on the same machine; the broker is mosquitto. None
of it was tried on a webcam or a network camera.

*Detected* is from the fault to its state in the JSON lines; *live again* is from the end of
the fault to the first answer: opening, waiting before it, and filling the model's window of
{window} s. *Labels in the gap* are answers for the time of the fault, or for a window that spans
it.

| fault | reported as | detected | live again | labels in the gap | lost |
| --- | --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Row:
    """One fault; seconds, None where it does not apply."""

    number: int
    fault: str
    told: str
    detected: float | None = None
    again: float | None = None
    labels: int | None = None
    lost: str = ""


def keep(row: Row) -> None:
    """Add a row to those of this run."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{row.number:03d}.json").write_text(json.dumps(asdict(row)))


def page() -> str:
    """Return the page of all rows."""
    rows = [Row(**json.loads(path.read_text())) for path in sorted(FOLDER.glob("*.json"))]
    head = _HEAD.format(
        day=date.today().isoformat(), machine=f"{platform.system()}, {platform.machine()}",
        window=f"{WARM_UP:g}",
    )  # fmt: skip
    return head + "".join(
        f"| {row.fault} | {row.told} | {_seconds(row.detected)} | {_seconds(row.again)} "
        f"| {'' if row.labels is None else row.labels} | {row.lost} |\n"
        for row in rows
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
