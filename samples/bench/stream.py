"""The live runner: a file's way to its events, and cameras that never wait."""

import json
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.cameras import cameras, pictures
from bench.models import exported
from bench.timing import SecondCore, in_turn, processor_seconds, ratio
from seqvision_edge.frame import Image
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import prepare
from seqvision_edge.runner import run
from seqvision_edge.session import Session
from seqvision_edge.sources.factory import open_path

ENCODERS = ("mobilenet_v3_small", "mobilenet_v2", "resnet18")
SHARE = 0.92
AGAIN = {("mobilenet_v2", "int8"): 20.0, ("resnet18", "int8"): 35.0}
_FPS, _SIZE, _SECONDS, _ROUNDS = 30, (640, 480), 10, 5
_AGAIN_FRAMES = 12
_AGAIN = "whole / fp32 clip at each frame"
# For one model to wait for the second core, in seconds.
_PATIENCE = 30.0
_LIVE_SECONDS = 20.0


def stream(folder: Path) -> dict[str, dict[str, float]]:
    """Time files against their parts in turns, then cameras; print goals and figures."""
    video = _video(folder)
    found: dict[str, dict[str, float]] = {}
    table = Table("encoder", "ratio", "goal", "found", "", title="640×480 H.264 → events, 112×112, "
                  "one thread for the model", title_justify="left")  # fmt: skip
    for encoder in ENCODERS:
        files = exported(folder, encoder, fps=_FPS)
        for precision, model in files.items():
            core = SecondCore(_PATIENCE)
            rates = in_turn(_contestants(model, files["fp32"], video), _ROUNDS, core)
            name = f"{encoder} {precision}"
            share = ratio(rates["whole"], [*map(min, rates["decode"], rates["model"])])
            possible = [*map(_possible, rates["decode"], rates["model"], core.found)]
            again = ratio(rates["whole"], rates["again"])
            found[name] = {
                "whole / min(decode, model)": share,
                "whole / what these cores can": ratio(rates["whole"], possible),
                _AGAIN: again,
                "two threads / one": median(core.found),
                **{f"{what}, frames/s": median(each) for what, each in rates.items()},
            }
            _row(table, name, "whole / min(decode, model)", f"≥ {SHARE}", share, share >= SHARE)
            _row(
                table,
                name,
                f"whole / what two threads can, {median(core.found):.2f} × one",
                "",
                found[name]["whole / what these cores can"],
            )
            goal = AGAIN.get((encoder, precision))
            if goal:
                _row(table, name, _AGAIN, f"≥ {goal:g}", again, again >= goal)
    found |= _live(folder, table)
    Console().print(table)
    return found


def _possible(decode: float, model: float, two_threads: float) -> float:
    """Return the most frames per second where two threads do only so much more than one."""
    return min(decode, model, two_threads / (1 / decode + 1 / model))


def _contestants(model: Path, fp32: Path, video: Path) -> dict[str, Callable[[], float]]:
    """Return what is compared; each gives its frames per second."""
    session, plain = Session(model, "cpu"), Session(fp32, "cpu")
    image, window = session.card.image, session.card.sequence.window
    with open_path(video) as source:
        steps = np.stack([prepare(frame.bgr, image) for frame in source])

    def decode() -> float:
        start = _now()
        with open_path(video) as source:
            return _rate(sum(1 for _ in source), start)

    def alone() -> float:
        stream = session.stream()
        start = _now()
        for step in steps:
            stream.push(step[None])
        return _rate(len(steps), start)

    def again() -> float:
        """Do what most do: decode a frame, and run the clip that it ends as it was trained."""
        seen: deque[Image] = deque(maxlen=window)
        with open_path(video) as source:
            frames = iter(source)
            seen.extend(prepare(next(frames).bgr, image) for _ in range(window - 1))
            start = _now()
            for _ in range(_AGAIN_FRAMES):
                seen.append(prepare(next(frames).bgr, image))
                plain.run(np.stack(seen)[None])
            return _rate(_AGAIN_FRAMES, start)

    def whole() -> float:
        start = _now()
        return _rate(run([open_path(video)], session).frames, start)

    return {"decode": decode, "model": alone, "whole": whole, "again": again}


