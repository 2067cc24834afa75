"""A wrong name gets a suggestion of the right one."""

from pathlib import Path

import pytest

from seqvision_edge.hints import archive, near_options, near_words, path_error

OPTIONS = [
    "batch-size", "encoder", "epochs", "frames", "fps", "image-fps", "lr", "workers", "data",
    "time-crop", "no-window", "window", "precision", "device", "weight-decay", "encoder-lr-scale",
]  # fmt: skip
ENCODERS = ["small_cnn", "mobilenet_v2", "mobilenet_v3_small", "resnet18", "resnet50"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("batch", ["batch-size"]),
        ("enc", ["encoder", "encoder-lr-scale"]),
        ("Epochs", ["epochs"]),
        ("batch_size", ["batch-size"]),
        ("batchsize", ["batch-size"]),
        ("size-batch", ["batch-size"]),
        ("decay", ["weight-decay"]),
        ("epohcs", ["epochs"]),
        ("learning-rate", ["lr"]),
        ("learning_rate", ["lr"]),
        ("bs", ["batch-size"]),
        ("num-workers", ["workers"]),
        ("headless", ["no-window"]),
        ("fp16", ["precision"]),
        ("gpu", ["device"]),
        ("e", ["epochs"]),
        ("w", ["workers"]),
        ("xyzzy", []),
    ],
)
def test_options_are_suggested_by_prefix_spelling_and_synonym(given: str, meant: list[str]) -> None:
    assert near_options(given, OPTIONS) == meant


@pytest.mark.parametrize(
    ("given", "choices", "meant"),
    [
        ("mobilenetv2", ENCODERS, ["mobilenet_v2"]),
        ("MobileNet-V2", ENCODERS, ["mobilenet_v2"]),
        ("RESNET18", ENCODERS, ["resnet18"]),
        ("resnet", ENCODERS, ["resnet18", "resnet50"]),
        ("restnet50", ENCODERS, ["resnet50"]),
        ("resnet101", ENCODERS, ["resnet50"]),
        ("cuda:0", ["auto", "cpu", "cuda"], ["cuda"]),
        ("gpu", ["auto", "cpu", "cuda"], ["cuda"]),
        ("half", ["fp32", "fp16", "int8"], ["fp16"]),
        ("fp16", ["auto", "32", "bf16", "16"], ["16"]),
        ("BiLSTM", ["lstm", "gru", "mean"], ["lstm"]),
        ("letterbox", ["stretch", "crop", "pad"], ["pad"]),
        ("zzz", ENCODERS, []),
    ],
)
def test_a_choice_is_found_whatever_its_case_and_dashes(
    given: str, choices: list[str], meant: list[str]
) -> None:
    assert near_words(given, choices) == meant


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder in ("frames/wave", "takes"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("clip.mp4", "model.pt", "model.onnx", "clips.tar.gz", "data.zip"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("given", "output"),
    [
        ("frame", "frame: no such file or folder; did you mean frames/?"),
        ("Frames", "did you mean frames/?"),
        ("frames ", "did you mean frames/?"),
        ('"frames"', "did you mean frames/?"),
        ("/frames", "did you mean frames/?"),
        ("frames\\wave", "did you mean frames/wave/?"),
        ("frmes/wave", "did you mean frames/?"),
        ("nowhere/wave", "there is no folder nowhere"),
        ("clip.avi", "did you mean clip.mp4?"),
        ("clip", "did you mean clip.mp4?"),
        ("modle.pt", "did you mean model.pt?"),
        ("frames/*", "a pattern is not taken here; give the folder frames"),
        ("*.xyz", "no file matches this pattern"),
        ("$PLACE/frames", "did you mean"),
        ("https://host/a.zip", "https://host/a.zip: a URL; download it first"),
        (Path("https://host/a.zip"), "https://host/a.zip: a URL; download it first"),
        ("file:///tmp/a", "give the path: /tmp/a"),
        ("zzz", "zzz: no such file or folder"),
    ],
)
def test_a_missing_path_suggests_a_similar_one(
    files: Path, monkeypatch: pytest.MonkeyPatch, given: str | Path, output: str
) -> None:
    monkeypatch.setenv("PLACE", str(files))
    line = path_error(given)
    assert output in line
    assert "\n" not in line


def test_an_archive_is_to_be_unpacked(files: Path) -> None:
    assert archive(Path("data.zip")) == (
        "an archive; unpack it and give its folder: unzip data.zip"
    )
    assert "tar -xf clips.tar.gz" in str(archive(Path("clips.tar.gz")))
    assert archive(Path("frames")) is None
    assert archive(Path("clip.mp4")) is None
