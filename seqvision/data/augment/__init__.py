"""Clips varied with imgaug: one draw per clip for geometry and colour, per frame for sensor noise.

A hand must not jump between two frames of a clip because each frame drew its own angle.

`recipe` (a YAML) → `build` (imgaug's augmenters, tried, planned as steps) → `pixels` (applied)
"""

from seqvision.data.augment.augmenter import (
    Augmenter,
    augmentation_notes,
    check_augmentation,
    make_augmenter,
    with_content,
)
from seqvision.data.augment.temporal import TemporalOptions, draw_frames
from seqvision.data.label_swaps import (
    mirror_labels,
    refuse_empty_reversal,
    refuse_unsafe_flip,
    refuse_unsafe_turns,
    reversal_labels,
)

__all__ = [
    "Augmenter",
    "TemporalOptions",
    "augmentation_notes",
    "check_augmentation",
    "draw_frames",
    "make_augmenter",
    "mirror_labels",
    "refuse_empty_reversal",
    "refuse_unsafe_flip",
    "refuse_unsafe_turns",
    "reversal_labels",
    "with_content",
]
