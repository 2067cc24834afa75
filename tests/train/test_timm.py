"""`--encoder timm:NAME`: networks of timm, small ones with random weights."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from export_models import TIMM, build, prove_here

from seqvision.cli import main
from seqvision.config import ModelOptions
from seqvision.errors import CheckpointError, WeightsError
from seqvision.models.classifier import Classifier
from seqvision.models.encoders import build_encoder, pixel_range
from seqvision.training.distributed import share_statistics
from seqvision.training.model_io import load_model, save_model
from seqvision_edge.card import ImageSpec
from seqvision_edge.session import Session

IMAGE = ImageSpec(height=32, width=32, channels=3, fit="stretch")


@pytest.fixture
def timm() -> object:
    from seqvision.compat import torchvision as torchvision  # before timm touches it

    return pytest.importorskip("timm", reason="timm is an extra: pip install timm")


def without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the line with which a command refuses."""
    assert main(list(words)) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_a_missing_timm_is_one_line_before_any_clip_is_read(
    clips: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    without_timm(monkeypatch)
    line = refused(capsys, "train", str(clips), "--encoder", "timm:resnet10t")
    assert line.endswith("--encoder timm:resnet10t: needs the package timm: pip install timm")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("timm:resnet10", "has no such network; did you mean timm:resnet10t"),
        ("timm:Resnet10T", "has no such network; did you mean timm:resnet10t"),
        ("timm:resnet10t.c3_in1", "no such weights of resnet10t; did you mean timm:resnet10t.c3_"),
        ("timm:zzzzzz", "has no such network; see: python -c"),
        ("resnet19", "did you mean resnet18"),
        ("vit_tiny_patch16_224", "or timm:NAME (a network of the package timm)"),
        ("tim:resnet10t", "must be timm:NAME (a network of the package timm)"),
        ("timm:", "timm:NAME"),
        ("timm:hf-hub:someone/network", "timm:NAME"),
        ("timm:local-dir:/tmp/x", "timm:NAME"),
    ],
)
def test_an_unknown_network_is_one_line(
    timm: object, clips: Path, capsys: pytest.CaptureFixture[str], given: str, message: str
) -> None:
    line = refused(capsys, "train", str(clips), "--encoder", given)
    assert f"--encoder {given}: " in line
    assert message in line


def test_a_size_that_a_network_cannot_take_is_one_line(timm: object) -> None:
    with pytest.raises(WeightsError) as error:
        build_encoder("timm:test_vit", "none", 3, 40, 40)
    assert str(error.value) == (
        "--size 40: not a size that timm:test_vit takes; it was made for 160×160"
    )


@pytest.mark.parametrize("encoder", TIMM)
@torch.inference_mode()
def test_networks_of_timm_take_colour_and_grey(timm: object, encoder: str) -> None:
    for channels in (1, 3):
        image = IMAGE.model_copy(update={"channels": channels})
        options = ModelOptions(encoder=encoder, weights="none", hidden=8)
        model = Classifier(options, image, 3).eval()
        frames = torch.randint(0, 256, (2, 3, 32, 32, channels), dtype=torch.uint8)
        assert model.encode(frames).shape == (2, 3, model.features)
        assert model(frames).shape == (2, 3)


def test_pixels_have_the_range_of_the_pretrained_weights(timm: object) -> None:
    assert pixel_range("timm:test_vit", "auto") == ((0.5,) * 3, (0.5,) * 3)
    assert pixel_range("timm:test_efficientnet", "auto")[0] == (0.485, 0.456, 0.406)
    assert pixel_range("timm:test_vit", "unit") == ((0.0,), (1.0,))


