"""The clips by which a number format is calibrated and judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqvision.config import ExportOptions
from seqvision.data.datasets import DataSet
from seqvision.evaluation import load_clips
from seqvision_edge.card import ModelCard
from seqvision_edge.sampling import Steps, centre

# More change the ranges of activations hardly; each costs a call of a slow, unoptimised graph.
CALIBRATION = 256


@dataclass(frozen=True)
class Labelled:
    """Windows as the model reads them, `(time, height, width, channels)`, and what they show."""

    windows: tuple[Steps, ...] = ()
    labels: tuple[str, ...] = ()
    splits: tuple[str | None, ...] = ()

    def __len__(self) -> int:
        return len(self.windows)

    def of_split(self, train: bool) -> "Labelled":
        """Return the clips of the training split, or all others."""
        kept = [index for index, split in enumerate(self.splits) if (split == "train") == train]
        return self._at(kept)

    def spread(self, count: int) -> "Labelled":
        """Return at most `count` clips, the labels in turn."""
        by_label: dict[str, list[int]] = {}
        for index, label in enumerate(self.labels):
            by_label.setdefault(label, []).append(index)
        turns = sorted(
            (turn, index) for indices in by_label.values() for turn, index in enumerate(indices)
        )
        return self._at(sorted(index for _, index in turns[:count]))

    def _at(self, indices: Sequence[int]) -> "Labelled":
        return Labelled(
            tuple(self.windows[index] for index in indices),
            tuple(self.labels[index] for index in indices),
            tuple(self.splits[index] for index in indices),
        )


@dataclass(frozen=True)
class Clips:
    """What calibrates and what judges; `same` where both are the same clips."""

    calibrate: Labelled
    judge: Labelled
    same: bool


def gather_clips(
    options: ExportOptions, card: ModelCard, found: Mapping[Path, DataSet]
) -> Clips | None:
    """Return the clips of --calibrate and --verify, one for the other where only one is given.

    Where one set of clips serves both and has splits, the training part calibrates and the
    rest judges.  For fp32 nothing is read.

    Raises:
        DataError: the clips cannot be read, or have labels that the model does not know.
    """
    if options.precision == "fp32":
        return None
    paths = list(dict.fromkeys(filter(None, (options.calibrate, options.verify))))
    read = [_read(found[path], options, card) for path in paths] or [Labelled()]
    given, judge = read[0], read[-1]
    if len(read) > 1:
        return Clips(given.spread(CALIBRATION), judge, same=False)
    train, rest = given.of_split(True), given.of_split(False)
    if train and rest:
        return Clips(train.spread(CALIBRATION), rest, same=False)
    return Clips(given.spread(CALIBRATION), given, same=True)


def divided(clips: Clips) -> str:
    """Return in words which clips calibrate and which judge."""
    if not clips.judge:
        return "no clips were given, so noise judges"
    if clips.same:
        return (
            f"the same {len(clips.judge)} clips calibrate int8 and judge (a list with splits, or "
            "--verify CLIPS with --calibrate, would divide them)"
        )
    return f"{len(clips.calibrate)} clips calibrate int8, {len(clips.judge)} others judge"


def random_windows(card: ModelCard, count: int = 4) -> tuple[Steps, ...]:
    """Return windows of noise, for what needs no clips that show something."""
    generator = np.random.default_rng(0)
    image = card.image
    shape = (card.sequence.window, image.height, image.width, image.channels)
    return tuple(generator.integers(0, 256, shape, np.uint8) for _ in range(count))


def _read(data_set: DataSet, options: ExportOptions, card: ModelCard) -> Labelled:
    clips, decoded, _ = load_clips(data_set, card, options.image_fps, options.cache)
    return Labelled(
        tuple(centre(clip, card.image, card.sequence) for clip in decoded),
        tuple(clip.label for clip in clips),
        tuple(clip.split for clip in clips),
    )
