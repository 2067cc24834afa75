"""Regions of a source: parsed, cut, each with a stream and events of its own."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_model import COLOURS, FPS, LABELS, make_card, model_bytes, write_video
from test_cli import edge_run, refusal
from test_run_many import Live, Record

from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame, Image, records
from seqvision_edge.model import Model
from seqvision_edge.opencv import cv2
from seqvision_edge.overlay import Overlay
from seqvision_edge.regions import (
    Region,
    crop,
    from_size,
    named,
    parse_region,
    read_regions,
)
from seqvision_edge.runner import run
from seqvision_edge.session import Session
from seqvision_edge.sinks.event_clips import EventClips, Margins
from seqvision_edge.sinks.metrics import PrometheusSink
from seqvision_edge.sinks.mqtt import Mqtt
from seqvision_edge.sinks.window import RegionDrawing, Wall
from seqvision_edge.sources.factory import open_path
from seqvision_edge.sources.parse import read_listing
from seqvision_edge.types import SourceState

SIZE = (240, 320)
DOOR, DESK = "door=0.1,0.2,0.4,0.9", "desk=192,24,304,120"
SCENES = {
    "door": [("none", 1.0), ("red", 1.2), ("none", 2.8)],
    "desk": [("none", 2.5), ("blue", 1.2), ("none", 1.3)],
}


def colour_at(region: str, time: float) -> str:
    for colour, seconds in SCENES[region]:
        time -= seconds
        if time < 0:
            return colour
    return "none"


def scene(time: float, size: tuple[int, int] = SIZE) -> Image:
    """Return a grey picture with the colours of both regions, and noise around them."""
    height, width = size
    bgr = np.random.default_rng(round(time * 100)).integers(0, 255, (height, width, 3), np.uint8)
    for text in (DOOR, DESK):
        region = parse_region(text)
        left, top, right, bottom = region.box(SIZE, size)
        bgr[top:bottom, left:right] = COLOURS[colour_at(region.name, time)]
    return bgr


def frames(seconds: float = 5.0, fps: float = FPS, size: tuple[int, int] = SIZE) -> list[Frame]:
    return [Frame(scene(i / fps, size), i / fps, i) for i in range(round(seconds * fps))]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the scene's pictures, without loss."""
    folder = tmp_path_factory.mktemp("scene")
    for frame in frames():
        cv2.imwrite(str(folder / f"{frame.index:03d}.png"), frame.bgr)
    return folder


@pytest.mark.parametrize(
    ("text", "name", "box"),
    [
        ("door=0.1,0.2,0.4,0.9", "door", (32, 48, 128, 216)),
        ("0.1, 0.2, 0.4, 0.9", "", (32, 48, 128, 216)),
        ("a=b c=0 0 160 120", None, None),
        ("top left=0,0,160,120", "top left", (0, 0, 160, 120)),
        ("all=0,0,1,1", "all", (0, 0, 320, 240)),
        ("half=0.5,0,1,1", "half", (160, 0, 320, 240)),
        ("out=-0.5,0.5,0.5,1.5", "out", (0, 120, 160, 240)),
        ("px=-10,-10,50,60", "px", (0, 0, 50, 60)),
        ("p=0.5,0.1,0.9,0.9,0.1,0.9", "p", (32, 24, 288, 216)),
        ("s=0 0 160 120", "s", (0, 0, 160, 120)),
    ],
)
def test_a_region_is_read(
    text: str, name: str | None, box: tuple[int, int, int, int] | None
) -> None:
    if name is None:
        with pytest.raises(SourceError, match="no ="):
            parse_region(text)
        return
    region = parse_region(text)
    assert (region.name, region.box(SIZE)) == (name, box)
    assert parse_region(str(region)) == region


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("door", "two corners"),
        ("door=", "two corners"),
        ("=0.1,0.2,0.4,0.9", "the name is missing"),
        ("d=0.1,0.2,0.4", "two corners"),
        ("d=0.1,0.2,0.4,0.9,0.5", "two corners"),
        ("d=0.1,0.2,nan,0.9", "nan is not a number"),
        ("d=0.1,0.2,inf,0.9", "inf is not a number"),
        ("d=0.1,0.2,1e999,0.9", "not a number"),
        ("d=0.1,0.2,0x4,0.9", "not a number"),
        ("d=0.1,,0.4,0.9", "nothing is not a number"),
        ("d=٠,0,1,1", "not a number"),
        ("d=0.4,0.2,0.1,0.9", "not a width and height"),
        ("d=0.4,0.2,0.4,0.9", "empty"),
        ("d=1.0,0.2,1.5,0.9", "outside"),
        ("d=-0.5,0.2,0.0,0.9", "outside"),
        ("d=0.1,0.2,300,200", "give one kind"),
        ("d=10.5,20,300,200", "give one kind"),
        ("d=0,0,99999999,10", "so many pixels"),
        ("d=0.1,0.1,0.2,0.2,0.3,0.3", "on one line"),
        ("d=" + ",".join(["0.1,0.9"] * 65), "more than 64 corners"),
        ("n" * 61 + "=0.1,0.2,0.4,0.9", "at most 60"),
        ("a\x1bb=0.1,0.2,0.4,0.9", "printable"),
    ],
)
def test_what_is_no_region_is_refused(text: str, words: str) -> None:
    with pytest.raises(SourceError, match=words) as refused:
        parse_region(text)
    assert str(refused.value).startswith("--region ")
    assert "\x1b" not in str(refused.value)


