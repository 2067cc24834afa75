"""A YAML of augmenters: names and values, never code; a mistake is one line with its place."""

import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import write_squares

from seqvision.cli import main
from seqvision.compat import imgaug
from seqvision.config import (
    PRESETS,
    AugmentOptions,
    ClipOptions,
    SequenceOptions,
    TrainOptions,
    check_sequence,
    from_yaml,
    to_yaml,
)
from seqvision.data.augment import Augmenter, make_augmenter, with_content
from seqvision.data.augment.build import build
from seqvision.data.augment.recipe import read_recipe
from seqvision.errors import DataError

pytestmark = pytest.mark.usefixtures("no_pictures")

EXAMPLE = """
clip:
  - Affine: {rotate: [-8, 8], translate_percent: {x: [-0.1, 0.1]}, mode: edge}
  - Multiply: [0.8, 1.2]
  - Fliplr
  - OneOf:
      - GaussianBlur: 1.0
      - Identity
frame:
  - Sometimes: {p: 0.3, then_list: [{AdditiveGaussianNoise: {scale: [0, 8]}}]}
time:
  speed: [0.8, 1.25]
  drop: 0.1
"""


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_file_and_its_content_augment_alike(tmp_path: Path) -> None:
    clip = np.random.default_rng(0).integers(0, 256, (4, 30, 40, 3), np.uint8)
    path = write(tmp_path, EXAMPLE)
    named, given = Augmenter(str(path)), Augmenter(yaml.safe_load(EXAMPLE))
    for seed in range(6):
        assert np.array_equal(named(clip, 0, seed)[0], given(clip, 0, seed)[0])
    assert named.timing.speed == (0.8, 1.25)
    assert named.timing.drop == 0.1
    assert named.mirrors == {"Fliplr"}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_files_of_the_package(name: str) -> None:
    text = (resources.files("seqvision.data.augment") / "presets" / f"{name}.yaml").read_text()
    assert text.startswith("#")
    assert read_recipe(name).content == yaml.safe_load(text)


