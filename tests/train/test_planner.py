"""`--time`: the schedule fits into a budget, planned once the first epoch has been timed."""

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from trainings import options, same, train, weights

from seqvision.config import TrainingOptions, TrainOptions, from_yaml, seconds_of
from seqvision.report.run_folder import column
from seqvision.training import callbacks
from seqvision.training.model_io import load_model
from seqvision.training.planner import Planner, plan_epochs
from seqvision.training.train import Trained

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1.5h", 5400), ("1h30m", 5400), ("2m5s", 125), ("0.1m", 6)],
)
def test_a_duration_is_a_number_with_its_unit(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)
    assert TrainingOptions(time=text).time == text


@pytest.mark.parametrize(
    "text",
    ["", "10", "10 m", "m", "-5m", "1e3s", "5d", "10min", "1:30", "5m1h", "5m5m", "1,5h", "١٠m",
     "0s", "0.5s", "9999999h", "infs", "1.h"],
)  # fmt: skip
def test_an_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not like 90s, 10m or 1.5h|must be between 1s and"):
        TrainingOptions(time=text)


@pytest.mark.parametrize(
    ("most", "epoch", "spent", "afterwards", "budget", "epochs"),
    [
        (60, 10.0, 30.0, 50.0, None, 60),
        (60, 10.0, 30.0, 50.0, 1000.0, 60),
        (60, 10.0, 30.0, 50.0, 200.0, 1 + 11),  # 0.95 · 200 - 80 = 110
        (60, 10.0, 30.0, 170.0, 200.0, 1),
        (60, 10.0, 300.0, 5.0, 200.0, 1),
        (1, 10.0, 30.0, 5.0, 2000.0, 1),
        (7, 0.0, 3.0, 5.0, 20.0, 7),
    ],
)
def test_as_many_epochs_as_fit_are_planned(
    most: int, epoch: float, spent: float, afterwards: float, budget: float | None, epochs: int
) -> None:
    found = plan_epochs(most, epoch, spent, afterwards, budget)
    assert found.epochs == epochs
    assert found.total == pytest.approx(spent + (epochs - 1) * epoch + afterwards)


def test_the_line_has_the_planned_epochs_and_their_time() -> None:
    some = plan_epochs(60, 22.4, 60.0, 30.0, 600.0)
    assert (
        some.line("10m") == "--time 10m: 22 epochs of 60 fit, about 22 s each, about 9 min in all"
    )
    every = plan_epochs(60, 1.0, 10.0, 5.0, 600.0)
    assert every.line("10m") == "--time 10m: all 60 epochs fit, about 74 s in all"
    long = plan_epochs(60, 100.0, 120.0, 5.0)
    line = "about 1.7 h for 60 epochs; --time 10m plans as many as fit into a budget"
    assert long.line(None) == line
    assert plan_epochs(60, 0.5, 3.0, 5.0).line(None) is None, (
        "it is over before anybody has read it"
    )
    alone = plan_epochs(60, 300.0, 320.0, 5.0, 200.0)
    warning = alone.warning("200s")
    assert warning is not None
    assert "one epoch takes about 5 min and no second one fits" in warning
    assert some.warning("10m") is every.warning("10m") is long.warning(None) is None


def ticking() -> Iterator[float]:
    """A clock on which a second goes by between two looks."""
    return map(float, itertools.count(1))


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps of a second each and a second of validation; 10 s for the clips afterwards."""
    monkeypatch.setattr(
        "seqvision.training.train.Planner",
        lambda training, *_: Planner(
            training, 0.0, lambda: 10.0, clock=functools.partial(next, ticking())
        ),
    )


def planned(squares: Path, folder: Path, **training: object) -> Trained:
    # 5 s are gone after the first epoch and 15 s come afterwards: 0.95 · 40 - 20 = 18, of which
    # four epochs of 4 s are left.
    return train(options(squares, folder, 60, training={"time": "40s", **training}))


@pytest.mark.usefixtures("timed")
def test_the_cosine_schedule_ends_within_the_budget(
    squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = planned(squares, tmp_path)
    rates = [rate for _, rate in column(result.run / "logs", "train/lr")]
    assert len(rates) == 5
    assert rates[1] > rates[2] > rates[3] > rates[4]
    assert rates[1] > 0.002, "it has its peak of 0.003 early, as one of five epochs has"
    assert rates[4] < 0.0006
    assert result.epoch >= 4, "of the last third"
    err = capsys.readouterr().err
    assert "--time 40s: 5 epochs of 60 fit, about 4 s each" in err
    assert "epoch   5/5" in err
    kept = from_yaml(result.run / "options.yaml", saved=True)
    assert (kept.training.epochs, kept.training.time) == (5, "40s")
    _, card = load_model(result.model)
    assert card.origin.options["training"]["epochs"] == 5


@pytest.mark.usefixtures("timed")
@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_a_resumed_training_keeps_its_planned_epochs(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: str
) -> None:
    whole = planned(squares, tmp_path / "a", schedule=schedule, keep="last")
    line = callbacks.EpochLines.on_train_epoch_end

    def stop_early(self, trainer, pl_module):  # type: ignore[no-untyped-def]
        line(self, trainer, pl_module)
        trainer.should_stop = trainer.current_epoch == 1

    with monkeypatch.context() as patched:
        patched.setattr(callbacks.EpochLines, "on_train_epoch_end", stop_early)
        half = planned(squares, tmp_path / "b", schedule=schedule, keep="last")
    resumed = train(TrainOptions(data=squares, resume=half.run, output=tmp_path / "resumed.pt"))
    assert len(column(resumed.run / "logs", "train/lr")) == 5
    assert same(weights(resumed), weights(whole))


def test_planning_changes_nothing_where_all_epochs_fit(squares: Path, tmp_path: Path) -> None:
    model: dict[str, object] = {"encoder": "small_cnn"}
    free = train(options(squares, tmp_path / "a", 3, model=model))
    fits = train(options(squares, tmp_path / "b", 3, model=model, training={"time": "100h"}))
    assert same(weights(free), weights(fits))


def test_a_budget_of_less_than_one_epoch_is_warned_of(
    squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train(options(squares, tmp_path, 60, training={"time": "1s"}))
    assert result.epoch == 0
    assert "warning: --time 1s: one epoch takes" in capsys.readouterr().err
    assert all(torch.isfinite(tensor).all() for tensor in weights(result).values())
