"""`make demo` as a person types it, on a terminal: it ends, finds the gestures, and tidies up.

    python tests/make_demo.py FOLDER

What the terminal shows is passed on as it comes.  Exit code 1 says what was not as it should be.
"""

import argparse
import re
import sys
import time
from pathlib import Path

from terminals import Terminal

LEAST_F1 = 0.95
COLUMNS, ROWS = 80, 24
# Installing comes first where there is no .venv yet.
MINUTES = 15


def main() -> int:
    """Run it and return the exit code."""
    parser = argparse.ArgumentParser(description="Run make demo on a terminal.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("build/demo"))
    folder = parser.parse_args().folder
    top = Path(__file__).parents[1]
    with Terminal(["make", "demo", f"DEMO={folder}"], COLUMNS, ROWS, cwd=top) as terminal:
        code = follow(terminal)
        faults = list(found_faults(terminal, code, folder))
    for fault in faults:
        print(f"make demo: {fault}", file=sys.stderr)
    return 1 if faults else 0


def follow(terminal: Terminal) -> int | None:
    """Print what the terminal prints, and return its exit code; None where it takes too long."""
    end = time.monotonic() + 60 * MINUTES
    shown = 0
    while time.monotonic() < end:
        over = not terminal.processes()
        text = terminal.raw
        print(text[shown:], end="", flush=True)
        shown = len(text)
        if over:
            return terminal.wait_exit()
        time.sleep(0.2)
    return None


def found_faults(terminal: Terminal, code: int | None, folder: Path) -> list[str]:
    """Return what is wrong, a line each."""
    faults = []
    if code != 0:
        faults.append(f"exit code {code}" if code is not None else f"took over {MINUTES} minutes")
    text = terminal.text
    figures = [float(figure) for figure in re.findall(r"\bF1 (\d\.\d+)", text)]
    if not figures or figures[-1] < LEAST_F1:
        faults.append(f"F1 is {figures[-1:] or 'not said'}, must be at least {LEAST_F1}")
    for name in ("model.pt", "model.onnx", "annotated.mp4", "events.jsonl"):
        if not (folder / name).is_file():
            faults.append(f"there is no {folder / name}")
    if "Traceback" in text:
        faults.append("a traceback")
    if terminal.raw.rfind("\x1b[?25l") > terminal.raw.rfind("\x1b[?25h"):
        faults.append("the cursor is hidden")
    leftover = [line for line in terminal.lines if re.search(r"━{4}.*(\d/\d| left)", line)]
    if leftover:
        faults.append(f"a bar is left: {leftover[0]}")
    return faults


if __name__ == "__main__":
    sys.exit(main())
