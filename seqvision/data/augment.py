"""Clips varied with imgaug: one draw per clip for geometry and colour, per frame for sensor noise.

A hand must not jump between two frames of a clip because each frame drew its own angle.  imgaug
draws per image, so a clip is given to it as one image, in the layout that suits the augmenter:

- geometry and blur see the frames as channels, `(height, width, time × channels)`: one warp;
- colour sees them under each other, `(time × height, width, channels)`: one draw, every frame;
- noise sees the same tall image, and draws per pixel: every frame its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvision.compat import iaa
from seqvision.config import AugmentOptions
from seqvision.errors import DataError

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Preset:
    """Augmenters by what they change."""

    geometry: Any
    colour: Any
    noise: Any


def _light() -> Preset:
    return Preset(
        geometry=iaa.Affine(
            scale=(0.9, 1.1),
            translate_percent={"x": (-0.08, 0.08), "y": (-0.08, 0.08)},
            rotate=(-8, 8),
            mode="edge",
        ),
        colour=iaa.Sequential(
            [iaa.Multiply((0.8, 1.2)), iaa.Add((-12, 12), per_channel=0.5)],
        ),
        noise=iaa.Sometimes(0.3, iaa.AdditiveGaussianNoise(scale=(0, 8))),
    )


def _strong() -> Preset:
    return Preset(
        geometry=iaa.Sequential(
            [
                iaa.Affine(
                    scale=(0.75, 1.3),
                    translate_percent={"x": (-0.15, 0.15), "y": (-0.15, 0.15)},
                    rotate=(-15, 15),
                    shear=(-8, 8),
                    mode="edge",
                ),
                iaa.Sometimes(0.2, iaa.GaussianBlur((0.3, 1.2))),
            ]
        ),
        colour=iaa.Sequential(
            [
                iaa.Multiply((0.6, 1.5)),
                iaa.Add((-25, 25), per_channel=0.5),
                iaa.Sometimes(0.5, iaa.GammaContrast((0.7, 1.5))),
                iaa.Sometimes(0.2, iaa.Grayscale((0.0, 1.0))),
            ]
        ),
        noise=iaa.Sometimes(0.5, iaa.AdditiveGaussianNoise(scale=(0, 16), per_channel=0.3)),
    )


PRESETS = {"light": _light, "strong": _strong}


class Augmenter:
    """Varies clips; the same seed varies a clip in the same way."""

    def __init__(
        self, preset: str, flip: bool = False, swap: Mapping[int, int] | None = None
    ) -> None:
        """Make the augmenters of a preset.

        Args:
            preset: `none`, `light` or `strong`.
            flip: mirror half of the clips.
            swap: label index → label index of its mirror image; others stay.
        """
        self._preset = PRESETS[preset]() if preset != "none" else None
        self._flip = flip
        self.swap = dict(swap or {})

    def __call__(self, frames: Frames, label: int, seed: int) -> tuple[Frames, int]:
        """Return a varied clip and its label.

        Args:
            frames: `(time, height, width, channels)` uint8.
            label: index of the label.
            seed: what the draw depends on, below 2**31.
        """
        if self._flip and np.random.default_rng(seed).random() < 0.5:
            frames, label = frames[:, :, ::-1], self.swap.get(label, label)
        if self._preset is None or frames.size == 0:
            return np.ascontiguousarray(frames), label
        time, height, width, channels = frames.shape
        steps = (self._preset.geometry, self._preset.colour, self._preset.noise)
        for number, augmenter in enumerate(steps):
            augmenter.seed_((seed + number) % 2**31)
        image = np.ascontiguousarray(frames.transpose(1, 2, 0, 3)).reshape(height, width, -1)
        image = self._preset.geometry.augment_images([image])[0]
        frames = image.reshape(height, width, time, channels).transpose(2, 0, 1, 3)
        image = np.ascontiguousarray(frames).reshape(time * height, width, channels)
        if channels == 1:
            image = np.repeat(image, 3, axis=2)
        image = self._preset.noise.augment_images(self._preset.colour.augment_images([image]))[0]
        image = image[:, :, :channels]
        return np.ascontiguousarray(image).reshape(time, height, width, channels), label


def make_augmenter(options: AugmentOptions, labels: Sequence[str]) -> Augmenter | None:
    """Return what varies the training clips; None where they stay as they are.

    Raises:
        DataError: clips are to be mirrored, but a label would become wrong.
    """
    pairs = mirror_labels(labels, options.swap)
    if options.flip:
        refuse_unsafe_flip(labels, pairs)
    if options.augment == "none" and not options.flip:
        return None
    return Augmenter(options.augment, options.flip, pairs)


def mirror_labels(labels: Sequence[str], swap: Sequence[str]) -> dict[int, int]:
    """Read `left:right` pairs into label index → label index.

    Raises:
        DataError: a pair that is not two labels of the data.
    """
    index = {label: number for number, label in enumerate(labels)}
    pairs: dict[int, int] = {}
    for text in swap:
        left, colon, right = text.partition(":")
        if not colon or left not in index or right not in index:
            raise DataError(f"--swap {text}: not two labels joined by a colon, like {labels[0]}:…")
        pairs[index[left]], pairs[index[right]] = index[right], index[left]
    return pairs


def refuse_unsafe_flip(labels: Sequence[str], pairs: Mapping[int, int]) -> None:
    """Refuse to mirror clips whose label names a side that the mirror exchanges.

    Raises:
        DataError: such a label has no partner in `pairs`.
    """
    sided = ("left", "right", "cw", "ccw", "clockwise", "counterclockwise")
    for number, label in enumerate(labels):
        words = label.lower().replace("-", "_").replace(" ", "_").split("_")
        if number not in pairs and any(word in sided for word in words):
            raise DataError(
                f"--flip: a mirror changes the label {label}; name its partner, "
                f"as in --swap {label}:…"
            )
