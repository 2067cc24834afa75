"""Probabilities against labels: the figures of training, evaluation and every report."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from seqvision.console import result_console
from seqvision.statistics import Interval, wilson

BINS = 15


@dataclass(frozen=True)
class LabelMetrics:
    """One label's figures: of what was called so, how much was; of what was, how much was found."""

    precision: float
    recall: float
    f1: float
    clips: int


@dataclass(frozen=True)
class Metrics:
    """The figures of a set of clips.

    Attributes:
        loss: mean cross-entropy in nats, unweighted and unsmoothed.
        accuracy: share of clips whose most probable label is right.
        precision, recall, f1: means over the labels that occur (macro).
        confusion: rows are true labels, columns are answers.
    """

    clips: int
    loss: float
    accuracy: float
    precision: float
    recall: float
    f1: float
    labels: dict[str, LabelMetrics]
    confusion: list[list[int]]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        return asdict(self)


def measure(probabilities: Tensor, truth: Tensor, labels: Sequence[str]) -> Metrics:
    """Return the figures of `(clips, labels)` probabilities against `(clips,)` label indices."""
    count = len(labels)
    answers = probabilities.argmax(dim=1)
    confusion = torch.bincount(truth * count + answers, minlength=count**2).view(count, count)
    right = confusion.diagonal().float()
    # A label that was never named, or never was, has no precision or recall: 0.
    precision = right / confusion.sum(dim=0).clamp_min(1)
    recall = right / confusion.sum(dim=1).clamp_min(1)
    f1 = 2 * precision * recall / (precision + recall).clamp_min(1e-12)
    clips = torch.bincount(truth, minlength=count)
    there = clips > 0
    picked = probabilities.gather(1, truth[:, None]).double().clamp_min(1e-12)
    return Metrics(
        clips=len(truth),
        loss=float(-picked.log().mean()),
        accuracy=float((answers == truth).double().mean()),
        precision=float(precision[there].mean()),
        recall=float(recall[there].mean()),
        f1=float(f1[there].mean()),
        labels={
            label: LabelMetrics(float(p), float(r), float(f), int(n))
            for label, p, r, f, n in zip(labels, precision, recall, f1, clips, strict=True)
        },
        confusion=confusion.tolist(),
    )


@dataclass(frozen=True)
class Bin:
    """The clips whose answer has a probability in one range: predicted and true frequency."""

    clips: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """Reliability of probabilities, in bins.

    Attributes:
        error: expected calibration error: the mean distance of confidence and accuracy, 0 to 1.
        bins: of equal width, from probability 0 to 1; an empty one has only zeros.
    """

    error: float
    bins: tuple[Bin, ...]


def calibration(probabilities: Tensor, truth: Tensor, bins: int = BINS) -> Calibration:
    """Return the calibration of the answers (Guo et al. 2017), in bins `(low, high]`.

    Args:
        probabilities: `(clips, labels)`.
        truth: `(clips,)` label indices.
        bins: how many, of equal width.
    """
    confidence, answers = probabilities.double().max(dim=1)
    right = (answers == truth).double()
    bins_of = ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)
    clips = torch.bincount(bins_of, minlength=bins)
    summed = torch.bincount(bins_of, confidence, minlength=bins)
    true = torch.bincount(bins_of, right, minlength=bins)
    error = (summed - true).abs().sum() / len(truth)
    shares = zip(clips.tolist(), (summed / clips).tolist(), (true / clips).tolist(), strict=True)
    filled = (Bin(n, c, a) if n else Bin(0, 0.0, 0.0) for n, c, a in shares)
    return Calibration(float(error), tuple(filled))


def before_temperature(probabilities: Tensor, temperature: float) -> Tensor:
    """Return what the probabilities were before the logits were divided by a temperature.

    softmax(z / T) fixes z up to a constant, which the softmax forgets.
    """
    return (probabilities.double().clamp_min(1e-30).log() * temperature).softmax(dim=1)


@dataclass(frozen=True)
class GroupMetrics:
    """The clips of one performer or recording."""

    group: str
    clips: int
    right: int
    interval: Interval

    @property
    def accuracy(self) -> float:
        """Share of its clips whose most probable label is right."""
        return self.right / self.clips


def by_group(groups: Sequence[str | None], right: Sequence[bool]) -> tuple[GroupMetrics, ...]:
    """Return the figures of each group, the worst first; clips without a group are left out."""
    clips = Counter(group for group in groups if group is not None)
    hits = Counter(
        group for group, good in zip(groups, right, strict=True) if good and group is not None
    )
    figures = (
        GroupMetrics(group, count, hits[group], wilson(hits[group], count))
        for group, count in clips.items()
    )
    return tuple(sorted(figures, key=lambda group: (group.accuracy, -group.clips, group.group)))


def metrics_table(metrics: Metrics, title: str, certainty: str = "") -> None:
    """Print the figures of a set of clips, and a line on how sure they are."""
    table = Table(title=escape(title), title_justify="left", show_footer=True)
    table.add_column("label", f"all {len(metrics.labels)}, mean")
    for name in ("precision", "recall", "f1"):
        table.add_column(name, f"{getattr(metrics, name):.3f}", justify="right")
    table.add_column("clips", str(metrics.clips), justify="right")
    for label, figures in metrics.labels.items():
        cells = (f"{value:.3f}" for value in (figures.precision, figures.recall, figures.f1))
        table.add_row(escape(label), *cells, str(figures.clips))
    console = result_console()
    console.print(table)
    console.print(f"accuracy [bold]{metrics.accuracy:.1%}[/]   loss {metrics.loss:.3f}")
    if certainty:
        console.print(certainty)
