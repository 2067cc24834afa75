"""Regions in training: lists, --region, what is cut and decoded is what a live run sees."""

from pathlib import Path

import numpy as np
import pytest
from colour_model import model_bytes
from conftest import write_frames, write_video
from numpy.typing import NDArray

from seqvision.calibration.inputs import TruthVideo
from seqvision.cli import main
from seqvision.data.cache import Cache
from seqvision.data.clip_cuts import clip_frames
from seqvision.data.clips import Clip
from seqvision.data.datasets import find_clips, find_data_set
from seqvision.data.datasets.clip_list import read_list
from seqvision.data.decode import Store, decode_all, frame_shape
from seqvision.dataset_report.probe import Probe, look
from seqvision.errors import DataError
from seqvision_edge.card import ImageSpec
from seqvision_edge.event_metrics import TrueEvent
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import prepare
from seqvision_edge.regions import crop, parse_region

SPEC = ImageSpec(height=12, width=16, channels=3, fit="stretch")
DOOR, DESK = "0.1,0.2,0.4,0.9", "60,20,90,50"


def noise(frames: int = 6) -> NDArray[np.uint8]:
    """Return frames of 100 x 60 pixels, no two alike."""
    return np.random.default_rng(0).integers(0, 255, (frames, 60, 100, 3), np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames without loss, and a video of them."""
    root = tmp_path_factory.mktemp("regions")
    write_frames(root / "takes" / "a", noise())
    write_video(root / "a.mp4", noise(), 10.0)
    return root


def listed(data: Path, text: str) -> list[Clip]:
    path = data / "list.csv"
    path.write_text(text)
    return read_list(path)[0]


def test_a_region_of_a_list_is_decoded_as_a_live_run_cuts_it(data: Path, tmp_path: Path) -> None:
    clips = listed(
        data,
        f'path,label,region\ntakes/a,x,"{DOOR}"\ntakes/a,y,"{DESK}"\ntakes/a,z,\n'
        'takes/a,t,"tri=0.1,0.2,0.4,0.2,0.1,0.9"\n',
    )
    assert [clip.fragment for clip in clips] == [
        f"#region={DOOR}",
        f"#region={DESK}",
        "",
        "#region=0.1,0.2,0.4,0.2,0.1,0.9",
    ]
    assert {clip.group for clip in clips} == {"takes/a"}  # one recording: on one side of a split
    store = Store(Cache(tmp_path), SPEC, 10.0)
    found, decoded, broken = decode_all(store, clips, lambda done, count: None)
    assert (len(found), broken) == (4, [])
    pictures = [cv2.imread(str(path)) for path in sorted((data / "takes/a").iterdir())]
    for clip, each in zip(clips, decoded, strict=True):
        parts = [crop(p, clip.region) if clip.region else p for p in pictures]
        assert np.array_equal(np.array(each.frames), [prepare(part, SPEC) for part in parts])
        assert np.array_equal([f.bgr for f in clip_frames(clip, 10.0)], parts)
    assert len({each.key for each in decoded}) == 4
    assert frame_shape(clips[1]) == (30, 30)
    probe = look(clips[0], 10.0)
    assert isinstance(probe, Probe)
    assert probe.size == (30, 42)


def test_columns_of_a_box_are_a_region(data: Path) -> None:
    pixels = "path,label,x,y,width,height\ntakes/a,x,60,20,30,30\ntakes/a,y,,,,\n"
    one, other = listed(data, pixels)
    assert (one.fragment, other.region) == (f"#region={DESK}", None)
    fractions = "path,label,x,y,width,height\ntakes/a,x,0.1,0.2,0.3,0.7\n"
    (one,) = listed(data, fractions)
    assert one.region is not None
    assert one.region.box((60, 100)) == (10, 12, 40, 54)
    # The size of a video, or a column of countries, is no region.
    for text in (
        "path,label,width,height\ntakes/a,x,100,60\n",
        "path,label,region\ntakes/a,x,US\n",
    ):
        path = data / "list.csv"
        path.write_text(text)
        (clip,), notes = read_list(path)
        assert clip.region is None
        assert any("not used" in note for note in notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('region\ntakes/a,x,"0.1,0.2,0.1,0.9"', "line 2: region .*: empty"),
        ('region\ntakes/a,x,"0.1,0.2"', "line 2: region .*: give two corners"),
        ('region\ntakes/a,x,"0.1,0.2,nan,1"', "line 2: region .*: nan is not a number"),
        ("x,y,width,height\ntakes/a,x,1,2,0,9", "line 2: x, y, width, height: its width"),
        ("x,y,width,height\ntakes/a,x,1,2,,9", "nothing is not a number"),
        ("x,y,width,height\ntakes/a,x,0.5,2,100,9", "give one kind"),
    ],
)
def test_a_bad_region_of_a_list_is_refused_with_its_line(data: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        listed(data, f"path,label,{text}\n")


def test_a_region_outside_a_clip_leaves_that_clip_out(data: Path, tmp_path: Path) -> None:
    clips = listed(
        data,
        f'path,label,region\na.mp4,x,"200,0,300,50"\na.mp4,y,"{DESK}"\na.mp4,z,"0,0,4,4"\n',
    )
    store = Store(Cache(tmp_path), SPEC, 10.0)
    found, _, broken = decode_all(store, clips, lambda done, count: None)
    assert [clip.label for clip in found] == ["y"]
    assert len(broken) == 2
    assert "outside the picture of 100x60" in broken[0]
    assert "only 4x4 pixels" in broken[1]
    assert "outside" in str(look(clips[0], 10.0))


def test_an_option_is_the_region_of_clips_without_one(data: Path) -> None:
    path = data / "some.csv"
    path.write_text(f'path,label,region\ntakes/a,x,"{DESK}"\ntakes/a,y,\n')
    one, other = find_data_set(path, region=f"door={DOOR}").clips
    assert (one.fragment, other.fragment) == (f"#region={DESK}", f"#region={DOOR}")
    assert find_data_set(path).clips[1].region is None


@pytest.mark.parametrize("command", ["train", "data", "calibrate m.onnx", "predict m.onnx"])
def test_a_region_that_is_none_is_one_line(
    command: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for label in "ab":
        write_frames(tmp_path / "clips" / label / "1", noise(2))
    (tmp_path / "m.onnx").write_bytes(model_bytes())
    assert main([*command.split(), "clips", "--region", "0.5,0.5,0.1,0.1"]) == 2
    out = capsys.readouterr().err
    assert out.count("\n") == 1
    assert "--region 0.5,0.5,0.1,0.1: empty" in out


def test_predict_with_a_region_is_predict_on_a_cropped_clip(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.onnx").write_bytes(model_bytes())
    region = parse_region(DOOR)
    write_frames(tmp_path / "b", np.array([crop(frame, region) for frame in noise()]))
    answers = []
    for clip, more in ((data / "takes/a", ["--region", DOOR]), (tmp_path / "b", [])):
        csv = tmp_path / "answers.csv"
        arguments = ["predict", tmp_path / "m.onnx", clip, "--csv", csv, *more]
        assert main([str(each) for each in arguments]) == 0
        answers.append(csv.read_text().splitlines()[1].split(",")[-5:])
    capsys.readouterr()
    assert answers[0] == answers[1]


def test_segment_cuts_clips_of_regions(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = tmp_path / "events.csv"
    events.write_text("start,end,label,view\n0,0.3,wave,door\n0.2,0.5,clap,desk\n")
    video, out = data / "a.mp4", tmp_path / "clips"
    both = ["--region", f"door={DOOR}", "--region", f"desk={DESK}"]
    cut = ["segment", str(video), str(events), "--output", str(out), "--background-clips", "0"]
    assert main([*cut, *both]) == 0
    assert {clip.path.name: shape_of(clip.path) for clip in find_clips(out)} == {
        "a_door_000000-000002.mp4": (30, 42, 3),
        "a_desk_000002-000004.mp4": (30, 30, 3),
    }
    listing = tmp_path / "parts"
    again = ["segment", str(video), str(events), "--output", str(listing), "--list-only"]
    assert main([*again, "--background-clips", "0", *both]) == 0
    found = {clip.label: clip.fragment for clip in find_clips(listing)}
    assert found == {
        "wave": f"#frames=0,3&region={DOOR}",
        "clap": f"#frames=2,5&region={DESK}",
    }
    # A background clip is between the events of its own region.
    capsys.readouterr()
    events.write_text("start,end,label\n0,0.3,wave\n")
    assert main([*cut[:3], "--output", str(tmp_path / "c"), *both]) == 2
    assert "view is missing; the regions are door, desk" in capsys.readouterr().err
    assert main([*cut[:3], "--output", str(tmp_path / "c"), "--region", "500,0,600,50"]) == 2
    assert "outside the picture of 100x60" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def shape_of(path: Path) -> tuple[int, int, int]:
    """Return width, height and number of frames of a clip."""
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    shapes = []
    while (read := video.read())[0]:
        shapes.append(read[1].shape)
    return shapes[0][1], shapes[0][0], len(shapes)


def test_calibration_watches_the_region_and_its_events() -> None:
    truth = tuple(
        TrueEvent(label="wave", start=float(n), end=n + 1.0, view=view)
        for n, view in enumerate(("door", "desk", ""))
    )
    take = TruthVideo(Path("a.mp4"), truth)
    whole, door = take.of_region(None), take.of_region(f"door={DOOR}")
    assert [event.start for event in whole.truth] == [0, 1, 2]
    assert [event.start for event in door.truth] == [0, 2]
    assert {event.view for event in (*whole.truth, *door.truth)} == {""}
    assert door.region == parse_region(f"door={DOOR}")
