"""Section of the report in words: what the figures show, for which people, and what is luck."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from markupsafe import Markup

from seqvision.data.group_split import GroupSplit
from seqvision.report.contents import ReportContents, SplitResult
from seqvision.report.html import element
from seqvision.statistics import is_better, shares

_MOST_NAMES = 30


def certainty_section(report: ReportContents) -> Markup:
    """Return a paragraph on each part, and which groups are on which side of the split."""
    paragraphs = [element("p", *_sentences(part)) for part in report.parts]
    return element("div", *paragraphs, _sides(report))


def _sentences(part: SplitResult) -> Iterator[Markup | str]:
    sure = part.certainty
    yield element("b", part.name)
    yield (
        f": {sure.right} of {sure.clips} clip{'s' if sure.clips > 1 else ''} right, "
        f"{sure.right / sure.clips:.1%}"
    )
    if sure.groups:
        yield f", of {_count(sure.groups)} (people or recordings)"
    yield f". 95 % interval over clips: {shares(sure.over_clips)}"
    if sure.over_groups is not None:
        yield ", which holds for other clips of the same groups. 95 % interval over groups: "
        yield f"{shares(sure.over_groups)}, which holds for groups that are not among these. "
    elif sure.groups:
        yield ". One group shows nothing about others: there is no interval over groups. "
    else:
        yield (
            ". No groups are known; where clips show the same people or recordings, the real one "
            "is wider. "
        )
    yield (
        f"Two models, each measured on such clips of its own, must differ by more than "
        f"{100 * sure.difference:.0f} points; less cannot be distinguished from chance. "
        "On the same clips a smaller difference can be: seqvision compare."
    )
    labels = Counter(clip.label for clip in part.clips)
    label, most = labels.most_common(1)[0]
    often = most / sure.clips
    if len(labels) > 1 and not is_better(part.metrics.accuracy, sure.clips, often):
        yield (
            f" Always naming {label} would be right on {often:.1%}: this accuracy is not clearly "
            "more than chance."
        )


def _sides(report: ReportContents) -> Markup:
    """Return which groups are on which side, in words and with their names."""
    found = report.groups
    if found is None:
        known = report.known_groups
        if known is None:
            return Markup("")
        doubt = ""
        if known.train:
            doubt = " Of groups that trained a model the figures are better than of others."
        return element("p", _sentence(known.line()), doubt)
    if not found.known:
        return element(
            "p",
            "No groups are known: one person or recording may be on both sides of the split, and "
            "the figures are then too good for others. A column group of a list, or folders "
            "label/person/clip, name them.",
        )
    if report.folds:
        return _fold_words(report)
    words = "Groups are kept apart: none that is measured has trained."
    if found.shared:
        why = (
            "Groups are not kept apart (--split-by none)"
            if found.split_by == "none"
            else "Groups are not kept apart by this split"
        )
        words = (
            f"{why}: {len(found.shared)} both train and are measured. The figures are for known "
            "people or recordings; for others they are likely lower."
        )
    return element("div", element("p", words), element("ul", *_groups(found)))


def _fold_words(report: ReportContents) -> Markup:
    """Return how the folds divide the groups, and which clips chose the epochs."""
    training: Any = report.card.origin.options.get("training", {})
    chosen = training.get("keep") == "best" or training.get("patience") != 0
    shared = report.groups is not None and report.groups.shared
    return element(
        "p",
        "Groups are not kept apart: the figures are for known people or recordings, and likely "
        "lower for others."
        if shared
        else "Every clip was held out once; no other clip of its group trained then.",
        " The held-out clips chose the epoch that was kept, or when to stop, so the figures are a "
        "little too good (--keep last --patience 0: not)."
        if chosen
        else " The held-out clips chose nothing: the last epoch was kept.",
    )


def _groups(found: GroupSplit) -> Iterator[Markup]:
    for name, part in found.parts.items():
        some = part.groups[:_MOST_NAMES]
        rest = len(part.groups) - len(some)
        more = f" and {rest} more" if rest else ""
        none = f"; {part.ungrouped} clips have none" if part.ungrouped else ""
        yield element(
            "li",
            element("b", name),
            f": {part.clips} clips of {_count(len(part.groups))}{none}"
            + (f": {', '.join(some)}{more}" if some else ""),
            class_="path",
        )


def _count(groups: int) -> str:
    return f"{groups} group{'' if groups == 1 else 's'}"


def _sentence(line: str) -> str:
    return f"{line[0].upper()}{line[1:]}."
