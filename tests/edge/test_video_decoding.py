"""Videos of every kind are decoded as FFmpeg, or a player, shows them."""

import itertools
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from colour_model import FPS, WINDOW, model_bytes, picture
from once import once
from video_matrix import CASES, Case, ffmpeg, needs_ffmpeg, shown, video

from seqvision_edge.errors import SourceError
from seqvision_edge.frame import MAX_PIXELS
from seqvision_edge.runner import run
from seqvision_edge.sampling import select_frames
from seqvision_edge.session import Session
from seqvision_edge.sinks.console import EventList
from seqvision_edge.sources.factory import open_path
from seqvision_edge.sources.video_decoding import square_pixels
from seqvision_edge.sources.video_file import VideoFile

BY_NAME = {case.file: case for case in CASES}


def made(name: str, *arguments: str) -> Path:
    """Return a video that ffmpeg makes once, by arguments before its name."""
    needs_ffmpeg()

    def make(folder: Path) -> None:
        folder.mkdir()
        ffmpeg(*arguments, folder / name)

    return once(f"decoding-{name}", make) / name


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as caught, open_path(path) as source:
        list(source)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_video_is_what_ffmpeg_shows(case: Case) -> None:
    path = video(case)
    reference = shown(path)
    with VideoFile(path) as source:
        frames = list(source)
        assert source.incomplete is None
        assert source.fps == pytest.approx(float(Fraction(case.fps)))
    assert len(frames) == len(reference.frames)
    np.testing.assert_allclose([frame.time for frame in frames], reference.times, atol=0.0006)
    difference = np.abs(np.stack([each.bgr for each in frames]).astype(int) - reference.frames)
    # The same pixels; versions of FFmpeg only differ in how they scale, and dither ten bits.
    assert difference.mean() < 2
    assert difference.max() < 32
    for before, after in itertools.pairwise(frames):
        assert (before.bgr != after.bgr).any(), "a frame that was never written"


# a, b, c, d: a pixel at (x, y) is shown at (a x + c y, b x + d y).
ORIENTATIONS = {
    "upright": (1, 0, 0, 1),
    "mirrored": (-1, 0, 0, 1),
    "upside-down": (-1, 0, 0, -1),
    "flipped": (1, 0, 0, -1),
    "clockwise": (0, 1, -1, 0),
    "counter-clockwise": (0, -1, 1, 0),
    "transposed": (0, 1, 1, 0),
    "transverse": (0, -1, -1, 0),
}


@pytest.mark.parametrize("matrix", ORIENTATIONS.values(), ids=ORIENTATIONS)
@pytest.mark.parametrize("name", ["444.mp4", "h264-tff.mp4", "wide-pixels.mp4"])
def test_a_display_matrix_turns_and_mirrors_as_in_a_player(
    tmp_path: Path, name: str, matrix: tuple[int, int, int, int]
) -> None:
    data = bytearray(video(BY_NAME[name]).read_bytes())
    a, b, c, d = (each << 16 for each in matrix)
    # Of the track's header, version 0.
    location = data.index(b"tkhd") + 44
    struct.pack_into(">9i", data, location, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path = tmp_path / name
    path.write_bytes(data)
    reference = shown(path).frames
    with VideoFile(path) as source:
        frames = np.stack([frame.bgr for frame in source])
    assert frames.shape == reference.shape
    # What is turned the other way differs by far more.
    assert np.abs(frames.astype(int) - reference).mean() < 3
    assert np.abs(frames[:, ::-1, ::-1].astype(int) - reference).mean() > 20


def test_pixels_become_square_by_enlarging_the_side_that_is_too_short() -> None:
    assert square_pixels(720, 576, Fraction(64, 45)) == (1024, 576)
    assert square_pixels(720, 480, Fraction(8, 9)) == (720, 540)
    assert square_pixels(640, 480, Fraction(1)) == (640, 480)
    assert square_pixels(640, 480, None) == (640, 480)
    # Damaged headers are no picture formats.
    assert square_pixels(640, 480, Fraction(1, 1000)) == (640, 480)


def test_a_size_that_changes_in_the_stream_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "sizes.ts"
    small, large = (
        made(f"{size}.ts", "-f", "lavfi", "-i", f"testsrc2=s={size}:d=0.4", "-c:v", "mpeg2video")
        for size in ("64x48", "96x64")
    )
    path.write_bytes(small.read_bytes() + large.read_bytes())
    shapes = [frame.bgr.shape for frame in open_path(path)]
    assert set(shapes[:5]) == {(48, 64, 3)}
    assert set(shapes[-5:]) == {(64, 96, 3)}


@pytest.mark.parametrize(("letters", "codec"), [(b"evc1", "evc"), (b"xyz1", "xyz1")])
def test_a_codec_without_a_decoder_is_named(tmp_path: Path, letters: bytes, codec: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(video(BY_NAME["h264.mp4"]).read_bytes().replace(b"avc1", letters))
    assert refusal(path) == f"codec {codec} cannot be decoded here; convert it to H.264"


COVER = ("-f", "lavfi", "-i", "sine=d=1", "-f", "lavfi", "-i", "testsrc2=s=64x64:d=1",
         "-map", "0", "-map", "1", "-frames:v", "1", "-c:v", "png",
         "-disposition:v:0", "attached_pic")  # fmt: skip


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("cover.m4a", (*COVER, "-c:a", "aac"), "its only picture is a cover image; give a video"),
        (
            "cover.mp3",
            (*COVER, "-c:a", "libmp3lame"),
            "its only picture is a cover image; give a video",
        ),
        ("cover.flac", (*COVER, "-c:a", "flac"), "its only picture is a cover image; give a video"),
        ("sound.ogg", COVER[:4], "contains only sound; give a video"),
        ("sound.wav", COVER[:4], "contains only sound; give a video"),
    ],
)
def test_sound_with_or_without_a_cover_is_no_clip(
    name: str, arguments: tuple[str, ...], reason: str
) -> None:
    assert refusal(made(name, *arguments)) == reason


