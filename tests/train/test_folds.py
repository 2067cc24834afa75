"""`seqvision train --folds K`: every clip held out once, one report, resumed after a stop."""

import csv
import json
import math
import os
import shutil
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import pytest
from conftest import real_data
from trainings import FEW, PEOPLE, same

import seqvision as sv
from seqvision.cli import main
from seqvision.config import ClipOptions, TrainOptions, from_yaml, seconds_of
from seqvision.data.datasets import find_data_set
from seqvision.data.splits import split_folds
from seqvision.errors import DataError
from seqvision.report.run_folder import read_run
from seqvision.training import folds
from seqvision.training.data import load_folds
from seqvision.training.model_io import load_model
from seqvision.training.run_context import RunContext

pytestmark = pytest.mark.usefixtures("no_pictures")


@dataclass(frozen=True)
class Cross:
    """A cross-validation: its folder, and what the terminal had."""

    out: Path
    lines: tuple[str, ...] = ()

    def metrics(self) -> dict[str, Any]:
        metrics: dict[str, Any] = json.loads((self.out / "metrics.json").read_text())
        return metrics

    def rows(self) -> list[dict[str, str]]:
        with (self.out / "predictions.csv").open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def cross(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Cross:
    """Three folds of two epochs."""
    folder = tmp_path_factory.mktemp("cross")
    stderr: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("seqvision.training.folds.print_line", lambda text, **_: stderr.append(text))
        command = ["train", str(people), *FEW, "--epochs", "2", "--folds", "3"]
        assert main(command) == 0
    return Cross(next((folder / "runs").iterdir()), tuple("\n".join(stderr).splitlines()))


def test_every_clip_is_held_out_once_and_no_person_is_on_both_sides(
    people: Path, cross: Cross
) -> None:
    clips = sorted(str(path) for path in people.rglob("*.mp4"))
    assert sorted(row["path"] for row in cross.rows()) == clips
    held_out = []
    for number in (1, 2, 3):
        split = json.loads((cross.out / f"fold{number}" / "metrics.json").read_text())["split"]
        assert split["groups_on_both_sides"] == []
        held_out += split["val"]["groups"]
        of_fold = {row["group"] for row in cross.rows() if row["split"] == f"fold{number}"}
        assert of_fold == {*split["val"]["groups"]}
    assert sorted(held_out) == [*PEOPLE]


def test_the_metrics_are_those_of_the_folds_and_of_all_held_out_clips(cross: Cross) -> None:
    metrics, rows = cross.metrics(), cross.rows()
    each = [fold["accuracy"] for fold in metrics["folds"]]
    for number, accuracy in enumerate(each, 1):
        own = [row for row in rows if row["split"] == f"fold{number}"]
        right = sum(row["label"] == row["prediction"] for row in own)
        assert accuracy == pytest.approx(right / len(own))
        run = json.loads((cross.out / f"fold{number}" / "metrics.json").read_text())
        assert run["val"]["accuracy"] == pytest.approx(accuracy)
    over = metrics["over_folds"]["accuracy"]
    assert over["mean"] == pytest.approx(sum(each) / 3)
    deviation = math.sqrt(sum((value - over["mean"]) ** 2 for value in each) / 2)
    assert over["std"] == pytest.approx(deviation)
    if deviation:
        assert over["interval"]["high"] == pytest.approx(
            min(1.0, over["mean"] + 4.30265 * deviation / math.sqrt(3)), abs=1e-4
        )
    right = sum(row["label"] == row["prediction"] for row in rows)
    pooled = metrics["val"]
    assert (pooled["clips"], pooled["accuracy"]) == (40, pytest.approx(right / 40))
    assert sum(map(sum, pooled["confusion"])) == 40
    assert pooled["accuracy_interval"]["groups"] == 10
    by_person = Counter(row["group"] for row in rows if row["label"] == row["prediction"])
    assert {each["group"]: each["right"] for each in metrics["groups"]} == {
        person: by_person[person] for person in PEOPLE
    }
    assert metrics["split"] == {"split_by": "group", "groups_known": True, "folds": 3}


def test_the_terminal_has_one_line_for_each_fold(cross: Cross) -> None:
    assert "2 labels, 40 clips, 3 folds of 12 to 16 clips" in cross.lines
    assert "groups: 10, each held out in one fold" in cross.lines
    lines = [line for line in cross.lines if line.startswith("fold ")]
    assert [line.split("  ")[0] for line in lines] == ["fold 1/3", "fold 2/3", "fold 3/3"]
    assert all(" groups  2 epochs " in line for line in lines)


def test_the_report_has_the_folds_and_says_what_they_are(cross: Cross) -> None:
    page = (cross.out / "report.html").read_text()
    for text in ("<h2>Folds</h2>", "mean ± sd", "by Student&#39;s t with 2 degrees of freedom",
                 "Every clip was held out once; no other clip of its group trained then.",
                 "The held-out clips chose nothing: the last epoch was kept.",
                 "95 % interval over groups", "held out", *PEOPLE):  # fmt: skip
        assert text in page, text
    assert " val clips is " not in page, "a remark on one fold is in the report of that fold"


def test_a_fold_is_the_training_that_fold_k_of_n_gives(
    people: Path, cross: Cross, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = cross.out / "fold2" / "options.yaml"
    assert from_yaml(config).clips.fold == "2/3"
    assert (from_yaml(config).training.keep, from_yaml(config).training.patience) == ("last", 0)
    alone = ["train", str(people), *FEW, "--epochs", "2", "--fold", "2/3", "--keep", "last"]
    assert main([*alone, "--patience", "0"]) == 0
    of_fold = load_model(cross.out / "fold2" / "model.pt")[0].state_dict()
    assert same(load_model(tmp_path / "model.pt")[0].state_dict(), of_fold)
    assert not (cross.out.parents[1] / "model.pt").exists(), "folds write no model"


def test_the_next_step_trains_one_model_with_the_same_options(
    cross: Cross, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["train", "--config", str(cross.out / "options.yaml"), "--folds", "0"]
    assert main([*command, "--output", "one.pt", "--runs", "runs", "--epochs", "1"]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert from_yaml(run / "options.yaml").training.keep == "last"
    assert (tmp_path / "one.pt").is_file()


def test_two_cross_validations_are_compared_on_the_same_clips(
    cross: Cross, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(cross.out, tmp_path / "other")
    run = read_run(other)
    assert run is not None
    assert len(run.part("val")) == 40
    assert main(["compare", str(cross.out), str(other), "--json", str(tmp_path / "c.json")]) == 0
    (pair,) = json.loads((tmp_path / "c.json").read_text())["mcnemar"]
    assert (pair["part"], pair["p"]) == ("val", 1.0)
    assert "over groups" in capfd.readouterr().out


class Press(L.Callback):
    """Sends Ctrl-C, as the terminal does, at the end of an epoch of one fold's training."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.current_epoch == self.epoch:
            os.kill(os.getpid(), signal.SIGINT)


def interrupt_fold(patch: pytest.MonkeyPatch, number: int, epoch: int) -> None:
    """Let Ctrl-C come in an epoch (from 0) of the training of one fold."""
    fit = folds.fit

    def interrupted(context: RunContext, run: Path, *given: Any, **named: Any) -> Any:
        listeners = [Press(epoch)] if run.name == f"fold{number}" else []
        return fit(context, run, *given, listeners=listeners, **named)

    patch.setattr(folds, "fit", interrupted)


def test_ctrl_c_keeps_the_folds_and_resume_gives_what_an_uninterrupted_one_gives(
    people: Path,
    cross: Cross,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        interrupt_fold(patch, 2, 1)
        command = ["train", str(people), *FEW, "--epochs", "2", "--folds", "3"]
        assert main(command) == 130
    (out,) = (tmp_path / "runs").iterdir()
    err = capfd.readouterr().err
    shown = out.relative_to(tmp_path)
    assert f"stopped; 1 of 3 folds is finished in {shown}; resume with: " in err
    assert f"seqvision train --resume {shown}" in err
    assert not (out / "report.html").exists()
    assert not (out / "fold3").exists()
    first = (out / "fold1" / "model.pt").stat().st_mtime_ns
    assert main(["train", "--resume", str(shown)]) == 0
    err = capfd.readouterr().err
    assert "fold 1/3  finished before" in err
    assert (out / "fold1" / "model.pt").stat().st_mtime_ns == first, "it is kept as it was"
    assert Cross(out).rows() == cross.rows()
    keys = ("accuracy", "loss", "groups", "epoch")
    for one, other in zip(Cross(out).metrics()["folds"], cross.metrics()["folds"],
                          strict=True):  # fmt: skip
        assert {key: one[key] for key in keys} == {key: other[key] for key in keys}

    with pytest.raises(sv.SeqvisionError, match="--folds is that of the run, 3; "):
        sv.train(resume=out, folds=4)
    record = json.loads((out / "folds.json").read_text())
    (out / "folds.json").write_text(json.dumps({**record, "fingerprint": "another"}))
    with pytest.raises(sv.SeqvisionError, match="the clips have changed since"):
        sv.train(resume=out)
    (out / "folds.json").write_text("[")
    with pytest.raises(sv.SeqvisionError, match=r"folds.json: damaged"):
        sv.train(resume=out)


def test_a_fault_in_a_fold_names_what_is_kept_and_how_it_goes_on(
    people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    fit = folds.fit

    def full(context: RunContext, run: Path, *given: Any, **named: Any) -> Any:
        if run.name == "fold2":
            raise DataError("the disk is full")
        return fit(context, run, *given, **named)

    monkeypatch.setattr(folds, "fit", full)
    assert main(["train", str(people), *FEW, "--epochs", "1", "--folds", "2"]) == 2
    (out,) = Path("runs").iterdir()
    assert capfd.readouterr().err.splitlines()[-1] == (
        f"the disk is full; 1 of 2 folds is finished in {out}; resume with: "
        f"seqvision train --resume {out}"
    )


def test_ctrl_c_before_the_first_epoch_leaves_nothing(
    people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    interrupt_fold(monkeypatch, 1, 0)
    assert main(["train", str(people), *FEW, "--epochs", "2", "--folds", "3"]) == 130
    assert "stopped; no epoch was complete, so nothing is kept" in capfd.readouterr().err
    assert not list((tmp_path / "runs").iterdir())


def test_the_budget_is_divided_among_the_folds(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = sv.train(people, folds=2, time="10m", epochs=1, split_by="none", cache="c",
                     encoder="flatten", hidden=8, size=16, workers=0)  # fmt: skip
    assert isinstance(found, sv.CrossValidation)
    budgets = [from_yaml(run.folder / "options.yaml").training.time for run in found.folds]
    first, second = (seconds_of(budget or "") for budget in budgets)
    assert 250 < first < 300, "half of what is left of ten minutes"
    assert 250 < second < 600, "what the first has not taken is the second's"
    assert second > first
    assert from_yaml(found.folder / "options.yaml").training.time == "10m"


def test_python_gets_the_figures_of_every_fold_and_their_mean(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = sv.train(people, folds=2, epochs=1, keep="best", cache="c", seed=3,
                     encoder="flatten", hidden=8, size=16, workers=0)  # fmt: skip
    each = [run.metrics["val"].accuracy for run in found.folds]
    assert found.accuracy == pytest.approx(sum(each) / 2)
    assert found.metrics is not None
    assert found.metrics.clips == 40
    assert repr(found).startswith(f"CrossValidation(2 folds, accuracy {found.accuracy:.1%} ± ")
    assert found.report == found.folder / "report.html"
    assert [run.model.is_file() for run in found.folds] == [True, True]
    assert "too good" in found.report.read_text(), "held-out clips chose the epoch: --keep best"
    assert from_yaml(found.folder / "options.yaml").training.seed == 3
    with pytest.raises(AttributeError):
        found.accuracy = 1.0  # type: ignore[misc]


REFUSED = (
    (("--folds", "11"), r"--folds 11: there are only 10 groups \(anna, ben, .*, …\); "
                        r"--folds 10 is the most, or --split-by none "),
    (("--folds", "41", "--split-by", "none"), "--folds 41: there are only 40 clips; --folds 40 is"),
    (("--folds", "1"), "at least 2 folds are needed"),
    (("--folds", "3", "--fold", "1/3"), "--folds 3: trains every fold, --fold 1/3 one of them"),
    (("--folds", "two"), "must be a whole number"),
)  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_what_makes_no_sense_is_refused_in_one_line_before_the_work(
    arguments: tuple[str, ...],
    message: str,
    people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(people), *arguments]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    with pytest.raises(DataError, match=message):
        raise DataError(line)
    assert not list(tmp_path.iterdir())


def test_several_processes_are_refused(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(DataError, match="--folds 3: runs in one process; leave torchrun out"):
        sv.train(people, folds=3)


def test_a_named_split_and_a_label_of_one_person_are_refused_with_what_to_do(
    people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    found = find_data_set(people).clips
    listed = tmp_path / "clips.csv"

    def write(*more: str) -> None:
        rows = [f"{c.path},{c.label},{c.group},{'test' if c.group == 'jan' else 'train'}"
                for c in found]  # fmt: skip
        listed.write_text("\n".join(["path,label,group,split", *rows, *more]))

    write()
    assert main(["train", "clips.csv", "--folds", "3"]) == 2
    err = capfd.readouterr().err
    assert "--folds 3: clips.csv names a split (4 test, 36 train clips), which " in err
    assert "--official-split off divides all clips anew" in err
    clip = found[0].path
    write(f"{clip}#t=0,0.3,wave,anna,train", f"{clip},wave,anna,train")
    shutil.copy(clip, tmp_path / "w.mp4")
    write("w.mp4,wave,anna,train")
    assert main(["train", "clips.csv", "--folds", "3", "--official-split", "off"]) == 2
    err = capfd.readouterr().err
    assert "label 'wave' has no clip to learn from: all its clips are of one group (anna); " in err


def test_copies_are_in_one_fold_whatever_their_groups(people: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(people, tmp_path / "people"))
    copied = data / "left" / "jan" / "copy.mp4"
    shutil.copy(data / "left" / "anna" / "0.mp4", copied)
    clips = ClipOptions(size=16, cache=tmp_path / "cache")
    for split_by, together in (("group", {"anna", "jan"}), ("none", set())):
        chosen = clips.model_copy(update={"split_by": split_by})
        whole, each = load_folds(TrainOptions(data=data, folds=4, clips=chosen))
        homes = [
            number
            for number, fold in enumerate(each)
            for i in fold.split.val
            if whole.clips[i].path in (copied, data / "left" / "anna" / "0.mp4")
        ]
        assert len(homes) == 2
        assert homes[0] == homes[1], split_by
        assert any("two clips show the same recording" in note for note in whole.notes)
        people_of = [{whole.clips[i].group for i in fold.split.val} for fold in each]
        assert sum(together <= some for some in people_of) >= 1


def test_real_fights_are_divided_by_source() -> None:
    clips = find_data_set(real_data("fight", "split.csv"), official="off").clips
    splits = split_folds(clips, 5, seed=0)
    assert sorted(i for split in splits for i in split.val) == list(range(len(clips)))
    for split in splits:
        assert not {clips[i].group for i in split.val} & {clips[i].group for i in split.train}
        labels = Counter(clips[i].label for i in split.val)
        assert min(labels.values()) > 20
