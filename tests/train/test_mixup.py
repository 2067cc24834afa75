"""Clips blended in pairs, with their labels."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from trainings import train

from seqvision.config import ClipOptions, ModelOptions, TrainingOptions, TrainOptions
from seqvision.data.dataset import Batch
from seqvision.models.classifier import Classifier
from seqvision.training import callbacks
from seqvision.training.lightning_module import ClassifierModule, Mixed, mix
from seqvision.training.model_io import load_model
from seqvision.training.train import Trained
from seqvision_edge.card import ImageSpec

pytestmark = pytest.mark.usefixtures("no_pictures")


def batch(lengths: list[int] | None = None, size: int = 6) -> Batch:
    """Return clips whose pixels are 40 × their label, or their number."""
    lengths = lengths or [5] * size
    frames = torch.zeros(len(lengths), max(lengths), 4, 4, 3, dtype=torch.uint8)
    for index, length in enumerate(lengths):
        frames[index, :length] = 40 * index
    return Batch(frames, torch.tensor(lengths), torch.arange(len(lengths)))


def mixed(given: Batch, alpha: float = 1.0, seed: int = 0) -> Mixed:
    torch.manual_seed(seed)
    return mix(given, alpha)


def test_frames_and_labels_are_blended_by_the_same_weight() -> None:
    given = batch()
    for seed in range(8):
        blend = mixed(given, seed=seed)
        assert 0 < blend.share < 1
        assert sorted(blend.others.tolist()) == list(range(6)), "the partners are a permutation"
        expected = 40 * (blend.share * given.labels + (1 - blend.share) * blend.others)
        assert blend.batch.inputs.dtype == torch.uint8
        pixels = blend.batch.inputs.flatten(1)
        assert (pixels == pixels[:, :1]).all()
        assert (pixels[:, 0] - expected).abs().max() <= 0.5
        assert torch.equal(blend.batch.labels, given.labels)
    assert not torch.equal(given.inputs, blend.batch.inputs)
    assert torch.equal(given.inputs, batch().inputs), "the batch itself is not written to"


def test_a_blend_has_the_length_of_its_first_clip() -> None:
    given = batch([8, 2, 5])
    given.inputs[0] = torch.arange(8, dtype=torch.uint8)[:, None, None, None] * 10
    given.inputs[1, 0], given.inputs[1, 1] = 0, 200
    for seed in range(30):
        blend = mixed(given, seed=seed)
        assert torch.equal(blend.batch.lengths, given.lengths)
        assert not blend.batch.inputs[1, 2:].any(), "padding stays padding"
        if blend.others[0] == 1:
            second = torch.tensor([0, 0, 0, 0, 200, 200, 200, 200])
            expected = blend.share * torch.arange(8) * 10 + (1 - blend.share) * second
            assert (blend.batch.inputs[0, :, 0, 0, 0] - expected).abs().max() <= 0.5
            return
    pytest.fail("no draw paired the long clip with the short one")


def test_features_are_blended_without_resampling() -> None:
    features = Batch(torch.randn(4, 3, 7), torch.full((4,), 3), torch.arange(4))
    blend = mixed(features)
    expected = blend.share * features.inputs + (1 - blend.share) * features.inputs[blend.others]
    assert torch.allclose(blend.batch.inputs, expected, atol=1e-6)


def test_a_small_alpha_blends_little_and_a_large_one_half() -> None:
    little = [abs(mixed(batch(), 0.05, seed).share - 0.5) for seed in range(40)]
    half = [abs(mixed(batch(), 10.0, seed).share - 0.5) for seed in range(40)]
    assert sum(little) / 40 > 0.4
    assert sum(half) / 40 < 0.2


def module(**options: object) -> ClassifierModule:
    torch.manual_seed(0)
    image = ImageSpec(height=4, width=4, channels=3, fit="stretch")
    model = Classifier(ModelOptions(encoder="flatten", hidden=8, dropout=0.0), image, 6)
    weights = torch.tensor([1.0, 2.0, 3.0, 1.0, 0.5, 1.0])
    built = ClassifierModule(model, TrainingOptions(**options), tuple("abcdef"), 1e-3, weights)
    built.log = lambda *given, **named: None  # type: ignore[method-assign]
    return built


def test_the_loss_of_a_blend_keeps_class_weights_and_smoothing() -> None:
    training = module(mixup=0.8, label_smoothing=0.1)
    torch.manual_seed(3)
    loss = training.training_step(batch(), 0)
    blend = mixed(batch(), 0.8, seed=3)
    logits = training.model(blend.batch.inputs, blend.batch.lengths)
    each = [
        F.cross_entropy(logits, labels, training._loss.weight, label_smoothing=0.1)
        for labels in (blend.batch.labels, blend.others)
    ]
    assert torch.allclose(loss, blend.share * each[0] + (1 - blend.share) * each[1])


def test_without_mixup_nothing_is_blended_nor_drawn() -> None:
    training = module(mixup=0.0)
    before = torch.get_rng_state()
    loss = training.training_step(batch(), 0)
    assert torch.equal(torch.get_rng_state(), before)
    logits = training.model(batch().inputs, batch().lengths)
    weights = training._loss.weight
    plain = F.cross_entropy(logits, batch().labels, weights, label_smoothing=0.05)
    assert torch.allclose(loss, plain)


def options(data: Path, folder: Path, mixup: float, freeze: bool) -> TrainOptions:
    folder.mkdir(exist_ok=True)
    return TrainOptions(
        data=data,
        output=folder / "model.pt",
        runs=folder / "runs",
        clips=ClipOptions(size=16, frames=6, workers=0, cache=folder / "cache"),
        model=ModelOptions(encoder="small_cnn", hidden=16, freeze=freeze, views=2),
        training=TrainingOptions(epochs=4, batch_size=8, keep="last", mixup=mixup),
    )


def weights(trained: Trained) -> list[torch.Tensor]:
    return list(load_model(trained.model)[0].state_dict().values())


@pytest.mark.parametrize("freeze", [False, True])
def test_a_resumed_training_with_mixup_equals_an_uninterrupted_one(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, freeze: bool
) -> None:
    whole = weights(train(options(squares, tmp_path / "a", 0.4, freeze)))
    plain = weights(train(options(squares, tmp_path / "b", 0.0, freeze)))
    assert not all(map(torch.equal, whole, plain)), "mixup does something"
    line = callbacks.EpochLines.on_train_epoch_end

    def stop_after_two(self, trainer, pl_module):  # type: ignore[no-untyped-def]
        line(self, trainer, pl_module)
        if trainer.current_epoch == 1:
            trainer.should_stop = True

    with monkeypatch.context() as patched:
        patched.setattr(callbacks.EpochLines, "on_train_epoch_end", stop_after_two)
        half = train(options(squares, tmp_path / "c", 0.4, freeze))
    resumed = train(TrainOptions(data=squares, resume=half.run, output=tmp_path / "resumed.pt"))
    assert all(map(torch.equal, whole, weights(resumed)))
