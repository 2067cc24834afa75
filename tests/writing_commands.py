"""Commands that write, as tests of bad days run them: killed, on a full disk, two at once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from conftest import square_clip, write_video

SMALL = ("--encoder", "flatten", "--size", "16", "--frames", "6", "--hidden", "16")


@dataclass(frozen=True)
class Dirs:
    """Folders of one test: what is read, and what is written."""

    data: Path
    model: Path
    work: Path
    # Of decoded clips; in the folder that is written to where none is given.
    clips: Path | None = None

    @property
    def cache(self) -> str:
        return str(self.clips or self.work / "cache")

    def path(self, name: str) -> str:
        return str(self.work / name)


def train_words(dirs: Dirs) -> list[str]:
    resumable = sorted(dirs.work.glob("runs/*/checkpoints/last.ckpt"))
    finished = list(dirs.work.glob("runs/*/metrics.json"))
    if resumable and not finished:
        return ["train", "--resume", str(resumable[-1].parents[1]), "--workers", "1"]
    return ["train", str(dirs.data), "--output", dirs.path("m.pt"), "--runs", dirs.path("runs"),
            "--cache", dirs.cache, *SMALL, "--epochs", "4", "--patience", "0",
            "--workers", "1"]  # fmt: skip


def export_words(dirs: Dirs) -> list[str]:
    return ["export", str(dirs.model), "--output", dirs.path("m.onnx"), "--precision", "fp32"]


def calibrate_words(dirs: Dirs) -> list[str]:
    return ["calibrate", str(dirs.model), str(dirs.data), "--output", dirs.path("c.pt"),
            "--cache", dirs.cache]  # fmt: skip


def tune_words(dirs: Dirs) -> list[str]:
    return ["tune", str(dirs.data), "--output", dirs.path("t.pt"), "--runs", dirs.path("runs"),
            "--cache", dirs.cache, *SMALL, "--epochs", "2", "--trials", "3",
            "--no-latency", "--workers", "0"]  # fmt: skip


def self_train_words(dirs: Dirs) -> list[str]:
    begun = sorted(dirs.work.glob("runs/self-train-*/state.json"))
    if begun:
        return ["self-train", "--resume", str(begun[-1].parent)]
    return ["self-train", str(dirs.model), str(dirs.data), dirs.path("more"), "--rounds", "1",
            "--threshold", "0.5", "--output", dirs.path("s.pt"), "--runs", dirs.path("runs"),
            "--cache", dirs.cache, "--epochs", "2"]  # fmt: skip


def record_words(dirs: Dirs) -> list[str]:
    return ["record", dirs.path("takes"), "--source", dirs.path("video.avi"),
            "--labels", "wave,none", "--takes", "3", "--seconds", "1", "--countdown", "0",
            "--no-window"]  # fmt: skip


def segment_words(dirs: Dirs) -> list[str]:
    return ["segment", dirs.path("video.avi"), dirs.path("marks.csv"), "--output",
            dirs.path("clips")]  # fmt: skip


WORDS: dict[str, Callable[[Dirs], list[str]]] = {
    "train": train_words,
    "export": export_words,
    "calibrate": calibrate_words,
    "tune": tune_words,
    "self-train": self_train_words,
    "record": record_words,
    "segment": segment_words,
}


def prepare(name: str, dirs: Dirs) -> None:
    """Write what a command reads besides the data and the model."""
    if name == "self-train":
        for seed in range(900, 906):
            write_video(dirs.work / "more" / f"{seed}.mp4", square_clip(seed % 3 - 1, seed))
    if name in ("record", "segment"):
        frames = np.concatenate([square_clip(1, seed, 40) for seed in range(6)])
        write_video(dirs.work / "video.avi", frames, 20)
        rows = [f"{second},{second + 1},wave" for second in range(0, 10, 2)]
        (dirs.work / "marks.csv").write_text("\n".join(["start,end,label", *rows, ""]))