def test_names_are_distinct_and_made_where_missing() -> None:
    assert [each.name for each in named([parse_region("0,0,10,10"), parse_region(DOOR)])] == [
        "region 1",
        "door",
    ]
    with pytest.raises(SourceError, match="two regions of this name"):
        named([parse_region(DOOR), parse_region(DOOR)])
    with pytest.raises(SourceError, match="more than 64"):
        named([Region(str(n), ((0, 0), (1, 1))) for n in range(65)])


def test_columns_give_the_same_region_as_corners() -> None:
    assert from_size("a", ["0.1", "0.2", "0.3", "0.7"], "x").box(SIZE) == (32, 48, 128, 216)
    assert from_size("a", ["10", "20", "100", "50"], "x").box(SIZE) == (10, 20, 110, 70)
    assert from_size("a", ["0", "0", "1", "1"], "x").box(SIZE) == (0, 0, 320, 240)
    for numbers in (["0", "0", "0", "5"], ["0.5", "0", "100", "5"], ["", "0", "1", "1"]):
        with pytest.raises(SourceError):
            from_size("a", numbers, "x")


def test_a_crop_is_the_part_of_the_picture_and_black_outside_a_polygon() -> None:
    bgr = scene(1.5)
    door = crop(bgr, parse_region(DOOR))
    assert np.array_equal(door, bgr[48:216, 32:128])
    assert np.shares_memory(door, bgr)
    triangle = crop(bgr, parse_region("t=0.1,0.2,0.4,0.2,0.1,0.9"))
    assert triangle.shape == door.shape
    assert np.array_equal(triangle[5, 5], door[5, 5])
    assert not triangle[-5, -5].any()
    assert door[-5, -5].any()
    # Of a reduced picture the same part.
    small = cv2.resize(bgr, (160, 120))
    assert np.array_equal(crop(small, parse_region(DESK), SIZE), small[12:60, 96:152])


def test_each_region_has_the_answers_of_a_clip_cropped_to_it(
    session: Session, pictures: Path, tmp_path: Path
) -> None:
    """Live with a region = predict on a clip that was cropped, and = predict with the region."""
    regions = named(map(parse_region, (DOOR, DESK, "tri=0.1,0.2,0.4,0.2,0.1,0.9")))
    together = Record()
    run([open_path(pictures, FPS)], session, [together], regions={str(pictures): regions})
    loaded = Model(model_bytes())
    for number, region in enumerate(regions):
        folder = tmp_path / region.name
        folder.mkdir()
        for path in sorted(pictures.iterdir()):
            cv2.imwrite(str(folder / path.name), crop(cv2.imread(str(path)), region))
        alone = Record()
        run([open_path(folder, FPS)], session, [alone])
        mine = [step.views[number].prediction for step in together.steps if step.answered]
        others = alone.answers(str(folder))
        assert len(mine) == len(others) == 50
        for one, other in zip(mine, others, strict=True):
            assert one is not None
            assert (one.view, one.time) == (region.name, other.time)
            np.testing.assert_allclose(
                list(one.probabilities.values()), list(other.probabilities.values()), atol=1e-6
            )
        events = [each for each in together.events(str(pictures)) if each.view == region.name]
        assert [(e.label, e.start, e.end) for e in events] == [
            (e.label, e.start, e.end) for e in alone.events(str(folder))
        ]
        whole = loaded.predict(folder, fps=FPS)
        inside = loaded.predict(pictures, fps=FPS, region=str(region))
        assert whole.probabilities == inside.probabilities
    assert {(e.view, e.label) for e in together.events(str(pictures))} >= {
        ("door", "red"),
        ("desk", "blue"),
    }


