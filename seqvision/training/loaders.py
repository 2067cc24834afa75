"""Clips → batches for the trainer; a frozen encoder runs once, not in every epoch."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader

from seqvision import rank
from seqvision.config import TrainOptions
from seqvision.config.option_types import LANDMARKS
from seqvision.console import print_note
from seqvision.data.augment import Augmenter, make_augmenter
from seqvision.data.augment.vectors import Statistics, VectorAugmenter
from seqvision.data.cache import Cache
from seqvision.data.dataset import (
    ClipDataset,
    EpochSampler,
    FeatureDataset,
    Item,
    ShareSampler,
    collate,
)
from seqvision.data.decode import Decoded
from seqvision.models.classifier import Classifier
from seqvision.models.encoders import Standardize
from seqvision.training.data import Data
from seqvision.training.distillation import Targets
from seqvision.training.features import Features
from seqvision.training.landmark_features import ClipLandmarks, Variation, found_notes
from seqvision.training.workers import can_hand_over, prepare_worker, worker_count
from seqvision_edge.card import VectorSequence
from seqvision_edge.sampling import centre


def make_loaders(
    options: TrainOptions, data: Data, model: Classifier, targets: Targets | None = None
) -> tuple[DataLoader[Item], DataLoader[Item]]:
    """Return the batches for training and for validation.

    Args:
        options, data, model: of the training.
        targets: what the clips that train are to be called, in place of their labels; batches
            have the rows of it.

    Raises:
        DataError: the augmenters cannot be used, or a label would become wrong.
    """
    seed = options.training.seed
    augmenter = make_augmenter(options.augmentation, data.labels)
    learning: ClipDataset | FeatureDataset | ClipLandmarks
    checking: ClipDataset | FeatureDataset
    around = [data.around[index] for index in data.split.train] if data.around else []
    clips, labels = data.part(data.split.train)
    if isinstance(data.sequence, VectorSequence):
        augmenter = _standardize(options, data, model, clips, augmenter)
    if targets is not None:
        clips, labels = [*clips, *data.unlabelled], targets.rows()
        augmenter = targets.for_rows(augmenter)
    learning = ClipDataset(clips, labels, data.image, data.sequence, augmenter, seed, around)
    checking = ClipDataset(*data.part(data.split.val), data.image, data.sequence)
    workers = worker_count(options.clips.workers)
    if model.frozen:
        cache = Cache(options.clips.cache, options.clips.cache_size)
    if options.model.encoder in LANDMARKS:
        variation = Variation.of(options.augmentation, augmenter)
        points = ClipLandmarks(model, learning, cache, variation)
        model.steps.standardize(points.windows())
        checked = ClipLandmarks(model, checking, cache)
        model.notes += found_notes(points, checked)
        learning, checking, workers = points, FeatureDataset(checked), 0
    elif model.frozen:
        # A frozen encoder answers the same in every epoch: ask it once, per varied copy.
        views = options.model.views if learning.is_varied else 1
        encoded = Features(model, learning, views, cache)
        model.steps.standardize(steps for steps, _ in encoded)
        if model.rival is not None:
            model.rival.network.steps.standardize(steps for steps, _ in encoded)
        learning = FeatureDataset(encoded, seed)
        checking = FeatureDataset(Features(model, checking, 1, cache))
        workers = 0
    elif model.reads_vectors:
        workers = 0  # what a process takes to hand a clip over is longer than to vary it
    if workers and not can_hand_over():
        print_note("the temporary folder's path is too long for --workers: set TMPDIR to another")
        workers = 0
    on_gpu = next(model.parameters()).device.type == "cuda"
    loaders = []
    for part, shuffle in ((learning, True), (checking, False)):
        order = EpochSampler(part, seed, shuffle)
        # Validation is divided too; with more processes than clips, some would have nothing to do.
        count = rank.count() if len(part) >= rank.count() else 1
        share = ShareSampler(
            order, len(part), options.training.batch_size, rank.rank() % count, count
        )
        loaders.append(
            DataLoader(
                part,
                batch_sampler=share,
                collate_fn=collate,
                num_workers=workers if shuffle else 0,
                persistent_workers=bool(workers) and shuffle,
                pin_memory=on_gpu,
                worker_init_fn=prepare_worker,
            )
        )
    return loaders[0], loaders[1]


def _standardize(
    options: TrainOptions,
    data: Data,
    model: Classifier,
    clips: Sequence[Decoded],
    augmenter: Augmenter | None,
) -> Augmenter | None:
    """Bring vectors to one scale inside the network; return what varies them, on that scale."""
    statistics = Statistics.of(np.asarray(clip.frames[:]) for clip in clips)
    encoder = model.encoder
    assert isinstance(encoder, Standardize)
    encoder.fit(torch.from_numpy(statistics.mean), torch.from_numpy(statistics.deviation))
    if model.steps.motion != "none":
        seen = [
            encoder(torch.from_numpy(centre(clip, data.image, data.sequence)).to(encoder.mean))
            for clip in clips
        ]
        for network in (model, *([model.rival.network] if model.rival else [])):
            network.steps.standardize(seen)
    augment = options.augmentation.augment
    if augmenter is None or not isinstance(augment, str):
        return None
    return VectorAugmenter(augmenter, augment, statistics)
