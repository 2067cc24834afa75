import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from export_models import build

from seqvision.config import ENCODERS, ModelOptions
from seqvision.errors import WeightsError
from seqvision.models.classifier import Classifier
from seqvision.models.encoders import BUILDERS, build_encoder
from seqvision.models.heads import Steps
from seqvision.training.model_io import load_model, read, save_model, write
from seqvision_edge.card import ImageSpec

IMAGE = ImageSpec(height=32, width=32, channels=3, fit="stretch")
HEADS = [
    ModelOptions(encoder="flatten", head=head, bidirectional=bi, pool=pool, layers=layers)
    for head in ("lstm", "gru")
    for bi in (False, True)
    for pool in ("last", "attention")
    for layers in (1, 2)
] + [ModelOptions(encoder="flatten", head="mean")]
HEADS += [options.model_copy(update={"motion": motion}) for options in (HEADS[3], HEADS[-1])
          for motion in ("only", "both")]  # fmt: skip
CENTERED = [
    ModelOptions(encoder="flatten", head="gru", center=True),
    ModelOptions(head="lstm", bidirectional=True, pool="attention", hidden=8, center=True),
    ModelOptions(head="gru", bidirectional=True, motion="both", hidden=8, center=True),
    ModelOptions(encoder="flatten", pool="attention", motion="both", projection=0, center=True),
]

ENSEMBLES = [
    ModelOptions(hidden=8, ensemble=2, motion="both"),
    ModelOptions(hidden=8, ensemble=3, pool="attention", bidirectional=True, center=True),
    ModelOptions(encoder="flatten", freeze=True, motion="none", ensemble=2, head="gru"),
    ModelOptions(encoder="flatten", head="mean", ensemble=2),
]


def frames(batch: int, time: int, image: ImageSpec = IMAGE, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, time, image.height, image.width, image.channels)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def name(options: ModelOptions) -> str:
    bi = "bi" if options.bidirectional else ""
    center = "-center" if options.center else ""
    ensemble = f"-{options.ensemble}" if options.ensemble > 1 else ""
    return f"{bi}{options.head}{options.layers}-{options.pool}-{options.motion}{center}{ensemble}"


@pytest.mark.parametrize("options", HEADS + CENTERED + ENSEMBLES, ids=name)
@torch.inference_mode()
def test_padding_changes_no_prediction(options: ModelOptions) -> None:
    model = Classifier(options, IMAGE, 4).eval()
    clip = frames(1, 5)
    alone = model(clip, torch.tensor([5]))
    assert torch.allclose(alone, model(clip), atol=1e-5), "no lengths means no padding"
    garbage = frames(3, 11, seed=1)
    garbage[1, :5] = clip[0]
    padded = model(garbage, torch.tensor([11, 5, 1]))
    assert torch.allclose(padded[1:2], alone, atol=1e-5)


@torch.inference_mode()
def test_padding_does_not_change_batch_statistics() -> None:
    torch.manual_seed(0)
    one = Classifier(ModelOptions(), IMAGE, 4).train()
    two = Classifier(ModelOptions(), IMAGE, 4).train()
    two.load_state_dict(one.state_dict())
    clip = frames(2, 4)
    padded = torch.cat((clip, torch.full_like(clip, 255)), dim=1)
    one.encode(clip, torch.tensor([4, 4]))
    two.encode(padded, torch.tensor([4, 4]))
    for key, value in one.state_dict().items():
        assert torch.allclose(value, two.state_dict()[key]), key


@torch.inference_mode()
def test_only_order_aware_heads_distinguish_a_clip_from_its_reverse() -> None:
    clip = frames(1, 6)
    for head, differs in (("lstm", True), ("gru", True), ("mean", False)):
        model = Classifier(ModelOptions(encoder="flatten", head=head), IMAGE, 3).eval()
        assert (not torch.allclose(model(clip), model(clip.flip(1)), atol=1e-5)) is differs, head


