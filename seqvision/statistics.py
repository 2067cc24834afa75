"""How sure a figure is: confidence intervals, paired tests, better than chance or not.  No
torch.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import comb, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.card import ModelCard

LEVEL = 0.95
RESAMPLES = 1000


@dataclass(frozen=True)
class Interval:
    """A confidence interval, both ends included."""

    low: float
    high: float


def wilson(hits: int, clips: int, level: float = LEVEL) -> Interval:
    """Return the score interval of a share (Wilson 1927); 0 to 1 where there is no clip.

    It takes the clips for independent draws, and stays inside 0 to 1 also for few of them.
    """
    if not 0 <= hits <= clips:
        raise ValueError(f"{hits} of {clips} is not a share")
    return Interval(0.0, 1.0) if clips == 0 else _score(hits / clips, clips, level)


def _score(share: float, clips: float, level: float) -> Interval:
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = share + z * z / (2 * clips)
    half = z * sqrt(share * (1 - share) / clips + z * z / (4 * clips * clips))
    scale = 1 + z * z / clips
    # Exact at the ends, where rounding would leave 1e-17.
    low = 0.0 if share == 0 else (centre - half) / scale
    high = 1.0 if share == 1 else (centre + half) / scale
    return Interval(low, high)


def over_groups(hits: Sequence[int], clips: Sequence[int], level: float = LEVEL) -> Interval | None:
    """Return the interval of a share over groups: what clips of other groups may give.

    The score interval (Wilson 1927) of the effective number of clips.  That is the number divided
    by the design effect of drawing groups and not clips (Kish 1965; variance of the ratio
    estimator), and reduced for the degrees of freedom of few groups (Korn and Graubard 1998).

    Args:
        hits: of each group, how many clips are right.
        clips: of each group, how many there are, at least one.

    Returns:
        None for fewer than two groups: they show nothing about a third one.
    """
    if len(clips) < 2:
        return None
    return _score(sum(hits) / sum(clips), effective_clips(hits, clips, level), level)


def effective_clips(hits: Sequence[int], clips: Sequence[int], level: float = LEVEL) -> float:
    """Return how many independent clips would be as sure as the clips of two groups or more."""
    right, sizes = np.array(hits, float), np.array(clips, float)
    groups, total = len(sizes), sizes.sum()
    share = right.sum() / total
    spread = float(((right - share * sizes) ** 2).sum()) * groups / (groups - 1) / total**2
    most = share * (1 - share) / spread if spread > 0 else total
    z = NormalDist().inv_cdf((1 + level) / 2)
    return float(min(most, total)) * (z / t_quantile(groups - 1, level)) ** 2


def t_quantile(freedom: int, level: float = LEVEL) -> float:
    """Return the two-sided quantile of Student's t."""
    from scipy.special import stdtrit  # slow to import

    return float(stdtrit(freedom, (1 + level) / 2))


