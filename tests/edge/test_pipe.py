"""Frames through standard input."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from seqvision_edge.errors import SourceError
from seqvision_edge.opencv import cv2
from seqvision_edge.sources import Frame, jpeg_stream
from seqvision_edge.sources.jpeg_stream import pictures
from seqvision_edge.sources.pipe import Pipe

Image = NDArray[np.uint8]


def grey(level: int, width: int = 35, height: int = 21) -> Image:
    return np.full((height, width, 3), level, np.uint8)


def jpeg(level: int, *, progressive: bool = False) -> bytes:
    """Return a picture whose scan holds every kind of byte."""
    noise = np.random.default_rng(level).integers(0, 40, (48, 64, 3), np.uint8)
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive), cv2.IMWRITE_JPEG_RST_INTERVAL, 2]
    return bytes(cv2.imencode(".jpg", noise + np.uint8(level), options)[1].tobytes())


def piped(data: bytes, size: tuple[int, int] | None = None) -> tuple[Pipe, list[Frame]]:
    """Send some bytes through a pipe, and return the source and its frames."""
    reading, writing = os.pipe()

    def send() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(data)

    sender = threading.Thread(target=send)
    sender.start()
    source = Pipe("standard input", reading, 10, size)
    try:
        with source:
            return source, list(source)
    finally:
        os.close(reading)
        sender.join()


# ---- raw frames ----


def test_raw_frames_come_one_by_one_at_the_rate_that_is_told() -> None:
    # Larger than what a pipe holds at once.
    sent = [grey(level, 401, 303) for level in (0, 50, 200, 255)]
    source, frames = piped(b"".join(frame.tobytes() for frame in sent), (401, 303))
    for frame, bgr in zip(frames, sent, strict=True):
        np.testing.assert_array_equal(frame.bgr, bgr)
    assert [(frame.index, frame.time) for frame in frames] == [(0, 0), (1, 0.1), (2, 0.2), (3, 0.3)]
    assert (source.live, source.fps, source.decoded, source.damaged) == (False, 10, 4, 0)
    assert source.incomplete is None


def test_a_raw_frame_can_be_drawn_into_without_touching_the_next() -> None:
    _, [first, second] = piped(grey(1).tobytes() + grey(2).tobytes(), (35, 21))
    first.bgr[:] = 9
    assert (second.bgr == 2).all()


def test_a_torn_last_frame_is_counted() -> None:
    source, frames = piped(grey(1).tobytes() + grey(2).tobytes()[:-1], (35, 21))
    assert [int(frame.bgr[0, 0, 0]) for frame in frames] == [1]
    assert (source.damaged, source.incomplete) == (1, "decoded 1 of 2 frames")


# ---- MJPEG ----


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_pictures_are_found_by_their_first_bytes(progressive: bool) -> None:
    sent = [jpeg(level, progressive=progressive) for level in (10, 90, 170)]
    source, frames = piped(b"".join(sent))
    for frame, data in zip(frames, sent, strict=True):
        whole = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(frame.bgr, whole)
    assert [frame.time for frame in frames] == [0, 0.1, 0.2]
    assert source.incomplete is None


def test_a_grey_jpeg_becomes_bgr() -> None:
    data = cv2.imencode(".jpg", grey(80)[:, :, 0])[1].tobytes()
    _, [frame] = piped(data)
    assert frame.bgr.shape == (21, 35, 3)


def test_a_damaged_jpeg_leaves_its_place_in_time_empty() -> None:
    broken = bytearray(jpeg(90))
    # No decoder can do without the size of the picture.
    broken[broken.index(b"\xff\xc0") + 5 : broken.index(b"\xff\xc0") + 9] = bytes(4)
    source, frames = piped(jpeg(10) + broken + jpeg(170))
    assert [(frame.index, frame.time) for frame in frames] == [(0, 0), (2, 0.2)]
    assert source.incomplete == "decoded 2 of 3 frames"


@given(st.integers(2, 4000), st.booleans())
@example(206, True)
def test_a_torn_jpeg_is_counted_and_the_next_one_is_found(cut: int, progressive: bool) -> None:
    torn = jpeg(90, progressive=progressive)
    torn = torn[: min(cut, len(torn) - 1)]
    found = list(pictures([jpeg(10), torn]))
    assert found[0] == (jpeg(10), True)
    assert [whole for _, whole in found[1:]] in ([False], [])
    # Half a length may swallow the beginning of the next picture.
    found = list(pictures([torn, jpeg(10), jpeg(20), jpeg(30)]))
    assert found[-1] == (jpeg(30), True)


@given(st.lists(st.integers(1, 3000), max_size=12), st.binary(max_size=9))
def test_pictures_are_whole_however_their_bytes_arrive(sizes: list[int], between: bytes) -> None:
    between = between.replace(b"\xff", b"")
    sent = [jpeg(10), jpeg(90, progressive=True), jpeg(170)]
    data = between.join(sent)

    def chunks() -> Iterator[bytes]:
        place = 0
        for size in sizes:
            yield data[place : place + size]
            place += size
        yield data[place:]

    assert list(pictures(chunks())) == [(picture, True) for picture in sent]


def test_a_picture_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg_stream, "LARGEST", 1 << 15)
    found = list(pictures([jpeg(10)[:-2], *[bytes(1 << 14)] * 4, jpeg(20)]))
    assert found == [(b"", False), (jpeg(20), True)]


# ---- the end, and what is no source ----


@pytest.mark.parametrize(
    ("data", "size", "reason"),
    [
        (b"", None, "it ended without one whole frame"),
        (b"", (4, 4), "it ended without one whole frame"),
        (b"\xff\xd8\xff", None, "it ended without one whole frame"),
        (b"RIFF....", None, "these are no JPEG pictures; of raw frames say the size: --stdin-size"),
        (b"R", None, "these are no JPEG pictures"),
    ],
)
def test_a_pipe_without_frames_is_one_clear_line(data: bytes, size: Any, reason: str) -> None:
    with pytest.raises(SourceError, match=f"^standard input: {reason}"):
        piped(data, size)


def test_a_pipe_that_is_silent_can_be_left() -> None:
    reading, writing = os.pipe()
    source = Pipe("standard input", reading, 10, (4, 4))
    ended = threading.Event()

    def read() -> None:
        assert list(source) == []
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    time.sleep(0.2)
    assert not ended.is_set()
    source.stop()
    assert ended.wait(5)
    os.close(writing)
    os.close(reading)


EDGE_RUN = [sys.executable, "-m", "seqvision_edge", "--no-window"]


def edge_run(data: bytes, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    command = [*EDGE_RUN, *map(str, arguments)]
    return subprocess.run(command, input=data, capture_output=True, timeout=60)


def test_a_run_on_standard_input_answers_for_every_frame(model: Path) -> None:
    red = np.full((48, 64, 3), (30, 30, 220), np.uint8).tobytes()
    raw = ["--model", model, "--source", "-", "--stdin-size", "64x48", "--image-fps", "10"]
    done = edge_run(red * 20, *raw)
    assert (done.returncode, done.stdout.decode().split("\t")[2]) == (0, "red")
    assert "20 frames · 20 answers" in done.stderr.decode()
    torn = edge_run(red * 20 + red[:9], *raw)
    assert torn.returncode == 3
    assert torn.stderr.decode().endswith("standard input: decoded 20 of 21 frames\n")


def test_ffmpeg_can_be_the_camera(model: Path, video: Path) -> None:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("needs ffmpeg (tests/install.sh)")
    command = [ffmpeg, "-v", "error", "-i", video, "-f", "image2pipe", "-c:v", "mjpeg", "-"]
    jpegs = subprocess.run(command, check=True, capture_output=True).stdout
    done = edge_run(jpegs, "--model", model, "--source", "-", "--image-fps", "20")
    assert done.returncode == 0
    assert [line.split("\t")[2] for line in done.stdout.decode().splitlines()] == ["red", "blue"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--source", "-", "--source", "-"], "standard input can be one source only"),
        (["--source", "-", "--stdin-size", "640"], "--stdin-size 640"),
        (["--source", "-", "--stdin-size", "0x48"], "--stdin-size 0x48"),
    ],
)
def test_a_wrong_use_of_standard_input_is_one_line(
    model: Path, arguments: list[str], reason: str
) -> None:
    done = edge_run(b"", "--model", model, *arguments)
    assert done.returncode == 2
    assert reason in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