def test_wide_features_are_projected_and_narrow_ones_kept() -> None:
    def width(**options: object) -> int:
        model = Classifier(ModelOptions.model_validate(options), IMAGE, 3)
        return model.head.rnn.input_size

    assert width(encoder="small_cnn", hidden=32) == 128, "four times as wide is not wide"
    assert width(encoder="small_cnn", hidden=31) == 31
    assert width(encoder="small_cnn", hidden=31, projection=0) == 128
    assert width(encoder="small_cnn", projection=5) == 5


def test_a_frozen_encoder_s_head_reads_motion_by_default(tmp_path: Path) -> None:
    def motion(**options: object) -> str:
        return Classifier(ModelOptions.model_validate(options), IMAGE, 3).steps.motion

    assert motion() == "none"
    assert motion(freeze=True) == "both"
    assert motion(freeze=True, motion="none") == "none"
    assert motion(motion="both") == "both"

    # A file from before there was motion reads none, whatever its encoder.
    options = ModelOptions(hidden=12, freeze=True, motion="none")
    model, card = build(options)
    path = tmp_path / "model.pt"
    save_model(path, model, options, card)
    content = read(path)
    old = {key: value for key, value in json.loads(content.architecture).items() if key != "motion"}
    write(path, replace(content, architecture=json.dumps(old), stored_hash=None))
    assert load_model(path)[0].steps.motion == "none"


@torch.inference_mode()
@pytest.mark.parametrize("head", ["lstm", "mean", "centered lstm"])
@pytest.mark.parametrize("motion", ["none", "both"])
def test_carried_state_gives_the_prediction_of_the_clip(head: str, motion: str) -> None:
    center, kind = head.startswith("centered"), head.split()[-1]
    options = ModelOptions.model_validate(
        {"head": kind, "motion": motion, "hidden": 8, "center": center}
    )
    model = Classifier(options, IMAGE, 3).eval()
    features = model.encode(frames(2, 6))
    steps = [model.step_memory(features[:, step : step + 1]) for step in range(6)]
    memory = torch.cat(steps, dim=1)
    assert memory.shape == (2, 6, model.memory)
    assert model.memory == (8 if motion == "none" else 128)
    assert torch.allclose(model.logits_from_memory(memory), model.decide(features), atol=1e-6)


@torch.inference_mode()
@pytest.mark.parametrize("options", CENTERED, ids=name)
def test_a_constant_offset_never_reaches_a_centered_head(options: ModelOptions) -> None:
    torch.manual_seed(0)
    model, other = (
        Classifier(options.model_copy(update={"center": center}), IMAGE, 4).eval()
        for center in (True, False)
    )
    clips = [torch.randn(6, model.features) for _ in range(4)]
    for network in (model, other):
        network.steps.standardize(clips)
    features, person = torch.stack(clips[:2]), 3 * torch.randn(2, 1, model.features)
    lengths = torch.tensor([6, 4])
    for given in (None, lengths):
        alone, shifted = model(features, given), model(features + person, given)
        assert torch.allclose(alone, shifted, atol=1e-5)
    assert not torch.allclose(other(features), other(features + person), atol=1e-3)
    assert not torch.allclose(model(features), model(features.flip(1)), atol=1e-4), "order counts"


def test_centered_features_are_scaled_by_their_change_within_a_clip() -> None:
    """A feature that tells people apart would else be a thousandth of what it was."""
    steps = Steps(2, "none", center=True)
    changes = torch.randn(5, 40, 2, generator=torch.Generator().manual_seed(0))
    people = torch.tensor([0.0, 1000.0]) * torch.arange(5)[:, None, None]
    steps.standardize(list(changes + people))
    assert torch.allclose(steps.scale, torch.ones(2), atol=0.2)


def test_the_table_of_encoders_is_the_list_of_the_option() -> None:
    assert set(BUILDERS) == set(ENCODERS)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("channels", [1, 3])
@torch.inference_mode()
def test_every_encoder_takes_colour_and_grey(encoder: str, channels: int) -> None:
    image = ImageSpec(height=64, width=64, channels=channels, fit="stretch")
    options = ModelOptions(encoder=encoder, weights="none", hidden=8)
    model = Classifier(options, image, 3).eval()
    assert model.encode(frames(2, 3, image)).shape == (2, 3, model.features)
    assert model(frames(2, 3, image)).shape == (2, 3)