def test_regions_cost_one_call_of_the_model(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = []
    inner = session.run

    def counted(frames: Any, *more: Any, **options: Any) -> Any:
        batches.append(len(frames))
        return inner(frames, *more, **options)

    monkeypatch.setattr(session, "run", counted)
    regions = [Region(str(n), ((0, 0.1 * n), (1, 0.1 * n + 0.1))) for n in range(8)]
    record = Record()
    source = Live(frames(1.5), reader=record)
    run([source], session, [record], regions={"cam": regions})
    assert batches == [8] * 15


def test_a_camera_that_changes_its_size_is_followed(session: Session) -> None:
    """Fractions follow; pixels are checked again, with one message; what is outside waits."""
    regions = named(map(parse_region, (DOOR, DESK)))
    record = Record()
    later = [
        Frame(f.bgr, f.time, f.index, size=f.size)
        for f in (frames(2.0) + frames(4.0, size=(120, 160))[20:])
    ]
    back = [Frame(scene(4 + i / FPS), 4 + i / FPS, 40 + i) for i in range(10)]
    run([Live([*later, *back], reader=record)], session, [record], regions={"cam": regions})
    messages = [state.message for step in record.steps for state in step.changed if state.reason]
    assert messages == [
        "the picture changed from 320x240 to 160x120; region desk is outside the picture of "
        "160x120",
        "the picture changed from 160x120 to 320x240; regions in pixels now show another part",
    ]
    small = [step for step in record.steps if step.frame and 2.5 < step.frame.time < 3.9]
    assert all(step.views[0].answered and not step.views[1].answered for step in small)
    assert {step.views[1].state.state for step in small} == {"stalled"}
    assert record.steps[-2].views[1].answered
    assert [event.view for event in record.events("cam")] == ["door"]


def test_a_gap_ends_the_events_of_all_regions(session: Session) -> None:
    record = Record()
    regions = named([parse_region(DOOR), parse_region("same=0.1,0.2,0.4,0.9")])
    items = [*frames(2.0), SourceState("disconnected", "missing"), *frames(2.0)[:3]]
    run([Live(items, reader=record)], session, [record], regions={"cam": regions})
    assert [event.view for event in record.events("cam")] == ["door", "same"]
    assert record.states().count("disconnected") == 1


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ("d=400,10,500,100", "outside the picture of 320x240"),
        ("d=10,10,11,11", "only 1x1 pixels"),
        ("d=0.1,0.1,0.1001,0.9", "only 0x192 pixels"),
        ("d=0.1,0.1", "two corners"),
    ],
)
def test_a_region_that_does_not_fit_is_one_line(
    pictures: Path, model: Path, capsys: pytest.CaptureFixture[str], region: str, words: str
) -> None:
    line = refusal(capsys, pictures, "--model", model, "--region", region, "--no-window")
    assert line.startswith(f"--region {region}: ")
    assert words in line


