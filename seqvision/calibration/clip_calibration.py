"""Temperature and threshold for unknown, from labelled clips that the model has not learnt from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from seqvision.calibration.inference import CalibrationModel
from seqvision.calibration.temperature import (
    UNKNOWN,
    Logits,
    Reject,
    find_reject,
    fit_temperature,
    held_out,
    probable,
)
from seqvision.config import CalibrateOptions
from seqvision.console import print_note
from seqvision.data.clips import Clip
from seqvision.data.datasets import DataSet
from seqvision.data.decode import Decoded
from seqvision.data.near_duplicates import divide, find_near_duplicates
from seqvision.data.splits import partition
from seqvision.errors import DataError
from seqvision.evaluation import load_clips
from seqvision.metrics import calibration
from seqvision.training.data import fingerprint
from seqvision_edge.card import ModelCard

FEW: Final = 30
_FOLDS: Final = 5


@dataclass(frozen=True)
class Reliability:
    """Calibration of the probabilities: ECE, and the loss in nats."""

    error: float
    loss: float


@dataclass(frozen=True)
class FromClips:
    """Calibration on clips.

    Attributes:
        temperature: for the card; the one that it has where another is no better.
        before: with the card's temperature.
        after: with temperatures of other clips than those that they are measured on.
        chosen: which clips these are, in words.
    """

    clips: int
    chosen: str
    temperature: float
    before: Reliability
    after: Reliability
    reject: Reject

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        return {
            "clips": self.clips,
            "ece_before": round(self.before.error, 4),
            "ece_after": round(self.after.error, 4),
            "loss_before": round(self.before.loss, 4),
            "loss_after": round(self.after.loss, 4),
            "min_confidence_from": self.reject.how,
            "correct_kept": round(self.reject.kept, 4),
            "unknown_rejected": None
            if self.reject.refused is None
            else round(self.reject.refused, 4),
        }


def calibrate_clips(
    model: CalibrationModel, data_sets: Sequence[DataSet], options: CalibrateOptions
) -> FromClips:
    """Find the temperature and the threshold for unknown.

    Raises:
        DataError: there is no such clip, or an unknown label.
    """
    card = model.card
    clips: list[Clip] = []
    decoded: list[Decoded] = []
    words: list[str] = []
    for data_set in data_sets:
        path = data_set.path
        found, frames, _ = load_clips(data_set, card, options.image_fps, options.cache)
        chosen, word = choose_clips(found, frames, card, options.split)
        if not chosen:
            raise DataError(f"{path}: no clip has the split {options.split}")
        clips += [found[i] for i in chosen]
        decoded += [frames[i] for i in chosen]
        words.append(f"{len(chosen)} {word} of {path}")
    truth = np.array(
        [card.labels.index(c.label) if c.label in card.labels else UNKNOWN for c in clips]
    )
    known = np.flatnonzero(truth != UNKNOWN)
    if not len(known):
        raise DataError(f"{data_sets[0].path}: no clip has a label of the model")
    logits = model.logits(decoded)
    temperature, before, after = _temperature(
        logits[known], truth[known], [clips[i] for i in known], model
    )
    background = card.decision.background
    reject = find_reject(
        logits, truth, temperature, None if background is None else card.labels.index(background)
    )
    return FromClips(len(clips), ", ".join(words), temperature, before, after, reject)


def choose_clips(
    clips: Sequence[Clip], decoded: Sequence[Decoded], card: ModelCard, split: str
) -> tuple[list[int], str]:
    """Return which clips to take, and what they are.

    `auto` takes the clips of the part `val`, else those that the training validated on; of
    clips that it has not seen, all.  Clips of unknown labels are taken in any case.
    """
    unknown = [i for i, clip in enumerate(clips) if clip.label not in card.labels]
    own = [i for i, clip in enumerate(clips) if clip.label in card.labels]
    if split != "auto":
        chosen = [i for i in own if split in ("all", clips[i].split)]
        return chosen and sorted(chosen + unknown), f"{split} clips"
    named = [i for i in own if clips[i].split == "val"]
    if named:
        return sorted(named + unknown), "validation clips"
    mine, frames = [clips[i] for i in own], [decoded[i] for i in own]
    if fingerprint(mine, frames) == card.origin.data.get("fingerprint"):
        aside = _set_aside(mine, frames, card)
        if aside is not None:
            return sorted([*(own[i] for i in aside), *unknown]), "validation clips of the training"
    return list(range(len(clips))), "clips"


def _set_aside(
    clips: Sequence[Clip], decoded: Sequence[Decoded], card: ModelCard
) -> list[int] | None:
    """Return the validation clips of the training; None where its options are not in the card."""
    options = card.origin.options
    read, training = options.get("clips"), options.get("training")
    if not isinstance(read, dict) or not isinstance(training, dict):
        return None
    val, fold, seed = read.get("val"), read.get("fold"), training.get("seed")
    if not isinstance(val, float) or not isinstance(seed, int):
        return None
    fold = fold if isinstance(fold, str) else None
    copies = find_near_duplicates(clips, decoded)
    # A model of before 0.3 has `groups`, true or false.
    kept = read.get("groups", True) and read.get("split_by") != "none"
    return divide(clips, copies, val, fold, seed, bool(kept))[0].val


def _temperature(
    logits: Logits, truth: NDArray[np.int64], clips: Sequence[Clip], model: CalibrationModel
) -> tuple[float, Reliability, Reliability]:
    """Return the temperature, and how sure the clips are before and after it."""
    own = model.card.decision.temperature
    before = _sure(probable(logits, own), truth)
    if not model.has_free_temperature:
        return own, before, before
    folds = [fold for fold in partition(clips, [1 / _FOLDS] * _FOLDS, seed=0) if fold]
    if len(folds) < 2:
        print_note("too few clips to find a temperature by")
        return own, before, before
    after = _sure(held_out(logits, truth, folds), truth)
    if after.loss >= before.loss:
        return own, before, before
    return round(fit_temperature(logits, truth), 4), before, after


def _sure(shares: NDArray[np.float64], truth: NDArray[np.int64]) -> Reliability:
    picked = np.maximum(shares[np.arange(len(truth)), truth], 1e-12)
    error = calibration(torch.from_numpy(shares), torch.from_numpy(truth)).error
    return Reliability(error, float(-np.log(picked).mean()))
