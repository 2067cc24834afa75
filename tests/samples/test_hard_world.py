"""The hard world of the drawn set: what it adds, and that the same seed gives the same files."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "samples"))

import make_samples as script
from drawing import LABELS, draw_clip, draw_session, harden_performer, make_performer

SMALL = ["--world", "hard", "--clips-per-label", "1", "--performers", "3", "--size", "64x48",
         "--minutes", "0.3", "--take-minutes", "0.3"]  # fmt: skip
PEOPLE = [harden_performer(make_performer(index), index, 0) for index in range(40)]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    out = tmp_path_factory.mktemp("hard") / "set"
    assert script.main([str(out), *SMALL]) == 0
    return out


def digests(out):
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_hard_files(drawn, tmp_path):
    assert script.main([str(tmp_path / "again"), *SMALL]) == 0
    assert digests(tmp_path / "again") == digests(drawn)


def test_marks_are_the_gestures_of_the_training_takes_and_what_is_between(drawn):
    truth = json.loads((drawn / "train_takes" / "p00.json").read_text())
    with (drawn / "train_takes" / "marks.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["group"] for row in rows} == {"p00"}
    assert all((drawn / "train_takes" / row["path"]).is_file() for row in rows)
    gestures = [
        {"label": row["label"], "start": float(row["start"]), "end": float(row["end"])}
        for row in rows
        if row["label"] != "none"
    ]
    assert gestures == truth["events"]
    times = [float(row[key]) for row in rows for key in ("start", "end")]
    assert times == sorted(times), "no part overlaps another"
    assert (times[0], times[-1]) == (0.0, truth["duration"])


def test_force_takes_the_training_takes_of_an_earlier_set_away(tmp_path):
    out = tmp_path / "set"
    assert script.main([str(out), *SMALL]) == 0
    kept = out / "train_takes" / "mine.mp4"
    kept.write_text("mine")
    assert script.main([str(out), *SMALL[2:], "--force"]) == 0
    assert list((out / "train_takes").iterdir()) == [kept]


def test_people_have_any_skin_and_sleeve():
    luma = [sum(person.hand) / 3 for person in PEOPLE if not person.gloved]
    assert min(luma) < 90
    assert max(luma) > 200
    assert any(person.sleeve == person.hand for person in PEOPLE), "no bare arm"
    assert len({person.sleeve_pattern for person in PEOPLE}) >= 3


def test_rooms_are_lit_textured_and_move_while_no_hand_does():
    def moved(performer):
        """Return the mean change between frames of the first moments, in which no hand is there."""
        frames, _ = draw_session(performer, (3,), 6.0, 10.0, (64, 48))
        first = np.stack([next(frames) for _ in range(7)]).astype(float)
        return np.abs(np.diff(first, axis=0)).mean(), first.mean(), first[0].std()

    plain = np.array([moved(make_performer(index)) for index in range(8)])
    hard = np.array([moved(person) for person in PEOPLE[:8]])
    assert np.all(hard.mean(axis=0) > 1.4 * plain.mean(axis=0)), (plain, hard)


def test_scenes_have_a_second_hand_passers_switched_light_and_a_shaken_camera():
    from drawing.scene import draw_scene, with_unrest

    found = set()
    for number, person in enumerate(PEOPLE):
        scene = draw_scene(np.random.default_rng(number), person, (64, 48))
        unrest = with_unrest(scene, person, (number,), 20.0).unrest
        found |= {
            name
            for name in ("movers", "passers", "other_hand", "switches", "shake")
            if getattr(unrest, name)
        }
        lights = [unrest.light(at) for at in np.linspace(0, 20, 50)]
        assert (max(lights) > min(lights)) == bool(unrest.switches)
    assert found == {"movers", "passers", "other_hand", "switches", "shake"}


@pytest.mark.parametrize("label", LABELS)
def test_the_hand_moves_as_in_the_plain_world(label):
    """Only the looks are harder: the motion of a clip has the same frames and rate."""
    frames, fps = draw_clip(label, PEOPLE[1], (5, 1), (64, 48))
    shortest = 24 if label == "none" else 12
    assert shortest <= len(frames) <= shortest / 12 * 40
    assert 10 <= fps <= 30


def test_a_world_that_is_none_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        script.main([str(tmp_path / "set"), "--world", "flat"])
    assert "--world" in capsys.readouterr().err
