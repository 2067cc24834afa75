"""How fast it trains: data, network, whole loop, each against what one writes first.

Clips of 16 frames of 112×112, batches of 8, and JPEGs of 320×240 on disk; see `plain`.
"""

import itertools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bench import plain
from bench.contestants import BATCH, CONTESTANTS, FRAMES, IMAGE, LABELS
from bench.timing import Contestant, in_turn, milliseconds, ratio, second_core
from seqvision.data.augment import Augmenter
from seqvision.data.cache import Cache
from seqvision.data.dataset import ClipDataset
from seqvision.data.datasets import find_clips
from seqvision.data.decode import Store
from seqvision_edge.card import VideoSequence
from seqvision_edge.opencv import cv2
from seqvision_edge.sampling import window

CLIPS = 108
# Encoder → how many times the plain network's rate its steps are meant to reach.
ENCODERS = {"small_cnn": 3.0, "mobilenet_v3_small": 2.0}
FPS = 15.0
SEQUENCE = VideoSequence(kind="video", fps=FPS, frames=FRAMES)


def training(folder: Path) -> dict[str, Any]:
    """Measure, print the tables and return the figures."""
    path = folder / "bench-training"
    draw(path / "clips")
    found: dict[str, Any] = {"data": data(path)}
    for encoder, goal in ENCODERS.items():
        found[encoder] = loops(path, encoder, goal)
    return found


def data(path: Path, rounds: int = 9) -> dict[str, float]:
    """Time what one clip costs before the network, on one core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    jpegs = plain.Clips(path / "clips")
    clips = find_clips(path / "clips")
    store = Store(Cache(path / "cache"), IMAGE, FPS, SEQUENCE)
    decoded = [store.load(clip) for clip in clips]
    augmenter, drawn = Augmenter("light"), jpegs.varied
    varied = ClipDataset(decoded, [0] * len(clips), IMAGE, SEQUENCE, augmenter)
    frames = [window(clip, FPS, FRAMES) for clip in decoded]
    turn = itertools.count()

    def decode_first_time() -> None:
        with tempfile.TemporaryDirectory(dir=path) as fresh:
            Store(Cache(Path(fresh)), IMAGE, FPS, SEQUENCE).load(clips[next(turn) % CLIPS])

    def vary_by_frames() -> None:
        clip, fixed = frames[next(turn) % CLIPS], drawn.to_deterministic()
        for frame in clip:
            fixed.augment_image(frame)

    works: dict[str, tuple[int, Callable[[], object]]] = {
        "16 JPEGs decoded and resized, kept": (4, decode_first_time),
        "read from the cache": (40, lambda: window(decoded[next(turn) % CLIPS], FPS, FRAMES).sum()),
        "imgaug frame by frame": (4, vary_by_frames),
        "Augmenter": (4, lambda: augmenter(frames[next(turn) % CLIPS], 0, next(turn))),
        "plain item: JPEGs, imgaug": (4, lambda: jpegs[next(turn) % CLIPS]),
        "our item: cache, Augmenter": (4, lambda: varied[next(turn), next(turn) % CLIPS]),
    }
    taken = in_turn(
        {name: lambda w=work, n=n: milliseconds(w, n) for name, (n, work) in works.items()}, rounds
    )
    torch.set_num_threads(before)
    table = Table("one clip of 16 frames, one core", "ms", "clips/s", title="training: data",
                  title_justify="left")  # fmt: skip
    for name, values in taken.items():
        value = sorted(values)[rounds // 2]
        table.add_row(name, f"{value:.2f}", f"{1000 / value:.0f}")
    Console().print(table)
    decode, cache, by_frames, ours, plain_item, our_item = taken.values()
    found = {
        "cached / uncached": ratio(decode, cache),
        "Augmenter / imgaug frame by frame": ratio(by_frames, ours),
        "our item / plain item": ratio(plain_item, our_item),
    }
    goals("training: data", found, {"our item / plain item": 8.0})
    return found


def loops(path: Path, encoder: str, goal: float, rounds: int = 5) -> dict[str, float]:
    """Let the trainings of one encoder take turns."""
    contestants = [Contestant(name, encoder, path) for name in CONTESTANTS]
    scaling = []
    try:
        for contestant in contestants:
            contestant()
        rates: dict[str, list[float]] = {}
        for _ in range(rounds):
            scaling.append(second_core())
            for name, values in in_turn({c.name: c for c in contestants}, 1).items():
                rates.setdefault(name, []).extend(values)
    finally:
        for contestant in contestants:
            contestant.close()
        for run in path.glob("run-*"):
            shutil.rmtree(run)
    table = Table(encoder, "clips/s", title="training: loop", title_justify="left",
                  caption=f"two threads did {min(scaling):.2f} to {max(scaling):.2f} × one",
                  caption_justify="left")  # fmt: skip
    for name, values in rates.items():
        table.add_row(name, f"{sorted(values)[rounds // 2]:.1f}")
    Console().print(table)
    found = {
        "our model / plain model": ratio(rates["our model"], rates["plain model"]),
        "ours / our model": ratio(rates["ours"], rates["our model"]),
        "ours / plain": ratio(rates["ours"], rates["plain"]),
        "frozen / plain": ratio(rates["frozen"], rates["plain"]),
    }
    targets = {"our model / plain model": goal, "ours / our model": 0.85, "frozen / plain": 60.0}
    goals(f"training: {encoder}", found, targets)
    return found


def goals(title: str, found: dict[str, float], limits: dict[str, float]) -> None:
    """Print ratios next to their targets."""
    table = Table("ratio", "value", "goal", "", title=title, title_justify="left")
    for name, value in found.items():
        goal = limits.get(name)
        verdict = "" if goal is None else "reached" if value >= goal else "not reached"
        table.add_row(name, f"{value:.2f}", "" if goal is None else f"≥ {goal:g}", verdict)
    Console().print(table)


def draw(folder: Path) -> None:
    """Write clips of JPEGs like a camera's: soft shapes that move, with a little noise."""
    if len(list(folder.glob("*/*/15.jpg"))) == CLIPS:
        return
    generator = np.random.default_rng(0)
    for number in range(CLIPS):
        coarse = generator.integers(0, 256, (15, 30, 3), np.uint8)
        scene = cv2.resize(coarse, (640, 360), interpolation=cv2.INTER_CUBIC)
        clip = folder / f"label{number % LABELS}" / f"{number:03}"
        clip.mkdir(parents=True, exist_ok=True)
        for step in range(FRAMES):
            view = scene[step * 4 : step * 4 + 240, step * 10 : step * 10 + 320]
            noise = generator.normal(0, 4, view.shape)
            frame = np.clip(view + noise, 0, 255).astype(np.uint8)
            cv2.imwrite(str(clip / f"{step:02}.jpg"), frame, [cv2.IMWRITE_JPEG_QUALITY, 90])


assert CLIPS > 4 * BATCH