def test_values_are_ranges_choices_lists_tuples_and_mappings() -> None:
    parameters = imgaug.parameters
    (affine,) = build(
        [{"Affine": {"rotate": [-5, 5], "scale": {"x": {"choice": [0.5, 2]}, "y": 1.5},
                     "mode": ["edge", "reflect"]}}],
        "x",
    )  # fmt: skip
    assert isinstance(affine.rotate, parameters.Uniform)
    assert isinstance(affine.scale[0], parameters.Choice)
    assert affine.scale[0].a == [0.5, 2]
    assert affine.scale[1].value == 1.5
    assert affine.mode.a == ["edge", "reflect"]
    (channels,) = build(
        [{"WithChannels": {"channels": {"list": [0, 1]}, "children": "Fliplr"}}], ""
    )
    assert channels.channels == [0, 1]
    (some,) = build([{"SomeOf": {"n": {"tuple": [1, None]}, "children": ["Fliplr"]}}], "")
    assert some.n == (1, None)
    (add,) = build([{"Add": {"choice": [1, 2]}}], "")
    assert add.value.a == [1, 2]
    (crop,) = build([{"Crop": {"px": {"tuple": [[0, 3], 0, {"choice": [1, 2]}, 0]}}}], "")
    assert isinstance(crop.all_sides, type(None))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("clip: [Afine]", "mine.yaml: clip[0]: no augmenter Afine; did you mean Affine?"),
        ("clip: [Zzz]", "mine.yaml: clip[0]: no augmenter Zzz; see imgaug.augmenters"),
        ("clip: [Fliplr, {Affine: {rotat: 3}}]",
         "clip[1].Affine.rotat: no such parameter; did you mean rotate?"),
        ("clip: [{Affine: {rotate: a, scale: 1.0}}]", "mine.yaml: clip[0].Affine.rotate: "),
        ("clip: [{Affine: {rotate: [1, 2, 3]}}]",
         "clip[0].Affine.rotate: [1, 2, 3] is not a range; write [low, high], or {choice: [1, 2"),
        ("clip: [{Affine: {rotate: .inf}}]", "clip[0].Affine.rotate: inf is not a finite number"),
        ("clip: [{Affine: {rotate: 2024-01-01}}]", "clip[0].Affine"),
        ("clip: [{Affine: {seed: 3}}]", "clip[0].Affine.seed: is set by the training's seed"),
        ("clip: [{Sometimes: {p: 0.5, then_list: [{Rotate: {angle: 3}}]}}]",
         "clip[0].Sometimes.then_list[0].Rotate.angle: no such parameter"),
        ("clip: [{Multiply: {mul: [0.5, bad]}}]", "clip[0].Multiply.mul: "),
        ("clip: [{Lambda: {func_images: os.system}}]",
         "clip[0]: Lambda cannot be used here: needs code"),
        ("clip: [SaveDebugImageEveryNBatches]", "writes files"),
        ("clip: [os.system]", "no augmenter os.system"),
        ("clip: [__class__]", "no augmenter __class__"),
        ("clip: [{Affine: {}, Fliplr: {}}]", "clip[0]: not the name of an augmenter"),
        ("clip: [3]", "clip[0]: not the name of an augmenter"),
        ("clip: Affine", "mine.yaml: clip: not a list of augmenters"),
        ("clip: [Resize]", "clip[0].Resize: needs size"),
        ("clip: [{Resize: 0.5}]",
         "clip[0]: Resize changes the size (21×27 to 10×14); put it into KeepSizeByResize"),
        ("clip: [{Crop: {px: 1, keep_size: false}}]", "give it keep_size: true"),
        ("frame: [{imgcorruptlike.Fog: 1}]", "frame[0]: imgcorruptlike.Fog "),
        ("clips: []", "mine.yaml: no section clips; did you mean clip?"),
        ("3: []", "mine.yaml: no section 3; there are: clip, frame, time"),
        ("time: {sped: [1, 2]}", "mine.yaml: time.sped: "),
        ("time: {speed: [2, 1]}", "mine.yaml: time.speed: the first number is above the second"),
        ("time: {speed: [0, 1]}", "mine.yaml: time.speed.0: "),
        ("time: {crop: 0}", "mine.yaml: time.crop: "),
        ("time: {drop: 1}", "mine.yaml: time.drop: "),
        ("time: 3", "mine.yaml: time: "),
        ("[]", "mine.yaml: no sections; it needs clip, frame, time"),
        ("", "mine.yaml: no sections"),
        ("clip: [", "mine.yaml: line 2: "),
        ("clip: !!python/object/apply:os.system [ls]", "line 1: types (!) are not read"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_position(
    tmp_path: Path, content: str, message: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=re.escape(message)) as error:
        Augmenter(str(path))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_an_unknown_preset_is_one_line(tmp_path: Path) -> None:
    for name, message in (
        ("stong", "--augment stong: neither none, light, strong nor a .yaml file; did you mean"),
        (str(tmp_path / "no.yaml"), "no.yaml: no such file (or: none, light, strong)"),
        (str(tmp_path), "neither none, light, strong nor a .yaml file"),
    ):
        with pytest.raises(DataError, match=re.escape(message)):
            Augmenter(name)


def test_yaml_aliases_that_expand_to_millions_are_refused(tmp_path: Path) -> None:
    lines = ["a: &a0 [Fliplr, Fliplr]"]
    lines += [f"b{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 30)]
    with pytest.raises(DataError, match=r"line 1: references \(& and \*\) are not read"):
        Augmenter(str(write(tmp_path, "\n".join([*lines, "clip: *a29"]))))
    deep = "clip: " + "[" * 3000 + "]" * 3000
    with pytest.raises(DataError, match="nested deeper than 32 levels"):
        Augmenter(str(write(tmp_path, deep)))


def test_the_run_folder_has_the_content_of_the_recipe(tmp_path: Path) -> None:
    path = write(tmp_path, EXAMPLE)
    options = TrainOptions(data=Path("x"), augmentation=AugmentOptions(augment=str(path)))
    kept = with_content(options)
    path.unlink()
    record = tmp_path / "options.yaml"
    record.write_text(to_yaml(kept))
    again = from_yaml(record)
    assert again == kept == with_content(again)
    assert again.augmentation.augment == yaml.safe_load(EXAMPLE)
    assert make_augmenter(again.augmentation, ["a", "b"]) is not None
    plain = TrainOptions(data=Path("x"))
    assert with_content(plain) == plain, "a preset stays a name"
    with pytest.raises(DataError, match=r"mine\.yaml: no such file"):
        with_content(options)


def test_still_images_have_no_time_to_vary() -> None:
    options: list[dict[str, Any]] = [{"speed": (0.8, 1.2)}, {"time_crop": 0.5}, {"drop": 0.1},
                                   {"reverse": True, "reverse_swap": ("a:b",)}]  # fmt: skip
    for values in options:
        flag = "--" + next(iter(values)).replace("_", "-")
        with pytest.raises(DataError, match=f"{flag}.* has no effect with --sequence rows"):
            check_sequence(
                ClipOptions(), SequenceOptions(sequence="rows"), AugmentOptions(**values)
            )


def test_options_of_the_command_line_override_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "time: {speed: [0.5, 2], drop: 0.2, crop: 0.5}")
    options = AugmentOptions(augment=str(path), speed=(1.0, 1.5), drop=0.0)
    augmenter = make_augmenter(options, ["a", "b"])
    assert augmenter is not None
    assert augmenter.timing.model_dump() == {
        "speed": (1.0, 1.5), "crop": 0.5, "drop": 0.0, "reverse": 0.0,
    }  # fmt: skip


def test_a_training_resumes_after_its_recipe_was_moved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_squares(tmp_path / "frames", 4, ("left", "right"))
    path = write(tmp_path, EXAMPLE.replace("  - Fliplr\n", ""))
    monkeypatch.chdir(tmp_path)
    common = ["--encoder", "flatten", "--size", "16", "--frames", "6", "--cache", "cache",
              "--workers", "0", "--val", "0.5", "--epochs", "2"]  # fmt: skip
    options: list[Any] = ["--augment", "mine.yaml", "--speed", "0.9", "1.1", "--time-crop", "0.8",
                          "--mixup", "0.2"]  # fmt: skip
    assert main(["train", str(data), *common, *options]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    kept = yaml.safe_load((run / "options.yaml").read_text())["augmentation"]
    assert kept["augment"]["clip"][1] == {"Multiply": [0.8, 1.2]}
    assert kept["speed"] == [0.9, 1.1]
    path.rename(tmp_path / "elsewhere.yaml")
    assert main(["train", "--resume", str(run)]) == 0
    # Its record is also a start for other trainings.
    record = str(run / "options.yaml")
    assert main(["train", "--config", record, "--epochs", "1", "--runs", "other"]) == 0
    assert main(["train", "--config", record, "--augment", "none", "--epochs", "1"]) == 0
    capsys.readouterr()
    assert main(["train", str(data), "--augment", "mine.yaml"]) == 2
    assert "mine.yaml: no such file" in capsys.readouterr().err
