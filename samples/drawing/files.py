"""Frames and whole sample sets, written to a disk: all of it or nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from drawing.motion import LABELS

CLIPS, INDEX = "clips", "clips.csv"
UNTRIMMED, TAKES = "untrimmed", "takes"
TRAIN_TAKES, MARKS = "train_takes", "marks.csv"
JPEG_QUALITY = 92

Size = tuple[int, int]
"""Width and height in pixels."""


class SamplesError(Exception):
    """An invalid option or folder, reported in one line."""


def write_frames(folder: Path, frames: Iterable[np.ndarray]) -> None:
    """Write RGB frames as 0001.jpg, 0002.jpg, ..."""
    folder.mkdir()
    for number, frame in enumerate(frames, start=1):
        picture = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        path = folder / f"{number:04d}.jpg"
        done, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not done:
            raise SamplesError(f"cannot encode {path}")
        path.write_bytes(coded.tobytes())


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float, size: Size) -> None:
    """Write RGB frames as an MP4 file."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
    if not writer.isOpened():
        raise SamplesError("this OpenCV writes no MP4; try --format frames --no-untrimmed")
    try:
        for frame in frames:
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    finally:
        writer.release()


def refuse(out: Path, force: bool) -> None:
    """Raise SamplesError where the output folder must not be written to."""
    if out.exists() and not out.is_dir():
        raise SamplesError(f"{out} is not a folder")
    if out.is_dir() and any(out.iterdir()) and not force:
        raise SamplesError(f"{out} is not empty; name another folder or pass --force")


def put(built: Path, out: Path) -> None:
    """Move what was built into place, over an earlier set if there is one."""
    # A fresh folder's usual rights, not the private ones of a temporary folder.
    umask = os.umask(0)
    os.umask(umask)
    built.chmod(0o777 & ~umask)
    if out.is_dir() and any(out.iterdir()):
        _remove_set(out)
        for path in sorted(built.rglob("*")):
            target = out / path.relative_to(built)
            if path.is_dir():
                target.mkdir(exist_ok=True)
            else:
                path.replace(target)
    else:
        if out.is_dir():
            out.rmdir()
        built.replace(out)


def _remove_set(out: Path) -> None:
    """Remove the files of an earlier set, by their names, and the folders this leaves empty."""
    folders = []
    for label in LABELS:
        folder = out / CLIPS / label
        clip = re.compile(rf"{label}_\d{{4}}")
        for path in sorted(folder.glob(f"{label}_*")):
            if path.is_dir() and clip.fullmatch(path.name):
                for frame in path.iterdir():
                    if re.fullmatch(r"\d{4}\.jpg", frame.name):
                        frame.unlink()
                folders.append(path)
            elif path.is_file() and path.suffix == ".mp4" and clip.fullmatch(path.stem):
                path.unlink()
        folders.append(folder)
    drawn = [
        path
        for takes in (TAKES, TRAIN_TAKES)
        for path in (out / takes).glob("*")
        if re.fullmatch(r"p\d\d\.(mp4|json)", path.name)
    ]
    lists = (f"{CLIPS}/{INDEX}", f"{TRAIN_TAKES}/{MARKS}")
    for name in (f"{UNTRIMMED}.mp4", f"{UNTRIMMED}.json", *lists):
        drawn.append(out / name)
    for file in drawn:
        file.unlink(missing_ok=True)
    for folder in [*folders, out / CLIPS, out / TAKES, out / TRAIN_TAKES]:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
