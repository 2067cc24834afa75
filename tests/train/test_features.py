"""What a frozen encoder said of clips, kept on disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqvision.config import ModelOptions
from seqvision.data.augment import Augmenter, TemporalOptions
from seqvision.data.cache import Cache
from seqvision.data.dataset import ClipDataset
from seqvision.data.decode import Decoded
from seqvision.data.surroundings import Surroundings
from seqvision.models.classifier import Classifier
from seqvision.training.features import Features
from seqvision_edge.card import ImageSpec, VideoSequence

IMAGE = ImageSpec(height=16, width=16, channels=3, fit="stretch")
VIDEO = VideoSequence(kind="video", fps=10.0, frames=4)


@pytest.fixture
def model() -> Classifier:
    return Classifier(ModelOptions(encoder="small_cnn", freeze=True), IMAGE, 3)


def clips() -> list[Decoded]:
    generator = np.random.default_rng(0)
    return [
        Decoded(generator.integers(0, 256, (6, 16, 16, 3), np.uint8), np.arange(6) / 10, str(key))
        for key in range(3)
    ]


def test_cached_features_have_the_current_label_of_a_clip(
    model: Classifier, tmp_path: Path
) -> None:
    cache = Cache(tmp_path)
    for labels in ([0, 1, 2], [2, 0, 1]):
        found = Features(model, ClipDataset(clips(), labels, IMAGE, VIDEO), 1, cache)
        assert [label for _, label in found] == labels


def test_cached_features_depend_on_the_labels_a_mirror_exchanges(
    model: Classifier, tmp_path: Path
) -> None:
    cache = Cache(tmp_path)
    labels = []
    for swap in ({0: 1, 1: 0}, {0: 2, 2: 0}):
        data = ClipDataset(clips(), [0, 0, 0], IMAGE, VIDEO, Augmenter("none", True, swap))
        labels.append({label for _, label in Features(model, data, 4, cache)})
    assert labels == [{0, 1}, {0, 2}]


def test_cached_features_depend_on_the_augmentation_not_its_name(
    model: Classifier, tmp_path: Path
) -> None:
    cache, path = Cache(tmp_path / "cache"), tmp_path / "mine.yaml"

    def encoded(**given: Any) -> torch.Tensor:
        data = ClipDataset(clips(), [0, 0, 0], IMAGE, VIDEO, Augmenter(str(path), **given))
        return torch.cat([steps for steps, _ in Features(model, data, 1, cache)])

    path.write_text("clip: [{Add: 30}]")
    first = encoded()
    path.write_text("clip: [{Add: 60}]")
    second = encoded()
    assert not torch.equal(first, second), "the same name, another content"
    assert not torch.equal(second, encoded(timing=TemporalOptions(speed=(0.5, 0.5))))
    path = path.rename(tmp_path / "other.yaml")
    kept = len(list((tmp_path / "cache").glob("*/*.npz")))
    assert torch.equal(second, encoded()), "another name, the same content"
    assert len(list((tmp_path / "cache").glob("*/*.npz"))) == kept


def test_features_beyond_the_memory_are_read_again_and_made_again(
    model: Classifier, tmp_path: Path
) -> None:
    cache = Cache(tmp_path)
    data = ClipDataset(clips(), [0, 1, 2], IMAGE, VIDEO, Augmenter("light"))
    kept = Features(model, data, 2, cache)
    read = Features(model, data, 2, cache, in_memory=4 * model.features * 2 * 3)
    assert len(read._kept) == 3
    files = list(tmp_path.glob("*/*.npz"))
    assert len(files) == 6
    for file in files:
        file.unlink()
    for (steps, label), (again, same) in zip(kept, read, strict=True):
        assert torch.equal(steps, again)
        assert label == same


@pytest.mark.parametrize("varied", [True, False])
def test_features_are_those_of_the_encoder(model: Classifier, tmp_path: Path, varied: bool) -> None:
    data = ClipDataset(
        clips(), [0, 1, 2], IMAGE, VIDEO, Augmenter("light") if varied else None, seed=7
    )
    found = Features(model, data, 2 if varied else 1, Cache(tmp_path))
    with torch.inference_mode():
        for view in range(found.views):
            for index in range(3):
                expected = model.eval().encode(data[view, index][0][None])[0]
                limit = 2e-3 if varied else 1e-5  # float16 has 11 bits
                assert torch.allclose(found[view, index][0], expected, atol=limit, rtol=limit)


def test_views_of_a_part_show_its_surroundings_and_are_cached_apart(
    model: Classifier, tmp_path: Path
) -> None:
    cache = Cache(tmp_path)
    wide = Decoded(clips()[0].frames.repeat(5, axis=0), np.arange(30) / 10, "a", end=3.0)

    def encoded(*around: Surroundings | None) -> list[tuple[torch.Tensor, int]]:
        data = ClipDataset(clips(), [1, 1, 1], IMAGE, VIDEO, around=around)
        return list(Features(model, data, 12, cache))

    plain, shown = encoded(), encoded(Surroundings(wide, 1.0, 1.3, 0), None, None)
    assert {label for _, label in plain} == {1}
    assert {label for _, label in shown[::3]} == {0, 1}
    assert {label for index, (_, label) in enumerate(shown) if index % 3} == {1}
    moved = encoded(Surroundings(wide, 2.0, 2.3, 0), None, None)
    assert any(not torch.equal(one, two) for (one, _), (two, _) in zip(shown, moved, strict=True))
    again = encoded(Surroundings(wide, 1.0, 1.3, 0), None, None)
    assert [label for _, label in again] == [label for _, label in shown]
