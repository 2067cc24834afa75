"""Options of `seqvision` that have another name now: refused, or translated where saved."""

from pathlib import Path

import pytest
import yaml

import seqvision as sv
from seqvision.cli import programs
from seqvision.config import TrainOptions, from_yaml, option_parts
from seqvision.errors import DataError
from seqvision.tuning.search_space import read_space
from seqvision_edge.command_line import read_arguments
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.option_fields import options_of
from seqvision_edge.renamed_options import OPTIONS

NAMES = {program: [each.name for each in options_of(kind)] for program, kind in programs().items()}
HERE = [
    (program, old, new)
    for program, names in NAMES.items()
    for old, new in OPTIONS.items()
    if new in names and not program.startswith("edge")
]
TRAINING = {old: new for old, new in OPTIONS.items() if new in NAMES["train"] and old != "wait"}


def test_only_new_names_are_options() -> None:
    names = {name for each in NAMES.values() for name in each}
    assert set(OPTIONS.values()) <= names
    assert not OPTIONS.keys() & names


@pytest.mark.parametrize(("program", "old", "new"), HERE)
def test_an_old_option_is_refused_by_a_line_with_the_new_one(
    program: str, old: str, new: str
) -> None:
    with pytest.raises(SeqvisionError) as refused:
        read_arguments(programs()[program], program, [f"--{old}", "1"], "", programs).build()
    assert str(refused.value) == f"{program}: --{old} is now --{new}"


@pytest.mark.parametrize(("old", "new"), TRAINING.items())
def test_an_old_key_in_yaml_or_python_is_refused_with_the_new_one(
    old: str, new: str, tmp_path: Path
) -> None:
    before, now = old.replace("-", "_"), new.replace("-", "_")
    section = option_parts()[now]
    file = tmp_path / "some.yaml"
    file.write_text(yaml.safe_dump({section: {before: 1}}))
    with pytest.raises(DataError, match=rf"some.yaml: {section}.{before}: .*; it is now .*{now}$"):
        from_yaml(file)
    file.write_text(yaml.safe_dump({before: [1, 2]}))
    with pytest.raises(DataError, match=rf"{before} is now {now}$"):
        read_space(file, TrainOptions(), ())
    with pytest.raises(TypeError, match=rf"train\(\): {before} is now {now}$"):
        sv.train(tmp_path, **{before: 1})


def test_saved_runs_are_read_under_the_new_names(tmp_path: Path) -> None:
    default = TrainOptions().model_dump(mode="json")
    for old, new in TRAINING.items():
        section = default[option_parts()[new.replace("-", "_")]]
        section[old.replace("-", "_")] = section.pop(new.replace("-", "_"))
    (tmp_path / "options.yaml").write_text(yaml.safe_dump(default))
    assert from_yaml(tmp_path / "options.yaml", saved=True) == TrainOptions()
    with pytest.raises(DataError, match="is now"):
        from_yaml(tmp_path / "options.yaml")


def test_a_switch_that_is_a_value_now_is_refused_with_the_value_and_read_where_saved(
    tmp_path: Path,
) -> None:
    with pytest.raises(SeqvisionError, match=r"--no-groups is now --split-by none$"):
        read_arguments(programs()["train"], "train", ["--no-groups"], "", programs).build()
    file = tmp_path / "options.yaml"
    for saved, split_by in ((True, "auto"), (False, "none")):
        file.write_text(yaml.safe_dump({"clips": {"groups": saved}}))
        assert from_yaml(file, saved=True).clips.split_by == split_by
    file.write_text("clips: {no_groups: true}")
    with pytest.raises(DataError, match=r"it is now clips.split_by: none$"):
        from_yaml(file)
