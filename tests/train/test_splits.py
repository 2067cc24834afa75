from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqvision.data.clips import Clip
from seqvision.data.splits import keep_groups, partition, sole_groups, split_clips
from seqvision.errors import DataError


def clips(counts: dict[str, int], groups: int = 0, split: str | None = None) -> list[Clip]:
    made = []
    for label, count in counts.items():
        for number in range(count):
            group = f"g{number % groups}" if groups else None
            made.append(Clip(Path(f"{label}{number}"), label, group, split))
    return made


def test_every_label_is_split_by_its_fraction() -> None:
    data = clips({"a": 50, "b": 10, "c": 5})
    split = split_clips(data, val=0.2, fold=None, seed=0)
    assert Counter(data[i].label for i in split.val) == {"a": 10, "b": 2, "c": 1}
    assert sorted(split.train + split.val) == list(range(65))
    assert split.test == []


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    data = clips({"a": 30, "b": 30})
    first = split_clips(data, 0.2, None, seed=1)
    assert first == split_clips(data, 0.2, None, seed=1)
    assert first != split_clips(data, 0.2, None, seed=2)


@settings(deadline=None, max_examples=50)
@given(
    groups=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5)), min_size=4, max_size=20),
    seed=st.integers(0, 100),
)
def test_a_group_is_never_on_two_sides(groups: list[tuple[int, int]], seed: int) -> None:
    data = [
        Clip(Path(f"{g}-{label}-{n}"), label, f"group{g}")
        for g, counts in enumerate(groups)
        for label, count in zip("ab", counts, strict=True)
        for n in range(count)
    ]
    parts = partition(data, [0.25] * 4, seed)
    assert sorted(i for part in parts for i in part) == list(range(len(data)))
    homes = [{data[i].group for i in part} for part in parts]
    assert sum(len(home) for home in homes) == len(set.union(*homes))


def test_folds_cover_every_clip_exactly_once() -> None:
    data = clips({"a": 23, "b": 17})
    folds = [split_clips(data, 0.2, f"{k}/5", seed=3) for k in range(1, 6)]
    assert sorted(i for fold in folds for i in fold.val) == list(range(40))
    for fold in folds:
        assert not set(fold.train) & set(fold.val)
        assert 7 <= len(fold.val) <= 9


def test_a_given_split_is_kept_and_a_missing_val_is_split_from_train() -> None:
    data = clips({"a": 10, "b": 10}, split="train") + clips({"a": 4, "b": 4}, split="test")
    split = split_clips(data, 0.2, None, seed=0)
    assert split.test == list(range(20, 28))
    assert Counter(data[i].label for i in split.val) == {"a": 2, "b": 2}
    data += clips({"a": 2, "b": 2}, split="val")
    split = split_clips(data, 0.2, None, seed=0)
    assert (len(split.train), len(split.val), len(split.test)) == (20, 4, 8)


def test_too_few_clips_or_groups_are_one_line() -> None:
    with pytest.raises(DataError, match="leave none for validation"):
        split_clips(clips({"a": 1, "b": 1}), 0.2, None, seed=0)
    one_group = [Clip(Path(label), label, "ann") for label in "aabb"]
    with pytest.raises(DataError, match=r"none for validation: they are all of one group"):
        split_clips(one_group, 0.2, None, seed=0)
    assert split_clips(one_group, 0.5, None, seed=0, keep_groups=False).val


def test_groups_are_demanded_kept_apart_or_ignored() -> None:
    known, unknown = clips({"a": 8, "b": 8}, groups=4), clips({"a": 8, "b": 8})
    assert keep_groups(known, "auto")
    assert keep_groups(known, "group")
    assert not keep_groups(known, "none")
    assert keep_groups(unknown, "auto")
    with pytest.raises(DataError, match=r"^--split-by group: no groups are known here: .* none "):
        keep_groups(unknown, "group")


def test_the_only_group_that_has_a_label_trains() -> None:
    # Ann alone has four labels: with a share of 60 % she would be set aside.
    data = [Clip(Path(f"{label}{n}"), label, "ann") for label in "wxyz" for n in range(3)]
    data += [Clip(Path(f"c{g}{n}"), "clap", g) for g in "bcdefgh" for n in range(6)]
    assert sole_groups(data) == dict.fromkeys("wxyz", "ann")
    for seed in range(5):
        split = split_clips(data, 0.6, None, seed)
        assert "ann" not in {data[i].group for i in split.val}
        assert len(split.val) == 30
        assert sorted(split.train + split.val) == list(range(54))
    named = [replace(clip, split="val" if clip.group == "ann" else "train") for clip in data]
    with pytest.raises(DataError, match=r"'w' has no clip to learn from .* one group \(ann\)"):
        split_clips(named, 0.2, None, 0)


def test_one_group_alone_is_named_with_what_to_do() -> None:
    data = [Clip(Path(f"{n}"), "ab"[n % 2], "ann") for n in range(8)]
    with pytest.raises(DataError, match=r"all of one group \(ann\); .* --split-by none"):
        split_clips(data, 0.2, None, 0)
