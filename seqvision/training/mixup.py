"""Clips blended in pairs, with their labels: mixup (Zhang, Cissé, Dauphin & Lopez-Paz 2018)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from seqvision.data.dataset import Batch


class Mixed(NamedTuple):
    """A batch whose clips are blends.

    Attributes:
        batch: the blends; its labels are those of the first clip of each pair.
        others: `(batch,)` int64, the labels of the second.
        share: how much of each blend is the first, 0 to 1.
    """

    batch: Batch
    others: Tensor
    share: float

    @classmethod
    def plain(cls, batch: Batch) -> "Mixed":
        """Return a batch in which nothing is blended."""
        return cls(batch, batch.labels, 1.0)

    def over_labels(self, figure: Callable[[Tensor], Tensor]) -> Tensor:
        """Return a figure of the labels of both clips, weighed by their shares."""
        of_first = figure(self.batch.labels)
        if self.share == 1:
            return of_first
        return self.share * of_first + (1 - self.share) * figure(self.others)


def mix(batch: Batch, alpha: float) -> Mixed:
    """Blend each clip with another one of the batch.

    The share comes from Beta(`alpha`, `alpha`), one for the batch, and the pairs are a permutation;
    both are drawn from torch's generator of the CPU, which each step seeds.  A blend is as long as
    its first clip; the second is resampled to that length, so that both are whole.  Frames stay
    uint8, as the network gets them otherwise; features stay float.
    """
    concentration = torch.tensor(float(alpha))
    share = float(torch.distributions.Beta(concentration, concentration).sample())
    order = torch.randperm(len(batch.labels))
    inputs = torch.empty_like(batch.inputs)
    lengths = batch.lengths.tolist()
    for index, partner in enumerate(order.tolist()):
        length, other = lengths[index], lengths[partner]
        steps = torch.arange(length, device=inputs.device) * other // length
        first = batch.inputs[index, :length]
        second = batch.inputs[partner] if other == length else batch.inputs[partner, steps]
        inputs[index, :length] = _blend(first, second[:length], share)
        inputs[index, length:] = batch.inputs[index, length:]
    order = order.to(batch.labels.device)
    return Mixed(batch._replace(inputs=inputs), batch.labels[order], share)


def _blend(first: Tensor, second: Tensor, share: float) -> Tensor:
    if first.is_floating_point():
        return torch.lerp(second, first, share)
    blended = torch.lerp(second.float(), first.float(), share)
    return blended.round_().to(first.dtype)
