"""Searches of a few seconds: red clips and blue ones, which any network tells apart that learns."""

import csv
import json
import os
import resource
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import yaml
from conftest import write_frames
from preloaded import Command
from sqlalchemy.engine import make_url
from trainings import same, train, weights

from seqvision.cli import main
from seqvision.config import ModelOptions, TrainOptions, TuneOptions, from_yaml
from seqvision.errors import StudyError
from seqvision.models.classifier import Classifier
from seqvision.report.run_folder import read_run
from seqvision.training import train as training
from seqvision.training.model_io import load_model
from seqvision.training.run_context import RunContext
from seqvision.tuning import budget as budgets
from seqvision.tuning import objective, reporting
from seqvision.tuning.budget import Budget
from seqvision.tuning.samplers import make_option_grid, make_sampler
from seqvision.tuning.search_space import Range, read_space, suggest
from seqvision.tuning.storage import PROCESS, open_storage, reported
from seqvision.tuning.tune import Tuned, _first, tune
from seqvision_edge.card import ModelCard

# Nothing is learnt with the first, and much with the second.
RATES = [1e-7, 0.01]


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of 20 clips: 10 to train, 6 to validate, 4 to test; tests must not write there."""
    folder = tmp_path_factory.mktemp("colours")
    rows = [["path", "label", "split"]]
    for number in range(20):
        label = ("red", "blue")[number % 2]
        clip = np.random.default_rng(number).integers(0, 90, (4, 16, 16, 3), np.uint8)
        clip[..., 0 if label == "red" else 2] += 120
        write_frames(folder / str(number), clip)
        rows.append([str(number), label, "train" if number < 10 else "val" if number < 16 else
                     "test"])  # fmt: skip
    with (folder / "list.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return folder / "list.csv"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out pictures and reports, which take longer than such a search."""
    monkeypatch.setattr(training, "write_results", lambda results: results.run / "report.html")
    monkeypatch.setattr(reporting, "draw_trials", lambda *_: None)


def flags(folder: Path, space: dict[str, Any], *more: str, epochs: int = 3) -> list[str]:
    """Return options that make a trial take a moment; the files go to `folder`."""
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump(space))
    return ["--space", str(path), "--runs", str(folder / "runs"), "--epochs", str(epochs),
            "--output", str(folder / "model.pt"), "--cache", str(folder / "cache"),
            "--workers", "0", "--size", "16", "--batch-size", "5",
            *(() if "--sequence" in more else ("--frames", "4")),
            "--augment", "none", "--encoder", "flatten", "--head", "mean", *more]  # fmt: skip


def search(
    colours: Path, folder: Path, space: dict[str, Any], *more: str, epochs: int = 3
) -> Tuned:
    """Search as the command does, a live frame taking as many milliseconds as there are units."""
    from seqvision.config import option_parts
    from seqvision_edge import command_line

    arguments = [str(colours), *flags(folder, space, *more, epochs=epochs)]
    given = command_line.read_arguments(TuneOptions, "seqvision tune", arguments)
    return tune(given.build(), given.names & option_parts().keys(), units)


def units(model: Classifier, card: ModelCard) -> float:
    return float(model.head.classify.in_features)


def params(tuned: Tuned) -> list[dict[str, Any]]:
    return [row.params for row in tuned.rows]


@pytest.fixture(scope="module")
def found(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tuned, Path]:
    folder = tmp_path_factory.mktemp("found")
    space = {"lr": RATES, "hidden": [8, 16], "dropout": 0.1}
    return search(colours, folder, space, "--sampler", "grid", "--pruner", "none"), folder


def test_the_better_of_two_options_is_found_and_becomes_the_model(
    found: tuple[Tuned, Path],
) -> None:
    tuned, folder = found
    assert sorted((each["lr"], each["hidden"]) for each in params(tuned)) == [
        (1e-7, 8), (1e-7, 16), (0.01, 8), (0.01, 16),
    ]  # fmt: skip
    assert tuned.best is not None
    assert tuned.best.value == 1.0
    assert tuned.best.params["lr"] == 0.01
    _, card = load_model(folder / "model.pt")
    assert card.origin.options["training"]["lr"] == 0.01
    assert card.origin.options["model"]["dropout"] == 0.1, "a single value is taken always"
    assert f"best of 4 trials of study {tuned.study}: trial {tuned.best.number}" in " ".join(
        card.origin.notes
    )


