"""Videos, images and folders as sources."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame
from seqvision_edge.opencv import cv2
from seqvision_edge.sources.factory import open_path

Image = NDArray[np.uint8]

CODECS = {
    "avi": "MJPG",
    "m4v": "mp4v",
    "mkv": "MJPG",
    "mov": "mp4v",
    "mp4": "mp4v",
    "ts": "MPG2",
    "webm": "VP80",
}


def grey(level: int, size: tuple[int, int] = (64, 48)) -> Image:
    """Return a plain `(height, width, 3)` picture; `size` is (width, height)."""
    return np.full((size[1], size[0], 3), level, np.uint8)


def level_of(frame: Frame) -> int:
    """Return which multiple of 8 a plain picture shows, however it was compressed."""
    return round(float(frame.bgr.mean()) / 8)


def write_video(path: Path, count: int = 20, fps: float = 25.0) -> Path:
    """Write a video whose frame n has the grey level 8 * n."""
    codec = cv2.VideoWriter.fourcc(*CODECS[path.suffix[1:]])
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, fps, (64, 48))
    assert writer.isOpened()
    for number in range(count):
        writer.write(grey(8 * number))
    writer.release()
    return path


def write_image(path: Path, image: Image) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path


def retime(path: Path, milliseconds: Sequence[int]) -> Path:
    """Give the frames of a short Matroska video other times: its blocks carry them as int16."""
    times = iter(milliseconds)

    def stamp(block: re.Match[bytes]) -> bytes:
        return b"\x81" + next(times).to_bytes(2, "big") + block[2]

    blocks = re.compile(rb"\x81(..)(\x80\xff\xd8)", re.DOTALL)
    path.write_bytes(blocks.sub(stamp, path.read_bytes()))
    assert next(times, None) is None
    return path


def pictures_of(data: bytes | bytearray) -> list[int]:
    """Return where the frames of an AVI of JPEGs begin: tag, size as uint32, JPEG."""
    return [match.start() for match in re.finditer(rb"00dc....\xff\xd8", data, re.DOTALL)]


def spoil(path: Path, *numbers: int) -> Path:
    """Overwrite some frames of an AVI of JPEGs with zeros."""
    data = bytearray(path.read_bytes())
    pictures = pictures_of(data)
    for number in numbers:
        start = pictures[number] + 8
        size = int.from_bytes(data[start - 4 : start], "little")
        data[start : start + size] = bytes(size)
    path.write_bytes(data)
    return path


def read(path: Path | str, image_fps: float = 30.0) -> list[Frame]:
    with open_path(path, image_fps) as source:
        return list(source)


def refusal(path: Path | str) -> str:
    """Return the error for an unreadable path, which must be one line."""
    with pytest.raises(SourceError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- video files ----


@pytest.mark.parametrize("suffix", CODECS)
def test_every_frame_of_a_video_comes_in_order(tmp_path: Path, suffix: str) -> None:
    video = write_video(tmp_path / f"clip.{suffix}")
    with open_path(video) as source:
        frames = list(source)
        assert (source.name, source.live, source.fps) == (str(video), False, 25)
        assert (source.claimed, source.decoded, source.damaged) == (20, 20, 0)
        assert source.incomplete is None
    assert [level_of(frame) for frame in frames] == list(range(20))
    assert [frame.index for frame in frames] == list(range(20))
    assert {frame.bgr.shape for frame in frames} == {(48, 64, 3)}
    assert {frame.bgr.dtype for frame in frames} == {np.dtype(np.uint8)}


@pytest.mark.parametrize("suffix", ["avi", "mkv", "mp4", "ts"])
@pytest.mark.parametrize("fps", [10.0, 25.0, 30000 / 1001])
def test_times_are_those_of_the_stream_and_begin_at_zero(
    tmp_path: Path, suffix: str, fps: float
) -> None:
    frames = read(write_video(tmp_path / f"clip.{suffix}", fps=fps))
    assert frames[0].time == 0
    # Matroska keeps whole milliseconds.
    expected = np.arange(20) / fps
    np.testing.assert_allclose([frame.time for frame in frames], expected, atol=0.001)


def test_a_variable_frame_rate_is_followed(tmp_path: Path) -> None:
    times = [0, 40, 80, 500, 540, 2000]
    video = retime(write_video(tmp_path / "clip.mkv", count=6), times)
    assert [round(1000 * frame.time) for frame in read(video)] == times


def test_times_that_do_not_rise_go_on_at_constant_speed(tmp_path: Path) -> None:
    video = retime(write_video(tmp_path / "clip.mkv", count=6), [0, 40, 40, 0, 160, 200])
    times = [frame.time for frame in read(video)]
    assert times == sorted(set(times))
    np.testing.assert_allclose(times, np.arange(6) / 25, atol=0.001)


def test_a_damaged_frame_is_counted_and_leaves_a_gap(tmp_path: Path) -> None:
    video = spoil(write_video(tmp_path / "clip.avi"), 5, 6, 12)
    with open_path(video) as source:
        frames = list(source)
        assert (source.claimed, source.decoded, source.damaged) == (20, 17, 3)
        assert source.incomplete == "decoded 17 of 20 frames"
    there = [number for number in range(20) if number not in (5, 6, 12)]
    assert [level_of(frame) for frame in frames] == there
    assert [frame.index for frame in frames] == there
    np.testing.assert_allclose([frame.time for frame in frames], np.array(there) / 25)


def test_a_truncated_video_is_read_and_reported_incomplete(tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.avi")
    data = video.read_bytes()
    video.write_bytes(data[: pictures_of(data)[12]])
    with open_path(video) as source:
        frames = list(source)
        assert source.incomplete == "decoded 12 of 20 frames"
    assert [level_of(frame) for frame in frames] == list(range(12))


def test_a_video_without_one_good_frame_is_an_error(tmp_path: Path) -> None:
    video = spoil(write_video(tmp_path / "clip.avi"), *range(20))
    assert refusal(video) == (
        f"{video}: a video, but not one of its frames can be decoded (damaged, or above 32 Mpx)"
    )


def test_a_source_can_be_left_early(tmp_path: Path) -> None:
    with open_path(write_video(tmp_path / "clip.mp4")) as source:
        assert level_of(next(iter(source))) == 0
        assert source.decoded == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a video that can be read, it is empty"),
        (b"a note, not a film\n" * 100, "not a video that can be read, it is text"),
        # Playlists make FFmpeg open other files.
        (b"#EXTM3U\n#EXTINF:1,\nfile:secret.ts\n", "not a video that can be read, it is text"),
        (bytes(range(256)) * 20, "not a video that can be read"),
    ],
    ids=["empty", "text", "playlist", "bytes"],
)
@pytest.mark.parametrize("name", ["clip.mp4", "clip.txt", "clip.m3u8", "clip"])
def test_what_is_no_video_is_refused(tmp_path: Path, data: bytes, reason: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert refusal(path) == f"{path}: {reason}"


def test_a_video_that_lost_its_index_is_refused(tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mp4")
    video.write_bytes(video.read_bytes()[:-200])
    assert refusal(video) == f"{video}: not a video that can be read"


NOTHING = "no such file or folder"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no.mp4", NOTHING),
        ("rtsp://127.0.0.1/cam", "a URL; download it first, and give the file or folder"),
        ("concat:a.ts|b.ts", NOTHING),
        ("-1", NOTHING),
    ],
)
def test_only_what_is_on_the_disk_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    write_video(tmp_path / "a.ts")
    monkeypatch.chdir(tmp_path)
    assert refusal(name) == f"{name}: {reason}"


# ---- images ----


def test_a_folder_of_images_is_read_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 9, 2, 1, 100):
        write_image(tmp_path / f"frame {number}.png", grey(number))
    with open_path(tmp_path, image_fps=4) as source:
        frames = list(source)
        assert (source.fps, source.live, source.claimed) == (4, False, 5)
        assert source.incomplete is None
    assert [int(frame.bgr[0, 0, 0]) for frame in frames] == [1, 2, 9, 10, 100]
    assert [frame.time for frame in frames] == [0, 0.25, 0.5, 0.75, 1]
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("suffix", ["bmp", "jpeg", "JPG", "png", "webp"])
def test_a_single_image_is_one_frame(tmp_path: Path, suffix: str) -> None:
    [frame] = read(write_image(tmp_path / f"ünï.{suffix}", grey(80)))
    assert (level_of(frame), frame.time, frame.index) == (10, 0, 0)


def test_a_pattern_takes_the_images_that_match(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(["a1.png", "a2.png", "a10.png", "b1.png"]):
        write_image(tmp_path / name, grey(number))
    (tmp_path / "a3.txt").touch()
    assert [int(frame.bgr[0, 0, 0]) for frame in read(f"{tmp_path}/a*")] == [0, 1, 2]
    monkeypatch.chdir(tmp_path)
    assert len(read("?1.png")) == 2


def test_a_name_that_looks_like_a_pattern_is_taken_as_it_is(tmp_path: Path) -> None:
    write_image(tmp_path / "take[1]" / "1.png", grey(8))
    assert [level_of(frame) for frame in read(tmp_path / "take[1]")] == [1]


def test_images_of_other_sizes_and_channels_become_bgr_of_their_own_size(tmp_path: Path) -> None:
    write_image(tmp_path / "1.png", grey(40)[:, :, 0])
    write_image(tmp_path / "2.png", np.dstack([grey(40, (30, 20)), np.full((20, 30), 9, np.uint8)]))
    write_image(tmp_path / "3.png", grey(40, (10, 90)))
    frames = read(tmp_path)
    assert [frame.bgr.shape for frame in frames] == [(48, 64, 3), (20, 30, 3), (90, 10, 3)]
    assert all((frame.bgr == 40).all() for frame in frames)


def test_an_unreadable_image_leaves_a_gap(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write_image(tmp_path / f"{number}.png", grey(8 * number))
    (tmp_path / "2.png").write_bytes(b"not a picture")
    with open_path(tmp_path, image_fps=10) as source:
        frames = list(source)
        assert (source.claimed, source.decoded, source.damaged) == (3, 2, 1)
        assert source.incomplete == "decoded 2 of 3 images"
    assert [(level_of(frame), frame.time, frame.index) for frame in frames] == [
        (1, 0.0, 0),
        (3, 0.2, 2),
    ]


def test_images_of_which_none_can_be_read_are_an_error(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        (tmp_path / name).touch()
    assert refusal(tmp_path) == f"{tmp_path}: OpenCV can read none of its 2 images"
    assert refusal(tmp_path / "1.png") == f"{tmp_path / '1.png'}: not an image that OpenCV can read"


def test_a_folder_without_images_lists_its_contents(tmp_path: Path) -> None:
    output = "give bmp jpeg jpg png webp files"
    assert refusal(tmp_path) == f"{tmp_path}: no images here (it is empty); {output}"
    (tmp_path / "more").mkdir()
    for name in ("a.mp4", "b.mp4", "c.mp4", "a.txt", "b.txt", ".hidden.png"):
        (tmp_path / name).touch()
    assert refusal(tmp_path) == f"{tmp_path}: no images here (3 .mp4, 2 .txt, 1 folder); {output}"


def test_a_pattern_without_match_is_an_error(tmp_path: Path) -> None:
    assert refusal(f"{tmp_path}/*.png") == f"{tmp_path}/*.png: no file matches this pattern"


def test_images_need_a_speed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fps is 0, must be above 0"):
        open_path(write_image(tmp_path / "1.png", grey(0)), image_fps=0)
