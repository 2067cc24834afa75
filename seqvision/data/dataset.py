"""Decoded clips → windows of frames → padded batches."""

from collections.abc import Iterator, Sequence, Sized
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from seqvision.data.augment import Augmenter
from seqvision.data.clip_views import view
from seqvision.data.decode import Decoded
from seqvision.data.surroundings import Surroundings
from seqvision_edge.card import ImageSpec, SequenceSpec


class Batch(NamedTuple):
    """Clips of a batch, padded at the end.

    Attributes:
        inputs: `(batch, time, height, width, channels)` uint8 frames, or
            `(batch, time, features)` float32 features of a frozen encoder.
        lengths: `(batch,)` int64, the steps of each clip that are not padding.
        labels: `(batch,)` int64.
    """

    inputs: torch.Tensor
    lengths: torch.Tensor
    labels: torch.Tensor

    @property
    def padded(self) -> torch.Tensor | None:
        """The lengths, or None where no clip is padded: then the network has less to do."""
        full = bool((self.lengths == self.inputs.shape[1]).all())
        return None if full else self.lengths


Item = tuple[torch.Tensor, int]
Draw = tuple[int, int]


class ClipDataset(Dataset[Item]):
    """Clips as the model sees them: the centre window, or a varied one for training.

    An item is indexed by `(epoch, index)`; what it draws depends on the seed, the epoch and the
    clip alone: not on the workers, the order of the list or earlier items.
    """

    def __init__(
        self,
        clips: Sequence[Decoded],
        labels: Sequence[int],
        image: ImageSpec,
        sequence: SequenceSpec,
        augmenter: Augmenter | None = None,
        seed: int = 0,
        around: Sequence[Surroundings | None] = (),
    ) -> None:
        self.clips = clips
        self.labels = labels
        self.image = image
        self.sequence = sequence
        self.seed = seed
        self.augmenter = augmenter
        self.around = around or [None] * len(clips)

    @property
    def is_varied(self) -> bool:
        """Whether an item differs from epoch to epoch."""
        return self.augmenter is not None or any(self.around)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, draw: Draw) -> Item:
        epoch, index = draw
        steps, label = view(
            self.clips[index], self.labels[index], self.image, self.sequence,
            self.augmenter, (self.seed, epoch), self.around[index],
        )  # fmt: skip
        return torch.from_numpy(steps), label


class Views(Protocol):
    """Items of several views of each clip, indexed by `(view, index)`."""

    views: int

    def __len__(self) -> int: ...

    def __getitem__(self, which: tuple[int, int], /) -> Item: ...


class FeatureDataset(Dataset[Item]):
    """Features that a frozen encoder gave, in several varied views of each clip.

    An epoch shows one view of each clip, in turn.
    """

    def __init__(self, features: Views, seed: int = 0) -> None:
        self.features = features
        # Each clip goes through its views in its own order.
        self._orders = [
            np.random.default_rng((seed, index)).permutation(features.views)
            for index in range(len(features))
        ]

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, draw: Draw) -> Item:
        epoch, index = draw
        order = self._orders[index]
        return self.features[int(order[epoch % len(order)]), index]


class ShareSampler(Sampler[list[Draw]]):
    """Divides an order into batches, and gives of each the share of one of several processes.

    A last batch with fewer clips than processes joins the one before it.
    """

    def __init__(
        self, sampler: Sampler[Draw], size: int, batch_size: int, rank: int = 0, count: int = 1
    ) -> None:
        """Make the batches.

        Args:
            sampler: the order of all clips.
            size: how many they are.
            batch_size: clips in a batch of all processes together.
            rank: whose share.
            count: number of processes.
        """
        self.sampler = sampler
        self._share = slice(rank, None, count)
        self._ends = [*range(batch_size, size, batch_size), size]
        if len(self._ends) > 1 and size - self._ends[-2] < count:
            del self._ends[-2]

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[list[Draw]]:
        order = list(self.sampler)
        for begin, end in pairwise((0, *self._ends)):
            yield order[begin:end][self._share]


class EpochSampler(Sampler[Draw]):
    """Yields `(epoch, index)`, in an order that depends only on seed and epoch.

    Lightning calls `set_epoch` before each one, also when a training is resumed.
    """

    def __init__(self, data: Sized, seed: int, shuffle: bool) -> None:
        self._count = len(data)
        self._seed = seed
        self._shuffle = shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Draw]:
        order = np.arange(self._count)
        if self._shuffle:
            order = np.random.default_rng((self._seed, self.epoch)).permutation(self._count)
        return ((self.epoch, int(index)) for index in order)


def collate(items: Sequence[Item]) -> Batch:
    """Pad clips (or their features) to the longest of the batch."""
    lengths = torch.tensor([len(steps) for steps, _ in items])
    inputs = torch.nn.utils.rnn.pad_sequence([steps for steps, _ in items], batch_first=True)
    return Batch(inputs, lengths, torch.tensor([label for _, label in items]))
