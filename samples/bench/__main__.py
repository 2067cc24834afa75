"""`make bench`, or `make bench ONLY=training`: measure, print tables and write bench.json.

`python -m bench FOLDER PART…` with this folder's parent on the path; FOLDER keeps the samples,
models and figures.  Only ratios within one run are comparable: another machine, or another minute
on a machine that is shared, gives other seconds.
"""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from bench.landmarks import landmarks
from bench.live import live
from bench.load import load
from bench.order import order
from bench.soak import soak
from bench.stream import stream
from bench.timing import second_core
from bench.training import training
from bench.views import views

PARTS = {
    "order": order,
    "live": live,
    "stream": stream,
    "load": load,
    "training": training,
    "landmarks": landmarks,
    "views": views,
    "soak": soak,
}
# A day long, and in need of weights that are fetched.
_ONLY_BY_NAME = ("soak", "landmarks")


def main() -> int:
    """Run the given benchmarks."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("demo"))
    parser.add_argument(
        "parts", nargs="*", help=f"of {', '.join(PARTS)}; by default all but soak and landmarks"
    )
    arguments = parser.parse_args()
    unknown = sorted({*arguments.parts} - {*PARTS})
    if unknown:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    file = arguments.folder / "bench.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    scaling = second_core()
    Console().print(f"two threads do {scaling:.2f} × the work of one on this machine just now")
    found["two_threads"] = round(scaling, 2)
    for name in arguments.parts or [part for part in PARTS if part not in _ONLY_BY_NAME]:
        found[name] = PARTS[name](arguments.folder)
        file.write_text(json.dumps(found, indent=2) + "\n")
    print(f"{file} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
