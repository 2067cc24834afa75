"""Clips → batches for the trainer; a frozen encoder runs once, not in every epoch.

The features of a copy depend on the clip, the encoder with its weights, the window and what the
augmentation drew; they are kept under a hash of all of these, so that another head, another fold or
another day does not encode again.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from seqvision import rank
from seqvision.config import TrainOptions
from seqvision.console import print_note, progress
from seqvision.data.augment import make_augmenter
from seqvision.data.cache import Cache, touch
from seqvision.data.dataset import (
    ClipDataset,
    EpochSampler,
    FeatureDataset,
    Item,
    ShareSampler,
    collate,
)
from seqvision.models.classifier import Classifier
from seqvision.training.data import Data
from seqvision.training.workers import can_hand_over, prepare_worker, worker_count
from seqvision_edge.files import atomic_write

# Clips encoded at once: more make the activations fall out of the processor's caches.
_BATCH = 4


def make_loaders(
    options: TrainOptions, data: Data, model: Classifier
) -> tuple[DataLoader[Item], DataLoader[Item]]:
    """Return the batches for training and for validation.

    Raises:
        DataError: the augmenters cannot be used, or a label would become wrong.
    """
    seed = options.training.seed
    augmenter = make_augmenter(options.augmentation, data.labels)
    learning: ClipDataset | FeatureDataset
    checking: ClipDataset | FeatureDataset
    learning = ClipDataset(*data.part(data.split.train), data.image, data.sequence, augmenter, seed)
    checking = ClipDataset(*data.part(data.split.val), data.image, data.sequence)
    workers = worker_count(options.clips.workers)
    if model.frozen:
        # A frozen encoder answers the same in every epoch: ask it once, per varied copy.
        views = options.model.views if augmenter else 1
        cache = Cache(options.clips.cache, options.clips.cache_size)
        learning = FeatureDataset(encode_views(model, learning, views, cache), seed)
        checking = FeatureDataset(encode_views(model, checking, 1, cache))
        model.steps.standardize([steps for view in learning.views for steps, _ in view])
        workers = 0
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


@torch.inference_mode()
def encode_views(
    model: Classifier, data: ClipDataset, views: int, cache: Cache
) -> list[list[Item]]:
    """Return the features `(time, features)` and label of each clip, in `views` copies."""
    model.eval()
    about: list[Any] = [_fingerprint(model), data.sequence.model_dump()]
    if data.augmenter:
        about += [data.augmenter.made_from(), data.seed]
    encoded: list[list[Item]] = []
    with progress("encoding") as advance:
        for view in range(views):
            files = [
                cache.file(
                    [
                        *about,
                        data.clips[index].key,
                        data.labels[index],
                        view if data.augmenter else 0,
                    ],
                    ".npz",
                )
                for index in range(len(data))
            ]
            items = {index: item for index, item in enumerate(map(_load, files)) if item}
            missing = [index for index in range(len(data)) if index not in items]
            for index, item in _encode(model, data, view, missing):
                _save(files[index], item, cache)
                items[index] = item
                advance(view * len(data) + len(items), views * len(data))
            encoded.append([items[index] for index in range(len(data))])
    cache.trim()
    return encoded


def _encode(
    model: Classifier, data: ClipDataset, view: int, indices: list[int]
) -> Iterator[tuple[int, Item]]:
    device = next(model.parameters()).device
    for begin in range(0, len(indices), _BATCH):
        chosen = indices[begin : begin + _BATCH]
        batch = collate([data[view, index] for index in chosen])
        features = model.encode(batch.inputs.to(device), batch.padded).float().cpu()
        for index, steps, length, label in zip(
            chosen, features, batch.lengths, batch.labels, strict=True
        ):
            # Cloned: a slice would keep the whole padded batch alive.
            yield index, (steps[: int(length)].clone(), int(label))


def _fingerprint(model: Classifier) -> str:
    """Return a hash of the encoder: its layers, its weights and its pixel range."""
    digest = hashlib.sha256(repr(model.encoder).encode())
    tensors: dict[str, Any] = {**model.encoder.state_dict()}
    tensors |= {"mean": model.normalize.mean, "scale": model.normalize.scale}
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _load(path: Path) -> Item | None:
    try:
        with np.load(path, allow_pickle=False) as kept:
            item = torch.from_numpy(kept["features"]), int(kept["label"])
        touch(path)
    except (OSError, ValueError, KeyError, EOFError):
        return None
    return item


def _save(path: Path, item: Item, cache: Cache) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as unfinished:
            np.savez(unfinished, features=item[0].numpy(), label=item[1])
    except OSError as error:
        raise cache.error(error) from None
