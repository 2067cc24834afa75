"""Which labels a mirror, a turn or playing backwards makes wrong, however they are spelled."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import write_squares

from seqvision.cli import main
from seqvision.config import AugmentOptions
from seqvision.data import augment
from seqvision.data.augment import make_augmenter, mirror_labels, refuse_unsafe_flip
from seqvision.errors import DataError

# Alone beside `wave`: none of them may be mirrored in silence.
DIRECTIONAL = (
    """
SwipeLeft|swipeleft|leftSwipe|SWIPELEFT|left2right|l2r|LTR|swipe.left|Push left(hand)|[left] hand
TurnCW|turnccw|CWturn|counter-clockwise|anti clock wise|AntiClockWise|gegen den Uhrzeigersinn
hand_l|L|LHand|lhand|HandR|RH|swipeL|left1|1left|swipe_left_2|lefty|rightwards|thumbright|lefthand
links|nach rechts|linksrum|gauche|main droite|manogauche|izquierda|mano_izq|derecha|sinistra
destra|mão_esquerda|direita|höger|HÖGER|venstre|vasemmalle|lewo|w prawo|v_levo|doleva|vpravo|влево
направо|левой рукой|sola dön|sağ|stânga|balra|αριστερά|kiri|hidari|migi|ліворуч
左|向右滑动|左手|逆时针旋转|時計回り|みぎ|왼손|오른쪽|반시계 방향|يسار|اليمين|बाएँ|दाएँ|ซ้าย|ימין
←|turn→|👈|➡️|↩️|↺|🤛|swipe 👉🏽|<-|west|eastbound
""".strip()
    .replace("\n", "|")
    .split("|")
)
UNDIRECTED = (
    """
