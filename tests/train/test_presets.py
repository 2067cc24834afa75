"""What a training chooses for few clips and for --preset best, what it leaves, what it prints."""

from pathlib import Path

import pytest
import torch
import yaml
from conftest import write_squares

from seqvision.cli import main
from seqvision.config import ModelOptions, SequenceOptions, TrainingOptions, TrainOptions
from seqvision.data.clips import Clip
from seqvision.models.classifier import Classifier
from seqvision.presets import FEW, choose_options, small_data_defaults
from seqvision_edge.card import ImageSpec

CHOSEN_OF_MODEL = ("freeze", "head", "dropout")


def clips(count: int, split: str | None = None) -> list[Clip]:
    return [Clip(Path(f"{n}"), label, split=split) for label in "ab" for n in range(count)]


PRETRAINED = TrainOptions(model=ModelOptions(encoder="mobilenet_v2", weights="some.pth"))


def test_few_clips_choose_a_frozen_encoder_and_print_every_choice() -> None:
    chosen, message = small_data_defaults(PRETRAINED, clips(5), {"encoder", "weights"})
    assert chosen.model.freeze
    assert message is not None
    assert message.startswith("5 clips of a label")
    assert "--freeze --head gru --dropout 0.5" in message
    for flag, value in (("--dropout", chosen.model.dropout),
                        ("--weight-decay", chosen.training.weight_decay),
                        ("--label-smoothing", chosen.training.label_smoothing)):  # fmt: skip
        assert f"{flag} {value:g}" in message
    before, after = PRETRAINED.model_dump(), chosen.model_dump()
    for part in ("model", "training"):
        for name in (*CHOSEN_OF_MODEL, "weight_decay", "label_smoothing"):
            before[part].pop(name, None)
            after[part].pop(name, None)
    assert before == after, "nothing else is another"


def test_given_options_stay_even_if_they_equal_the_default() -> None:
    given = {"encoder", "weights", "dropout", "weight_decay"}
    chosen, message = small_data_defaults(PRETRAINED, clips(5), given)
    assert chosen.model.dropout == PRETRAINED.model.dropout
    assert chosen.training.weight_decay == PRETRAINED.training.weight_decay
    assert "--dropout" not in (message or "")
    for name in ("freeze", "unfreeze_at", "encoder_lr_scale"):  # such as --no-freeze
        assert small_data_defaults(PRETRAINED, clips(5), {name}) == (PRETRAINED, None)
    frozen = PRETRAINED.model_copy(update={"model": ModelOptions(weights="x.pth", freeze=True)})
    everything = {*CHOSEN_OF_MODEL, "weight_decay", "label_smoothing"}
    assert small_data_defaults(frozen, clips(5), everything) == (frozen, None)


def test_many_clips_or_still_images_change_no_default() -> None:
    assert small_data_defaults(PRETRAINED, clips(FEW + 1), set()) == (PRETRAINED, None)
    strips = PRETRAINED.model_copy(update={"images": SequenceOptions(sequence="columns")})
    assert small_data_defaults(strips, clips(5), set()) == (strips, None)
    mixed = [*clips(5, "train"), *clips(90, "test")]
    assert small_data_defaults(PRETRAINED, mixed, set())[0].model.freeze


def test_without_pretrained_weights_a_line_recommends_them() -> None:
    plain = TrainOptions(training=TrainingOptions(epochs=3))
    chosen, message = small_data_defaults(plain, clips(4), set())
    assert chosen == plain
    assert message is not None
    assert message.endswith("--encoder mobilenet_v2 --weights imagenet")
    assert small_data_defaults(plain, clips(4), {"encoder", "weights"}) == (plain, None)


@pytest.mark.parametrize("more", [(), ("--no-freeze",)])
def test_the_command_trains_and_records_what_was_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    data = write_squares(tmp_path / "frames", 5)
    torch.manual_seed(3)
    image = ImageSpec(height=16, width=16, channels=3, fit="stretch")
    weights = tmp_path / "encoder.pth"
    torch.save(Classifier(ModelOptions(), image, 2).encoder.state_dict(), weights)
    flags = ["--weights", str(weights), "--size", "16", "--frames", "4", "--epochs", "1",
             "--workers", "0", "--cache", str(tmp_path / "cache"),
             "--output", str(tmp_path / "m.pt"), "--runs", str(tmp_path / "runs")]  # fmt: skip
    assert main(["train", str(data), *flags, *more]) == 0
    line = "note: 5 clips of a label: chosen for so few, unless you give it: --freeze"
    assert (line in capsys.readouterr().err) == (not more)
    (run,) = (tmp_path / "runs").iterdir()
    record = yaml.safe_load((run / "options.yaml").read_text())
    assert record["model"]["freeze"] == (not more)
    assert record["model"]["dropout"] == (0.2 if more else 0.5)


def test_the_best_preset_depends_on_the_encoder_and_leaves_what_is_given() -> None:
    scratch = TrainOptions(preset="best")
    chosen, message = choose_options(scratch, clips(90), set())
    assert chosen.model.ensemble == 3
    assert chosen.training.time == "25m"
    assert not chosen.model.freeze
    assert message is not None
    assert "--ensemble 3 --time 25m" in message

    pretrained = PRETRAINED.model_copy(update={"preset": "best"})
    chosen, message = choose_options(pretrained, clips(90), {"weights", "ensemble", "time"})
    assert chosen.model.freeze
    assert (chosen.model.ensemble, chosen.training.time) == (1, None)
    assert message is not None
    assert "--freeze --dropout 0.5" in message
    assert "--ensemble" not in message
    few, _ = choose_options(pretrained, clips(5), set())
    assert (few.model.head, few.training.weight_decay) == ("gru", 0.2)
    tuned, _ = choose_options(pretrained, clips(5), {"freeze"})
    assert not tuned.model.freeze, "--no-freeze"
    assert choose_options(TrainOptions(), clips(90), set()) == (TrainOptions(), None)


def test_a_preset_beside_the_options_of_a_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_squares(tmp_path / "frames", 2)
    kept = tmp_path / "options.yaml"
    kept.write_text("training: {epochs: 1}")
    assert main(["train", str(data), "--config", str(kept), "--preset", "best"]) == 2
    assert "--preset best: --config brings all options" in capsys.readouterr().err
