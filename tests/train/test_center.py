"""Centering that is measured: of a head of each kind, other groups keep the better one."""

import json
import re
from pathlib import Path

import pytest
import torch

from seqvision.cli import main
from seqvision.config import ModelOptions, TrainOptions
from seqvision.config.resume import load_run_options
from seqvision.models.classifier import Classifier
from seqvision.report.run_folder import column
from seqvision.training import callbacks
from seqvision.training.model_io import load_model
from seqvision.training.train import Trained
from seqvision_edge.card import ImageSpec
from tests.trainings import options, same, train, weights

IMAGE = ImageSpec(height=16, width=16, channels=3, fit="stretch")


@pytest.fixture(scope="module")
def people(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list in which each clip is of one of four people."""
    rows = ["path,label,group"]
    for label in sorted(squares.iterdir()):
        name = label.name.replace("none", "middle")  # no name of a background
        rows += [f"{c},{name},p{i % 4}" for i, c in enumerate(sorted(label.iterdir()))]
    listed = tmp_path_factory.mktemp("people") / "people.csv"
    listed.write_text("\n".join(rows))
    return listed


def center_of(trained: Trained) -> object:
    return load_model(trained.model)[1].origin.options["model"]["center"]


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"encoder": "small_cnn", "ensemble": 2},
        {"encoder": "small_cnn", "freeze": True, "views": 2, "ensemble": 2},
    ],
    ids=["one", "ensemble", "frozen"],
)
def test_the_better_head_is_kept_and_the_other_forgotten(
    people: Path, tmp_path: Path, model: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    trained = train(options(people, tmp_path, 3, model=model))
    found = re.search(r"loss ([\d.]+) with centered features, ([\d.]+) without", _line(capsys))
    assert found, "both figures are printed"
    centered, plain = map(float, found.groups())
    assert center_of(trained) is (centered < plain)
    logged = dict(column(trained.run / "logs", "val/loss"))
    assert trained.val.loss == pytest.approx(logged[trained.epoch + 1], rel=1e-4)
    assert not any(name.startswith("rival") for name in weights(trained))
    assert load_run_options(trained.run).model.center == "auto", "a resumed run has both heads"


def test_resumed_with_both_heads_is_the_same_as_uninterrupted(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(options(people, tmp_path / "a", 3))
    line = callbacks.EpochLines.on_train_epoch_end

    def stop_after_one(self, trainer, pl_module):  # type: ignore[no-untyped-def]
        line(self, trainer, pl_module)
        trainer.should_stop = True

    with monkeypatch.context() as patched:
        patched.setattr(callbacks.EpochLines, "on_train_epoch_end", stop_after_one)
        half = train(options(people, tmp_path / "b", 3))
    resumed = train(TrainOptions(data=people, resume=half.run, output=tmp_path / "resumed.pt"))
    assert same(weights(resumed), weights(whole))
    assert center_of(resumed) == center_of(whole)


@pytest.mark.parametrize(
    ("clips", "model"),
    [({"split_by": "none"}, {}), ({}, {"head": "mean"}), ({}, {"motion": "only"}),
     ({"frames": 1}, {}), ({"background": "middle"}, {}), ({}, {"center": False})],
    ids=["known people", "no order", "motion only", "one frame", "for streams", "given"],
)  # fmt: skip
def test_it_is_off_where_nothing_can_be_measured(
    people: Path,
    tmp_path: Path,
    clips: dict[str, object],
    model: dict[str, object],
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained = train(options(people, tmp_path, 1, clips=clips, model=model))
    assert center_of(trained) is False
    assert load_run_options(trained.run).model.center is False
    assert "centered features" not in _line(capsys)


def test_folds_do_not_choose_by_the_clips_that_measure_them(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    few = ["--encoder", "flatten", "--hidden", "4", "--size", "8", "--frames", "4"]
    more = ["--epochs", "1", "--workers", "0", "--cache", "c", "--folds", "2"]
    assert main(["train", str(people), *few, *more]) == 0
    (folds,) = (tmp_path / "runs").iterdir()
    models = sorted(folds.rglob("model.pt"))
    assert [load_model(each)[1].origin.options["model"]["center"] for each in models] == [False] * 2


@pytest.mark.parametrize(
    ("flag", "expected"), [("--center", True), ("--no-center", False), (None, False)]
)
def test_a_flag_decides(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: str | None, expected: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["--encoder", "flatten", "--hidden", "4", "--size", "8", "--frames", "4"]
    given += ["--epochs", "1", "--workers", "0", "--cache", "c", *([flag] if flag else [])]
    assert main(["train", str(squares), *given]) == 0
    (facts,) = tmp_path.glob("runs/*/run.json")
    assert json.loads(facts.read_text())["epochs"] == 1
    _, card = load_model(tmp_path / "model.pt")
    assert card.origin.options["model"]["center"] is expected


@pytest.mark.parametrize("better", [True, False])
@pytest.mark.parametrize("freeze", [True, False])
@pytest.mark.parametrize("motion", ["none", "both"])
@pytest.mark.parametrize("ensemble", [1, 2])
def test_a_network_becomes_the_better_of_two(
    motion: str, ensemble: int, freeze: bool, better: bool
) -> None:
    given = ModelOptions(hidden=8, motion=motion, ensemble=ensemble, freeze=freeze)
    torch.manual_seed(0)
    two = rivals(given).eval()
    assert two.rival is not None
    assert two.rival.shares_features is freeze
    frames = torch.randint(0, 256, (2, 5, 16, 16, 3), dtype=torch.uint8)
    with torch.no_grad():
        members = two.logits_of_members(frames)
        assert len(members) == 2 * ensemble
        assert torch.equal(members[:ensemble].mean(dim=0), two(frames))
        two.rival.compare((1.0, 0.9 if better else 1.1))
        two.rival.chosen.fill_(True)
        alone = two.logits_of_members(frames)
        assert torch.equal(alone, members[ensemble:] if better else members[:ensemble])
        two.end_rivalry()
        answer = two(frames)
        assert torch.equal(answer, alone.mean(dim=0))
        same_kind = Classifier(given.model_copy(update={"center": better}), IMAGE, 3).eval()
        same_kind.load_state_dict(two.state_dict())
        assert torch.equal(same_kind(frames), answer)
        assert (same_kind.memory, same_kind.center) == (two.memory, two.center)


def test_every_member_is_clipped_for_itself() -> None:
    two = rivals(ModelOptions(hidden=8, ensemble=2))
    parts = two.parameters_of_members()
    assert len(parts) == 4
    assert len({id(weights) for part in parts for weights in part}) == sum(map(len, parts))
    assert sum(map(len, parts)) == len(list(two.parameters()))


def rivals(given: ModelOptions) -> Classifier:
    """A network and a rival that centers."""
    first = Classifier(given, IMAGE, 3)
    first.add_rival(Classifier(given.model_copy(update={"center": True}), IMAGE, 3))
    return first


@pytest.mark.parametrize("better", [0, 1])
def test_losses_of_later_epochs_count_more(better: int) -> None:
    rival = rivals(ModelOptions(encoder="flatten")).rival
    assert rival is not None
    for epoch in range(6):
        losses = (2.0, 1.0) if (epoch < 2) != (better == 1) else (1.0, 2.0)
        rival.compare(losses)
    assert rival.is_better is (better == 1)


def _line(capsys: pytest.CaptureFixture[str]) -> str:
    printed = capsys.readouterr()
    return " ".join((printed.out + printed.err).split())
