"""Which clips train and which validate: stratified, seeded, groups kept apart."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from seqvision.data.clips import Clip
from seqvision.errors import DataError

NO_GROUPS = (
    "no groups are known here: name the performers or recordings in a column group of a list, or "
    "in folders label/person/clip; --split-by none divides without"
)
# How data sets call the parts of a split, in small letters and without what divides words.
_PARTS = {
    "train": "train training trains",
    "val": "val valid validate validation dev devel development eval evaluation evaluate vali",
    "test": "test testing tests heldout holdout",
}
_NAMES = {name: part for part, names in _PARTS.items() for name in names.split()}
_PADDING = r"(?:set|data|split|part|clips?|videos?|images?|frames|samples?|files|dir)"


def part_called(name: str) -> str | None:
    """Return the part of a split that a folder or a cell is named after: `Train_set` is train."""
    words = re.sub(r"[^a-z0-9]+", " ", name.casefold()).strip()
    bare = re.sub(rf"^(?:\d+ |{_PADDING} )+|(?: ?{_PADDING}| ?\d+)+$", "", words)
    return _NAMES.get(bare.replace(" ", ""))


@dataclass(frozen=True)
class Split:
    """Indices of the clips of each part."""

    train: list[int]
    val: list[int]
    test: list[int]


def keep_groups(clips: Sequence[Clip], split_by: str) -> bool:
    """Return whether a split keeps groups apart: where any are known, unless it is by `none`.

    Raises:
        DataError: it is to be by `group`, and none is known.
    """
    if split_by == "group" and not any(clip.group for clip in clips):
        raise DataError(f"--split-by group: {NO_GROUPS}")
    return split_by != "none"


def split_clips(
    clips: Sequence[Clip], val: float, fold: str | None, seed: int, keep_groups: bool = True
) -> Split:
    """Divide clips into train, val and test.

    A split that the data names is kept.  Where it names no val, a share `val` of its train clips
    (all clips, if it names nothing) is set aside; `fold` (`2/5`) takes one of k equal parts
    instead and ignores the named split.

    Raises:
        DataError: too few clips or groups, or a label that has no clip left to learn from.
    """
    if fold is None and any(clip.split for clip in clips):
        named = {part: [i for i, c in enumerate(clips) if (c.split or "train") == part]
                 for part in ("train", "val", "test")}  # fmt: skip
        if named["val"]:
            split = Split(**named)
        else:
            rest = [clips[i] for i in named["train"]]
            parts = _set_aside(rest, val, seed, keep_groups)
            split = Split(
                train=[named["train"][i] for i in parts[0]],
                val=[named["train"][i] for i in parts[1]],
                test=named["test"],
            )
    elif fold is not None:
        number, count = map(int, fold.split("/"))
        parts = partition(clips, [1 / count] * count, seed, keep_groups)
        chosen = parts.pop(number - 1)
        split = Split(train=sorted(i for part in parts for i in part), val=chosen, test=[])
    else:
        parts = _set_aside(clips, val, seed, keep_groups)
        split = Split(train=parts[0], val=parts[1], test=[])
    _check(clips, split)
    return split


def sole_groups(clips: Sequence[Clip], labels: Collection[str] | None = None) -> dict[str, str]:
    """Return label → group, for each label (of `labels`) whose clips are all of one group."""
    groups: dict[str, set[str | None]] = defaultdict(set)
    for clip in clips:
        groups[clip.label].add(clip.group)
    return {
        label: next(iter(names)) or ""
        for label, names in sorted(groups.items())
        if len(names) == 1 and None not in names and (labels is None or label in labels)
    }


def _set_aside(clips: Sequence[Clip], val: float, seed: int, keep_groups: bool) -> list[list[int]]:
    """Return the indices of the clips that train, and of the share `val` that is set aside.

    The only group that has a label trains: a label must be learned before it can be measured.
    """
    train, aside = partition(clips, [1 - val, val], seed, keep_groups)
    lost = {clip.label for clip in clips} - {clips[i].label for i in train}
    needed = set(sole_groups(clips, lost).values()) if keep_groups else set()
    rest = [index for index, clip in enumerate(clips) if clip.group not in needed]
    share = val * len(clips) / max(1, len(rest))
    if not needed or not rest or share >= 1:
        return [train, aside]
    _, chosen = partition([clips[i] for i in rest], [1 - share, share], seed, keep_groups)
    aside = [rest[i] for i in chosen]
    return [sorted({*range(len(clips))} - {*aside}), aside]


def split_folds(
    clips: Sequence[Clip], count: int, seed: int, keep_groups: bool = True
) -> list[Split]:
    """Divide clips into folds: in each split another one is held out (`val`), the others train.

    The named split of the data is ignored; `split_clips` with `fold` gives the same folds.

    Raises:
        DataError: fewer groups (or clips) than folds, or a label that a fold cannot learn.
    """
    names = sorted({clip.group for clip in clips if clip.group}) if keep_groups else []
    units = len(names) + sum(not (keep_groups and clip.group) for clip in clips)
    if units < count:
        few = f"{units} clip{'s' if units > 1 else ''}"
        if names:
            shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
            few = f"{units} group{'s' if units > 1 else ''} ({shown})"
        advice = f"--folds {units} is the most" if units > 1 else "add clips of others"
        more = ", or --split-by none (figures are then for known people)" if names else ""
        raise DataError(f"--folds {count}: there {_are(units)} only {few}; {advice}{more}")
    parts = partition(clips, [1 / count] * count, seed, keep_groups)
    splits = [
        Split(sorted(i for other in parts if other is not part for i in other), part, [])
        for part in parts
    ]
    sole = sole_groups(clips) if keep_groups else {}
    for number, split in enumerate(splits, 1):
        learnt = {clips[i].label for i in split.train}
        for label in sorted({clip.label for clip in clips} - learnt):
            why = f": all its clips are of one group ({sole[label]})" if label in sole else ""
            raise DataError(
                f"--folds {count}: where fold {number} is held out, label {label!r} has no clip "
                f"to learn from{why}; add clips of it by others, or take another --seed"
                + (" or --split-by none" if names else "")
            )
    return splits


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def partition(
    clips: Sequence[Clip], shares: Sequence[float], seed: int, keep_groups: bool = True
) -> list[list[int]]:
    """Divide clips into parts of the given shares, with every label in its share where possible.

    Groups (or single clips) are placed one by one, the largest first, where they bring the label
    counts nearest to their targets.

    Returns:
        For each share the indices of its clips, rising.
    """
    generator = np.random.default_rng(seed)
    groups: dict[str, list[int]] = defaultdict(list)
    for index, clip in enumerate(clips):
        grouped = keep_groups and clip.group is not None
        groups[f"group {clip.group}" if grouped else f"clip {index}"].append(index)
    labels = sorted({clip.label for clip in clips})
    column = {label: number for number, label in enumerate(labels)}
    members = [groups[name] for name in sorted(groups)]
    members = [members[i] for i in generator.permutation(len(members))]
    members.sort(key=len, reverse=True)

    totals = np.zeros(len(labels))
    for clip in clips:
        totals[column[clip.label]] += 1
    targets = np.outer(shares, totals)
    placed = np.zeros_like(targets)
    parts: list[list[int]] = [[] for _ in shares]
    for group in members:
        counts = np.zeros(len(labels))
        for index in group:
            counts[column[clips[index].label]] += 1
        # Squared distance to the targets, measured by label so that rare ones count as much.
        before = (((placed - targets) ** 2) / totals).sum(axis=1)
        after = (((placed + counts - targets) ** 2) / totals).sum(axis=1)
        emptiness = (targets.sum(axis=1) - placed.sum(axis=1)) / targets.sum(axis=1)
        best = int(np.lexsort((-emptiness, np.round(after - before, 9)))[0])
        placed[best] += counts
        parts[best] += group
    return [sorted(part) for part in parts]


def _check(clips: Sequence[Clip], split: Split) -> None:
    groups = sorted({clip.group for clip in clips if clip.group})
    if not split.val:
        hint, advice = "", "add clips or raise --val"
        if len(groups) == 1:
            hint = f": they are all of one group ({groups[0]})"
            advice = "add clips of others, or --split-by none (figures are then for known people)"
        elif groups:
            hint = f"; {len(groups)} groups cannot be divided so"
        raise DataError(f"{len(clips)} clips leave none for validation{hint}; {advice}")
    learnt = Counter(clips[i].label for i in split.train)
    sole = sole_groups(clips)
    for label in sorted({clip.label for clip in clips}):
        if not learnt[label]:
            why = (
                f": all its clips are of one group ({sole[label]}), which is held out; add clips "
                "of it by others, or --split-by none"
                if label in sole
                else ""
            )
            raise DataError(f"label {label!r} has no clip to learn from in the train part{why}")