def test_a_saved_model_keeps_its_pixel_range_whatever_timm_has_then(
    timm: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ModelOptions(encoder="timm:test_vit", hidden=12, head="mean")
    model, card = build(options, width=32)
    path = tmp_path / "model.pt"
    save_model(path, model, options, card)
    changed = lambda _: ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))  # noqa: E731
    monkeypatch.setattr("seqvision.models.encoders.timm_pixel_range", changed)
    loaded, _ = load_model(path)
    assert torch.equal(loaded.normalize.mean, model.normalize.mean)
    frames = torch.randint(0, 256, (1, 4, 32, 32, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(loaded(frames), model(frames))

    without_timm(monkeypatch)
    with pytest.raises(CheckpointError, match=r"model\.pt: .*needs the package timm: pip install"):
        load_model(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_of_timm_are_read_from_a_file(timm: object, tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(1)
    donor = timm.create_model("test_efficientnet", pretrained=False)  # type: ignore[attr-defined]
    path = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save(donor.state_dict(), path)
    else:
        safetensors.torch.save_file(donor.state_dict(), path)
    built = build_encoder("timm:test_efficientnet", str(path), 3, 64, 64)
    assert built.pretrained
    assert torch.equal(built.module.conv_stem.weight, donor.conv_stem.weight)
    with pytest.raises(WeightsError, match="tensors are missing"):
        build_encoder("timm:test_resnet", str(path), 3, 64, 64)
    path.write_bytes(b"hello")
    with pytest.raises(WeightsError, match="not a file of weights"):
        build_encoder("timm:test_efficientnet", str(path), 3, 64, 64)


def test_pretrained_weights_that_cannot_be_had_are_a_line_or_a_note(
    timm: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing listens there, and nothing is in the cache.
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    encoder = "timm:test_efficientnet"
    message = (
        r"pretrained weights could not be had from https://huggingface\.co/timm/test_efficientnet\S*"
        r" \(.*refused\); give a file with --weights PATH, or --weights none"
    )
    with pytest.raises(WeightsError, match=message) as error:
        build_encoder(encoder, "imagenet", 3, 64, 64)
    assert "\n" not in str(error.value)
    built = build_encoder(encoder, "auto", 3, 64, 64)
    assert not built.pretrained
    assert built.notes == (f"{encoder} starts from random weights: {error.value}",)
    with pytest.raises(WeightsError, match="timm has no pretrained weights of"):
        build_encoder("timm:cspresnet50d", "imagenet", 3, 64, 64)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@torch.inference_mode()
def test_norms_shared_by_processes_keep_their_activation(timm: object, device: str) -> None:
    torch.manual_seed(0)
    network = build_encoder("timm:test_efficientnet", "none", 3, 32, 32).module.eval()
    names = set(network.state_dict())
    images = torch.rand(2, 3, 32, 32)
    expected = network(images)
    shared = share_statistics(network, torch.device(device)).eval()
    assert set(shared.state_dict()) == names
    assert torch.allclose(shared(images), expected, atol=1e-5)


def test_the_command_line_is_refused_without_torch() -> None:
    """An option is parsed where torch has not been imported yet."""
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['timm'] = None\n"
        "from seqvision.config import ModelOptions\n"
        "print(ModelOptions(encoder='timm:resnet10t').encoder)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "timm:resnet10t\n"


@pytest.mark.slow
def test_a_network_of_timm_trains_exports_and_runs(
    timm: object, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove_here(monkeypatch)
    monkeypatch.chdir(tmp_path)
    given = "--encoder timm:test_resnet --weights none --freeze --epochs 1 --size 32 --frames 4"
    more = ["--cache", "cache", "--views", "1", "--no-autotune", "--workers", "0"]
    assert main(["train", str(clips), *given.split(), *more]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert "timm-test_resnet" in run.name
    assert main(["export", "model.pt"]) == 0
    session = Session(Path("model.onnx").read_bytes())
    frames = np.random.default_rng(0).integers(0, 256, (2, 4, 32, 32, 3), np.uint8)
    answers, _ = session.run(frames)
    model, _ = load_model(Path("model.pt"))
    with torch.inference_mode():
        expected = model(torch.from_numpy(frames)).softmax(1).numpy()
    assert np.abs(answers - expected).max() <= 1e-4
