"""Landmarks of clips: computed once for each frame, kept on disk, and varied as points.

The detector never sees a varied picture: a turn, a shift or a mirror of the points is the same, and
costs nothing.  So every epoch draws anew, whatever `--views` is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from seqvision.config import AugmentOptions
from seqvision.console import print_line, print_warning, progress
from seqvision.data.augment import Augmenter
from seqvision.data.cache import Cache, touch
from seqvision.data.dataset import ClipDataset, Draw, Item
from seqvision.data.decode import Decoded
from seqvision.models.classifier import Classifier
from seqvision.training.features import encoder_fingerprint
from seqvision_edge.card import VideoSequence
from seqvision_edge.files import atomic_write
from seqvision_edge.landmarks import HAND_POINTS, PER_HAND, SHOWN, presence
from seqvision_edge.sampling import centre_start, select_frames

Points = NDArray[np.float32]

# Frames that a varied clip is drawn from come at so many times the model's rate.
_FINER: Final = 2
# Frames encoded at once, so that an interrupt is quick and memory small.
_PIECE: Final = 32
# Of fewer frames with hands the features carry little information.
_RARE: Final = 0.6


@dataclass(frozen=True)
class Variation:
    """How points vary, the same for a whole clip but for the jitter.

    Attributes:
        turn: degrees, either way.
        scale: share, either way.
        shift: share of the picture's longer side, either way.
        jitter: deviation of each point, in sizes of the hand.
        lose: probability that a hand is not found in a frame, as when it is blurred.
        flip: mirror half of the clips.
        swap: label index → label index of its mirror image; others stay.
        augmenter: which frames are seen.
    """

    turn: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    jitter: float = 0.0
    lose: float = 0.0
    flip: bool = False
    swap: Mapping[int, int] = field(default_factory=dict)
    augmenter: Augmenter | None = None

    @classmethod
    def of(cls, options: AugmentOptions, augmenter: Augmenter | None) -> "Variation | None":
        """Return what the options of a training mean for points; None where nothing varies."""
        if augmenter is None:
            return None
        strengths = _STRENGTHS[str(options.augment)]
        return cls(*strengths, options.flip, augmenter.swap, augmenter)

    def __call__(
        self, points: Points, label: int, generator: np.random.Generator
    ) -> tuple[Points, int]:
        """Vary the features `(time, hands × 67)` of a clip; return them and their label."""
        # (time, hands, values): all are linear in what a turn, a scale and a mirror do.
        hands = points.reshape(len(points), -1, PER_HAND).astype(np.float64)
        mirrored = self.flip and bool(generator.random() < 0.5)
        if mirrored:
            hands = hands[:, ::-1].copy()
            label = self.swap.get(label, label)
        marks = hands[..., : 3 * HAND_POINTS].reshape(*hands.shape[:2], HAND_POINTS, 3)
        wrists, sizes, there = hands[..., 63:65], hands[..., 65:66], hands[..., 66:]
        if mirrored:
            marks[..., 0] *= -1
            wrists[..., 0] *= -1
        angle = np.deg2rad(generator.uniform(-self.turn, self.turn))
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        scale = 1 + generator.uniform(-self.scale, self.scale)
        shift = 2 * generator.uniform(-self.shift, self.shift, 2)
        marks[..., :2] = marks[..., :2] @ turn
        # The wrist is where the others are measured from.
        noise = generator.normal(0, self.jitter, (*marks.shape[:2], HAND_POINTS - 1, 3))
        marks[..., 1:, :] += noise * there[..., None]
        wrists[:] = wrists @ turn * scale + shift * there
        sizes *= scale
        hands[..., : 3 * HAND_POINTS] = marks.reshape(*hands.shape[:2], -1)
        hands *= generator.random(hands.shape[:2])[..., None] >= self.lose
        return hands.reshape(points.shape).astype(np.float32), label


_STRENGTHS: Final[Mapping[str, tuple[float, float, float, float, float]]] = {
    "none": (0.0, 0.0, 0.0, 0.0, 0.0),
    "light": (8.0, 0.12, 0.05, 0.02, 0.05),
    "strong": (15.0, 0.25, 0.10, 0.04, 0.10),
}


class ClipLandmarks(Dataset[Item]):
    """The landmarks of clips as a model sees them: the centre window, or a varied one.

    An item is indexed by `(epoch, index)`.
    """

    views = 1

    def __init__(
        self,
        model: Classifier,
        data: ClipDataset,
        cache: Cache,
        variation: Variation | None = None,
    ) -> None:
        """Encode what the cache has not.

        Raises:
            DataError: the cache cannot be written, or a clip cannot be read any more.
        """
        assert isinstance(data.sequence, VideoSequence)
        self._data, self._sequence, self._variation = data, data.sequence, variation
        assert not any(data.around), "preflight refuses --context"
        self._kept = [_frames_of(clip, data.sequence) for clip in data.clips]
        self._points: list[Points] = []
        made_from = encoder_fingerprint(model)
        model.eval()
        total = sum(map(len, self._kept))
        with progress("finding hands") as advance:
            done = 0
            for clip, kept in zip(data.clips, self._kept, strict=True):
                path = cache.file([made_from, clip.key, kept.tolist()], ".npz")
                points = _load(path)
                if points is None:
                    pieces = []
                    for at in range(0, len(kept), _PIECE):
                        pieces.append(_encode(model, clip, kept[at : at + _PIECE]))
                        advance(done + at + len(pieces[-1]), total)
                    points = np.concatenate(pieces)
                    _save(path, points, cache)
                done += len(kept)
                self._points.append(points)
        cache.trim()

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, draw: Draw) -> Item:
        epoch, index = draw
        clip, label = self._data.clips[index], self._data.labels[index]
        sequence, points, kept = self._sequence, self._points[index], self._kept[index]
        if self._variation is None or self._variation.augmenter is None:
            ticks = _centre_ticks(clip, sequence)
            return torch.from_numpy(points[np.searchsorted(kept, ticks)]), label
        generator = np.random.default_rng((self._data.seed, epoch, int(clip.key, 16)))
        chosen, label = self._variation.augmenter.choose(
            clip.times[kept], sequence.fps, sequence.frames, label, generator, None, clip.end
        )
        varied, label = self._variation(points[chosen], label, generator)
        return torch.from_numpy(varied), label

    def windows(self, epochs: int = 8) -> Iterator[torch.Tensor]:
        """Yield the varied windows `(time, features)` of some epochs."""
        for epoch in range(epochs if self._variation else 1):
            for index in range(len(self)):
                yield self[epoch, index][0]

    def seen(self) -> tuple[int, int]:
        """Return in how many frames there is a hand, and how many frames there are."""
        clearest = [presence(points).max(axis=1) for points in self._points]
        return sum(int((each >= SHOWN).sum()) for each in clearest), sum(map(len, clearest))


def seen_notes(*parts: ClipLandmarks) -> tuple[str, ...]:
    """Print the share of frames with hands; return it as notes for the card and the report."""
    seen, frames = (sum(values) for values in zip(*(part.seen() for part in parts), strict=True))
    share = seen / max(1, frames)
    text = f"hands in {share:.0%} of the frames"
    if share >= _RARE:
        print_line(text)
        return (text,)
    text += (
        ", which is few: they must be whole in the picture, lit, and not small; see "
        "docs/landmarks.md"
    )
    print_warning(text)
    return (text,)


def _frames_of(clip: Decoded, sequence: VideoSequence) -> NDArray[np.int64]:
    """Return the frames that a window of a clip is drawn from, rising."""
    finer = select_frames(clip.times, _FINER * sequence.fps, clip.source_fps, clip.end)
    return np.unique(np.concatenate((finer, _centre_ticks(clip, sequence))))


def _centre_ticks(clip: Decoded, sequence: VideoSequence) -> NDArray[np.int64]:
    """Return the frames of the centre window, as `seqvision_edge.sampling.window` has them."""
    ticks = select_frames(clip.times, sequence.fps, clip.source_fps, clip.end)
    first = centre_start(len(ticks), sequence.frames)
    return np.asarray(ticks[first : first + sequence.frames], np.int64)


@torch.inference_mode()
def _encode(model: Classifier, clip: Decoded, frames: NDArray[np.int64]) -> Points:
    device = next(model.parameters()).device
    pictures = torch.from_numpy(np.ascontiguousarray(clip.frames[frames])).to(device)
    return model.encode(pictures[None])[0].float().cpu().numpy()


def _load(path: Any) -> Points | None:
    try:
        with np.load(path, allow_pickle=False) as kept:
            points = np.asarray(kept["points"], np.float32)
        touch(path)
    except (OSError, ValueError, KeyError, EOFError):
        return None
    return points


def _save(path: Any, points: Points, cache: Cache) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as unfinished:
            np.savez(unfinished, points=points)
    except OSError as error:
        raise cache.error(error) from None