def test_the_default_of_several_streams_is_read_with_a_note() -> None:
    sources = ("-f", "lavfi", "-i", "color=red:s=64x64:d=0.4",
               "-f", "lavfi", "-i", "color=blue:s=96x64:d=0.4")  # fmt: skip
    path = made("two.mkv", *sources, "-map", "0", "-map", "1", "-c:v", "mpeg4",
                "-disposition:v:0", "0", "-disposition:v:1", "default")  # fmt: skip
    with open_path(path) as source:
        assert source.note == "2 video streams; number 2 is read (96 x 64)"
        assert next(iter(source)).bgr[32, 32, 0] > 200, "blue"
    with open_path(video(BY_NAME["h264.mp4"])) as source:
        assert source.note == ""


def test_sound_that_is_longer_than_the_pictures_is_no_missing_frame() -> None:
    path = made("long-sound.mkv", "-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.5",
                "-f", "lavfi", "-i", "sine=d=3", "-c:v", "mpeg2video", "-c:a", "aac")  # fmt: skip
    for each in (path, made("long-sound.ts", "-i", str(path), "-c", "copy")):
        with open_path(each) as source:
            assert len(list(source)) > 10
            assert source.incomplete is None, each


def test_what_an_edit_list_hides_is_not_shown_and_not_missed() -> None:
    whole = made("whole.mp4", "-f", "lavfi", "-i", "testsrc2=s=64x64:d=3:r=25",
                 "-c:v", "libx264", "-g", "25")  # fmt: skip
    path = made("cut.mp4", "-ss", "1.5", "-i", str(whole), "-c", "copy")
    with open_path(path) as source:
        frames = list(source)
        assert source.incomplete is None
    assert len(frames) == len(shown(path).frames) < 75
    assert frames[0].time == 0


def test_frames_above_the_limit_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "huge.avi"
    width, height = 8000, 4400
    assert width * height > MAX_PIXELS
    write(path, "mjpeg", "yuvj420p", [(np.zeros((height, width, 3), np.uint8), 0)])
    assert refusal(path).endswith("frames can be decoded (damaged, or above 32 Mpx)")


def test_frames_that_the_decoder_made_up_are_counted_and_not_given(tmp_path: Path) -> None:
    path = made("damaged.mp4", "-f", "lavfi", "-i", "testsrc2=s=160x120:d=4:r=25",
                "-c:v", "libx264", "-g", "25", "-bf", "0")  # fmt: skip
    data = bytearray(path.read_bytes())
    middle = data.index(b"mdat") + (data.index(b"moov") - data.index(b"mdat")) // 2
    data[middle : middle + 600] = bytes(600)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    with open_path(path) as source:
        whole = {frame.index: frame.bgr for frame in source}
    with open_path(damaged) as source:
        frames = list(source)
        assert source.damaged > 0
        assert source.incomplete == f"decoded {source.decoded} of 100 frames"
    # Up to the damage, and from the next whole picture on, each frame is right.
    right = [np.array_equal(frame.bgr, whole[round(frame.time * 25)]) for frame in frames]
    assert right[0]
    assert right[-1]
    assert sum(right) > 50


