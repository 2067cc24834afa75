"""Clips → batches for the trainer; a frozen encoder is asked once, not in every epoch."""

import os

import torch
from torch.utils.data import DataLoader

from seqvision.config import TrainOptions
from seqvision.data.augment import Augmenter, mirror_labels, refuse_unsafe_flip
from seqvision.data.dataset import ClipDataset, EpochSampler, FeatureDataset, Item, collate
from seqvision.models.classifier import Classifier
from seqvision.progress import progress
from seqvision.training.data import Data


def make_loaders(
    options: TrainOptions, data: Data, model: Classifier
) -> tuple[DataLoader[Item], DataLoader[Item]]:
    """Return the batches for training and for validation.

    Raises:
        DataError: clips are to be mirrored, but a label would become wrong.
    """
    seed, fps, frames = options.training.seed, data.fps, options.clips.frames
    flip = options.augmentation.flip
    pairs = mirror_labels(data.labels, options.augmentation.swap)
    if flip:
        refuse_unsafe_flip(data.labels, pairs)
    augmenter = Augmenter(options.augmentation.augment, flip, pairs)
    learning: ClipDataset | FeatureDataset
    checking: ClipDataset | FeatureDataset
    learning = ClipDataset(*data.part(data.split.train), fps, frames, augmenter, seed)
    checking = ClipDataset(*data.part(data.split.val), fps, frames)
    workers = _workers(options)
    if model.frozen:
        # A frozen encoder answers the same in every epoch: ask it once, per varied copy.
        views = options.model.views if options.augmentation.augment != "none" or flip else 1
        batch = options.training.batch_size
        learning = FeatureDataset(_encode(model, learning, views, batch, workers), seed)
        checking = FeatureDataset(_encode(model, checking, 1, batch, workers))
        model.steps.standardize([steps for view in learning.views for steps, _ in view])
        workers = 0
    loaders = [
        DataLoader(
            part,
            options.training.batch_size,
            sampler=EpochSampler(part, seed, shuffle),
            collate_fn=collate,
            num_workers=workers if shuffle else 0,
            persistent_workers=False,
        )
        for part, shuffle in ((learning, True), (checking, False))
    ]
    return loaders[0], loaders[1]


@torch.inference_mode()
def _encode(
    model: Classifier, data: ClipDataset, views: int, batch_size: int, workers: int
) -> list[list[Item]]:
    """Return the features of `views` varied copies of each clip."""
    model.eval()
    device = next(model.parameters()).device
    encoded: list[list[Item]] = []
    order = EpochSampler(data, seed=0, shuffle=False)
    with progress("encoding") as advance:
        for view in range(views):
            order.set_epoch(view)
            items: list[Item] = []
            for batch in DataLoader(
                data, batch_size, sampler=order, collate_fn=collate, num_workers=workers
            ):
                features = model.encode(batch.inputs.to(device), batch.lengths.to(device)).cpu()
                for steps, length, label in zip(features, batch.lengths, batch.labels, strict=True):
                    # Cloned: a slice would keep the whole padded batch alive.
                    items.append((steps[: int(length)].clone(), int(label)))
                advance(view * len(data) + len(items), views * len(data))
            encoded.append(items)
    return encoded


def _workers(options: TrainOptions) -> int:
    if options.clips.workers != "auto":
        return options.clips.workers
    return min(8, max(1, (os.cpu_count() or 1) - 1))
