"""Probabilities against labels: the figures of training, evaluation and every report."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

import seqvision.compat  # noqa: F401  # before torchmetrics, which touches torchvision


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
    from torchmetrics.functional.classification import (
        multiclass_confusion_matrix,
        multiclass_precision,
        multiclass_recall,
    )

    count = len(labels)
    answers = probabilities.argmax(dim=1)
    precision = multiclass_precision(answers, truth, count, average="none")
    recall = multiclass_recall(answers, truth, count, average="none")
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
        confusion=multiclass_confusion_matrix(answers, truth, count).tolist(),
    )
