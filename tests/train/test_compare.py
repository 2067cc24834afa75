import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seqvision.cli import main
from seqvision.compare import best, differing, paired
from seqvision.report.run_folder import read_run
from seqvision.training.train import Trained


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def answer(run: Path, wrong: set[int]) -> None:
    """Let a run be right in all its test clips but those."""
    lines = (run / "predictions.csv").read_text().splitlines()
    changed = [lines[0]]
    number = 0
    for line in lines[1:]:
        cells = line.split(",")
        if cells[2] == "test":
            cells[4] = "left" if cells[3] != "left" else "right"
            cells[4] = cells[4] if number in wrong else cells[3]
            number += 1
        changed.append(",".join(cells))
    (run / "predictions.csv").write_text("\n".join(changed) + "\n")


def cells(out: str, title: str) -> dict[str, list[str]]:
    """Return heading → cells of the table with a title."""
    lines = out.splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith(title))
    end = next(n for n in range(begin, len(lines)) if lines[n].startswith("└"))
    rows = [line.strip("┃│").split("│" if "│" in line else "┃")
            for line in lines[begin + 1 : end] if line[0] in "┃│"]  # fmt: skip
    return {name.strip(): [cell.strip() for cell in column]
            for name, *column in zip(*rows, strict=True)}  # fmt: skip


def test_twelve_runs_fit_a_narrow_terminal(
    plain: Trained,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for number in range(12):
        run = Path(shutil.copytree(plain.run, tmp_path / "runs" / f"2026-run-{number:02}"))
        text = (run / "options.yaml").read_text()
        text = re.sub(r"hidden: .*", f"hidden: {number + 8}", text)
        text = re.sub(r"speed: .*", f"speed: [0.8, 1.{number}]", text)
        text = re.sub(
            r"(weight_decay|lr|dropout|warmup|mixup|smoothing): .*", rf"\1: 0.{number}1", text
        )
        (run / "options.yaml").write_text(text)
    assert main(["compare", *map(str, sorted((tmp_path / "runs").iterdir()))]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines()[1:])) <= 80
    assert "…" not in out.split("val")[1], "nothing is cut"
    assert "0.8 1.11" in out, "as it is given on the command line"
    assert f"in {tmp_path / 'runs'}:" in out
    assert " 12  2026-run-11" in out