def over_folds(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Return the interval of a mean over folds, by Student's t.

    The trainings of folds share clips, so it is an approximation (Bengio and Grandvalet 2004).

    Args:
        values: of each fold, two or more.
    """
    figures = np.array(values, float)
    half = t_quantile(len(figures) - 1, level) * figures.std(ddof=1) / sqrt(len(figures))
    return Interval(float(figures.mean() - half), float(figures.mean() + half))


@dataclass(frozen=True)
class Certainty:
    """How sure an accuracy is.

    Attributes:
        right, clips: how many of how many clips are right.
        over_clips: interval for other clips of the same groups (Wilson 1927).
        groups: of how many groups they are; 0: none is known.
        over_groups: interval for clips of other groups; None for fewer than two.
        difference: smallest difference of two such accuracies that is more than chance, where
            each is of clips of its own.
    """

    right: int
    clips: int
    over_clips: Interval
    groups: int
    over_groups: Interval | None
    difference: float

    def to_json(self) -> dict[str, Any]:
        """Return the intervals as plain data, by their names."""
        return {
            "level": LEVEL,
            "over_clips": asdict(self.over_clips),
            "over_groups": None if self.over_groups is None else asdict(self.over_groups),
            "groups": self.groups,
            "least_difference": self.difference,
        }

    def line(self) -> str:
        """Return the intervals in a line."""
        text = f"95 % interval of the accuracy: {shares(self.over_clips)} over clips"
        if self.over_groups is not None:
            text += f", {shares(self.over_groups)} over {self.groups} groups"
        return text


def shares(interval: Interval) -> str:
    """Return an interval of shares, as in `41 to 74 %`."""
    return f"{100 * interval.low:.0f} to {100 * interval.high:.0f} %"


def certainty(groups: Sequence[str | None], right: Sequence[bool]) -> Certainty:
    """Return how sure the accuracy on some clips is.

    Args:
        groups: of each clip; one without is a group of its own where others have one.
        right: of each clip, whether the answer is right; at least one.
    """
    clips, hits = Counter[str](), Counter[str]()
    for index, (group, is_right) in enumerate(zip(groups, right, strict=True)):
        name = f"clip {index}" if group is None else f"group {group}"
        clips[name] += 1
        hits[name] += is_right
    known = any(group is not None for group in groups)
    sizes, each = list(clips.values()), [hits[name] for name in clips]
    total, sure = sum(each), float(len(right))
    between = None
    if known and len(sizes) > 1:
        between = over_groups(each, sizes)
        sure = effective_clips(each, sizes)
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    centre = (total / len(right) * sure + z * z / 2) / (sure + z * z)
    difference = min(1.0, z * sqrt(2 * centre * (1 - centre) / sure))
    return Certainty(
        total,
        len(right),
        wilson(total, len(right)),
        len(sizes) if known else 0,
        between,
        difference,
    )


def bootstrap_mean(values: NDArray[np.float64], level: float = LEVEL) -> Interval:
    """Return the percentile bootstrap interval of a mean (Efron 1979), always the same one.

    Args:
        values: `(clips,)`, at least one.
    """
    means = [values[chosen].mean() for chosen in _resamples(len(values))]
    return _percentiles(means, level)


def bootstrap_f1(
    truth: NDArray[np.int64], answers: NDArray[np.int64], labels: int, level: float = LEVEL
) -> Interval:
    """Return the percentile bootstrap interval of the macro F1 over the labels that occur.

    Args:
        truth: `(clips,)` label indices, at least one.
        answers: `(clips,)` label indices.
        labels: how many labels there are.
    """
    figures = [_f1(truth[chosen], answers[chosen], labels) for chosen in _resamples(len(truth))]
    return _percentiles(figures, level)


def _f1(truth: NDArray[np.int64], answers: NDArray[np.int64], labels: int) -> float:
    hits = np.bincount(truth[truth == answers], minlength=labels)
    true, predicted = np.bincount(truth, minlength=labels), np.bincount(answers, minlength=labels)
    there = true > 0
    return float((2 * hits / np.maximum(true + predicted, 1))[there].mean())


@dataclass(frozen=True)
class McNemar:
    """Two models on the same clips: how many only one of them got right, and the p-value."""

    only_first: int
    only_second: int
    p: float


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """Return the exact test of McNemar (1947) on which clips each model got right.

    Where the models are equally good, a clip that only one gets right is a fair coin.  `p` is the
    two-sided chance of a division at least as uneven as this one.

    Args:
        first, second: `(clips,)`, the same clips in the same order.
    """
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    total = only_first + only_second
    tail = sum(comb(total, k) for k in range(min(only_first, only_second) + 1))
    return McNemar(only_first, only_second, min(1.0, 2 * tail / 2**total))


def _resamples(clips: int) -> Iterator[NDArray[np.int64]]:
    generator = np.random.default_rng(0)
    return (generator.integers(clips, size=clips) for _ in range(RESAMPLES))


def _percentiles(values: Sequence[float], level: float) -> Interval:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def chance_warning(card: ModelCard) -> str | None:
    """Return a line about a model whose figures are no better than chance; None where they are.

    The test clips decide, else the validation clips; the most frequent label is that of the whole
    data set.  None too where the card lacks some of it.
    """
    counts, metrics = card.origin.data.get("clips"), card.origin.metrics
    part = next((name for name in ("test", "val") if name in metrics), "")
    figures = metrics.get(part)
    if not isinstance(counts, dict) or not isinstance(figures, dict):
        return None
    labels = {name: count for name, count in counts.items() if isinstance(count, int)}
    accuracy, clips = figures.get("accuracy"), figures.get("clips")
    if not (isinstance(accuracy, float) and isinstance(clips, int) and clips > 0 and labels):
        return None
    return _doubt(accuracy, clips, part, labels)


def no_better_than_chance(accuracy: float, part: str, counts: Mapping[str, int]) -> str | None:
    """Return the line about an accuracy on clips with these counts of labels."""
    part = "" if part == "clips" else part
    return _doubt(accuracy, sum(counts.values()), part, counts) if len(counts) > 1 else None


def _doubt(accuracy: float, clips: int, part: str, labels: Mapping[str, int]) -> str | None:
    label = max(labels, key=lambda name: labels[name])
    often = labels[label] / max(1, sum(labels.values()))
    if is_better(accuracy, clips, often):
        return None
    of = f"{part} clips" if part else "clips"
    return (
        f"accuracy on the {clips} {of} is {accuracy:.1%}, not clearly more than chance: "
        f"always naming {label} would be right on {often:.1%}; what helps: "
        "a look at the clips (seqvision data … --sheet clips.png), more of each label, more "
        "--epochs, a larger --size"
    )


def is_better(accuracy: float, clips: int, often: float) -> bool:
    """Return whether the 95 % interval of an accuracy (Wilson 1927) lies above a share."""
    return wilson(round(accuracy * clips), clips).low > often
