"""The clips of a self-training: labelled ones, divided as for the teacher, and unlabelled ones.

Nothing that validates or tests is ever named by a model: neither the same content in another file
nor another clip of the same group.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seqvision.config import SelfTrainOptions, TrainOptions
from seqvision.console import print_line, progress
from seqvision.data.cache import Cache
from seqvision.data.clips import Clip
from seqvision.data.datasets import DataSet
from seqvision.data.decode import Decoded, Store, decode_all
from seqvision.data.group_split import group_split, group_warnings
from seqvision.data.near_duplicates import divide, find_near_duplicates
from seqvision.data.splits import keep_groups
from seqvision.data.unlabelled import find_unlabelled
from seqvision.errors import DataError
from seqvision.evaluation import load_clips
from seqvision.preflight.shared_checks import find_for_model
from seqvision.training.data import Data, data_summary, missing_in_val
from seqvision_edge.card import ModelCard, TimedSequence

_CHUNK = 64
# In the card's notes, of a model trained on clips with pseudo-labels.
SELF_TRAINED = "self-trained:"


@dataclass(frozen=True)
class Pool:
    """Clips without labels, their contents, and a note on each kind that was left out."""

    clips: Sequence[Clip]
    decoded: Sequence[Decoded]
    contents: Sequence[str]
    notes: tuple[str, ...] = ()


def read_labelled(
    path: Path, options: TrainOptions, card: ModelCard, data_set: DataSet | None = None
) -> Data:
    """Read the labelled clips as the model's card wants them, divided as its training did.

    Args:
        path: where they are.
        options: those of the model's training.
        card: the model's.
        data_set: what was found there already; None: it is looked for.

    Raises:
        DataError: none can be read, or their labels are not those of the model.
    """
    requested = options.clips
    data_set = data_set or find_for_model(path, card, requested.dataset, requested.official_split)
    clips, decoded, broken = load_clips(data_set, card, requested.image_fps, requested.cache)
    there = {clip.label for clip in clips}
    missing = [label for label in card.labels if label not in there]
    if missing:
        raise DataError(
            f"{path}: no clip of {', '.join(missing)}, a label of the model; "
            "give the clips that it was trained on"
        )
    seed = options.training.seed
    copies = find_near_duplicates(clips, decoded)
    apart = keep_groups(clips, requested.split_by)
    split, copied = divide(clips, copies, requested.val, requested.fold, seed, apart)
    sides = group_split(clips, split, requested.split_by)
    data = Data(
        clips=clips,
        decoded=decoded,
        labels=card.labels,
        truth=[card.labels.index(clip.label) for clip in clips],
        split=split,
        image=card.image,
        sequence=card.sequence,
        background=card.decision.background,
        notes=(),
        left_out=tuple(broken),
        groups=sides,
        warnings=group_warnings(clips, split, sides),
    )
    notes = missing_in_val(clips, data.split, data.labels)
    return replace(data, notes=(*copied, *notes, *_doubts(path, data, card)))


def read_pool(
    options: SelfTrainOptions, path: Path, card: ModelCard, labelled: Data, known: Collection[str]
) -> Pool:
    """Read the clips without labels; what is among the labelled ones is left out, and copies too.

    Args:
        known: contents of the labelled clips.

    Raises:
        DataError: none is left.
    """
    images = not isinstance(card.sequence, TimedSequence)
    found, found_notes = find_unlabelled(path, images, options.truth, card.vectors is not None)
    learnt = {labelled.clips[i].group for i in labelled.split.train}
    held = {labelled.clips[i].group for i in (*labelled.split.val, *labelled.split.test)}
    held -= learnt | {None}  # a group on both sides already has nothing to keep apart
    apart = [clip for clip in found if clip.group not in held]
    store = Store(Cache(options.cache), card.image, options.image_fps, card.sequence)
    with progress("decoding") as advance:
        clips, decoded, broken = decode_all(store, apart, advance)
    for line in broken:
        print_line(f"left out: {line}")
    marks = contents(decoded)
    kept: dict[str, int] = {}
    copies = same = moving = 0
    for number, (clip, mark) in enumerate(zip(decoded, marks, strict=True)):
        if images and len(clip.times) > 1:
            moving += 1
        elif mark in known:
            same += 1
        elif mark in kept:
            copies += 1
        else:
            kept[mark] = number
    counted: tuple[tuple[int, str], ...] = (
        (len(broken), "cannot be read"),
        (moving, "are not still images"),
        (len(found) - len(apart), "are of groups that validate or test"),
        (same, "are among the labelled clips"),
        (copies, "are copies of others"),
    )
    notes = (*found_notes, *(
        f"{count} of {len(found)} unlabelled clips {why}" for count, why in counted if count
    ))  # fmt: skip
    if not kept:
        raise DataError(f"{path}: no clip is left to learn from: {'; '.join(notes)}")
    chosen = list(kept.values())
    return Pool([clips[i] for i in chosen], [decoded[i] for i in chosen], list(kept), notes)


def contents(clips: Sequence[Decoded]) -> list[str]:
    """Return hashes of the frames as the model gets them, whatever file they lie in."""
    hashes = []
    with progress("comparing clips") as advance:
        for number, clip in enumerate(clips, 1):
            digest = hashlib.sha256(str(clip.frames.shape).encode())
            for begin in range(0, len(clip.times), _CHUNK):
                digest.update(np.ascontiguousarray(clip.frames[begin : begin + _CHUNK]).data)
            hashes.append(digest.hexdigest())
            advance(number, len(clips))
    return hashes


def pool_fingerprint(clips: Sequence[Clip], marks: Sequence[str]) -> str:
    """Return a hash of which clips there are, in their order, with labels, groups and parts."""
    rows = [[mark, clip.label, clip.group, clip.split]
            for mark, clip in zip(marks, clips, strict=True)]  # fmt: skip
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def _doubts(path: Path, data: Data, card: ModelCard) -> tuple[str, ...]:
    """Return a note where the model may have learnt from clips that validate here."""
    before: dict[str, Any] = card.origin.data
    now = data_summary(data)
    names: tuple[str, ...] = ("fingerprint", "train", "val", "test")
    if any(note.startswith(SELF_TRAINED) for note in card.origin.notes):
        names = ("val", "test")  # it learnt from more clips than these
    if all(before.get(name) == now[name] for name in names):
        return ()
    return (
        f"{path} is not what the model was trained on: it may have learnt from clips that "
        "validate or test here, and its figures in round 0 may be too good",
    )