def test_only_the_best_run_folder_stays_complete(
    found: tuple[Tuned, Path],
) -> None:
    tuned, folder = found
    assert tuned.run is not None
    assert list(tuned.folder.glob("trial-*")) == [tuned.run]
    run = read_run(tuned.run)
    assert run is not None
    assert run.metrics["val"]["clips"] == 6
    assert run.metrics["test"]["clips"] == 4
    assert (tuned.run / "report.html").is_file()
    assert (tuned.run / "model.pt").read_bytes() == (folder / "model.pt").read_bytes()


def test_table_json_and_plot_have_every_trial_and_the_pareto_front(
    found: tuple[Tuned, Path],
) -> None:
    import cv2

    tuned, _ = found
    with (tuned.folder / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert {row["ms"] for row in rows} == {"8.0", "16.0"}
    # 8 units with the right rate are as good as any, and the fastest.
    assert [(row["hidden"], row["lr"]) for row in rows if row["pareto"] == "True"] == [
        ("8", "0.01")
    ]
    study = json.loads((tuned.folder / "study.json").read_text())
    assert tuned.best is not None
    assert study["best"] == tuned.best.number
    assert study["pareto"] == [tuned.best.number]
    assert cv2.imread(str(tuned.folder / "study.png")).shape[0] > 200


def test_best_yaml_trains_the_same_model_again(found: tuple[Tuned, Path], tmp_path: Path) -> None:
    """So a trial is what `seqvision train` gives: nothing of the trials before it is left."""
    tuned, folder = found
    options = from_yaml(tuned.folder / "best.yaml")
    again = train(options.model_copy(update={"output": tmp_path / "again.pt", "runs": tmp_path}))
    assert same(weights(again), load_model(folder / "model.pt")[0].state_dict())


@pytest.mark.usefixtures("quick")
def test_the_test_clips_are_measured_once_for_the_model_that_is_kept(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    measure = training.measure_parts

    def spy(context: RunContext, card: ModelCard) -> Any:
        measured.append(len(context.data.split.test))
        return measure(context, card)

    monkeypatch.setattr(training, "measure_parts", spy)
    search(colours, tmp_path, {"lr": RATES}, "--trials", "3", "--no-latency")
    assert measured == [4]


@pytest.mark.usefixtures("quick")
def test_bad_trainings_are_ended_early(colours: Path, tmp_path: Path) -> None:
    space = {"lr": [0.02, 0.015, 0.01, 0.008, 0.006, 1e-7]}
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space))
    base = TrainOptions(data=colours)
    read, base = read_space(tmp_path / "space.yaml", base, ())
    # A seed with which the bad one comes last, when there is something to compare it with.
    seed = next(
        seed
        for seed in range(100)
        if make_option_grid(
            read, base.model_copy(update={"training": base.training.model_copy(
                update={"seed": seed})})
        )[-1]["lr"] == 1e-7
    )  # fmt: skip
    tuned = search(
        colours, tmp_path, space, "--sampler", "grid", "--seed", str(seed), "--no-latency", epochs=8
    )
    assert [row.kind for row in tuned.rows] == ["complete"] * 5 + ["pruned"]
    assert 1 <= tuned.rows[-1].epochs < 8
    assert all(row.epochs == 8 for row in tuned.rows[:-1])


