"""The augmentation of a clip: choose frames → apply the steps of the recipe → change its label."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvision.config import PRESETS, AugmentOptions, TrainOptions
from seqvision.data.augment.recipe import read_content, read_recipe
from seqvision.data.augment.temporal import TemporalOptions, draw_frames
from seqvision.data.augment.turns import turns
from seqvision.data.label_swaps import (
    check_swaps,
    refuse_empty_reversal,
    refuse_unsafe_turns,
    swap_notes,
)

Frames = NDArray[np.uint8]

# Raise it when the same content and seed give other pixels: kept features are then made anew.
_VERSION = 1


class Augmenter:
    """Varies clips; the same seed varies a clip in the same way, in every process."""

    def __init__(
        self,
        augment: str | Mapping[str, Any] = "light",
        flip: bool = False,
        swap: Mapping[int, int] | None = None,
        timing: TemporalOptions | None = None,
        reversal: Mapping[int, int] | None = None,
    ) -> None:
        """Make and try the augmenters.

        Args:
            augment: `none`, `light`, `strong`, a YAML file, or the content of one.
            flip: mirror half of the clips.
            swap: label index → label index of its mirror image; others stay.
            timing: which frames are seen; by default those of `augment`.
            reversal: label index → label index when played backwards; others never are.

        Raises:
            DataError: `augment` cannot be used; see `read_recipe`.
        """
        self._recipe = read_recipe(augment)
        self._flip = flip
        self.mirrors = self._recipe.mirrors
        self.swap = dict(swap or {})
        self.timing = self._recipe.timing if timing is None else timing
        self.reversal = dict(reversal or {})

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to another process as content: the steps are functions, which cannot be pickled."""
        content = dict(self._recipe.content)
        return Augmenter, (content, self._flip, self.swap, self.timing, self.reversal)

    def relabelled(self, swap: Mapping[int, int], reversal: Mapping[int, int]) -> "Augmenter":
        """Return the same augmenter for other label indices."""
        content = dict(self._recipe.content)
        return Augmenter(content, self._flip, swap, self.timing, reversal)

    def __call__(self, frames: Frames, label: int, seed: int) -> tuple[Frames, int]:
        """Return a varied clip and its label; all its frames move and change together.

        Args:
            frames: `(time, height, width, channels)` uint8 with 1 or 3 channels; an image is a
                clip of one frame.
            label: index of the label.
            seed: what the draw depends on, 0 to below 2**31.
        """
        from seqvision.data.augment.pixels import ClipEdit, mirror_matrix

        frames = np.asarray(frames)
        if frames.size == 0:
            return frames, label
        work = ClipEdit(frames, Random(seed))
        if self._flip and work.random.random() < 0.5:
            work.warp(mirror_matrix(frames.shape[2]))
            label = self.swap.get(label, label)
        for step in self._recipe.steps:
            step(work)
        varied = work.frames()
        if np.shares_memory(varied, frames):
            varied = varied.copy()
        return np.ascontiguousarray(varied), label

    def choose(
        self,
        times: NDArray[np.float64],
        fps: float,
        frames: int,
        label: int,
        generator: np.random.Generator,
        source_fps: float | None = None,
        end: float | None = None,
    ) -> tuple[NDArray[np.int64], int]:
        """Return 1 to `frames` indices of a video's frames, and its label; see `draw_frames`."""
        chosen, backwards = draw_frames(
            times, fps, frames, self.timing, generator, label in self.reversal, source_fps, end
        )
        return chosen, self.reversal[label] if backwards else label

    def made_from(self) -> list[Any]:
        """Return, as plain data, everything that decides what a seed does to a clip."""
        return [
            _VERSION,
            dict(self._recipe.content),
            self.timing.model_dump(),
            self._flip,
            sorted(self.swap.items()),
            sorted(self.reversal.items()),
        ]


def check_augmentation(
    options: AugmentOptions, labels: Sequence[str]
) -> tuple[dict[int, int], dict[int, int]]:
    """Refuse what would make a label wrong; no imgaug, so that it takes a moment.

    Returns:
        What a mirror and playing backwards make of labels, as label index → label index.

    Raises:
        DataError: a label would become wrong, or the YAML cannot be read.
    """
    swap, reversal = check_swaps(options, labels)
    refuse_unsafe_turns(labels, turns(read_content(options.augment)), swap)
    return swap, reversal


def augmentation_notes(options: AugmentOptions, labels: Sequence[str]) -> list[str]:
    """Return which labels mirrors and turns exchange, and which they are taken to leave as is."""
    return swap_notes(options, labels, turns(read_content(options.augment)))


def make_augmenter(options: AugmentOptions, labels: Sequence[str]) -> Augmenter | None:
    """Return what varies the training clips, or None where nothing does.

    Raises:
        DataError: the augmenters cannot be used, or a label would become wrong.
    """
    swap, reversal = check_augmentation(options, labels)
    in_time = (options.speed, options.time_crop, options.drop, options.reverse or None)
    if options.augment == "none" and not options.flip and in_time == (None,) * 4:
        return None
    augmenter = Augmenter(options.augment, options.flip, swap, reversal=reversal)
    given = {
        "speed": options.speed,
        "crop": options.time_crop,
        "drop": options.drop,
        "reverse": 0.5 if options.reverse else None,
    }
    augmenter.timing = augmenter.timing.model_copy(
        update={key: value for key, value in given.items() if value is not None}
    )
    if augmenter.timing.reverse > 0:
        refuse_empty_reversal(reversal)
    varied = options.flip or augmenter.timing != TemporalOptions() or options.augment != "none"
    return augmenter if varied else None


def with_content(options: TrainOptions) -> TrainOptions:
    """Return the options with the content of a YAML file in place of its name.

    So the record of a run is complete: the file may be changed or moved afterwards.

    Raises:
        DataError: the file cannot be used.
    """
    augmentation = options.augmentation
    if not isinstance(augmentation.augment, str) or augmentation.augment in PRESETS:
        return options
    from seqvision.data.augment.recipe import read_recipe

    read_recipe(augmentation.augment)  # its errors name the file
    content = read_content(augmentation.augment)
    return options.model_copy(
        update={"augmentation": augmentation.model_copy(update={"augment": content})}
    )
