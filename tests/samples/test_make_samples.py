"""The drawn sample set: what is in it, what its labels mean, and how its script behaves."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "samples"))

import make_samples as script  # noqa: E402
from drawing import LABELS, draw_clip, draw_trajectory, make_performer  # noqa: E402
from drawing.cut_out import lay  # noqa: E402
from drawing.hand import draw_hand, draw_posture  # noqa: E402
from drawing.session import plan_session  # noqa: E402

OPPOSITES = [
    ("swipe_right", "swipe_left"),
    ("swipe_down", "swipe_up"),
    ("zoom_in", "zoom_out"),
    ("rotate_cw", "rotate_ccw"),
]
SMALL = [
    "--clips-per-label",
    "4",
    "--performers",
    "3",
    "--size",
    "64x48",
    "--minutes",
    "0.5",
    "--take-minutes",
    "0.5",
]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Draw one small set through the command line."""
    out = tmp_path_factory.mktemp("samples") / "set"
    assert script.main([str(out), *SMALL]) == 0
    return out


def rows_of(out):
    with (out / "clips" / "clips.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def frames_of(path):
    """Decode a clip: frames (time, height, width, 3) and a video's own frames per second."""
    if path.is_dir():
        return np.stack([cv2.imread(str(name)) for name in sorted(path.glob("*.jpg"))]), None
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return np.stack(frames), capture.get(cv2.CAP_PROP_FPS)


def digests(out):
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def hand_centre(frame):
    """Return the middle of the brightest tenth of a picture: the hand, before a dim room."""
    grey = cv2.GaussianBlur(frame.mean(axis=2).astype(np.float32), (0, 0), 2)
    rows, columns = np.nonzero(grey >= np.quantile(grey, 0.9))
    return columns.mean() / frame.shape[1], rows.mean() / frame.shape[0]


def test_the_csv_lists_every_clip_once_with_its_label(drawn):
    rows = rows_of(drawn)
    assert list(rows[0]) == ["path", "label", "group", "split", "fps"]
    on_disk = {
        path.relative_to(drawn / "clips").as_posix() for path in (drawn / "clips").glob("*/*")
    }
    assert {row["path"] for row in rows} == on_disk
    assert len(rows) == len(on_disk) == 4 * 8 + 3 * 4
    for label in LABELS:
        mine = [row for row in rows if row["label"] == label]
        assert len(mine) == (12 if label == "none" else 4)
        assert all(row["path"].startswith(label + "/") for row in mine)
        videos = sum(row["path"].endswith(".mp4") for row in mine)
        assert videos == len(mine) / 2


def test_every_clip_decodes_with_its_own_rate_and_length(drawn):
    for row in rows_of(drawn):
        frames, fps = frames_of(drawn / "clips" / row["path"])
        shortest = 24 if row["label"] == "none" else 12
        assert shortest <= len(frames) <= shortest / 12 * 40
        assert frames.shape[1:] == (48, 64, 3)
        assert 10 <= float(row["fps"]) <= 30
        if fps is not None:
            assert fps == pytest.approx(float(row["fps"]), abs=0.01)


def test_videos_keep_every_drawn_frame(drawn):
    for row in rows_of(drawn):
        if row["path"].endswith(".mp4"):
            number = int(row["path"][-8:-4]) - 1
            drawing, _ = draw_clip(row["label"], make_performer(number % 3), (0, number), (64, 48))
            frames, _ = frames_of(drawn / "clips" / row["path"])
            assert len(frames) == len(drawing)
            assert np.abs(frames[..., ::-1].astype(float) - drawing).mean() < 10


def test_no_performer_is_in_two_splits(drawn):
    splits = {}
    for row in rows_of(drawn):
        splits.setdefault(row["group"], set()).add(row["split"])
    assert all(len(found) == 1 for found in splits.values())
    assert {split for found in splits.values() for split in found} == {"train", "val", "test"}
    usual = [script.split_of(index, 12) for index in range(12)]
    assert usual == ["train"] * 8 + ["val"] * 2 + ["test"] * 2


@pytest.mark.parametrize(("name", "split"), [("untrimmed", "test"), ("takes/p01", "val")])
def test_an_untrimmed_take_matches_its_events(drawn, name, split):
    path = drawn / f"{name}.json"
    events_file = json.loads(path.read_text(encoding="utf-8"))
    frames, fps = frames_of(path.parent / events_file["video"])
    assert fps == pytest.approx(events_file["fps"])
    assert len(frames) == round(events_file["duration"] * events_file["fps"]) == 600
    splits = {row["group"]: row["split"] for row in rows_of(drawn)}
    assert splits[events_file["performer"]] == split
    assert events_file["events"]
    before = 0.0
    for event in events_file["events"]:
        assert event["label"] in LABELS[:-1]
        assert before <= event["start"] < event["end"] <= events_file["duration"]
        before = event["end"]


def test_the_usual_take_has_many_gestures_and_a_long_idle_stretch():
    performer = make_performer(11)
    plan = plan_session(np.random.default_rng(3), performer, 90.0, 20.0)
    assert 12 <= len(plan.events) <= 22
    assert {event.label for event in plan.events} == set(LABELS[:-1])
    gaps = [
        later.start - earlier.end
        for earlier, later in zip(plan.events, plan.events[1:], strict=False)
    ]
    assert max(gaps) > 10
    assert min(gaps) > 0.8
    shown = plan.motion.visible
    steps = np.hypot(np.diff(plan.motion.x), np.diff(plan.motion.y))[shown[1:] & shown[:-1]]
    assert steps.max() < 0.2, "the hand jumps"


def test_the_same_seed_gives_the_same_files_and_another_seed_others(drawn, tmp_path):
    assert script.main([str(tmp_path / "again"), *SMALL]) == 0
    assert digests(tmp_path / "again") == digests(drawn)
    assert script.main([str(tmp_path / "other"), *SMALL, "--seed", "1"]) == 0
    assert digests(tmp_path / "other") != digests(drawn)


def test_a_clip_does_not_depend_on_the_others(drawn, tmp_path):
    fewer = script.Options(clips_per_label=2, performers=3, size=(64, 48), minutes=0)
    script.make_samples(tmp_path / "fewer", fewer)
    kept = digests(tmp_path / "fewer")
    del kept["clips/clips.csv"]
    assert kept.items() <= digests(drawn).items()
    assert not (tmp_path / "fewer" / "untrimmed.mp4").exists()


@pytest.mark.parametrize(("forward", "backward"), OPPOSITES)
def test_opposite_gestures_are_each_other_reversed(forward, backward):
    for number in range(20):
        performer = make_performer(number % 12)
        there, fps = draw_trajectory(forward, performer, (0, number))
        back, back_fps = draw_trajectory(backward, performer, (0, number))
        assert fps == back_fps
        for track in ("x", "y", "scale", "angle"):
            np.testing.assert_array_equal(getattr(there, track), getattr(back, track)[::-1])


@pytest.mark.parametrize(("forward", "backward"), OPPOSITES)
def test_single_frames_of_opposite_gestures_look_the_same(forward, backward):
    for number in range(3):
        performer = make_performer(number)
        there, _ = draw_clip(forward, performer, (7, number), (64, 48))
        back, _ = draw_clip(backward, performer, (7, number), (64, 48))
        means = there.mean(axis=(0, 1, 2)), back.mean(axis=(0, 1, 2))
        np.testing.assert_allclose(*means, atol=6)
        assert not np.array_equal(there, back[::-1]), "noise must not repeat"


@pytest.mark.parametrize("label", LABELS[:-1])
def test_the_hand_moves_as_its_label(label):
    for number in range(30):
        path, _ = draw_trajectory(label, make_performer(number % 12), (1, number))
        first, last = path.pose(0), path.pose(-1)
        x, y, turn = last.x - first.x, last.y - first.y, np.degrees(last.angle - first.angle)
        grown = last.scale / first.scale
        meant = {
            "swipe_left": -x > 0.4,
            "swipe_right": x > 0.4,
            "swipe_up": -y > 0.4,
            "swipe_down": y > 0.4,
            "zoom_in": grown > 1.7,
            "zoom_out": grown < 1 / 1.7,
            "rotate_cw": 60 < turn < 130,
            "rotate_ccw": -130 < turn < -60,
        }
        assert [name for name, is_so in meant.items() if is_so] == [label]


def test_background_hands_appear_and_leave_without_a_jump():
    came = went = 0
    for number in range(60):
        path, _ = draw_trajectory("none", make_performer(number % 12), (3, number))
        shown = path.visible[1:] & path.visible[:-1]
        steps = np.hypot(np.diff(path.x), np.diff(path.y))[shown]
        assert steps.max(initial=0) < 0.3
        low = path.y + 0.85 * path.scale
        came += low[0] > 1.5 > low[-1] and path.visible.all()
        went += low[0] < 1.5 < low[-1] and path.visible.all()
    assert came >= 3
    assert went >= 3


@pytest.mark.parametrize(
    ("label", "axis", "sign"),
    [("swipe_left", 0, -1), ("swipe_right", 0, 1), ("swipe_up", 1, -1), ("swipe_down", 1, 1)],
)
def test_the_drawn_hand_moves_as_its_label(label, axis, sign):
    moved = []
    for number in range(6):
        frames, _ = draw_clip(label, make_performer(number), (2, number), (96, 72))
        moved.append(hand_centre(frames[-1])[axis] - hand_centre(frames[0])[axis])
    assert np.mean(np.array(moved) * sign > 0.1) >= 5 / 6


def test_clockwise_is_clockwise_in_the_image():
    rng, performer = np.random.default_rng(0), make_performer(0)
    hand = draw_hand(rng, performer, draw_posture(rng, performer))
    picture = np.zeros((100, 100, 3), np.float32)
    lay(picture, hand, (50.0, 50.0), 60.0, angle=np.pi / 2)
    # Turned a quarter clockwise the fingers point right and the arm comes from the left.
    assert picture[:, :2].max() > 0
    assert picture[:2].max() == picture[-2:].max() == picture[:, -2:].max() == 0


def test_a_folder_that_is_not_empty_is_refused(drawn, tmp_path, capsys):
    before = digests(drawn)
    assert script.main([str(drawn), *SMALL]) == 2
    err = capsys.readouterr().err
    assert "not empty" in err
    assert err.count("\n") == 1
    assert digests(drawn) == before
    (tmp_path / "file").write_text("mine")
    assert script.main([str(tmp_path / "file")]) == 2


def test_force_replaces_only_an_earlier_set(tmp_path):
    out = tmp_path / "set"
    options = ["--performers", "3", "--size", "64x48", "--force"]
    assert (
        script.main(
            [
                str(out),
                "--clips-per-label",
                "3",
                *options,
                "--minutes",
                "0.2",
                "--take-minutes",
                "0.2",
            ]
        )
        == 0
    )
    assert (out / "takes" / "p01.json").exists()
    mine = [
        out / "takes" / "monday.mp4",
        out / "note.txt",
        out / "clips" / "none" / "own.mp4",
        out / "clips" / "wave" / "a.jpg",
    ]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    assert script.main([str(out), "--clips-per-label", "1", *options, "--no-untrimmed"]) == 0
    assert [path.read_text() for path in mine] == ["mine"] * len(mine)
    assert list((out / "takes").iterdir()) == mine[:1]
    assert not (out / "untrimmed.mp4").exists()
    assert len(rows_of(out)) == 8 + 3
    assert sorted(path.name for path in (out / "clips" / "none").iterdir()) == [
        "none_0001",
        "none_0002.mp4",
        "none_0003",
        "own.mp4",
    ]


def test_an_interrupt_leaves_no_files(tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "_draw_untrimmed", interrupt)
    given = [str(tmp_path / "set"), "--clips-per-label", "1", "--size", "64x48"]
    assert script.main(given) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "make_samples: stopped; nothing is kept"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        ["--clips-per-label", "0"],
        ["--clips-per-label", "5000"],
        ["--performers", "2"],
        ["--size", "161x120"],
        ["--minutes", "nan"],
        ["--take-minutes", "0"],
        ["--seed", "-1"],
    ],
)
def test_an_invalid_value_is_one_line(wrong, tmp_path, capsys):
    assert script.main([str(tmp_path / "set"), *wrong]) == 2
    err = capsys.readouterr().err
    assert wrong[0] in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
