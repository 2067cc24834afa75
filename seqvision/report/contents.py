"""The contents of a report: clips with the model's predictions, and the circumstances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqvision.console import Remark
from seqvision.data.clips import Clip
from seqvision.data.decode import Decoded
from seqvision.data.group_split import GroupSplit, KnownGroups
from seqvision.metrics import Metrics, measure
from seqvision.models.classifier import Classifier
from seqvision.statistics import Certainty, certainty
from seqvision_edge.card import ModelCard


@dataclass(frozen=True)
class SplitResult:
    """One part of the data with what the model answered.

    Attributes:
        name: `val`, `test` or what else the clips are called.
        truth: `(clips,)` label indices.
        probabilities: `(clips, labels)`, after the card's temperature.
    """

    name: str
    clips: Sequence[Clip]
    decoded: Sequence[Decoded]
    truth: Tensor
    probabilities: Tensor
    metrics: Metrics

    @property
    def answers(self) -> Tensor:
        """`(clips,)` indices of the most probable labels."""
        return self.probabilities.argmax(dim=1)

    @property
    def right(self) -> Tensor:
        """`(clips,)` bool: whether the most probable label is the true one."""
        return self.answers == self.truth

    @property
    def certainty(self) -> Certainty:
        """How sure the accuracy is, over the clips and over their groups."""
        return certainty([clip.group for clip in self.clips], self.right.tolist())


def make_part(
    name: str,
    clips: Sequence[Clip],
    decoded: Sequence[Decoded],
    probabilities: Tensor,
    labels: Sequence[str],
) -> SplitResult:
    """Return a part with its figures."""
    truth = torch.tensor([labels.index(clip.label) for clip in clips])
    metrics = measure(probabilities, truth, labels)
    return SplitResult(name, clips, decoded, truth, probabilities, metrics)


@dataclass(frozen=True)
class FoldRow:
    """One fold of a cross-validation.

    Attributes:
        number: from 1.
        run: the run folder of its training.
        groups: those that were held out.
        right: how many of the held-out clips the model names right.
        metrics: their figures.
        epoch: the epoch that was kept, counted from 0.
        seconds: what the training took.
    """

    number: int
    run: Path
    groups: tuple[str, ...]
    right: int
    metrics: Metrics
    epoch: int
    seconds: float


def part_to_json(part: SplitResult) -> dict[str, Any]:
    """Return the figures of a part as plain data, with how sure the accuracy is."""
    return part.metrics.to_json() | {"accuracy_interval": part.certainty.to_json()}


@dataclass(frozen=True)
class ReportContents:
    """Everything that the page shows.

    Attributes:
        title, about: what was measured, and on what.
        data: where the clips are; their paths are shown from there.
        counts: clips of each part and label, the learning part included.
        left_out: one line for each clip that could not be read.
        incomplete: one line for each clip that could be read in part.
        remarks: the notes and warnings that the terminal shows.
        facts: what ran: versions, duration, device.
        logs: folder of the training's CSV logs; None where nothing was trained.
        epoch: the epoch that was kept, counted from 0.
        groups: which groups are in which part of the training's split.
        known_groups: which groups of other clips the model knows.
        folds: those of a cross-validation, whose held-out clips are the only part.
    """

    title: str
    about: str
    model: Classifier
    card: ModelCard
    parts: Sequence[SplitResult]
    data: Path
    counts: Mapping[str, Mapping[str, int]]
    left_out: Sequence[str] = ()
    incomplete: Sequence[str] = ()
    remarks: Sequence[Remark] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    logs: Path | None = None
    epoch: int | None = None
    groups: GroupSplit | None = None
    known_groups: KnownGroups | None = None
    folds: Sequence[FoldRow] = ()

    def shown(self, clip: Clip) -> str:
        """Return a clip's path from the data's folder, without what lies above it."""
        root = self.data.parent if self.data.is_file() else self.data
        try:
            return replace(clip, path=clip.path.relative_to(root)).name
        except ValueError:
            return clip.name
