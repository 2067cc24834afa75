"""Data and disks as they should not be: trained on all the same, or refused in one line."""

import os
import re
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from conftest import square_clip, write_frames, write_squares, write_video
from preloaded import run
from trainings import train

from seqvision.cli import main
from seqvision.config import ClipOptions, ModelOptions, TrainingOptions, TrainOptions
from seqvision.data.cache import Cache
from seqvision.data.clips import Clip
from seqvision.data.datasets.clip_list import read_list
from seqvision.data.decode import Store
from seqvision.errors import CheckpointError, DataError
from seqvision.training.model_io import load_model
from seqvision_edge.card import ImageSpec
from seqvision_edge.errors import SourceError
from seqvision_edge.opencv import cv2
from seqvision_edge.sampling import window

SPEC = ImageSpec(height=112, width=112, channels=3, fit="stretch")


def options(data: Path, folder: Path, epochs: int = 1) -> TrainOptions:
    return TrainOptions(
        data=data,
        output=folder / "model.pt",
        runs=folder / "runs",
        clips=ClipOptions(size=16, frames=6, workers=0, cache=folder / "cache"),
        model=ModelOptions(encoder="flatten", hidden=16),
        training=TrainingOptions(epochs=epochs, batch_size=8),
    )


def test_frames_of_mixed_sizes_grey_and_alpha_in_one_clip_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    pictures = [
        np.full((40, 60, 3), 200, np.uint8),
        np.full((90, 30), 200, np.uint8),
        np.full((7, 5, 4), 200, np.uint8),
    ]
    for number, image in enumerate(pictures):
        assert cv2.imwrite(str(folder / f"{number}.png"), image)
    clip = Store(Cache(tmp_path / "cache"), SPEC, 10.0).load(Clip(folder, "a"))
    assert clip.frames.shape == (3, 112, 112, 3)
    assert np.abs(np.asarray(clip.frames).astype(int) - 200).max() <= 1


