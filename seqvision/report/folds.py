"""The figures of a cross-validation: of each fold, their mean, and all held-out clips together."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from statistics import mean, stdev
from typing import Any

from markupsafe import Markup

from seqvision.metrics import by_group
from seqvision.report.contents import FoldRow, SplitResult, part_to_json
from seqvision.report.html import element, note, number, table
from seqvision.statistics import LEVEL, Interval, over_folds, shares, wilson

_MOST_NAMES = 6


@dataclass(frozen=True)
class Spread:
    """A figure over folds: its mean, standard deviation, and the interval of the mean.

    Folds that are all alike give no interval: it would have no width.
    """

    mean: float
    std: float
    interval: Interval | None


def spread(values: Sequence[float], most: float = 1.0) -> Spread:
    """Return the spread of a figure of two folds or more that is between 0 and `most`."""
    deviation = stdev(values)
    found = over_folds(values)
    inside = Interval(max(0.0, found.low), min(most, found.high))
    return Spread(mean(values), deviation, inside if deviation > 0 else None)


def accuracy_spread(folds: Sequence[FoldRow]) -> Spread:
    """Return the spread of the accuracy."""
    return spread([fold.metrics.accuracy for fold in folds])


def accuracy_lines(folds: Sequence[FoldRow]) -> str:
    """Return the mean accuracy over folds, and how sure it is."""
    found = accuracy_spread(folds)
    return (
        f"mean accuracy of {len(folds)} folds {found.mean:.1%}, standard deviation "
        f"{100 * found.std:.1f} points\n"
        f"95 % interval of that mean: {_shares(found.interval)}"
    )


def _shares(interval: Interval | None) -> str:
    return "none, all folds are alike" if interval is None else f"{shares(interval)} over folds"


def folds_to_json(folds: Sequence[FoldRow], held_out: SplitResult, split_by: str) -> dict[str, Any]:
    """Return what metrics.json of a cross-validation has; `val` are all held-out clips together."""
    figures = {
        "accuracy": accuracy_spread(folds),
        "f1": spread([fold.metrics.f1 for fold in folds]),
        "loss": spread([fold.metrics.loss for fold in folds], inf),
    }
    groups = by_group([clip.group for clip in held_out.clips], held_out.right.tolist())
    return {
        "folds": [
            {
                "fold": fold.number,
                "run": fold.run.name,
                "clips": fold.metrics.clips,
                "groups": list(fold.groups),
                "accuracy": fold.metrics.accuracy,
                "f1": fold.metrics.f1,
                "loss": fold.metrics.loss,
                "epoch": fold.epoch,
                "seconds": fold.seconds,
            }
            for fold in folds
        ],
        "over_folds": {
            name: {
                "mean": each.mean,
                "std": each.std,
                "interval": each.interval and {"level": LEVEL, **asdict(each.interval)},
            }
            for name, each in figures.items()
        },
        "val": part_to_json(held_out),
        "groups": [
            {
                "group": group.group,
                "clips": group.clips,
                "right": group.right,
                "accuracy": group.accuracy,
            }
            for group in groups
        ],
        "split": {
            "split_by": split_by,
            "groups_known": bool(groups),
            "folds": len(folds),
        },
    }


def folds_section(folds: Sequence[FoldRow]) -> Markup:
    """Return the figures of each fold, their mean, and what the interval is."""
    rows = [
        [
            element("th", str(fold.number), scope="row"),
            number(f"{fold.metrics.accuracy:.1%}"),
            number(shares(wilson(fold.right, fold.metrics.clips))),
            number(f"{fold.metrics.f1:.3f}"),
            number(f"{fold.metrics.loss:.3f}"),
            number(str(fold.metrics.clips)),
            element("td", _groups(fold), class_="path"),
            number(str(fold.epoch + 1)),
            number(f"{fold.seconds:.0f} s"),
        ]
        for fold in folds
    ]
    found = accuracy_spread(folds)
    f1 = spread([fold.metrics.f1 for fold in folds])
    loss = spread([fold.metrics.loss for fold in folds], inf)
    rows.append(
        [
            element("th", "mean ± sd", scope="row"),
            number(f"{found.mean:.1%} ± {100 * found.std:.1f}"),
            number("–" if found.interval is None else shares(found.interval)),
            number(f"{f1.mean:.3f} ± {f1.std:.3f}"),
            number(f"{loss.mean:.3f} ± {loss.std:.3f}"),
            number(str(sum(fold.metrics.clips for fold in folds))),
            element("td", ""),
            number(""),
            number(f"{sum(fold.seconds for fold in folds):.0f} s"),
        ]
    )
    head = ("fold", "accuracy", "95 % interval", "F1, mean", "loss", "clips", "groups held out",
            "epoch", "time")  # fmt: skip
    return element(
        "div",
        table(head, rows),
        note(
            "Each training is measured on the clips of its fold, which it has not learned from. "
            "The interval of a fold is over its clips (Wilson 1927); that of the mean is over "
            f"folds, by Student's t with {len(folds) - 1} degrees of freedom. The trainings share "
            "clips, so it is an approximation (Bengio and Grandvalet 2004). All other sections are "
            "of all held-out clips together; the report of each training is in its folder."
        ),
    )


def _groups(fold: FoldRow) -> str:
    if len(fold.groups) > _MOST_NAMES:
        return f"{len(fold.groups)} groups"
    return ", ".join(fold.groups) or "–"
