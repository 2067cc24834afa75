"""What a frozen encoder said of clips, kept on disk."""

from pathlib import Path

import numpy as np
import pytest

from seqvision.config import AugmentOptions, ModelOptions
from seqvision.data.augment import Augmenter
from seqvision.data.cache import Cache
from seqvision.data.dataset import ClipDataset
from seqvision.data.decode import Decoded
from seqvision.models.classifier import Classifier
from seqvision.training.features import encode_views
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


def test_kept_features_carry_the_label_that_a_clip_has_today(
    model: Classifier, tmp_path: Path
) -> None:
    cache = Cache(tmp_path)
    for labels in ([0, 1, 2], [2, 0, 1]):
        (view,) = encode_views(model, ClipDataset(clips(), labels, IMAGE, VIDEO), 1, None, cache)
        assert [label for _, label in view] == labels


def test_kept_features_know_which_labels_a_mirror_exchanges(
    model: Classifier, tmp_path: Path
) -> None:
    cache, drawn = Cache(tmp_path), AugmentOptions(augment="none", flip=True, swap=("a:b",))
    told = []
    for swap in ({0: 1, 1: 0}, {0: 2, 2: 0}):
        data = ClipDataset(clips(), [0, 0, 0], IMAGE, VIDEO, Augmenter("none", True, swap))
        views = encode_views(model, data, 4, drawn, cache)
        told.append({label for view in views for _, label in view})
    assert told == [{0, 1}, {0, 2}]
