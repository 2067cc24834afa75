"""The loss of a student: its label, and the probabilities of its teachers (Hinton et al. 2015).

A mirrored clip has another label, and the teachers' probabilities of a mirrored clip are those of
the clip with left and right exchanged.  So a batch has, in place of labels, rows of a table: one
for each clip, as it is, backwards, mirrored, and both.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqvision.config import DistillationOptions, TrainingOptions, TrainOptions
from seqvision.data.augment import Augmenter, make_augmenter
from seqvision.training.data import Data


@dataclass(frozen=True)
class Targets:
    """What the clips that train are to be called, whatever an augmenter makes of them.

    Attributes:
        clips: how many; their rows come first, then those of the same clips backwards, mirrored,
            and both.
        labels: `(rows,)` int64, -1 where a clip has no label.
        probabilities: `(rows, labels)`, of the teachers at the temperature.
        options: weight and temperature.
        backwards: the clips that may be played backwards.
    """

    clips: int
    labels: Tensor
    probabilities: Tensor
    options: DistillationOptions
    backwards: frozenset[int]

    def rows(self) -> list[int]:
        """Return the rows of the clips as they are."""
        return list(range(self.clips))

    def for_rows(self, augmenter: Augmenter | None) -> Augmenter | None:
        """Return an augmenter that changes rows as the given one changes labels."""
        if augmenter is None:
            return None
        count = self.clips
        swap = {row: row + 2 * count for row in range(2 * count)}
        return augmenter.relabelled(swap, {row: row + count for row in sorted(self.backwards)})


def make_targets(options: TrainOptions, data: Data, probabilities: Tensor) -> Targets:
    """Return the targets of the clips that train, labelled ones first.

    Args:
        options: of the training.
        data: its clips.
        probabilities: of the teachers, for all clips of the data and then those without labels.
    """
    labelled = len(data.clips)
    indices = [*data.split.train, *range(labelled, len(probabilities))]
    labels = torch.tensor([*(data.truth[i] for i in data.split.train),
                           *[-1] * (len(probabilities) - labelled)])  # fmt: skip
    soft = probabilities[indices]
    augmenter = make_augmenter(options.augmentation, data.labels)
    swap: Mapping[int, int] = augmenter.swap if augmenter else {}
    reversal: Mapping[int, int] = augmenter.reversal if augmenter else {}
    backwards = _changed(labels, soft, reversal)
    every = [(labels, soft), backwards, _changed(labels, soft, swap), _changed(*backwards, swap)]
    return Targets(
        len(indices),
        torch.cat([each for each, _ in every]),
        torch.cat([each for _, each in every]),
        options.distillation,
        frozenset(row for row, label in enumerate(labels.tolist()) if label in reversal),
    )


def _changed(
    labels: Tensor, probabilities: Tensor, change: Mapping[int, int]
) -> tuple[Tensor, Tensor]:
    """Return labels and probabilities with some labels in the place of others."""
    order = torch.tensor([change.get(label, label) for label in range(probabilities.shape[1])])
    changed = torch.zeros_like(probabilities)
    changed.index_add_(1, order, probabilities)
    return torch.where(labels < 0, labels, order[labels.clamp(min=0)]), changed


class TargetLoss(nn.Module):
    """`(1 - weight) · cross-entropy + weight · T² · KL(teachers ‖ student)`, summed over clips.

    The gradients of softened probabilities are as small as 1/T²; the factor keeps the shares of
    both parts whatever the temperature (Hinton et al. 2015).  A clip without a label has only the
    second part.
    """

    def __init__(
        self, targets: Targets, options: TrainingOptions, class_weights: Tensor | None
    ) -> None:
        super().__init__()
        self._smoothing = options.label_smoothing
        self._weight = targets.options.teacher_weight
        self._temperature = targets.options.teacher_temperature
        count = targets.probabilities.shape[1]
        rarity = torch.ones(count) if class_weights is None else class_weights.float()
        own = rarity[targets.labels.clamp(min=0)]
        self.labels: Tensor
        self.weights: Tensor
        self.rarity: Tensor
        self.probabilities: Tensor
        # Not in a checkpoint: they are made anew, from the cache.
        for name, values in (
            ("labels", targets.labels),
            ("weights", torch.where(targets.labels < 0, torch.ones(()), own)),
            ("rarity", rarity),
            ("probabilities", targets.probabilities),
        ):
            self.register_buffer(name, values, persistent=False)

    def forward(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Return the loss of `(batch, labels)` for rows of the targets."""
        labels, soft = self.labels[rows], self.probabilities[rows]
        by_label = functional.cross_entropy(
            logits, labels.clamp(min=0), weight=self.rarity, label_smoothing=self._smoothing,
            reduction="none",
        )  # fmt: skip
        student = functional.log_softmax(logits / self._temperature, dim=1)
        apart = functional.kl_div(student, soft, reduction="none").sum(dim=1)
        by_teachers = self._temperature**2 * apart * self.weights[rows]
        labelled = (labels >= 0).to(by_label)
        total: Tensor = (
            (1 - self._weight) * by_label * labelled + self._weight * by_teachers
        ).sum()
        return total
