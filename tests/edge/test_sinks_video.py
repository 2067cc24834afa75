"""Annotated videos: complete, in real time, or absent."""

import os
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from colour_model import make_card, picture
from steps import END, SOURCE, changed, make_step

from seqvision_edge.errors import SinkError
from seqvision_edge.frame import Frame, Step
from seqvision_edge.opencv import cv2
from seqvision_edge.overlay import Overlay
from seqvision_edge.sinks.outlet import Queued
from seqvision_edge.sinks.video import VideoFiles
from seqvision_edge.types import SourceState
from seqvision_edge.video_writer import VideoWriter

pytestmark = pytest.mark.usefixtures("unhurried")


def video(path: Path, fps: float = 20.0, *more: str) -> Queued[Step]:
    """Return the sink of one source, or of more."""
    names = (SOURCE, *more)
    overlays = {name: (Overlay(make_card()), fps) for name in names}
    return Queued(VideoFiles(path, overlays), 9, waits=True)


def read_video(path: Path) -> tuple[int, float, tuple[int, int]]:
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    fps = video.get(cv2.CAP_PROP_FPS)
    count, size = 0, (0, 0)
    while (read := video.read())[0]:
        count, size = count + 1, (read[1].shape[1], read[1].shape[0])
    return count, fps, size


@pytest.mark.parametrize("ending", ["mp4", "avi", "mkv"])
def test_a_saved_video_has_every_frame_at_the_rate_of_the_source(
    tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"out.{ending}"
    with video(path) as sink:
        for index in range(10):
            sink.write(make_step(index))
        assert not path.exists()
        sink.write(END)
    assert sink.counts.lost == 0
    assert read_video(path) == (10, 20.0, (640, 480))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("source_fps", [10.0, 40.0])
def test_a_saved_video_of_an_unsteady_camera_plays_in_real_time(
    tmp_path: Path, source_fps: float
) -> None:
    path = tmp_path / "out.mp4"
    with video(path) as sink:
        for index in range(int(source_fps / 2)):
            sink.write(make_step(index, source_fps))
    # Half a second; the last picture stands for one frame of the video.
    assert read_video(path)[0] == pytest.approx(10, abs=1)


def test_a_saved_video_is_kept_when_the_run_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = video(path).__enter__()
    sink.write(make_step())
    sink.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert read_video(path)[0] == 1


def test_a_run_without_frames_leaves_no_video_and_an_older_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"older")
    with video(path):
        pass
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


def test_a_picture_that_changes_its_size_is_fitted_into_the_video(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    other = replace(make_step(1), frame=Frame(picture("red", (801, 603)), 0.05, 1))
    with video(path) as sink:
        sink.write(make_step(0))
        sink.write(other)
    assert read_video(path) == (2, 20.0, (640, 480))


def test_a_saved_video_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    path, plain = tmp_path / "out.mp4", tmp_path / "plain"
    plain.touch()
    with video(path) as sink:
        sink.write(make_step())
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize(
    ("name", "reason"),
    [("out.txt", "ends in .mp4"), ("out", "ends in .mp4"), ("none/out.mp4", "there is no folder")],
)
def test_a_video_that_cannot_be_written_is_refused_at_the_start(
    tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(SinkError, match=reason):
        video(tmp_path / name).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_several_sources_have_a_file_each_named_safely(tmp_path: Path) -> None:
    names = "../x", "rtsp://cam/1", "x"
    with video(tmp_path / "out.mp4", 20.0, *names) as sink:
        for name in (SOURCE, *names):
            for index in range(4):
                sink.write(make_step(index, source=name))
    found = {path.name: read_video(path)[0] for path in tmp_path.iterdir()}
    assert found == {
        "out-camera_0.mp4": 4,
        "out-x.mp4": 4,
        "out-rtsp___cam_1.mp4": 4,
        "out-x-2.mp4": 4,
    }


def test_a_silence_is_seen_in_the_film_and_not_the_label_before_it(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with video(path) as sink:
        sink.write(make_step(0, colour="green"))
        sink.write(changed(SourceState("stalled", "timeout", "no frames for 3 s")))
        sink.write(make_step(20, colour="green"))
    film = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    greens = []
    while (read := film.read())[0]:
        # Between the panels: the picture itself.
        greens.append(int(read[1][350, 320, 1]))
    assert len(greens) == 21
    assert min(greens[0], greens[20]) > 180
    assert max(greens[1:20]) < 80


def test_a_video_cut_by_a_full_disk_is_reported_and_removed(small_disk: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 120, 160, 3), np.uint8)
    film = VideoWriter(small_disk / "out.mp4", "--save out.mp4", 20.0)
    film.open()
    for image in noise:
        film.write(image)
    with pytest.raises(SinkError, match="No space left on device"):
        film.close()
    assert list(small_disk.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="named pipes are POSIX's")
@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
def test_a_video_is_not_saved_onto_what_is_no_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out.mp4"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/null")
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    with (
        pytest.raises(SinkError, match=r"^--save .*: that is a device or a pipe; name a file$"),
        video(path),
    ):
        pass
    assert not path.is_file()
    assert [each.name for each in tmp_path.iterdir()] == ["out.mp4"]


def test_a_name_that_is_too_long_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"cannot be written \(File name too long\)"):
        video(tmp_path / f"{'a' * 251}.mp4", 20.0, "other").__enter__()
    with video(tmp_path / f"{'漢' * 83}.mp4") as sink:
        sink.write(make_step(0))
    assert len(list(tmp_path.iterdir())) == 1
