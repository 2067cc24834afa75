"""Which groups (people, recordings) are on which side of a split, and what that means for figures.

No torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from seqvision.data.clips import Clip
from seqvision.data.splits import Split, sole_groups

# So many names are printed; longer ones lose their beginning, which names of one kind share.
_MOST_NAMES: Final = 6
_LONGEST: Final = 24
_VERBS: Final = {"train": "train", "val": "validate", "test": "test"}


@dataclass(frozen=True)
class PartGroups:
    """The clips of one part of a split: how many, of which groups, and how many of none."""

    clips: int
    groups: tuple[str, ...]
    ungrouped: int


@dataclass(frozen=True)
class GroupSplit:
    """Which groups are in which part of a split.

    Attributes:
        split_by: `group` where groups are known and were to be kept apart, else `none`.
        parts: part → its groups; empty parts are left out.
    """

    split_by: str
    parts: Mapping[str, PartGroups]

    @property
    def known(self) -> bool:
        """Whether any clip has a group."""
        return any(part.groups for part in self.parts.values())

    @property
    def shared(self) -> tuple[str, ...]:
        """The groups that train and are measured too."""
        train = {*self.parts["train"].groups} if "train" in self.parts else set()
        measured = {g for name, part in self.parts.items() if name != "train" for g in part.groups}
        return tuple(sorted(train & measured))

    def line(self) -> str:
        """Return the line of the terminal."""
        if not self.known:
            return "groups: none known; one person or recording may be on both sides of the split"
        parts = ", ".join(
            f"{len(part.groups)} {_VERBS.get(name, name)}{_names(part.groups)}"
            for name, part in self.parts.items()
        )
        without = sum(part.ungrouped for part in self.parts.values())
        rest = f"; {without} clip{' has' if without == 1 else 's have'} none" if without else ""
        return f"groups: {parts}{rest}"

    def warning(self) -> str | None:
        """Return a warning where figures are for known people; None where they are not."""
        if not self.shared:
            return None
        every = len({group for part in self.parts.values() for group in part.groups})
        are = "is" if len(self.shared) == 1 else "are"
        why = " (--split-by none)" if self.split_by == "none" else ""
        return (
            f"{len(self.shared)} of {every} groups {are} on both sides of the split{why}: figures "
            "are for known people or recordings, and likely lower for others"
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "split_by": self.split_by,
            "groups_known": self.known,
            "groups_on_both_sides": list(self.shared),
            **{
                name: {"clips": part.clips, "groups": list(part.groups),
                       "clips_without_group": part.ungrouped}
                for name, part in self.parts.items()
            },
        }  # fmt: skip


def group_split(clips: Sequence[Clip], split: Split, split_by: str) -> GroupSplit:
    """Return which groups are in which part.

    Args:
        clips: all clips.
        split: their division.
        split_by: as it was given: auto, group or none.
    """
    sides = (("train", split.train), ("val", split.val), ("test", split.test))
    parts = {name: part_groups([clips[i] for i in some]) for name, some in sides if some}
    known = any(part.groups for part in parts.values())
    return GroupSplit("group" if known and split_by != "none" else "none", parts)


def part_groups(clips: Sequence[Clip]) -> PartGroups:
    """Return the groups of some clips."""
    names = sorted({clip.group for clip in clips if clip.group})
    return PartGroups(len(clips), tuple(names), sum(not clip.group for clip in clips))


def group_warnings(clips: Sequence[Clip], split: Split, found: GroupSplit) -> tuple[str, ...]:
    """Return warnings on what a split cannot measure: a label of one group, one group alone.

    Args:
        clips: all clips.
        split: their division.
        found: its groups.
    """
    if not found.known:
        return ()
    both = found.warning()
    warnings = [both] if both is not None else []
    if found.split_by == "none":
        return tuple(warnings)
    alone = _labels_of_one_group(clips, split)
    if alone is not None:
        warnings.append(alone)
    every = {group for part in found.parts.values() for group in part.groups}
    single = {
        name: part.groups[0]
        for name, part in found.parts.items()
        if name != "train" and len(part.groups) == 1 and not part.ungrouped
    }
    if single and len(every) > 1 and both is None:
        who = " and ".join(f"one {_VERBS[name]}s ({_short(g)})" for name, g in single.items())
        advice = "clips of more people help"
        if not any(clip.split for clip in clips):
            advice = f"--folds {min(5, len(every))} lets every group validate once"
        warnings.append(
            f"of {len(every)} groups only {who}: figures are those of one person or recording; "
            f"{advice}"
        )
    return tuple(warnings)


def _labels_of_one_group(clips: Sequence[Clip], split: Split) -> str | None:
    """Return a warning on labels that are not validated, because one group alone has them."""
    validated = {clips[i].label for i in split.val}
    sole = {label: group for label, group in sole_groups(clips).items() if label not in validated}
    if not sole:
        return None
    some = [f"{label} ({_short(group)})" for label, group in sole.items()][:_MOST_NAMES]
    more = f" and {len(sole) - len(some)} more" if len(sole) > len(some) else ""
    labels = "label" if len(sole) == 1 else "labels"
    it = "it" if len(sole) == 1 else "them"
    return (
        f"only one group has the {labels} {', '.join(some)}{more}, and it trains: whether others "
        f"are recognised is not measured; add clips of {it} by others, or measure on known people "
        "with --split-by none"
    )


def _names(groups: Sequence[str]) -> str:
    return f" ({', '.join(map(_short, groups))})" if 0 < len(groups) <= _MOST_NAMES else ""


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"…{name[1 - _LONGEST :]}"


@dataclass(frozen=True)
class KnownGroups:
    """Groups of some clips, by what a model knows of them.

    Attributes:
        groups: all of them.
        recorded: whether the model records the groups of its training.
        train: those of them that trained it.
        val: those of them that chose its epoch, and did not train it.
    """

    groups: tuple[str, ...]
    recorded: bool = False
    train: tuple[str, ...] = ()
    val: tuple[str, ...] = ()

    @property
    def new(self) -> tuple[str, ...]:
        """Those that the model does not know."""
        return tuple(each for each in self.groups if each not in {*self.train, *self.val})

    def line(self) -> str:
        """Return the line of the terminal."""
        if not self.groups:
            return "groups: none known; one person or recording may have trained the model too"
        if not self.recorded:
            return f"groups: {len(self.groups)}{_names(self.groups)}"
        new = self.new
        counts = ((self.train, "trained this model"), (self.val, "chose its epoch"),
                  (new, "is new to it" if len(new) == 1 else "are new to it"))  # fmt: skip
        parts = ", ".join(f"{len(some)} {what}{_names(some)}" for some, what in counts if some)
        return f"groups: {parts}"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        named = {"train": self.train, "val": self.val, "new": self.new} if self.recorded else {}
        return {"all": list(self.groups), **{name: list(some) for name, some in named.items()}}