@pytest.mark.usefixtures("quick")
def test_too_slow_trials_are_not_trained(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []
    fit = objective.fit
    monkeypatch.setattr(
        objective, "fit", lambda *given, **more: (trained.append(1), fit(*given, **more))[1]
    )
    space = {"hidden": [4, 8, 64, 128], "lr": [0.01]}
    tuned = search(colours, tmp_path, space, "--sampler", "grid", "--max-latency-ms", "10")
    kinds = {row.params["hidden"]: row.kind for row in tuned.rows}
    assert kinds == {4: "complete", 8: "complete", 64: "too slow", 128: "too slow"}
    assert {row.params["hidden"]: row.ms for row in tuned.rows} == {n: n for n in kinds}
    assert len(trained) == 2
    assert tuned.best is not None
    assert (tuned.best.ms or 0) <= 10
    with pytest.raises(StudyError, match=r"no trial is so fast, the fastest takes 64\.00 ms"):
        search(
            colours, tmp_path, {"hidden": [64, 128]}, "--sampler", "grid", "--max-latency-ms", "10"
        )


@pytest.mark.usefixtures("quick")
def test_a_time_is_measured_once_for_each_architecture(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[float] = []
    monkeypatch.setitem(
        globals(), "units", lambda model, _: (widths.append(model.head.width), 1.0)[1]
    )
    space = {"hidden": [4, 8], "lr": [0.01, 0.02], "dropout": [0.0, 0.5]}
    search(colours, tmp_path, space, "--sampler", "grid", epochs=1)
    assert sorted(widths) == [4, 8]


@pytest.mark.usefixtures("quick")
def test_a_resumed_search_equals_an_uninterrupted_one(colours: Path, tmp_path: Path) -> None:
    space = {"lr": {"low": 1e-4, "high": 0.1, "log": True}, "hidden": {"low": 4, "high": 32}}

    def run(name: str, trials: int) -> Tuned:
        (tmp_path / name).mkdir(exist_ok=True)
        more = ("--trials", str(trials), "--no-latency")
        return search(colours, tmp_path / name, space, *more, epochs=1)

    whole = run("whole", 12)
    first = run("parts", 5)
    second = run("parts", 12)
    assert params(first) == params(whole)[:5]
    assert params(second) == params(whole)
    assert [row.value for row in second.rows] == [row.value for row in whole.rows]
    assert len({str(each) for each in params(whole)}) == 12, "no trial is drawn again"
    assert params(run("parts", 12)) == params(whole), "and enough is enough"


@pytest.mark.usefixtures("quick")
def test_an_untrainable_combination_fails_only_its_trial(colours: Path, tmp_path: Path) -> None:
    rows = [row.split(",") for row in colours.read_text().split()]
    stills = tmp_path / "list.csv"
    stills.write_text("\n".join(
        ",".join(row) if number == 0 else f"{colours.parent / row[0]}/0.png,{row[1]},{row[2]}"
        for number, row in enumerate(rows)
    ))  # fmt: skip
    more = ("--sampler", "grid", "--sequence", "patches", "--no-latency")
    tuned = search(stills, tmp_path, {"patch": [4, 5]}, *more, epochs=1)
    (failed,) = [row for row in tuned.rows if row.kind == "failed"]
    assert failed.params == {"patch": 5}
    assert "--patch 5 does not divide --size 16" in str(failed.error)
    assert tuned.best is not None
    assert tuned.best.params == {"patch": 4}


@pytest.mark.usefixtures("quick")
def test_a_flag_fixes_a_searched_option(colours: Path, tmp_path: Path) -> None:
    space = {"lr": RATES, "hidden": [4, 8], "encoder": ["flatten", "small_cnn"]}
    more = ("--sampler", "grid", "--hidden", "32", "--no-latency")
    tuned = search(colours, tmp_path, space, *more, epochs=1)
    assert all(each.keys() == {"lr"} for each in params(tuned))
    assert load_model(tmp_path / "model.pt")[0].head.width == 32


def test_options_without_effect_are_not_varied(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(
        "head: [lstm, mean]\npool: [last, attention]\nfreeze: [false, true]\n"
        "encoder: [small_cnn, resnet18]\nviews: [1, 4]"
    )
    grid = make_option_grid(*read_space(file, TrainOptions(), ()))
    # Two poolings of the LSTM and the mean; small_cnn as it is, resnet18 free or frozen with views.
    assert len(grid) == (2 + 1) * (1 + 1 + 2)
    assert len({json.dumps(each, sort_keys=True) for each in grid}) == len(grid)
    assert all("pool" not in each for each in grid if each["head"] == "mean")


def test_centering_is_searched_only_for_heads_that_support_it(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text("center: [false, true]\nhead: [lstm, mean]\nmotion: [none, only, both]")
    grid = make_option_grid(*read_space(file, TrainOptions(), ()))
    centers = [(each["head"], each["motion"]) for each in grid if each.get("center")]
    assert sorted(centers) == [("lstm", "both"), ("lstm", "none")]
    assert len(grid) == 2 * 3 + len(centers)


@pytest.mark.parametrize("sequence", ["video", "rows", "columns", "windows", "patches", "channels"])
def test_the_built_in_spaces_have_existing_options_and_values(sequence: str) -> None:
    base = TrainOptions.model_validate({"images": {"sequence": sequence}})
    space, _ = read_space(None, base, ())
    assert {"encoder", "center", "head", "hidden", "lr", "augment"} <= space.keys()
    assert ({"frames", "fps"} <= space.keys()) == (sequence == "video")


def error_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["tune", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    return err


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("hiden: [1, 2]", "no option hiden; did you mean hidden?"),
        ("encoder: [resnet, flatten]", "encoder: resnet: no such choice; did you mean"),
        ("hidden: [0, 8]", "hidden: 0: must be at least 1"),
        ("hidden: {low: 8, high: 4}", "hidden: low is not below high"),
        ("hidden: {low: 8, hihg: 16}", "hidden: high: is missing"),
        ("hidden: {low: 8, high: 9.5}", "hidden: 9.5: must be a whole number"),
        ("lr: {low: 0, high: 1, log: true}", "lr: with log, low must be above 0"),
        ("head: {low: 1, high: 2}", "head: 1: must be lstm, gru or mean"),
        ("head: [gru, gru]", "head: gru is there twice"),
        ("head: []", "head: no values"),
        ("head: [gru]", "nothing is left to search"),
        ("seed: [1, 2]", "seed is not searched"),
        ("epochs: [10, 20]", "epochs is not searched"),
        ("sequence: [video, rows]", "clips and still images are not searched together"),
        ("augment: [light, heavy]", "--augment heavy"),
        ("- head", "no options in it"),
        ("a: [", "s.yaml: line 2: did not find expected node content"),
    ],
)
def test_a_mistake_in_a_space_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, colours: Path, space: str, message: str
) -> None:
    (tmp_path / "s.yaml").write_text(space)
    runs = ("--runs", str(tmp_path / "runs"))
    line = error_line(capsys, str(colours), "--space", str(tmp_path / "s.yaml"), *runs)
    assert message in line
    assert "s.yaml" in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "DATA or --root is missing"),
        (("missing",), "missing: no such folder or list"),
        (("LIST", "--space", "missing.yaml"), "--space missing.yaml: no such file"),
        (("x", "--trials", "0"), "--trials"),
        (("x", "--sampler", "bayes"), "--sampler"),
        (("LIST", "--max-latency-ms", "5", "--no-latency"), "--max-latency-ms"),
        (("x", "--study", "a/b"), "--study"),
        (("LIST", "--sampler", "grid"), "more than 10000 combinations"),
        (("LIST", "--storage", "nowhere://x"), "nowhere://…: not the URL of a database"),
        (("LIST", "--storage", "mysql+nothing://x"), "not the URL of a database"),
        (("LIST", "--storage", "missing/study.db"), "missing/study.db: unable to open"),
        (("LIST", "--storage", "LIST"), "not a database"),
        (("LIST", "--storage", "postgresql://me:secret@127.0.0.1:1/x"), "127.0.0.1:1/x"),
    ],
)
def test_invalid_arguments_are_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    colours: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    line = error_line(capsys, *(str(colours) if each == "LIST" else each for each in arguments))
    assert message in line
    assert "secret" not in line
    assert list(tmp_path.iterdir()) == [], "and nothing is left behind"


