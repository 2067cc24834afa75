"""Which people are on which side of the split: in the terminal, the report and metrics.json."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import square_clip, write_video
from trainings import FEW, PEOPLE

from seqvision.cli import main
from seqvision.data.clips import Clip
from seqvision.data.group_split import group_split, group_warnings
from seqvision.data.splits import Split, split_clips
from seqvision.training.model_io import load_used_clips


def drawn(groups: dict[str, str], each: int = 2) -> list[Clip]:
    """Return clips of each group, of the labels that its letters stand for."""
    return [
        Clip(Path(f"{group}-{label}-{n}"), label, group)
        for group, labels in groups.items()
        for label in labels
        for n in range(each)
    ]


def found_in(clips: list[Clip], split: Split, split_by: str = "auto") -> tuple[str, list[str]]:
    sides = group_split(clips, split, split_by)
    return sides.line(), list(group_warnings(clips, split, sides))


def test_a_line_has_the_numbers_and_for_few_the_names() -> None:
    clips = drawn(dict.fromkeys("ghijklmn", "ab"))
    split = Split([*range(24)], [24, 25, 26, 27], [28, 29, 30, 31])
    line, warnings = found_in(clips, split)
    assert line == "groups: 6 train (g, h, i, j, k, l), 1 validate (m), 1 test (n)"
    assert warnings == [
        "of 8 groups only one validates (m) and one tests (n): figures are those of one person or "
        "recording; --folds 5 lets every group validate once"
    ]
    more = [*clips, *drawn(dict.fromkeys(("x" * 40, "y"), "ab"))]
    line, _ = found_in(more, Split([*range(24), *range(36, 40)], [*range(24, 28)], []))
    assert line == "groups: 7 train, 1 validate (m)"
    line, _ = found_in(more, Split([*range(24)], [*range(32, 40)], []))
    assert line.endswith(f"2 validate (…{'x' * 23}, y)")


def test_clips_without_a_group_beside_others_are_counted() -> None:
    clips = [*drawn(dict.fromkeys("gh", "ab")), Clip(Path("x"), "a"), Clip(Path("y"), "b")]
    line, _ = found_in(clips, Split([*range(8)], [8, 9], []))
    assert line == "groups: 2 train (g, h), 0 validate; 2 clips have none"


def test_groups_that_are_not_known_are_said_to_be() -> None:
    clips = [replace(clip, group=None) for clip in drawn(dict.fromkeys("ghij", "ab"))]
    line, warnings = found_in(clips, split_clips(clips, 0.25, None, 0))
    assert line == "groups: none known; one person or recording may be on both sides of the split"
    assert warnings == []


def test_a_label_that_one_person_alone_performs_is_warned_of_with_what_to_do() -> None:
    clips = drawn({**dict.fromkeys("ghijklmn", "ab"), "anna": "abw"})
    _, warnings = found_in(clips, split_clips(clips, 0.25, None, 0))
    assert warnings[-1].startswith("only one group has the label w (anna), and it trains: ")
    assert warnings[-1].endswith(
        "add clips of it by others, or measure on known people with --split-by none"
    )
    clips += drawn({"ben": "v"})
    _, warnings = found_in(clips, split_clips(clips, 0.25, None, 0))
    assert "the labels v (ben), w (anna), and it trains" in warnings[-1]


def test_people_on_both_sides_are_warned_of_whoever_put_them_there() -> None:
    clips = drawn(dict.fromkeys("gh", "ab"), each=4)
    split = split_clips(clips, 0.25, None, 0, keep_groups=False)
    _, (warning,) = found_in(clips, split, "none")
    assert warning.startswith("2 of 2 groups are on both sides of the split (--split-by none): ")
    named = Split([0, 2, *range(4, 16)], [1, 3], [])
    _, warnings = found_in(clips, named)
    assert warnings[0].startswith("1 of 2 groups is on both sides of the split: figures are for")


@pytest.fixture(scope="module")
def trained(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A training on two epochs of the clips: its run folder, and what the terminal had."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", str(people), *FEW, "--epochs", "2"]) == 0
        yield next((folder / "runs").iterdir()), str(folder / "model.pt")


def test_train_writes_the_sides_and_both_intervals(trained: tuple[Path, str]) -> None:
    metrics = json.loads((trained[0] / "metrics.json").read_text())
    split, interval = metrics["split"], metrics["val"]["accuracy_interval"]
    assert (split["split_by"], split["groups_on_both_sides"]) == ("group", [])
    assert sorted(split["train"]["groups"] + split["val"]["groups"]) == [*PEOPLE]
    assert (split["val"]["clips"], interval["groups"], interval["level"]) == (8, 2, 0.95)
    over = {name: interval[f"over_{name}"] for name in ("clips", "groups")}
    assert over["groups"]["low"] < over["clips"]["low"] < over["clips"]["high"]
    page = (trained[0] / "report.html").read_text()
    assert "What is known, and what is luck" in page
    assert "95 % interval over groups" in page
    assert "Groups are kept apart: none that is measured has trained." in page
    for person in PEOPLE:
        assert person in page


def test_evaluate_names_who_is_known_to_the_model_and_who_is_new(
    people: Path, trained: tuple[Path, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run, model = trained
    val = json.loads((run / "metrics.json").read_text())["split"]["val"]["groups"]
    new = write_video(tmp_path / "new.mp4", square_clip(1, 5, 8))
    rows = [f"{people}/left/{person}/0.mp4,left,{person}" for person in (val[0], "zoe")]
    trained_by = next(person for person in PEOPLE if person not in val)
    rows += [f"{people}/right/{trained_by}/1.mp4,right,{trained_by}", f"{new},right,yves"]
    listed = tmp_path / "clips.csv"
    rows[1] = f"{new},right,zoe"
    listed.write_text("\n".join(["path,label,group", *rows]))
    json_, page = tmp_path / "m.json", tmp_path / "p.html"
    command = ["evaluate", model, str(listed), "--output", str(json_), "--report", str(page)]
    assert main([*command, "--cache", str(tmp_path / "c")]) == 0
    line = (
        f"1 trained this model ({trained_by}), 1 chose its epoch ({val[0]}), "
        "2 are new to it (yves, zoe)"
    )
    out = capfd.readouterr()
    assert f"groups: {line}" in out.err
    assert "over 4 groups" in out.out
    assert json.loads(json_.read_text())["groups"] == {
        "all": sorted([trained_by, val[0], "yves", "zoe"]),
        "train": [trained_by], "val": [val[0]], "new": ["yves", "zoe"],
    }  # fmt: skip
    assert f"Groups: {line}." in page.read_text()
    marks = load_used_clips(Path(model))
    assert marks is not None
    assert (len(marks.train_groups), len(marks.val_groups)) == (8, 2)
    assert not {*PEOPLE} & {*marks.train_groups, *marks.val_groups}, "hashes, not names"


def test_split_by_none_is_recorded_and_called_a_figure_for_known_people(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["train", str(people), *FEW, "--epochs", "1", "--split-by", "none"]
    assert main(command) == 0
    (run,) = (tmp_path / "runs").iterdir()
    err = capfd.readouterr().err
    assert "warning: " in err
    assert "both sides of the split (--split-by none): figures are for known people" in err
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["split"]["split_by"] == "none"
    assert metrics["split"]["groups_on_both_sides"]
    assert "split_by: none" in (run / "options.yaml").read_text()
    assert "The figures are for known people" in (run / "report.html").read_text()


def test_group_is_refused_in_one_line_where_no_groups_are_known(
    squares: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for verb in ("train", "tune"):
        assert main([verb, str(squares), "--split-by", "group"]) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert line.startswith("--split-by group: no groups are known here: name the performers")
    assert not list(tmp_path.iterdir())