@pytest.mark.parametrize("name", ["empty.mp4", "header.mp4", "folder"])
def test_a_clip_without_frames_is_reported(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    elif name == "empty.mp4":
        path.touch()
    else:
        whole = write_video(tmp_path / "whole.mp4", square_clip(1, 0)).read_bytes()
        path.write_bytes(whole[:40])
    with pytest.raises(SourceError, match=name):
        Store(Cache(tmp_path / "cache"), SPEC, 10.0).load(Clip(path, "a"))


def test_clips_of_one_frame_train_beside_longer_ones(tmp_path: Path) -> None:
    data = write_squares(tmp_path / "frames", 4)
    for label in ("left", "right"):
        for number in range(2):
            write_frames(data / label / f"single{number}", square_clip(0, number, frames=1))
    assert train(options(data, tmp_path)).val.clips


def test_a_clip_of_10000_frames_needs_no_more_memory_than_its_window(tmp_path: Path) -> None:
    path = tmp_path / "long.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (32, 24))
    assert writer.isOpened()
    picture = np.zeros((24, 32, 3), np.uint8)
    for number in range(10_000):
        picture[:] = number % 251
        writer.write(picture)
    writer.release()
    store = Store(Cache(tmp_path / "cache"), SPEC, 10.0)
    tracemalloc.start()
    try:
        clip = store.load(Clip(path, "a"))
        seen = window(clip, 10.0, 16)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert clip.frames.shape == (10_000, 112, 112, 3)
    assert seen.shape == (16, 112, 112, 3)
    whole = 10_000 * 112 * 112 * 3
    assert peak < whole / 10, f"{peak / 1e6:.0f} MB for a clip of {whole / 1e6:.0f} MB"


def test_labels_and_paths_in_any_script_work(tmp_path: Path) -> None:
    folder = tmp_path / "données ünd 数据"
    data = folder / "клипы"
    for label, direction in (("влево", -1), ("右へ", 1), ("ninguno é 🤚", 0)):
        for number in range(4):
            clip = square_clip(direction, number)
            if number % 2:
                write_video(data / label / f"видео {number}.mp4", clip)
            else:
                write_frames(data / label / f"クリップ {number}", clip)
    result = train(options(data, folder))
    _, card = load_model(result.model)
    assert set(card.labels) == {"влево", "右へ", "ninguno é 🤚"}
    assert (result.run / "confusion_val.png").stat().st_size


@pytest.mark.parametrize("option", ["--output", "--runs", "--cache"])
def test_a_folder_that_cannot_be_written_to_is_one_line(
    squares: Path,
    tmp_path: Path,
    option: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """/proc is read-only for everyone, root included."""
    if not Path("/proc/self").exists():
        pytest.skip("no /proc here")
    target = "/proc/seqvision/model.pt" if option == "--output" else "/proc/seqvision"
    given = {"--output": "model.pt", "--runs": "runs", "--cache": "cache"} | {option: target}
    words = [word for pair in given.items() for word in pair]
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(squares), "--encoder", "flatten", "--size", "16", "--epochs", "1",
                 "--workers", "0", *words]) == 2  # fmt: skip
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert option in err.splitlines()[-1]


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
from seqvision.cli import main
sys.exit(main())
"""


def test_a_full_disk_during_a_checkpoint_loses_only_that_checkpoint(
    squares: Path, tmp_path: Path
) -> None:
    plan = options(squares, tmp_path, epochs=2)
    plateau = plan.training.model_copy(update={"schedule": "plateau"})
    first = train(plan.model_copy(update={"training": plateau}))
    last = first.run / "checkpoints" / "last.ckpt"
    before = last.read_bytes()
    text = (first.run / "options.yaml").read_text()
    (first.run / "options.yaml").write_text(text.replace("epochs: 2", "epochs: 4"))
    command = ["seqvision", "train", "--resume", str(first.run)]
    done = run(command, tmp_path, code=LIMITED)
    assert done.returncode == 2, done.stderr
    err = done.stderr.splitlines()[-1]
    assert "cannot be written" in err
    assert f"--resume {first.run}" in err
    assert last.read_bytes() == before
    assert {path.suffix for path in last.parent.iterdir()} == {".ckpt"}, "nothing half-written"
    again = train(TrainOptions(resume=first.run, output=tmp_path / "again.pt"))
    assert torch.load(last, weights_only=True)["epoch"] == 3
    assert again.val.clips


def test_a_data_set_of_broken_clips_only_is_an_error(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "frames" / label).mkdir(parents=True)
        (tmp_path / "frames" / label / "x.mp4").write_bytes(b"\0" * 100)
    with pytest.raises(DataError, match="none of its clips can be read"):
        train(options(tmp_path / "frames", tmp_path))
    assert not (tmp_path / "runs").exists()


def test_a_cosine_schedule_cannot_be_extended_on_resume(squares: Path, tmp_path: Path) -> None:
    first = train(options(squares, tmp_path, epochs=2))
    text = (first.run / "options.yaml").read_text()
    (first.run / "options.yaml").write_text(text.replace("epochs: 2", "epochs: 4"))
    with pytest.raises(CheckpointError, match="planned for 6 steps, its options now give 12"):
        train(TrainOptions(resume=first.run, output=tmp_path / "again.pt"))


def test_still_images_without_a_sequence_option_get_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label, direction in (("left", -1), ("right", 1)):
        for number in range(4):
            write_frames(tmp_path / "data" / label / str(number), square_clip(direction, number, 1))
    train(options(tmp_path / "data", tmp_path))
    assert "--sequence rows cuts them" in capsys.readouterr().err


def timed_video(path: Path, times: list[float]) -> Path:
    """Write a video whose frames are shown at these times, in seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number, time in enumerate(times):
            picture = np.full((32, 32, 3), 20 * number % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = round(1000 * time), stream.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


DAYS = [3599.0 * number for number in range(4)]


def test_a_recording_of_days_in_a_few_frames_is_skipped_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of some kilobytes would keep a model busy for hours, and fill the memory."""
    for label in "ab":
        for number in range(4):
            write_video(tmp_path / "d" / label / f"{number}.avi", square_clip(1, number), 10)
    days = timed_video(tmp_path / "d" / "a" / "days.mkv", DAYS)
    train(options(tmp_path / "d", tmp_path))
    refused = r"days\.mkv: 3 frames last 2 hours by their times"
    assert re.search(f"left out: .*{refused}", capsys.readouterr().err)
    small = SPEC.model_copy(update={"height": 16, "width": 16})
    store = Store(Cache(tmp_path / "cache"), small, 30)
    for _ in "decoded", "kept":
        with pytest.raises(SourceError, match=refused):
            store.load(Clip(days, "a"))


def test_two_frames_a_week_apart_are_a_damaged_timestamp(tmp_path: Path) -> None:
    video = timed_video(tmp_path / "week.mkv", [0, 0.1, 0.2, 604800, 604800.1])
    store = Store(Cache(tmp_path / "cache"), SPEC, 30)
    assert store.load(Clip(video, "a")).times[-1] < 60


def test_an_image_a_minute_for_days_is_left_out(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "d", square_clip(1, 0))
    store = Store(Cache(tmp_path / "cache"), SPEC, 1e-4)
    with pytest.raises(SourceError, match="hours by their times"):
        store.load(Clip(folder, "a"))


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--fps", "1e-300"),
        ("--fps", "0.009"),
        ("--fps", "1001"),
        ("--fps", "1e300"),
        ("--image-fps", "1e-9"),
        ("--image-fps", "inf"),
        ("--frames", "4097"),
        ("--size", "99999999"),
        ("--workers", "65"),
        ("--workers", "100000"),
        ("--val", "nan"),
    ],
)
def test_an_absurd_size_or_rate_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, flag: str, value: str
) -> None:
    assert main(["train", str(tmp_path), flag, value]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"seqvision train: {flag} {value}: must be ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "times", ["0,1e9", "1e9,2e9", "0:00:00,99999999:00:00", "0,1e308", "0,1e999", "1e-320,1"]
)
def test_list_times_beyond_the_video_cost_no_memory(tmp_path: Path, times: str) -> None:
    write_video(tmp_path / "v.avi", square_clip(1, 0), 10)
    (tmp_path / "list.csv").write_text(f"path,label,start,end\nv.avi,a,{times}\n")
    store = Store(Cache(tmp_path / "cache"), SPEC, 30)
    if times in ("1e9,2e9", "0,1e999"):
        with pytest.raises((DataError, SourceError), match=r"list\.csv, line 2"):
            store.load(read_list(tmp_path / "list.csv")[0][0])
        return
    decoded = store.load(read_list(tmp_path / "list.csv")[0][0])
    assert len(decoded.times) <= len(square_clip(1, 0))
    assert decoded.end is None or decoded.end < 60


@pytest.mark.skipif(os.name == "nt", reason="the sockets of workers have paths on POSIX only")
def test_a_long_temporary_folder_does_not_lose_the_clips_of_a_worker(
    squares: Path, tmp_path: Path
) -> None:
    folder = tmp_path / ("t" * 100)
    folder.mkdir()
    words = ["--size", "16", "--encoder", "flatten", "--epochs", "1", "--workers", "1"]
    command = ["seqvision", "train", str(squares), *words]
    done = run(command, tmp_path, {**os.environ, "TMPDIR": str(folder)}, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert list(folder.glob("pymp-*")) == []