@pytest.mark.usefixtures("quick")
def test_a_study_takes_only_trials_that_compare(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, colours: Path
) -> None:
    more = ("--study", "mine", "--trials", "1", "--no-latency")
    search(colours, tmp_path, {"lr": RATES}, *more, epochs=1)
    capsys.readouterr()
    fewer = tmp_path / "fewer.csv"
    rows = colours.read_text().splitlines()
    fewer.write_text("\n".join(["path,label,split", *(f"{colours.parent}/{r}" for r in rows[2:])]))
    for data, space, message in (
        (colours, {"lr": [0.1, 0.2]}, "space.lr was"),
        (colours, {"lr": RATES, "hidden": 9}, "options.model.hidden was 128, now 9"),
        (fewer, {"lr": RATES}, "its clips were others"),
    ):
        arguments = flags(tmp_path, space, *more, epochs=1)
        assert f"study mine: begun with something else: {message}" in error_line(
            capsys, str(data), *arguments
        )


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_trial_and_the_same_command_resumes(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], number: int, code: int,
) -> None:  # fmt: skip
    arguments = [str(colours), *flags(tmp_path, {"lr": [0.01, 0.02, 0.03]}, "--no-latency",
                                      "--trials", "3", "--sampler", "grid")]  # fmt: skip
    report = objective.TrialCallback.on_train_epoch_end

    def press(self: Any, trainer: Any, module: Any) -> None:
        report(self, trainer, module)
        if self._trial.number == 1:
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patched:
        patched.setattr(objective.TrialCallback, "on_train_epoch_end", press)
        assert main(["tune", *arguments]) == code
    err = capsys.readouterr().err
    assert "stopped; 1 of 3 trials are kept in" in err
    assert "run the same command to continue" in err
    assert not (tmp_path / "model.pt").exists()
    assert main(["tune", *arguments]) == 0
    (study,) = tmp_path.glob("runs/study-*/study.json")
    rows = json.loads(study.read_text())["trials"]
    assert [row["kind"] for row in rows] == ["complete", "stopped", "complete", "complete"]
    assert {row["params"]["lr"] for row in rows if row["kind"] == "complete"} == {0.01, 0.02, 0.03}
    assert len(list(study.parent.glob("trial-*"))) == 1


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("limit", [60_000, 1_000_000])
def test_a_full_disk_is_one_line_and_loses_no_finished_trial(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: int
) -> None:
    """A limit of the size of files: the database meets the first, a checkpoint the second."""
    flagged = flags(tmp_path, {"lr": [0.01, 0.02]}, "--no-latency", "--sampler", "grid", "--hidden",
                    "512", "--trials", "2")  # fmt: skip
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        assert main(["tune", str(colours), *flagged]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    *_, last = capsys.readouterr().err.strip().splitlines()
    assert "finished trials are kept" in last
    assert not (tmp_path / "model.pt").exists()
    assert main(["tune", str(colours), *flagged]) == 0


def test_a_failing_storage_is_reported_and_not_optuna_s_assertion() -> None:
    """As its `_run_trial` does, where a full disk keeps it from reporting a trial."""
    url = make_url("sqlite:////somewhere/study.db")
    full = sqlite3.OperationalError("database or disk is full")

    def report() -> None:
        try:
            raise optuna.exceptions.StorageInternalError("commit failed") from full
        finally:
            raise AssertionError("Should not reach.")

    message = r"study.db: No space left on device; finished trials"
    with pytest.raises(StudyError, match=message), reported(url):
        report()
    with pytest.raises(AssertionError, match="ours"), reported(url):
        raise AssertionError("ours")


# -- several processes ---------------------------------------------------------------------------


def start(colours: Path, folder: Path, *arguments: str) -> Command:
    return Command(["seqvision", "tune", str(colours), *arguments], folder)


def finished(process: Command) -> str:
    with process:
        _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    return errors


def test_a_study_is_opened_while_another_process_makes_its_tables(tmp_path: Path) -> None:
    """SQLite then refuses to change its journal at once, however long it may wait."""
    file = tmp_path / "study.db"
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE unrelated (number)")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        sqlite3.connect(file).execute("PRAGMA journal_mode=WAL")
    done = threading.Timer(0.5, other.execute, ("COMMIT",))
    done.start()
    open_storage(make_url(f"sqlite:///{file}"))
    done.join()
    other.close()
    assert sqlite3.connect(file).execute("PRAGMA journal_mode").fetchone() == ("wal",)


def trials_in(storage: str) -> list[optuna.trial.FrozenTrial]:
    storage = storage.replace("postgresql:", "postgresql+psycopg:")
    (summary,) = optuna.get_all_study_summaries(storage)
    return optuna.load_study(study_name=summary.study_name, storage=storage).get_trials()


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_two_processes_try_each_grid_combination_once(
    colours: Path, tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    storage = f"sqlite:///{tmp_path}/both.db"
    if database == "postgresql":
        storage = request.getfixturevalue("postgresql")
    rates = [0.01 + number / 1000 for number in range(6)]
    arguments = flags(tmp_path, {"lr": rates}, "--sampler", "grid", "--no-latency", "--storage",
                      storage, epochs=10)  # fmt: skip
    for process in [start(colours, tmp_path, *arguments) for _ in range(2)]:
        finished(process)
    every = trials_in(storage)
    done = [each for each in every if "surplus" not in each.user_attrs]
    assert sorted(each.params["lr"] for each in done) == rates
    assert {each.state.name for each in done} <= {"COMPLETE", "PRUNED"}
    assert sorted(each.number for each in every) == list(range(len(every)))
    shares = Counter(each.user_attrs[PROCESS]["pid"] for each in done)
    assert len(shares) == 2, "both had a part in it"
    assert load_model(tmp_path / "model.pt")[1].origin.options["training"]["lr"] in rates
    assert len(list(tmp_path.glob("runs/study-*/trial-*"))) == 1


# A process that trains its first trial for ever.
HANGING = """
import signal, sys
from seqvision.cli import main
from seqvision.tuning import objective

report = objective.TrialCallback.on_train_epoch_end

def hang(self, trainer, module):
    report(self, trainer, module)
    print("hangs", file=sys.stderr)
    while True:
        signal.pause()

objective.TrialCallback.on_train_epoch_end = hang
main(["tune", *sys.argv[1:]])
"""


@pytest.mark.slow
def test_a_killed_process_s_trial_is_repeated(colours: Path, tmp_path: Path) -> None:
    space, more = {"lr": [0.01, 0.02]}, ("--sampler", "grid", "--no-latency", "--study", "k")
    command = ["-c", str(colours), *flags(tmp_path, space, *more)]
    with Command(command, code=HANGING) as process:
        while (line := process.stderr.readline()) != "hangs\n":
            assert line
        (left,) = tmp_path.glob("runs/study-k/trial-0000-*")
        process.kill()
    storage = f"sqlite:///{tmp_path}/runs/study-k/study.db"
    (killed,) = trials_in(storage)
    assert killed.state.name == "RUNNING"
    tuned = search(colours, tmp_path, space, *more)
    assert [row.kind for row in tuned.rows] == ["stopped", "complete", "complete"]
    assert [each.state.name for each in trials_in(storage)] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert sorted(each["lr"] for each in params(tuned)[1:]) == [0.01, 0.02]
    assert not left.exists()
    assert tuned.model == tmp_path / "model.pt"


@pytest.mark.parametrize(("freeze", "motion"), [(False, "none"), (True, "both")])
def test_the_first_trial_reads_the_frames_of_a_plain_training(freeze: bool, motion: str) -> None:
    base = TrainOptions(model=ModelOptions(freeze=freeze))
    space, base = read_space(None, base, ())
    assert _first(space, base)["motion"] == motion


def test_time_is_divided_into_short_trials_and_one_whole_training() -> None:
    study = optuna.create_study()
    now = [0.0]
    budget = Budget(1200.0, 0.0, study, clock=lambda: now[0])
    assert budget.epochs is None
    assert budget.plan(60, 2.0) == 30, "0.6 · 1200 s for 12 trials"
    assert not budget.is_too_long(200.0)
    assert budget.is_too_long(250.0)
    now[0] = 680.0
    assert not budget.is_spent
    assert budget.is_too_long(101.0), "most of it would be after the end"
    now[0] = 700.0
    assert budget.is_spent
    assert budget.seconds_to_train == 500.0
    # Another process, and a search that goes on, have what was planned.
    again = Budget(1200.0, 700.0, study, clock=lambda: now[0])
    assert again.epochs == 30
    assert again.plan(60, 9.0) == 30
    assert again.plan(20, 9.0) == 20


def test_slow_epochs_leave_enough_of_them_to_rank_options() -> None:
    budget = Budget(60.0, 0.0, optuna.create_study(), clock=lambda: 0.0)
    assert budget.plan(60, 10.0) == 8
    assert not budget.is_too_long(115.0), "a trial of the usual options may take as long as it does"
    assert Budget(60.0, 0.0, optuna.create_study(), clock=lambda: 0.0).plan(5, 10.0) == 5


@pytest.mark.usefixtures("quick")
def test_a_search_within_a_time_trains_the_best_options_to_the_end(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few epochs for each trial, and all of them for the model that is kept."""
    monkeypatch.setattr(Budget, "is_spent", property(lambda self: len(study_of(self).trials) > 3))
    monkeypatch.setattr(budgets, "_LEAST_EPOCHS", 2)
    monkeypatch.setattr(Budget, "plan", partialmethod(_two_epochs, Budget.plan))
    space = {"lr": [0.01, 1e-7], "hidden": [8, 16, 32]}
    tuned = search(colours, tmp_path, space, "--time", "10m", "--no-latency", epochs=5)
    assert [row.kind for row in tuned.rows].count("complete") >= 3
    assert {row.epochs for row in tuned.rows if row.kind == "complete"} == {2}
    assert tuned.best is not None
    assert tuned.best.params["lr"] == 0.01
    assert tuned.run is not None
    assert from_yaml(tuned.run / "options.yaml").training.epochs == 5
    assert from_yaml(tuned.folder / "best.yaml").training.epochs == 5
    _, card = load_model(tmp_path / "model.pt")
    assert card.origin.options["training"]["lr"] == 0.01
    assert "coordinate, by validation accuracy" in " ".join(card.origin.notes)


def _two_epochs(budget: Budget, plan: Callable[..., int], most: int, epoch: float) -> int:
    return plan(budget, most, 1e4)


def study_of(budget: Budget) -> optuna.Study:
    return budget._study


@pytest.mark.usefixtures("quick")
def test_a_trial_that_would_use_up_the_time_is_ended_at_its_first_steps(
    colours: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Budget, "is_spent", property(lambda self: len(study_of(self).trials) > 1))
    monkeypatch.setattr(Budget, "is_too_long", lambda self, _: len(study_of(self).trials) > 1)
    tuned = search(
        colours, tmp_path, {"hidden": [8, 16]}, "--time", "10m", "--no-latency",
        epochs=3,
    )  # fmt: skip
    assert [row.kind for row in tuned.rows] == ["complete", "too slow"]
    assert tuned.model == tmp_path / "model.pt"
    assert "trial 1: would take too much of --time, not trained" in capsys.readouterr().err


def test_one_option_of_the_best_trial_is_changed_the_least_tried_value_first() -> None:
    space, base = read_space(None, TrainOptions(data=Path("frames")), ())
    study = optuna.create_study(direction="maximize")
    study.sampler = make_sampler("coordinate", space, [], base)
    study.enqueue_trial(_first(space, base))
    seen: list[dict[str, Any]] = []

    def objective(trial: optuna.Trial) -> float:
        values = suggest(trial, space, base)
        seen.append(dict(trial.params))
        return 1.0 + (values.get("center") is True) + (values["head"] == "gru")

    study.optimize(objective, n_trials=27)
    best = seen[0]
    for params in seen[1:]:
        changed = {name for name in {*params, *best} if params.get(name) != best.get(name)}
        # A head without order has no direction, pooling or layers, and none is centered.
        others = {"bidirectional", "pool", "layers", "center", "weights"}
        assert len(changed - (others if params["head"] == "mean" else set())) == 1
        if (params.get("center"), params["head"]) in ((True, "lstm"), (True, "gru")):
            best = max(best, params, key=lambda each: (each["center"], each["head"] == "gru"))
    assert study.best_value == 3.0
    assert seen[1] == {**seen[0], "center": True}
    assert {each["encoder"] for each in seen} > {"small_cnn", "flatten", "mobilenet_v3_small"}
    assert len({json.dumps(each, sort_keys=True) for each in seen}) == len(seen)


@pytest.mark.parametrize(
    ("number", "label", "near"),
    [
        (Range(0.001, 0.01, log=True), 0.004, [0.008, 0.002]),
        (Range(0.001, 0.01, log=True), 0.01, [0.005]),
        (Range(32, 256, step=32), 32, [64]),
        (Range(0.0, 1.0), 0.9, [1.0, 0.65]),
        (Range(1, 3), 2, [3, 1]),
        (Range(0.1, 1.0), "auto", [0.1]),
    ],
)
def test_numbers_next_to_one(number: Range, label: Any, near: list[float]) -> None:
    assert number.near(label) == pytest.approx(near)