def _live(folder: Path, table: Table) -> dict[str, dict[str, float]]:
    """Run `edge-run` on cameras and see what it held and cost."""
    four = exported(folder, "mobilenet_v2")
    with cameras(4, 15, _SIZE) as urls:
        many = _edge_run(four.get("int8", four["fp32"]), urls)
    _row(table, "4 cameras, 15 fps, mobilenet_v2 int8", "shed ticks", "= 0", many["shed"],
         not many["shed"])  # fmt: skip
    one_model = exported(folder, "mobilenet_v3_small", size=224, fps=30)
    with cameras(1, 30, _SIZE) as urls:
        one = _edge_run(one_model["fp32"], urls)
    name = "1 camera, 30 fps, mobilenet_v3_small at 224 px"
    share, late = one["share of a core"], one["p99 age, ms"]
    _row(table, name, "share of a core, the model's process", "≤ 0.08", share, share <= 0.08)
    _row(table, name, "p99 age of an answer, ms", "≤ 3", late, late <= 3)
    alone = _paced(one_model["fp32"], 30.0)
    _row(table, name, "share of a core, the model alone", "", alone["share of a core"])
    _row(table, name, "p50 of the model alone, ms", "", alone["p50, ms"])
    return {"four cameras": many, "one camera": one, "one camera, model alone": alone}


def _paced(model: Path, fps: float) -> dict[str, float]:
    """Run the model at a camera's pace with nothing around it: what no runner can be below."""
    session = Session(model, "cpu")
    stream, image = session.stream(), session.card.image
    frame = np.zeros((1, image.height, image.width, image.channels), np.uint8)
    for _ in range(session.card.sequence.window):
        stream.push(frame)
    taken = []
    used, began = time.process_time(), _now()
    for number in range(round(_LIVE_SECONDS / 4 * fps)):
        time.sleep(max(0.0, began + number / fps - _now()))
        start = _now()
        stream.push(frame)
        taken.append(1000 * (_now() - start))
    share = (time.process_time() - used) / (_now() - began)
    return {
        "share of a core": share,
        "p50, ms": float(np.percentile(taken, 50)),
        "p99, ms": float(np.percentile(taken, 99)),
    }


def _edge_run(model: Path, urls: list[str]) -> dict[str, float]:
    """Run for a while, and return figures of the predictions and the process."""
    log = model.with_suffix(".jsonl")
    log.unlink(missing_ok=True)
    sources = [word for url in urls for word in ("--source", url)]
    command = [Path(sys.executable).with_name("edge-run"), "--model", model, *sources,
               "--json", log, "--no-window"]  # fmt: skip
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True) as process:  # fmt: skip
        _wait_for(lambda: len(_answers(log)) > 30 * len(urls))
        before, start = processor_seconds(process.pid), time.monotonic()
        skip = len(_answers(log))
        time.sleep(_LIVE_SECONDS)
        used = (processor_seconds(process.pid) - before) / (time.monotonic() - start)
        answers = _answers(log)[skip:]
        process.terminate()
        process.communicate()
    ages = [row["age_ms"] for row in answers]
    fps = json.loads(log.read_text().splitlines()[0])["sequence"]["fps"]
    expected = len(urls) * fps * _LIVE_SECONDS
    return {
        "answers per second": len(answers) / _LIVE_SECONDS,
        # A tick without an answer of its own; the edges of the time may cost two.
        "shed": max(0.0, round(expected - len(answers) - 2 * len(urls))),
        "share of a core": used,
        "p50 age, ms": float(np.percentile(ages, 50)),
        "p99 age, ms": float(np.percentile(ages, 99)),
    }


def _answers(log: Path) -> list[dict[str, float]]:
    if not log.exists():
        return []
    lines = log.read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["type"] == "prediction"]


def _wait_for(done: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError("the cameras gave no answers")
        time.sleep(0.2)


def _video(folder: Path) -> Path:
    """Make ten seconds of H.264 where ffmpeg is installed, else of MPEG-4."""
    video = folder / "bench-640x480.mp4"
    if video.exists():
        return video
    shown = (cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
             for data in pictures(_SECONDS * _FPS, _SIZE))  # fmt: skip
    raw = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{_SIZE[0]}x{_SIZE[1]}", "-r", str(_FPS)]
    ffmpeg = ["ffmpeg", "-loglevel", "error", "-y", *raw, "-i", "-", "-c:v", "libx264",
              "-crf", "23", "-pix_fmt", "yuv420p", str(video)]  # fmt: skip
    with subprocess.Popen(ffmpeg, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for bgr in shown:
            process.stdin.write(bgr.tobytes())
    return video


def _now() -> float:
    return time.perf_counter()


def _rate(frames: int, start: float) -> float:
    return frames / (_now() - start)


def _row(
    table: Table, name: str, what: str, goal: str, value: float, reached: bool | None = None
) -> None:
    verdict = "" if reached is None else "reached" if reached else "not reached"
    table.add_row(name, what, goal, f"{value:.2f}", verdict)
