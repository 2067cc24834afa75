"""Landmarks of clips: computed once for each frame, kept on disk, and varied as points.

The detector never sees a varied picture: a turn, a shift or a mirror of the points is the same, and
costs nothing.  So every epoch draws anew, whatever `--views` is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
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
from seqvision.landmarks.found import Found, count_found
from seqvision.models.classifier import Classifier
from seqvision.training.features import encoder_fingerprint
from seqvision_edge.card import TimedSequence
from seqvision_edge.files import atomic_write
from seqvision_edge.landmarks import (
    BODY_MIRROR,
    BODY_POINTS,
    HAND_POINTS,
    PER_BODY,
    PER_HAND,
    layout,
)
from seqvision_edge.sampling import centre_start, select_frames

Points = NDArray[np.float32]

# Frames that a varied clip is drawn from come at so many times the model's rate.
_FINER: Final = 2
# Frames encoded at once, so that an interrupt is quick and memory small.
_PIECE: Final = 32


@dataclass(frozen=True)
class Variation:
    """How points vary, the same for a whole clip but for jitter, drop and lose.

    Attributes:
        turn: degrees, either way.
        scale: share, either way.
        shift: share of the picture's longer side, either way.
        jitter: deviation of each point, in sizes of the hand or torso.
        drop: probability that a point is missing in a frame: it is zeros.
        lose: probability that a hand or a body is not found in a frame, as when it is blurred.
        flip: mirror half of the clips.
        swap: label index → label index of its mirror image; others stay.
        augmenter: which frames are seen.
    """

    turn: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    jitter: float = 0.0
    drop: float = 0.0
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
        """Vary the features `(time, features)` of a clip; return them and their label."""
        described = layout(points.shape[-1])
        split = described.hands * PER_HAND
        mirrored = self.flip and bool(generator.random() < 0.5)
        if mirrored:
            label = self.swap.get(label, label)
        motion = _Motion.draw(self, mirrored, generator)
        parts = []
        if described.hands:
            hands = points[:, :split].reshape(len(points), described.hands, PER_HAND)
            parts.append(self._hands(hands[:, ::-1] if mirrored else hands, motion, generator))
        if described.body:
            parts.append(self._body(points[:, split:].reshape(-1, 1, PER_BODY), motion, generator))
        varied = [part.reshape(len(points), -1) for part in parts]
        return np.concatenate(varied, axis=1).astype(np.float32), label

    def _hands(
        self, hands: Points, motion: "_Motion", generator: np.random.Generator
    ) -> NDArray[np.float64]:
        """`(time, hands, 67)`, in the order of their slots."""
        marks, place, there = _apart(hands, HAND_POINTS)
        motion.move(marks, place, there)
        # The wrist is where the others are measured from.
        noise = generator.normal(0, self.jitter, (*marks.shape[:2], HAND_POINTS - 1, 3))
        marks[..., 1:, :] += noise * there[..., None]
        return self._lose(marks, place, there, generator)

    def _body(
        self, body: Points, motion: "_Motion", generator: np.random.Generator
    ) -> NDArray[np.float64]:
        """`(time, 1, 55)`."""
        marks, place, there = _apart(body, BODY_POINTS)
        if motion.mirrored:
            marks = marks[..., BODY_MIRROR, :]
        motion.move(marks, place, there)
        noise = generator.normal(0, self.jitter, (*marks.shape[:3], 2))
        marks[..., :2] += noise * marks[..., 2:]
        return self._lose(marks, place, there, generator)

    def _lose(
        self,
        marks: NDArray[np.float64],
        place: NDArray[np.float64],
        there: NDArray[np.float64],
        generator: np.random.Generator,
    ) -> NDArray[np.float64]:
        marks *= generator.random(marks.shape[:3])[..., None] >= self.drop
        whole = np.concatenate((marks.reshape(*marks.shape[:2], -1), place, there), axis=2)
        whole *= generator.random(whole.shape[:2])[..., None] >= self.lose
        return whole


@dataclass(frozen=True)
class _Motion:
    """How a camera that is turned, moved or nearer would see the same: linear in all features."""

    mirrored: bool
    turn: NDArray[np.float64]
    scale: float
    shift: NDArray[np.float64]

    @classmethod
    def draw(cls, strength: Variation, mirrored: bool, generator: np.random.Generator) -> "_Motion":
        angle = np.deg2rad(generator.uniform(-strength.turn, strength.turn))
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        scale = 1 + generator.uniform(-strength.scale, strength.scale)
        return cls(mirrored, turn, scale, 2 * generator.uniform(-strength.shift, strength.shift, 2))

    def move(
        self, marks: NDArray[np.float64], place: NDArray[np.float64], there: NDArray[np.float64]
    ) -> None:
        """Move points `(time, slots, points, …)`, and place and size `(time, slots, 3)`."""
        if self.mirrored:
            marks[..., 0] *= -1
            place[..., 0] *= -1
        marks[..., :2] = marks[..., :2] @ self.turn
        place[..., :2] = place[..., :2] @ self.turn * self.scale + self.shift * there
        place[..., 2] *= self.scale


def _apart(part: Points, points: int) -> tuple[NDArray[np.float64], ...]:
    """Return points `(time, slots, points, 3)`, place and size `(…, 3)`, and presence `(…, 1)`."""
    values = part.astype(np.float64)
    marks = values[..., : 3 * points].reshape(*values.shape[:2], points, 3)
    return marks, values[..., -4:-1], values[..., -1:]


_STRENGTHS: Final[Mapping[str, tuple[float, float, float, float, float, float]]] = {
    "none": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "light": (8.0, 0.12, 0.05, 0.02, 0.01, 0.05),
    "strong": (15.0, 0.25, 0.10, 0.04, 0.03, 0.10),
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
        assert isinstance(data.sequence, TimedSequence)
        self._data, self._sequence, self._variation = data, data.sequence, variation
        around = [None if each is None else each.clip for each in data.around]
        clips = [*data.clips, *(clip for clip in around if clip is not None)]
        kept = [_frames_of(clip, data.sequence) for clip in clips]
        made_from = encoder_fingerprint(model)
        model.eval()
        # Clips whose frames are features, those that windows are drawn from.
        encoded: list[Decoded] = []
        with progress("finding landmarks") as advance:
            done, total = 0, sum(map(len, kept))
            for clip, frames in zip(clips, kept, strict=True):
                path = cache.file([made_from, clip.key, frames.tolist()], ".npz")
                points = _load(path)
                if points is None:
                    pieces = []
                    for at in range(0, len(frames), _PIECE):
                        pieces.append(_encode(model, clip, frames[at : at + _PIECE]))
                        advance(done + at + len(pieces[-1]), total)
                    points = np.concatenate(pieces)
                    _save(path, points, cache)
                done += len(frames)
                encoded.append(_of_points(clip, frames, points))
        cache.trim()
        self._clips = encoded[: len(data.clips)]
        self._centres = [
            np.searchsorted(frames, _centre_ticks(clip, data.sequence))
            for clip, frames in zip(data.clips, kept[: len(data.clips)], strict=True)
        ]
        wider = iter(encoded[len(data.clips) :])
        self._around = [
            None if each is None else replace(each, clip=next(wider)) for each in data.around
        ]

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, draw: Draw) -> Item:
        epoch, index = draw
        clip, label, sequence = self._clips[index], self._data.labels[index], self._sequence
        around, variation = self._around[index], self._variation
        augmenter = variation.augmenter if variation else None
        if around is None and augmenter is None:
            return torch.from_numpy(_points_of(clip)[self._centres[index]]), label
        generator = np.random.default_rng((self._data.seed, epoch, int(clip.key, 16)))
        if around is not None:
            window = around.draw(sequence.frames / sequence.fps, label, generator)
            clip, label = window or (clip, label)
        if variation is None or augmenter is None:
            return torch.from_numpy(_points_of(clip)[_centre_ticks(clip, sequence)]), label
        chosen, label = augmenter.choose(
            clip.times, sequence.fps, sequence.frames, label, generator, None, clip.end
        )
        varied, label = variation(_points_of(clip)[chosen], label, generator)
        return torch.from_numpy(varied), label

    def windows(self, epochs: int = 8) -> Iterator[torch.Tensor]:
        """Yield the varied windows `(time, features)` of some epochs."""
        varied = self._variation is not None or any(self._around)
        for epoch in range(epochs if varied else 1):
            for index in range(len(self)):
                yield self[epoch, index][0]

    def found(self) -> Found:
        """Return in how many frames of the clips there are hands, and a body."""
        return count_found([_points_of(clip) for clip in self._clips])


def found_notes(*parts: ClipLandmarks) -> tuple[str, ...]:
    """Print the share of frames with landmarks; return it as notes for the card and the report."""
    found = parts[0].found()
    for part in parts[1:]:
        found += part.found()
    (print_warning if found.is_low() else print_line)(found.text())
    return (found.text(),)


def _of_points(clip: Decoded, kept: NDArray[np.int64], points: Points) -> Decoded:
    """Return a clip whose frames are features: windows are cut out of it as of pictures."""
    frames: Any = points
    return replace(clip, frames=frames, times=clip.times[kept], source_fps=None)


def _points_of(clip: Decoded) -> Points:
    return np.asarray(clip.frames, np.float32)


def _frames_of(clip: Decoded, sequence: TimedSequence) -> NDArray[np.int64]:
    """Return the frames that a window of a clip is drawn from, rising."""
    finer = select_frames(clip.times, _FINER * sequence.fps, clip.source_fps, clip.end)
    return np.unique(np.concatenate((finer, _centre_ticks(clip, sequence))))


def _centre_ticks(clip: Decoded, sequence: TimedSequence) -> NDArray[np.int64]:
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
