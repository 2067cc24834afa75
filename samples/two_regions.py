"""A drawn scene with two performers in two regions, who gesture at different times, and its score.

    python samples/two_regions.py FOLDER --model demo/model.onnx

draws FOLDER/two.mp4, with two.json (the gestures of each region) and two.yaml (the regions), runs
`edge-run` on it with the model, and so prints F1 of the events of each region.  `make demo` makes
such a model; the performers are those that it has not seen.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from drawing import draw_session, make_performer
from drawing.files import write_video

from seqvision_edge.yaml_file import dump_yaml

FPS = 20.0
PANEL = (160, 120)
CANVAS = (400, 200)
# Left and upper edge of each panel, and its performer: those who test in the demo.
PANELS = {"left": (20, 60, 10), "right": (220, 20, 11)}


def main() -> int:
    """Draw the scene, and run the model on it; return the exit code of the run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, default=Path("demo/model.onnx"))
    parser.add_argument("--minutes", type=float, default=2.0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    listed, truth = draw(options.folder, 60 * options.minutes)
    edge_run = Path(sys.executable).parent / "edge-run"
    command = [edge_run, "--sources", listed, "--model", options.model, "--truth", truth]
    more = ["--save", options.folder / "annotated.mp4", "--no-window"]
    return subprocess.run([*map(str, [*command, *more])], check=False).returncode


def draw(folder: Path, seconds: float) -> tuple[Path, Path]:
    """Draw the scene; return the list with its regions, and its truth."""
    sessions = {
        name: draw_session(make_performer(person), (7, person), seconds, FPS, PANEL)
        for name, (_, _, person) in PANELS.items()
    }
    write_video(folder / "two.mp4", _frames(sessions), FPS, CANVAS)
    events = [
        {"label": event.label, "start": event.start, "end": event.end, "view": name}
        for name, (_, own) in sessions.items()
        for event in own
    ]
    truth = folder / "two.json"
    truth.write_text(json.dumps({"video": "two.mp4", "events": events}, indent=2) + "\n")
    listed = folder / "two.yaml"
    regions = {
        name: [left, top, left + PANEL[0], top + PANEL[1]]
        for name, (left, top, _) in PANELS.items()
    }
    listed.write_text(dump_yaml({"two": {"path": "two.mp4", "regions": regions}}))
    return listed, truth


def _frames(sessions: dict[str, tuple[Iterator[np.ndarray], object]]) -> Iterator[np.ndarray]:
    """Yield the scene: a wall, and each session in its panel."""
    width, height = CANVAS
    ramp = np.linspace(70, 150, width, dtype=np.uint8)
    wall = np.repeat(np.tile(ramp, (height, 1))[:, :, None], 3, axis=2)
    for pictures in zip(*(frames for frames, _ in sessions.values()), strict=True):
        scene = wall.copy()
        for (left, top, _), picture in zip(PANELS.values(), pictures, strict=True):
            scene[top : top + PANEL[1], left : left + PANEL[0]] = picture
        yield scene


if __name__ == "__main__":
    sys.exit(main())
