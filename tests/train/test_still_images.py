"""Still images as sequences: from files through training and export to the runner's answer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from export_models import prove_here
from numpy.typing import NDArray
from trainings import train

from seqvision.config import (
    AugmentOptions,
    ClipOptions,
    EvaluateOptions,
    ExportOptions,
    ModelOptions,
    SequenceOptions,
    TrainingOptions,
    TrainOptions,
)
from seqvision.errors import DataError
from seqvision.evaluation import evaluate, load_clips
from seqvision.preflight import find_for_model
from seqvision.training.data import load_dataset
from seqvision.training.model_io import load_model
from seqvision.training.train import Trained
from seqvision_edge.card import StripSequence, WindowSequence
from seqvision_edge.opencv import cv2
from seqvision_edge.runner import run
from seqvision_edge.sampling import centre
from seqvision_edge.session import Session
from seqvision_edge.sources.factory import open_path
from seqvision_export.export import export


def slope(direction: int, seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """Return `(height, width, 3)` with a bright band that rises (1) or falls (-1) to the right."""
    generator = np.random.default_rng(seed)
    image = generator.integers(0, 50, (height, width, 3), np.uint8)
    middle = height / 2 + generator.uniform(-2, 2)
    for column in range(width):
        share = column / max(1, width - 1) - 0.5
        row = round(middle - direction * share * height * 0.6)
        image[max(0, row - 2) : row + 3, column] = generator.integers(180, 256)
    return image


def write_slopes(root: Path, count: int = 12, height: int = 24) -> Path:
    for label, direction in (("falls", -1), ("rises", 1)):
        (root / label).mkdir(parents=True)
        for number in range(count):
            image = slope(direction, 10 * number + direction + 1, height, 20 + 5 * (number % 5))
            assert cv2.imwrite(str(root / label / f"{number}.png"), image)
    return root


@pytest.fixture(scope="module")
def slopes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slopes(tmp_path_factory.mktemp("slopes") / "images")


def options(data: Path, folder: Path, **parts: dict[str, Any]) -> TrainOptions:
    return TrainOptions(
        data=data,
        output=folder / "model.pt",
        runs=folder / "runs",
        clips=ClipOptions(**{"workers": 0, "cache": folder / "cache"} | parts.get("clips", {})),
        images=SequenceOptions(**parts["images"]),
        augmentation=AugmentOptions(**parts.get("augmentation", {})),
        model=ModelOptions(
            **{"encoder": "flatten", "hidden": 16, "dropout": 0.0} | parts.get("model", {})
        ),
        training=TrainingOptions(**{"epochs": 2, "batch_size": 8} | parts.get("training", {})),
    )


def trained(data: Path, folder: Path, **parts: dict[str, Any]) -> Trained:
    return train(options(data, folder, **parts))


@pytest.mark.parametrize(
    ("kind", "more", "shape"),
    [
        ("rows", {"step": 4}, (4, 28)),
        ("columns", {"step": 4}, (24, 4)),
        ("windows", {"window": 12}, (24, 12)),
        ("patches", {"patch": 6, "order": "snake"}, (6, 6)),
        ("channels", {}, (24, 24)),
    ],
)
def test_every_cut_gives_the_same_predictions_after_export(
    slopes: Path, tmp_path: Path, kind: str, more: dict[str, Any], shape: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    prove_here(monkeypatch)
    result = trained(slopes, tmp_path, images={"sequence": kind, **more})
    model, card = load_model(result.model)
    assert card.sequence.kind == kind
    assert (card.image.height, card.image.width) == shape
    onnx = export(ExportOptions(model=result.model, verify=slopes, cache=tmp_path / "cache"))
    session = Session(onnx)
    clips, decoded, _ = load_clips(find_for_model(slopes, card), card, 30, tmp_path / "cache")
    for clip, item in list(zip(clips, decoded, strict=True))[::5]:
        steps = torch.from_numpy(centre(item, card.image, card.sequence))
        with torch.inference_mode():
            expected = model(steps[None]).softmax(dim=1)[0]
        answer = run([open_path(clip.path)], session).prediction
        assert answer is not None
        assert list(answer.probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-4)


def test_strips_of_different_lengths_are_learnt(slopes: Path, tmp_path: Path) -> None:
    result = trained(
        slopes, tmp_path,
        images={"sequence": "columns", "step": 2},
        training={"epochs": 30, "lr": 0.01, "patience": 0},
        augmentation={"augment": "none"},
    )  # fmt: skip
    metrics = evaluate(EvaluateOptions(model=result.model, data=slopes, cache=tmp_path / "cache"))
    assert metrics.accuracy >= 0.9


def test_strips_keep_their_length_and_the_longest_is_read_whole(
    slopes: Path, tmp_path: Path
) -> None:
    data = load_dataset(options(slopes, tmp_path, images={"sequence": "columns", "step": 5}))
    assert isinstance(data.sequence, StripSequence)
    lengths = [len(centre(item, data.image, data.sequence)) for item in data.decoded]
    assert sorted(set(lengths)) == [4, 5, 6, 7, 8]
    assert data.sequence.steps == 8


def test_the_card_has_the_maximum_steps_and_the_rule_for_longer_images(
    slopes: Path, tmp_path: Path
) -> None:
    cut = {"sequence": "columns", "step": 5, "max_steps": 3, "longer": "subsample"}
    data = load_dataset(options(slopes, tmp_path, images=cut))
    assert data.sequence == StripSequence(kind="columns", steps=3, longer="subsample")
    assert {len(centre(item, data.image, data.sequence)) for item in data.decoded} == {3}


def test_windows_slide_along_the_long_side_of_the_data(slopes: Path, tmp_path: Path) -> None:
    tall = tmp_path / "tall"
    for path in slopes.glob("*/*.png"):
        (tall / path.parent.name).mkdir(parents=True, exist_ok=True)
        turned = np.ascontiguousarray(cv2.imread(str(path)).transpose(1, 0, 2))
        assert cv2.imwrite(str(tall / path.parent.name / path.name), turned)
    cut = {"sequence": "windows", "window": 12, "stride": 6}
    wide = load_dataset(options(slopes, tmp_path, images=cut))
    high = load_dataset(options(tall, tmp_path, images=cut))
    assert isinstance(wide.sequence, WindowSequence)
    assert isinstance(high.sequence, WindowSequence)
    assert (wide.sequence.along, high.sequence.along) == ("width", "height")
    assert (
        (wide.image.height, wide.image.width) == (high.image.width, high.image.height) == (24, 12)
    )


def test_grey_colour_alpha_and_other_sizes_train_together(tmp_path: Path) -> None:
    root = write_slopes(tmp_path / "mixed", 4)
    for label, direction in (("falls", -1), ("rises", 1)):
        image = slope(direction, 99, 48, 90)
        assert cv2.imwrite(str(root / label / "grey.png"), image[:, :, 0])
        alpha = np.dstack((image, np.full(image.shape[:2], 128, np.uint8)))
        assert cv2.imwrite(str(root / label / "alpha.png"), alpha)
        assert cv2.imwrite(str(root / label / "tiny.png"), image[:3, :2])
    result = trained(root, tmp_path, images={"sequence": "columns", "step": 4})
    assert result.val.clips >= 2


def test_an_unreadable_image_is_skipped_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_slopes(tmp_path / "images", 4)
    (root / "falls" / "broken.png").write_bytes(b"not a picture")
    result = trained(root, tmp_path, images={"sequence": "rows"})
    assert "broken.png" in capsys.readouterr().err
    assert result.val.clips


def test_a_patch_that_does_not_divide_the_image_is_refused_with_a_fit(
    slopes: Path, tmp_path: Path
) -> None:
    cut = {"sequence": "patches", "patch": 7}
    with pytest.raises(DataError, match=r"--patch 7 does not divide --size 24; --size 21 would"):
        load_dataset(options(slopes, tmp_path, images=cut))


def test_loose_images_are_not_clips_of_a_video_model(slopes: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="loose images"):
        load_dataset(options(slopes, tmp_path, images={"sequence": "video"}))


def test_a_still_image_is_augmented_before_it_is_cut(slopes: Path, tmp_path: Path) -> None:
    """Rows varied one by one would each be shifted by themselves."""
    from seqvision.data.augment import Augmenter
    from seqvision.data.dataset import ClipDataset

    data = load_dataset(options(slopes, tmp_path, images={"sequence": "columns", "step": 1}))
    clips, labels = data.part([0])
    varied = ClipDataset(clips, labels, data.image, data.sequence, Augmenter("strong"), 3)
    steps, _ = varied[1, 0]
    whole = steps.numpy()[:, :, 0].transpose(1, 0, 2).astype(float)
    bright = whole.mean(axis=2).argmax(axis=0)
    assert np.abs(np.diff(bright)).mean() < 4, "the band is still one line"
    again, _ = varied[1, 0]
    assert torch.equal(steps, again)
    assert not torch.equal(steps, varied[2, 0][0])