def test_edge_run_names_the_region_of_each_event(
    pictures: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "run.jsonl"
    common = ["--image-fps", "10", "--model", model, "--no-window"]
    more = ["--json", log, "--clips", tmp_path / "clips", "--save-uncertain", tmp_path / "unsure"]
    code, out, err = edge_run(
        capsys, pictures, *common, *more, "--region", DOOR, "--region", DESK,
        "--region", "edge=0.9,0.0,1.3,1.0", "--save", tmp_path / "out.mp4",
        "--on-event", "*=sh -c 'echo $SEQVISION_VIEW >> %s'" % (tmp_path / "heard"),
    )  # fmt: skip
    assert code == 0, err
    lines = [line.split("\t") for line in out.splitlines()]
    assert [(line[2], line[4]) for line in lines] == [("red", "door"), ("blue", "desk")]
    assert any("region edge is partly outside" in line and "288,0,320,240" in line for line in err)
    records = [json.loads(line) for line in log.read_text().splitlines()]
    header, *rest = records
    assert header["sources"][0]["regions"] == {
        "door": "0.1,0.2,0.4,0.9",
        "desk": "192,24,304,120",
        "edge": "0.9,0.0,1.3,1.0",
    }
    predictions = [each["view"] for each in rest if each["type"] == "prediction"]
    assert len(predictions) == 150
    assert set(predictions) == {"door", "desk", "edge"}
    assert [each["view"] for each in rest if each["type"] == "event"] == ["door", "desk"]
    assert "view" not in rest[0]
    assert sorted((tmp_path / "heard").read_text().split()) == ["desk", "door"]
    clips = (tmp_path / "clips" / "clips.csv").read_text().splitlines()
    assert clips[0] == "path,label,view"
    assert [line.split(",")[1:] for line in clips[1:]] == [["red", "door"], ["blue", "desk"]]
    clip = cv2.VideoCapture(str(tmp_path / "clips" / clips[1].split(",")[0]))
    assert (clip.get(cv2.CAP_PROP_FRAME_WIDTH), clip.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (96, 168)
    assert "_door_red" in clips[1]
    unsure = (tmp_path / "unsure" / "collected.csv").read_text()
    assert "door" in unsure or "desk" in unsure


def test_a_list_of_sources_has_regions_of_each(tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text(
        "hall:\n  camera: 0\n  regions:\n    door: [0.1, 0.2, 0.4, 0.9]\n    desk: 0,0,160,120\n"
        "    tri: [[0.1, 0.2], [0.4, 0.2], [0.1, 0.9]]\nyard: rtsp://192.168.1.20/a\n"
    )
    hall, yard = read_listing(path, {})
    assert [str(region) for region in hall.regions] == [
        "door=0.1,0.2,0.4,0.9",
        "desk=0,0,160,120",
        "tri=0.1,0.2,0.4,0.2,0.1,0.9",
    ]
    assert yard.regions == ()
    for content in ([1, 2, 3, 4], {}, {"a": 3}, {"a": [1, 2, 3]}, {"a": [True, 0, 5, 5]}, None):
        with pytest.raises(SourceError, match="where: "):
            read_regions(content, "where")


def test_outputs_carry_the_region(session: Session, tmp_path: Path) -> None:
    """Topics, metrics: the region's name; the overlay draws each box."""
    regions = named([parse_region(DOOR), parse_region("a/b=0.6,0.1,0.95,0.5")])
    record = Record()
    source = Live(frames(5.0), reader=record)
    metrics = PrometheusSink(("127.0.0.1", 0), [source], [], regions=True)
    run([source], session, [record, metrics], regions={"cam": regions})
    text = metrics.text("")[0].decode()
    assert 'seqvision_events_total{label="red",source="cam",view="door"} 1.0' in text
    assert 'seqvision_events_total{label="blue",source="cam",view="a/b"} 1.0' in text
    assert 'seqvision_inference_seconds_count{source="cam",view="door"} 45.0' in text
    mqtt = Mqtt("mqtt://127.0.0.1/home", ["cam"], {"cam": [r.name for r in regions]})
    topics = [topic for step in record.steps for topic, _, _ in mqtt.pick(step)]
    assert [topic for topic in topics if topic.endswith("event")] == [
        "cam/door/event",
        "cam/a_b/event",
    ]
    overlay = Overlay(make_card())
    step = next(s for s in record.steps if s.views and s.views[0].active and s.frame)
    assert step.frame is not None
    drawn = overlay.draw(step)
    # The edge of the door has the colour of its label, over the noise outside.
    height, width = drawn.shape[:2]
    edge = drawn[round(0.5 * height), round(0.1 * width)]
    other = drawn[round(0.3 * height), round(0.6 * width)]
    assert not np.array_equal(edge, other)
    assert LABELS[0] == step.views[0].ranked[0][0]


def test_without_regions_nothing_is_new(session: Session, tmp_path: Path) -> None:
    """No key, no column, no label of a region in any output of a run without any."""
    record = Record()
    source = Live(frames(3.0), reader=record)
    metrics = PrometheusSink(("127.0.0.1", 0), [source], [])
    run([source], session, [record, metrics])
    assert "view" not in metrics.text("")[0].decode()
    assert not any("view" in each for step in record.steps for each in records(step))
    folder = tmp_path / "clips"
    outlet = EventClips(folder, [source], Margins(0.5, 0.5, 0.5))
    outlet.open()
    outlet.close()
    assert (folder / "clips.csv").read_text() == "path,label\n"


def test_the_process_of_a_camera_cuts_the_regions(
    run_with_camera: Callable[[str], list[Any]],
) -> None:
    """Its pixels are those that `prepare` gives for the crop of the whole picture."""
    [same] = run_with_camera("""
import numpy as np
from seqvision_edge.frame import Frame
from seqvision_edge.preprocess import Sizing, prepare
from seqvision_edge.regions import crop, parse_region
from seqvision_edge.sources.address import camera
from seqvision_edge.sources.capture_process import FrameFormat
from seqvision_edge.sources.live import LiveSource

regions = parse_region("a=0.1,0.2,0.4,0.9"), parse_region("t=8,8,100,8,50,90")
sizing = Sizing(12, 16, 3, "pad")
with LiveSource(camera(0), FrameFormat(sizing, regions=regions)) as source:
    frame = next(item for item in source if isinstance(item, Frame))
    expected = [prepare(crop(frame.bgr, region), sizing) for region in regions]
    say([len(frame.images), frame.image is None, frame.size == source.size,
         all(map(np.array_equal, frame.images, expected))])
""")
    assert same == [2, True, True, True]


def test_a_server_answers_for_regions(session: Session) -> None:
    """A stream's regions have records each; a clip's region is cut as a crop of the clip."""
    pytest.importorskip("fastapi")
    from served import serving

    with (
        serving(session, regions=named([parse_region(DOOR)])) as running,
        running.client() as client,
    ):
        asked = {"region": [DOOR, DESK]}
        stream = client.post("/v1/streams", params=asked).json()["id"]
        default = client.post("/v1/streams").json()["id"]
        for text in ("door=0.5,0.5,0.1,0.1", "nonsense", "a=1.1,0.1,1.4,0.4"):
            refused = client.post("/v1/streams", params={"region": text})
            assert refused.status_code == 422, text
            assert f"region {text}" in refused.json()["detail"]
        found: dict[str, list[dict[str, Any]]] = {stream: [], default: []}
        for frame in frames(5.0):
            good, data = cv2.imencode(".png", frame.bgr)
            assert good
            for name, records_of in found.items():
                url = f"/v1/streams/{name}/frames"
                head = {"X-Timestamp": str(frame.time), "Content-Type": "image/png"}
                reply = client.post(url, content=data.tobytes(), headers=head)
                assert reply.status_code == 200, reply.text
                records_of += reply.json()["records"]
        events = {
            name: [(each["view"], each["label"]) for each in rows if each["type"] == "event"]
            for name, rows in found.items()
        }
        assert events == {
            stream: [("door", "red"), ("desk", "blue")],
            default: [("door", "red")],
        }
        views = [each["view"] for each in found[stream] if each["type"] == "prediction"]
        assert views.count("door") == views.count("desk") == 45

        region = parse_region(DOOR)
        clip = np.stack([frame.bgr for frame in frames(1.8)[12:]])[..., ::-1]
        part = np.stack([crop(np.ascontiguousarray(bgr), region) for bgr in clip])
        shares = [
            client.post(
                "/v1/predict",
                params={"probabilities": True, **more},
                json={"instances": [pixels.tolist()]},
            ).json()["predictions"][0]["probabilities"]
            for pixels, more in ((clip, {"region": DOOR}), (part, {}))
        ]
        assert shares[0] == shares[1]
        outside = client.post(
            "/v1/predict",
            params={"region": "400,0,500,90"},
            json={"instances": [clip[0].tolist()]},
        )
        assert outside.status_code == 422
        assert "outside the picture of 320x240" in outside.json()["detail"]


def test_a_region_is_marked_with_the_mouse_in_the_window(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record()
    run([Live(frames(0.4), reader=record)], session, [record])
    step = next(step for step in record.steps if step.frame)
    others = [f"cam {number}" for number in range(3)]
    for names, scale, offset in ((["cam"], 2, (0, 0)), (["cam", *others], 636 / 320, (0, 0))):
        wall = Wall({name: Overlay(make_card()) for name in names})
        wall.put(step)
        picture = wall.draw()
        drawing = RegionDrawing(wall)
        drawing.mouse(cv2.EVENT_LBUTTONDOWN, 10, 10)
        drawing.mouse(cv2.EVENT_LBUTTONUP, 200, 200)
        assert capsys.readouterr().err == "", "only after r"
        drawing.arm(True)
        assert not np.array_equal(drawing.draw(picture), picture)
        x1, y1, x2, y2 = (round(scale * value) for value in (160, 60, 32, 216))
        drawing.mouse(cv2.EVENT_LBUTTONDOWN, x1 + offset[0], y1 + offset[1])
        drawing.mouse(cv2.EVENT_MOUSEMOVE, x2, y2)
        assert not np.array_equal(drawing.draw(picture), picture)
        drawing.mouse(cv2.EVENT_LBUTTONUP, x2, y2)
        line, yaml = capsys.readouterr().err.splitlines()
        found = parse_region(line.partition("--region ")[2].strip('"'))
        assert found.name == "region 1"
        np.testing.assert_allclose(found.corners, ((0.1, 0.25), (0.5, 0.9)), atol=0.006)
        assert '"region 1": [0.1' in yaml
        assert not drawing.is_armed
        drawing.arm(True)
        drawing.mouse(cv2.EVENT_LBUTTONDOWN, 50, 50)
        drawing.mouse(cv2.EVENT_LBUTTONUP, 51, 51)
        assert capsys.readouterr().err == "", "a click is no region"


def test_pixels_are_those_of_the_picture_as_it_is_shown(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A phone's video lies in its file, and stands in a player: 64 x 48 is shown as 48 x 64."""
    path = write_video(tmp_path / "turned.mp4", [("red", 2.0)])
    data = bytearray(path.read_bytes())
    quarter = (0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, *quarter)
    path.write_bytes(data)
    common = [path, "--model", model, "--no-window"]
    code, out, _ = edge_run(capsys, *common, "--region", "low=0,50,40,62")
    assert code == 0
    assert out.split("\t")[2:] == ["red", out.split("\t")[3], "low\n"]
    line = refusal(capsys, *common, "--region", "right=50,0,60,40")
    assert "outside the picture of 48x64" in line


def test_a_picture_without_frames_is_the_source_s_own_fault(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(2):
        (tmp_path / f"{number}.jpg").write_bytes(b"\xff\xd8\xff no picture")
    code, out, err = edge_run(capsys, tmp_path, "--model", model, "--region", DOOR, "--no-window")
    assert (code, out) == (2, "")
    assert "Traceback" not in "".join(err)


def test_no_text_is_a_region_that_cannot_be_cut() -> None:
    """Any text is refused in one line, or is a region that is cut out of any picture it fits."""
    count = 30_000 if os.environ.get("SEQVISION_FUZZ") == "all" else 1_500
    rng = np.random.default_rng(18)
    parts = [
        "0", "1", "0.5", "-0.25", "1.5", "12", "64", "-8", "300", "1e3", "1e-9", "nan", "inf", "",
        " ", ",", ",", ",", ",", ",", ";", "=", "a", "d=", "é", "\x1b", "[", "0x1", "1_0", ".", "-",
    ]  # fmt: skip
    bgr = scene(1.0, (48, 64))
    read, messages = 0, []
    for _ in range(count):
        text = "".join(rng.choice(parts, rng.integers(1, 14)))
        if rng.random() < 0.5:
            text = ",".join(rng.choice(parts[:10], rng.choice([4, 4, 6, 8])))
        try:
            region = parse_region(text)
        except SourceError as refused:
            messages.append(str(refused))
            continue
        read += 1
        assert parse_region(str(region)).box((48, 64)) == region.box((48, 64))
        left, top, right, bottom = region.box((48, 64))
        assert 0 <= left <= 64
        assert 0 <= bottom <= 48
        part = crop(bgr, region)
        assert part.shape in ((bottom - top, right - left, 3), (1, 1, 3)), text
        for size in ((1080, 1920), (9, 9), (1, 1)):
            assert crop(bgr, region, size).size
            region.problem(size)
            region.outline(size)
    assert read > count / 100, "some are regions"
    assert not any("\n" in message or "\x1b" in message for message in messages)