def test_a_frozen_encoder_changes_neither_weights_nor_statistics() -> None:
    model = Classifier(ModelOptions(freeze=True), IMAGE, 3).train()
    before = {key: value.clone() for key, value in model.encoder.state_dict().items()}
    model(frames(2, 3)).sum().backward()
    assert all(parameter.grad is None for parameter in model.encoder.parameters())
    assert model.head.classify.weight.grad is not None
    for key, value in model.encoder.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_a_weights_file_is_loaded_without_its_classifier(tmp_path: Path) -> None:
    from seqvision.compat import torchvision

    torch.manual_seed(1)
    donor = torchvision.models.mobilenet_v2(weights=None)
    torch.save(donor.state_dict(), tmp_path / "w.pth")
    built = build_encoder("mobilenet_v2", str(tmp_path / "w.pth"), 3, 64, 64)
    assert torch.equal(built.module.features[0][0].weight, donor.features[0][0].weight)
    assert built.features == 1280


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "no such file"),
        (lambda p: p.write_text("hello"), "not a file of weights"),
        (lambda p: torch.save([1, 2], p), "not a state dict"),
        (lambda p: torch.save({"x": torch.zeros(1)}, p), "tensors are missing, first features"),
    ],
)
def test_invalid_weights_are_one_line(tmp_path: Path, make: object, message: str) -> None:
    path = tmp_path / "w.pth"
    make(path)  # type: ignore[operator]
    with pytest.raises(WeightsError, match=message) as error:
        build_encoder("mobilenet_v2", str(path), 3, 64, 64)
    assert "\n" not in str(error.value)


def test_a_weights_file_never_runs_code(tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return open, (str(tmp_path / "pwned"), "w")  # type: ignore[return-value]

    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps({"x": Evil()}))
    with pytest.raises(WeightsError):
        build_encoder("mobilenet_v2", str(path), 3, 64, 64)
    assert not (tmp_path / "pwned").exists()


def test_imagenet_offline_fails_if_given_and_warns_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from seqvision.models import encoders

    def offline(encoder: str) -> None:
        raise WeightsError("ImageNet weights could not be had (no route)")

    monkeypatch.setattr(encoders, "_imagenet", offline)
    with pytest.raises(WeightsError, match="no route"):
        build_encoder("mobilenet_v2", "imagenet", 3, 64, 64)
    (note,) = build_encoder("mobilenet_v2", "auto", 3, 64, 64).notes
    assert "random weights" in note
    assert build_encoder("mobilenet_v2", "none", 3, 64, 64).notes == ()
    with pytest.raises(WeightsError, match="small_cnn has none"):
        build_encoder("small_cnn", "imagenet", 3, 64, 64)


@pytest.mark.parametrize("options", ENSEMBLES, ids=name)
def test_an_ensemble_averages_networks_that_learn_apart(options: ModelOptions) -> None:
    model = Classifier(options, IMAGE, 4).eval()
    clips, lengths = frames(3, 5), torch.tensor([5, 3, 1])
    members = model.logits_of_members(clips, lengths)
    assert len(members) == options.ensemble
    assert torch.allclose(members.mean(0), model(clips, lengths), atol=1e-5)
    assert not torch.allclose(members[0], members[1], atol=1e-3)

    members[1].square().sum().backward()
    learns = [
        any(each.grad is not None and bool(each.grad.any()) for each in part)
        for part in model.parameters_of_members()
    ]
    assert learns == [index == 1 for index in range(options.ensemble)]
    count = sum(len(part) for part in model.parameters_of_members())
    assert count == sum(each.requires_grad for each in model.parameters())


@torch.inference_mode()
def test_a_frozen_encoder_is_shared_by_the_heads_of_an_ensemble() -> None:
    alone, three = (
        Classifier(ModelOptions(encoder="resnet18", weights="none", freeze=True, ensemble=count),
                   IMAGE, 4) for count in (1, 3)
    )  # fmt: skip
    assert three.features == alone.features
    sizes = [sum(each.numel() for each in model.encoder.parameters()) for model in (alone, three)]
    assert sizes[0] == sizes[1]