# ---- variable frame rates ----


def write(
    path: Path, codec: str, pixels: str, frames: list[tuple[np.ndarray, int]], end: int = 0
) -> Path:
    """Write pictures with their times, and when the last one ends, in hundredths of a second."""
    height, width = frames[0][0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=100)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.time_base = Fraction(1, 100)
        packets = []
        for bgr, time in frames:
            frame = av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(format=pixels)
            frame.pts, frame.time_base = time, Fraction(1, 100)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        stamps = [time for _, time in frames] + [end or frames[-1][1] + 10]
        for packet, begin, until in zip(packets, stamps, stamps[1:], strict=False):
            packet.pts = packet.dts = begin
            packet.duration = until - begin
            packet.time_base = Fraction(1, 100)
            container.mux(packet)
    return path


def film(path: Path, scenes: list[tuple[str, float]], thin: bool) -> Path:
    """Write colours, each for some seconds: ten frames a second, or one for each colour."""
    frames, time = [], 0
    for colour, seconds in scenes:
        until = time + round(100 * seconds)
        frames += [(picture(colour), at) for at in range(time, until, 10)][: 1 if thin else None]
        time = until
    return write(path, "mpeg4", "yuv420p", frames, time)


SCENES = [("none", 0.5), ("none", 0.5), ("red", 0.1), ("red", 0.1), ("red", 1.2), ("none", 1.5)]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_long_frame_of_a_file_is_a_still_picture(tmp_path: Path, suffix: str) -> None:
    session = Session(model_bytes(), "cpu")
    received = {}
    for thin in (False, True):
        events = EventList()
        path = film(tmp_path / f"{thin}.{suffix}", SCENES, thin)
        with open_path(path) as source:
            summary = run([source], session, [events])
        assert summary.frames == (6 if thin else 39)
        assert not summary.incomplete
        assert summary.prediction is not None
        assert summary.prediction.window_full
        received[thin] = [(event.label, round(event.start, 1)) for event in events.events]
    assert [label for label, _ in received[False]] == ["red"]
    assert received[True] == received[False]


def test_offline_and_live_choose_the_same_frames_for_stills(
    tmp_path: Path,
) -> None:
    path = film(tmp_path / "thin.mp4", SCENES, thin=True)
    with open_path(path) as source:
        frames = list(source)
        fps = source.fps
    end = frames[-1].time + frames[-1].duration
    assert end == pytest.approx(3.9, abs=0.02)
    chosen = select_frames([frame.time for frame in frames], FPS, fps, end)
    assert len(chosen) == pytest.approx(39, abs=1)
    # What is shown at each tick.
    times = np.array([frame.time for frame in frames])
    at = np.arange(len(chosen)) / FPS
    np.testing.assert_array_equal(chosen, np.searchsorted(times, at + 1e-6, "right") - 1)
    steps: list[int] = []
    session = Session(model_bytes(), "cpu")
    run([open_path(path)], session, [Answered(steps.append)])
    assert steps == chosen.tolist()


def test_one_picture_that_is_shown_for_seconds_fills_the_window(tmp_path: Path) -> None:
    path = write(tmp_path / "one.mp4", "mpeg4", "yuv420p", [(picture("red"), 0)], 300)
    summary = run([open_path(path)], Session(model_bytes(), "cpu"))
    assert summary.frames == 1
    assert summary.prediction is not None
    assert (summary.prediction.label, summary.prediction.window_full) == ("red", 3 * FPS >= WINDOW)


class Answered:
    """A sink that reports the number of each frame that has a prediction."""

    def __init__(self, notify: Callable[[int], None]) -> None:
        self._notify = notify

    def __enter__(self) -> "Answered":
        return self

    def __exit__(self, *_: object) -> None: ...

    def write(self, step: object) -> None:
        frame = getattr(step, "frame", None)
        if frame is not None and getattr(step, "answered", False):
            self._notify(frame.index)
