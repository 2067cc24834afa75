"""The frames on which a file of landmarks is proven: noise has none, so pictures take part.

They are of the clips of --verify, or of those that the model was trained on where they still lie.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from seqvision.config import VerifyOptions
from seqvision.evaluation import load_clips
from seqvision.preflight.shared_checks import find_for_model
from seqvision_edge.card import ModelCard
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.landmarks import layout_of
from seqvision_edge.sampling import centre

_CLIPS: Final = 3
_REAL: Final = 24
_NOISE: Final = 8


@dataclass(frozen=True)
class Pool:
    """Frames `(count, height, width, channels)` to draw from; the first `real` are pictures."""

    frames: NDArray[np.uint8]
    real: int


def make_pool(card: ModelCard, options: VerifyOptions) -> Pool | None:
    """Return frames for a model of landmarks; None for others, which noise suits as well."""
    if layout_of(card) is None:
        return None
    shape = (_NOISE, card.image.height, card.image.width, card.image.channels)
    noise = np.random.default_rng(2).integers(0, 256, shape, np.uint8)
    real = _pictures(card, options)
    return Pool(np.concatenate((real, noise)), len(real)) if len(real) else Pool(noise, 0)


def _pictures(card: ModelCard, options: VerifyOptions) -> NDArray[np.uint8]:
    nothing = np.empty((0, card.image.height, card.image.width, card.image.channels), np.uint8)
    path = options.data or _training_data(card.origin.options)
    if path is None or not path.exists():
        return nothing
    try:
        found = find_for_model(path, card)
        chosen = np.linspace(0, len(found.clips) - 1, _CLIPS).round().astype(int)
        some = replace(found, clips=[found.clips[index] for index in sorted(set(chosen.tolist()))])
        _, decoded, _ = load_clips(some, card, options.image_fps, options.cache)
    except SeqvisionError:
        return nothing
    frames = np.concatenate([centre(clip, card.image, card.sequence) for clip in decoded])
    return frames[np.linspace(0, len(frames) - 1, min(_REAL, len(frames))).round().astype(int)]


def _training_data(options: Mapping[str, object]) -> Path | None:
    given = options.get("data") or options.get("root")
    return Path(given) if isinstance(given, str) else None
