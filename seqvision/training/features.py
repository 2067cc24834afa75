"""Features of a frozen encoder: computed once for each view of a clip, and kept on disk.

The features of a view depend on the clip, the encoder with its weights, the window and what the
augmentation drew; they are kept under a hash of all of these, so that another head, another fold or
another day does not encode again.

Varied views are kept as float16, whose rounding is far below what varies them; the centre window,
which figures are measured on, as float32.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqvision.console import progress
from seqvision.data.cache import Cache, touch
from seqvision.data.dataset import ClipDataset, Item, collate
from seqvision.models.classifier import Classifier
from seqvision_edge.files import atomic_write

# Clips encoded at once: more make the activations fall out of the processor's caches.
_BATCH = 4
# What is kept in memory, however many clips there are; the others are read when needed.
_IN_MEMORY = 512 << 20
_LONG = 10_000
_LARGEST_FLOAT16 = 65504.0

_Kept = tuple[NDArray[Any], int]


class Features:
    """The features of clips, `(time, features)` float32, and their labels.

    An item is indexed by `(view, index)`.
    """

    def __init__(
        self,
        model: Classifier,
        data: ClipDataset,
        views: int,
        cache: Cache,
        in_memory: int = _IN_MEMORY,
    ) -> None:
        """Encode what the cache has not.

        Args:
            model: its encoder is frozen.
            data: the clips.
            views: how many varied copies of each clip; 1 where nothing varies them.
            cache: where features are kept.
            in_memory: bytes of features that stay in memory, so that they are read only once.

        Raises:
            DataError: the cache cannot be written, or a clip cannot be read any more.
        """
        self.views = views
        self._model = model
        self._data = data
        self._cache = cache
        self._room = in_memory
        self._kept: dict[tuple[int, int], _Kept] = {}
        about: list[Any] = [encoder_fingerprint(model), data.sequence.model_dump()]
        if data.augmenter:
            about += [data.augmenter.made_from(), data.seed]
        elif data.is_varied:
            about += [data.seed]
        text = json.dumps(about)
        # Of a training with teachers it lists every clip, and would be hashed for every one.
        self._about = about if len(text) < _LONG else [hashlib.sha256(text.encode()).hexdigest()]
        model.eval()
        with progress("encoding") as advance:
            done, total = 0, views * len(data)
            for view in range(views):
                missing = [index for index in range(len(data)) if not self._find(view, index)]
                done += len(data) - len(missing)
                for index, kept in self._encode(view, missing):
                    self._keep(view, index, kept)
                    done += 1
                    advance(done, total)
        cache.trim()

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, which: tuple[int, int]) -> Item:
        view, index = which
        kept = self._kept.get(which) or _load(self._file(view, index))
        if kept is None:  # trimmed away meanwhile
            ((_, kept),) = self._encode(view, [index])
        features, label = kept
        return torch.from_numpy(features.astype(np.float32)), label

    def __iter__(self) -> Iterator[Item]:
        """Yield all views of all clips."""
        return (self[view, index] for view in range(self.views) for index in range(len(self)))

    def _find(self, view: int, index: int) -> bool:
        """Return whether the cache has a view; keep it in memory while there is room."""
        found = _load(self._file(view, index))
        if found is not None:
            self._remember(view, index, found)
        return found is not None

    def _remember(self, view: int, index: int, kept: _Kept) -> None:
        if kept[0].nbytes <= self._room:
            self._room -= kept[0].nbytes
            self._kept[view, index] = kept

    def _keep(self, view: int, index: int, kept: _Kept) -> None:
        self._remember(view, index, kept)
        path = self._file(view, index)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as unfinished:
                np.savez(unfinished, features=kept[0], label=kept[1])
        except OSError as error:
            raise self._cache.error(error) from None

    def _file(self, view: int, index: int) -> Path:
        data = self._data
        drawn = view if data.is_varied else 0
        around = data.around[index]
        wider = [around.clip.key, around.start, around.end, around.background] if around else []
        return self._cache.file(
            [*self._about, data.clips[index].key, data.labels[index], drawn, *wider], ".npz"
        )

    @torch.inference_mode()
    def _encode(self, view: int, indices: list[int]) -> Iterator[tuple[int, _Kept]]:
        model, data = self._model, self._data
        device = next(model.parameters()).device
        for begin in range(0, len(indices), _BATCH):
            chosen = indices[begin : begin + _BATCH]
            batch = collate([data[view, index] for index in chosen])
            features = model.encode(batch.inputs.to(device), batch.padded).float().cpu()
            for index, steps, length, label in zip(
                chosen, features, batch.lengths, batch.labels, strict=True
            ):
                # Copied: a slice would keep the whole padded batch alive.
                found = steps[: int(length)].numpy().copy()
                if data.is_varied and np.abs(found).max(initial=0) <= _LARGEST_FLOAT16:
                    found = found.astype(np.float16)
                yield index, (found, int(label))


def encoder_fingerprint(model: Classifier) -> str:
    """Return a hash of the encoder: its layers, its weights and its pixel range."""
    digest = hashlib.sha256(repr(model.encoder).encode())
    tensors: dict[str, Any] = {**model.encoder.state_dict()}
    tensors |= {"mean": model.normalize.mean, "scale": model.normalize.scale}
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _load(path: Path) -> _Kept | None:
    try:
        with np.load(path, allow_pickle=False) as kept:
            found = kept["features"], int(kept["label"])
        touch(path)
    except (OSError, ValueError, KeyError, EOFError):
        return None
    return found