bright|leftover|left over|copyright|CopyRight|straight|cleft|sleft|upright|outright|playwright
brightness|light|night|fight|swiper|waver|theft|lever|link|adroit|open->close|a→b|left_and_right
wave|none|clap|drink|Sliding|rolling|eleven|clever|thumbs_up|swipe_down|vertical|all right
""".strip()
    .replace("\n", "|")
    .split("|")
)


def flip(labels: list[str], *swap: str) -> None:
    refuse_unsafe_flip(sorted(labels), mirror_labels(sorted(labels), swap))


@pytest.mark.parametrize("label", DIRECTIONAL)
def test_a_direction_is_recognized_in_any_spelling(label: str) -> None:
    with pytest.raises(DataError, match="--flip: a mirror changes the label") as refusal:
        flip([label, "wave"])
    assert "--swap" in str(refusal.value)
    flip([label, "wave"], f"{label}:{label}")  # said to look the same


@pytest.mark.parametrize("label", UNDIRECTED)
def test_a_label_that_only_resembles_a_direction_is_mirrored(label: str) -> None:
    flip([label, "wave2"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SwipeLeft", "SwipeRight"), ("swipeleft", "swipe_right"), ("TurnCW", "TurnCCW"),
        ("left2right", "right2left"), ("hand_l", "hand_r"), ("L", "R"), ("main_g", "main_d"),
        ("mano izq", "mano der"), ("左手", "右手"), ("👈", "👉"),
        ("turn clockwise", "turn anti-clockwise"),
        ("thumbleft", "thumbright"), ("bleft", "bright"), ("Push left(hand)", "Push right(hand)"),
        ("lewa reka", "prawa reka"), ("push lt", "push rt"), ("leftSwipe", "RightSwipe"),
    ],
)  # fmt: skip
def test_the_refusal_names_the_pair_that_is_accepted(one: str, other: str) -> None:
    with pytest.raises(DataError) as refusal:
        flip([one, other, "none"])
    pair = f"{min(one, other)}:{max(one, other)}"
    assert f"--swap '{pair}'" in str(refusal.value) or f"--swap {pair}" in str(refusal.value)
    flip([one, other, "none"], pair)


def test_every_missing_pair_is_in_one_line() -> None:
    labels = ["push_left", "push_right", "swipe_left", "swipe_right", "turn_cw"]
    with pytest.raises(DataError) as refusal:
        flip(labels)
    line = str(refusal.value)
    assert "push_left:push_right swipe_left:swipe_right turn_cw:OTHER" in line
    assert "turn_cw:turn_cw" in line
    assert "\n" not in line


def test_letters_of_an_alphabet_are_not_sides() -> None:
    flip(["A", "B", "L", "R"])
    flip(["letter_a", "letter_l", "letter_r"])
    with pytest.raises(DataError):
        flip(["L", "R", "none"])


RECIPES: list[tuple[Any, str, bool]] = [
    # an augmenter, a label, whether the label stays what it is
    ("Fliplr", "SwipeLeft", False),
    ("Fliplr", "thumbsUp", True),
    ({"Fliplr": 0.5}, "gauche", False),
    ({"Fliplr": 0}, "left", True),
    ("Flipud", "ThumbsUp", False),
    ("Flipud", "thumbsdown", False),
    ("Flipud", "arriba", False),
    ("Flipud", "向上", False),
    ("Flipud", "👎", False),
    ("Flipud", "TurnCW", False),
    ("Flipud", "left", True),
    ({"Flipud": {"p": 0.5}}, "oben", False),
    ("Rot90", "left", False),
    ({"Rot90": {"k": {"choice": [1, 3]}}}, "swipeUp", False),
    ({"Rot90": [0, 3]}, "hand_l", False),
    ({"Rot90": 4}, "left", True),
    ({"Rot90": 1}, "turn_cw", True),
    ({"Rotate": [-90, 90]}, "swipe_left", False),
    ({"Rotate": 180}, "up", False),
    ({"Rotate": {"rotate": {"choice": [0, 90]}}}, "links", False),
    ({"Rotate": [-30, 30]}, "left", True),
    ({"Rotate": {"choice": [0, 360]}}, "left", True),
    ({"Affine": {"rotate": [0, 359]}}, "left", False),
    ({"Affine": {"rotate": {"tuple": [-180, 180]}}}, "вверх", False),
    ({"Affine": {"rotate": [-15, 15], "scale": [0.9, 1.1]}}, "left", True),
    ({"Affine": {"rotate": 270}}, "TurnCW", True),
    ({"pillike.Affine": {"rotate": 90}}, "left", False),
]


def nested(augmenter: Any) -> list[dict[str, Any]]:
    some = {"SomeOf": {"n": 1, "children": ["Identity", augmenter]}}
    often = {"Sometimes": {"p": 0.5, "then_list": [some]}}
    return [
        {"clip": [augmenter]},
        {"clip": [{"Sequential": {"children": [often]}}]},
        {"clip": [{"Sometimes": {"p": 0.5, "then_list": ["Identity"], "else_list": augmenter}}]},
        {"clip": [{"OneOf": [augmenter, "Identity"]}]},
        {"clip": [{"KeepSizeByResize": {"children": [augmenter]}}]},
        {"clip": [{"BlendAlpha": {"factor": 0.5, "foreground": augmenter}}]},
    ]


@pytest.mark.parametrize(("augmenter", "label", "stays"), RECIPES)
def test_mirrors_and_turns_of_a_recipe(augmenter: Any, label: str, stays: bool) -> None:
    name = augmenter if isinstance(augmenter, str) else next(iter(augmenter))
    for content in nested(augmenter):
        options = AugmentOptions(augment=content)
        if stays:
            augment.check_augmentation(options, [label, "wave"])
            continue
        with pytest.raises(DataError, match=f"--augment: {name} makes the label {label} wrong"):
            augment.check_augmentation(options, [label, "wave"])
        same = options.model_copy(update={"swap": (f"{label}:{label}",)})
        augment.check_augmentation(same, [label, "wave"])


def test_the_recipe_that_is_checked_is_the_one_that_runs() -> None:
    """What imgaug does to a picture is what was read from the plain data."""
    for augmenter, _, _ in RECIPES:
        assert make_augmenter(AugmentOptions(augment={"clip": [augmenter]}), ["wave", "none"])


def test_labels_unchanged_by_a_mirror_are_printed() -> None:
    labels = ["none", "swipe_left", "swipe_right", "wave"]
    options = AugmentOptions(flip=True, swap=("swipe_left:swipe_right",))
    assert augment.augmentation_notes(options, labels) == [
        "--flip: exchanges swipe_left ↔ swipe_right; leaves unchanged: none, wave"
    ]
    turned = AugmentOptions(augment={"clip": ["Flipud", {"Rotate": 90}]})
    assert augment.augmentation_notes(turned, ["clap", "wave"]) == [
        "--augment: Flipud, Rotate leave unchanged: clap, wave"
    ]
    assert augment.augmentation_notes(AugmentOptions(), labels) == []


@pytest.mark.parametrize("labels", ["0123456789", "abcdefghijklmnopqrstuvwxyz", "ABDE", ["6", "9"]])
def test_mirrored_digits_and_letters_cause_a_warning(labels: str | list[str]) -> None:
    notes = augment.augmentation_notes(AugmentOptions(flip=True), list(labels))
    assert "digits or letters" in notes[-1]
    assert augment.augmentation_notes(AugmentOptions(), list(labels)) == []


@pytest.mark.parametrize("label", ["ZoomIn", "zoomOut", "OpenDoor", "doorClose", "SwipeLeft"])
def test_a_label_with_a_reverse_needs_its_partner(label: str) -> None:
    options = AugmentOptions(reverse=True, reverse_swap=(label,))
    with pytest.raises(DataError, match="is another movement when played backwards"):
        augment.check_augmentation(options, [label, "wave"])


def test_data_prints_the_effect_of_a_mirror(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_squares(tmp_path / "clips", 6, ("left", "right", "none"))
    for old, new in (("left", "SwipeLeft"), ("right", "SwipeRight"), ("none", "still")):
        (tmp_path / "clips" / old).rename(tmp_path / "clips" / new)
    command = ["data", str(tmp_path / "clips"), "--cache", str(tmp_path / "cache"), "--flip"]
    assert main(command) == 2
    assert "--swap SwipeLeft:SwipeRight" in capsys.readouterr().err
    assert main([*command, "--swap", "SwipeLeft:SwipeRight"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "--flip: exchanges SwipeLeft ↔ SwipeRight; leaves unchanged: still" in out
    recipe = tmp_path / "r.yaml"
    recipe.write_text(yaml.safe_dump({"clip": [{"OneOf": [{"Rot90": 1}, "Identity"]}]}))
    assert main(["train", str(tmp_path / "clips"), "--augment", str(recipe)]) == 2
    assert "--augment: Rot90 makes the label SwipeLeft wrong" in capsys.readouterr().err