def test_runs_are_compared_by_differences_with_the_best_marked(
    attentive: Trained, plain: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "compared.json"
    assert main(["compare", str(attentive.run), str(plain.run), "--json", str(target)]) == 0
    out = capsys.readouterr().out
    options, took, val = (cells(out, title) for title in ("options that", "what it took", "val"))
    assert options["head"] == ["lstm", "gru"]
    assert options["pool"] == ["attention", "last"]
    assert options["epochs"] == ["2", "3"]
    assert "hidden" not in options, "the same in both"
    assert "cache" not in options, "says nothing of the model"
    assert took["epochs"] == ["2", "3"]
    assert took["kept epoch"] == [str(attentive.epoch + 1), str(plain.epoch + 1)]
    losses = [attentive.val.loss, plain.val.loss]
    for column, cell in enumerate(val["loss"]):
        assert cell.startswith(f"{losses[column]:.3f}")
        assert cell.endswith("*") == (losses[column] == min(losses))
    assert val["accuracy"][0].startswith(f"{attentive.val.accuracy:.1%}")
    assert re.fullmatch(r"\d+–\d+", val["95 %"][0])

    written = json.loads(target.read_text())
    assert [run["options"]["model.head"] for run in written["runs"]] == ["lstm", "gru"]
    assert written["runs"][0]["metrics"]["val"]["accuracy"] == attentive.val.accuracy
    assert [pair["part"] for pair in written["mcnemar"]] == ["val", "test"]


def test_the_difference_is_tested_on_the_same_clips_only(
    attentive: Trained, plain: Trained, tmp_path: Path
) -> None:
    first = Path(shutil.copytree(attentive.run, tmp_path / "first"))
    second = Path(shutil.copytree(plain.run, tmp_path / "second"))
    answer(first, {0, 1, 2, 3, 4, 5})
    answer(second, {6})
    runs = [read_run(first), read_run(second)]
    assert runs[0] is not None
    assert runs[1] is not None
    (pair,) = [pair for pair in paired(runs) if pair.part == "test"]
    # One coin out of seven: 2 · (1 + 7) / 128.
    assert (pair.test.only_first, pair.test.only_second) == (1, 6)
    assert pair.test.p == pytest.approx(16 / 128)

    moved = (second / "predictions.csv").read_text().replace("dan/left0", "dan/left9")
    (second / "predictions.csv").write_text(moved)
    other = read_run(second)
    assert other is not None
    assert {pair.part for pair in paired([runs[0], other])} == {"val"}


def test_the_best_is_marked_unless_all_are_equal() -> None:
    assert best([0.2, 0.9, None, 0.9]) == {1, 3}
    assert best([0.2, 0.9], lowest=True) == {0}
    assert best([0.5, None]) == best([0.5, 0.5]) == set()


def test_a_run_of_an_older_version_is_shown_with_its_metrics(
    attentive: Trained, plain: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = Path(shutil.copytree(attentive.run, tmp_path / "old"))
    for name in ("run.json", "predictions.csv"):
        (old / name).unlink()
    options = (old / "options.yaml").read_text()
    (old / "options.yaml").write_text(options.replace("  grayscale: false\n", ""))
    assert main(["compare", str(old), str(plain.run)]) == 0
    out = capsys.readouterr().out
    assert "–" in out
    assert "grayscale" not in out, "then it was as the default is"
    assert "not all answered for the same clips" in out
    run = read_run(old)
    assert run is not None
    assert differing([run, run]) == {}


def test_a_missing_unfinished_or_damaged_run_is_one_line(
    attentive: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusal(*runs: Path, code: int = 2) -> str:
        assert main(["compare", *map(str, runs)]) == code
        err = capsys.readouterr().err
        assert err.count("\n") == 1, err
        return err

    assert "not a run folder, it has no options.yaml" in refusal(tmp_path)
    assert "RUN is missing" in refusal()
    half = Path(shutil.copytree(attentive.run, tmp_path / "half"))
    (half / "metrics.json").unlink()
    assert f"left out: {half}: its training has not finished" in refusal(
        half, attentive.run, code=0
    )
    assert f"{half}: its training has not finished; resume with: " in refusal(half)
    (half / "metrics.json").write_text("{")
    assert "metrics.json: damaged" in refusal(half)
    shutil.copy(attentive.run / "metrics.json", half)
    (half / "predictions.csv").write_text("a,b\n1,2\n")
    assert "predictions.csv: not a list of answers" in refusal(half)
    assert "there is no folder" in refusal(
        attentive.run, Path("--json"), tmp_path / "no" / "x.json"
    )


def test_a_shell_glob_compares_the_runs_among_its_matches(
    attentive: Trained, plain: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, run in (("a", attentive), ("b", plain)):
        shutil.copytree(run.run, tmp_path / name)
    (tmp_path / "notes.txt").write_text("mine")
    for name in (".cache", "empty", "half", "study", "self-train-1", "damaged"):
        (tmp_path / name).mkdir()
    shutil.copy(attentive.run / "options.yaml", tmp_path / "half")
    for name in ("options.yaml", "metrics.json"):
        (tmp_path / "damaged" / name).write_text("{")
    (tmp_path / "study" / "study.json").write_text("{}")
    (tmp_path / "self-train-1" / "round-1.csv").write_text("")
    strange = [path for path in sorted(tmp_path.iterdir()) if path.name not in ("a", "b")]
    assert main(["compare", *map(str, sorted(tmp_path.iterdir())), str(tmp_path / "gone")]) == 0
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert len(lines) == len(strange) + 1
    assert all(line.startswith(f"left out: {tmp_path}/") for line in lines)
    assert "lstm" in shown.out
    assert "gru" in shown.out
    assert main(["compare", *map(str, strange)]) == 2
    assert "none of these is a finished run" in capsys.readouterr().err.splitlines()[-1]


def test_comparing_needs_no_torch(attentive: Trained) -> None:
    code = (
        "import sys; from seqvision.cli import main\n"
        f"assert main(['compare', {str(attentive.run)!r}]) == 0\n"
        "assert not {'torch', 'lightning', 'cv2'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
