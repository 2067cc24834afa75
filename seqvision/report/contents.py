"""The contents of a report: clips with the model's predictions, and the circumstances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from seqvision.console import Remark
from seqvision.data.clips import Clip
from seqvision.data.decode import Decoded
from seqvision.metrics import Metrics, measure
from seqvision.models.classifier import Classifier
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

    def shown(self, clip: Clip) -> str:
        """Return a clip's path from the data's folder, without what lies above it."""
        root = self.data.parent if self.data.is_file() else self.data
        try:
            return replace(clip, path=clip.path.relative_to(root)).name
        except ValueError:
            return clip.name
