"""`--encoder hands`: its weights, its features on real pictures, and how points vary."""

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import real_data, square_clip, write_frames
from landmark_weights import landmark_weights
from numpy.typing import NDArray

from seqvision.cli import main
from seqvision.config import AugmentOptions, ModelOptions, TrainOptions
from seqvision.data.augment import make_augmenter
from seqvision.errors import WeightsError
from seqvision.landmarks import fetch
from seqvision.landmarks.hands import Hands
from seqvision.landmarks.network import LandmarkNetwork, enlarging
from seqvision.models.classifier import Classifier
from seqvision.training.landmark_features import Variation
from seqvision.tuning.search_space import is_active
from seqvision_edge.card import ImageSpec
from seqvision_edge.landmarks import HAND_POINTS, PER_HAND, hands_in, presence
from seqvision_edge.preprocess import prepare
from seqvision_edge.sources.factory import open_path

IMAGE = ImageSpec(height=240, width=320, channels=3, fit="pad")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without weights, and no address from which they could come."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.delenv(fetch.VARIABLE, raising=False)
    monkeypatch.setattr(fetch, "URL", "http://127.0.0.1:9/hands.tgz")
    return tmp_path


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_without_network_one_line_names_the_address_and_the_option(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fetch", "landmarks"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "http://127.0.0.1:9/hands.tgz" in line
    assert "name it: seqvision fetch landmarks --archive FILE" in line
    assert files_in(home) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file or folder"),
        (b"no archive", "not the expected file: its sha256 is"),
        ({}, "has no hands-"),
        ({"mediapipe-hands-0.4.1675469240.tgz": b"other"}, "not the expected file"),
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
    with pytest.raises(WeightsError, match=f"--archive .*{message}"):
        fetch.fetch(given)
    monkeypatch.setenv(fetch.VARIABLE, str(given))
    with pytest.raises(WeightsError, match=f"SEQVISION_LANDMARKS=.*{message}"):
        fetch.load_network("hand_lite")
    assert not fetch.landmarks_file().exists()


def test_a_stop_in_the_middle_leaves_no_file_and_the_next_call_succeeds(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz"):
        pass
    given = home / fetch.ARCHIVE
    given.write_bytes(archive.getvalue())
    monkeypatch.setenv(fetch.VARIABLE, str(home))
    monkeypatch.setattr(fetch, "SHA256", hashlib.sha256(archive.getvalue()).hexdigest())

    def stopped(content: bytes, path: Path) -> None:
        path.write_bytes(content[:9])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "_convert", stopped)
        with pytest.raises(KeyboardInterrupt):
            fetch.fetch()
    assert files_in(home) == [fetch.ARCHIVE]
    monkeypatch.setattr(fetch, "_convert", lambda content, path: path.write_bytes(content))
    assert fetch.fetch().read_bytes() == given.read_bytes()
    with pytest.raises(WeightsError, match="damaged; fetch it again: seqvision fetch landmarks"):
        fetch.load_network("palm_lite")


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
    ],
)
def test_the_networks_answer_as_when_they_were_seen_to_find_hands(
    name: str, figures: list[tuple[tuple[int, ...], float]]
) -> None:
    """Means of the outputs for waves of colour: any other reading of the file changes them."""
    landmark_weights()
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
    landmark_weights()
    with open_path(signs / "please.mkv") as source:
        frames = [frame.bgr for frame in source][:60:12]
    steps = torch.from_numpy(np.stack([prepare(frame, IMAGE) for frame in frames]))
    options = ModelOptions(encoder="hands", hidden=4)
    model = Classifier(options, IMAGE, 2).eval()
    assert not [name for name in model.state_dict() if name.startswith("encoder")]
    with torch.inference_mode():
        by_torch = model.encoder
        assert isinstance(by_torch, Hands)
        by_torch.by_torch = True
        features = model.encode(steps[None])[0].numpy()
    assert features.shape == (5, 2 * PER_HAND)
    both = presence(features).min(axis=1) > 0.9
    assert both.sum() >= 2
    for step in features[both]:
        left, right = hands_in(step, IMAGE, (640, 480))
        assert left.points[0, 0] > right.points[0, 0]
        for hand in (left, right):
            assert ((hand.points > 0) & (hand.points < 1.1)).all()
            assert hand.points.shape == (HAND_POINTS, 2)
