"""The clips of a training: found, decoded, split, with everything that was decided about them."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from seqvision.config import TrainOptions, data_path
from seqvision.console import print_line, progress
from seqvision.data.augment import augmentation_notes
from seqvision.data.cache import Cache
from seqvision.data.clip_notes import incomplete, incomplete_note, is_short, left_out_note
from seqvision.data.clips import (
    Clip,
    background_note,
    find_background,
    image_rate_note,
    labels_of,
    source_notes,
)
from seqvision.data.datasets import DataSet, find_data_set
from seqvision.data.decode import Decoded, OtherFeatures, Store, decode_all
from seqvision.data.group_split import GroupSplit, group_split, group_warnings
from seqvision.data.near_duplicates import (
    NearDuplicate,
    copies_notes,
    divide,
    find_near_duplicates,
    joined_groups,
)
from seqvision.data.splits import Split, keep_groups, split_folds
from seqvision.data.surroundings import Surroundings, load_surroundings
from seqvision.data.value_range import range_notes
from seqvision.errors import DataError
from seqvision.rank import is_first
from seqvision.training.sequence_planning import finalize_sequence, plan_sequence
from seqvision_edge.card import Decision, ImageSpec, SequenceSpec, TimedSequence, VectorSequence
from seqvision_edge.errors import SourceError
from seqvision_edge.option_fields import first_problem
from seqvision_edge.vector_files import read_vectors, refuse_mixed

# Of so few, one clip is 20 points of accuracy or more.
_FEW_CLIPS = 5
ONLY_STILLS = "every clip is one still image: --sequence rows cuts them into steps"


@dataclass(frozen=True)
class Data:
    """Decoded clips with everything that was decided about them."""

    clips: Sequence[Clip]
    decoded: Sequence[Decoded]
    labels: tuple[str, ...]
    truth: Sequence[int]
    split: Split
    image: ImageSpec
    sequence: SequenceSpec
    background: str | None
    notes: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    groups: GroupSplit | None = None
    warnings: tuple[str, ...] = ()
    around: Sequence[Surroundings | None] = ()
    unlabelled: tuple[Decoded, ...] = ()

    @property
    def is_vectors(self) -> bool:
        """Whether the clips are vectors."""
        return isinstance(self.sequence, VectorSequence)

    def part(self, indices: Sequence[int]) -> tuple[list[Decoded], list[int]]:
        """Return the clips and label indices of one part of the split."""
        return [self.decoded[i] for i in indices], [self.truth[i] for i in indices]


def load_dataset(options: TrainOptions, data_set: DataSet | None = None) -> Data:
    """Find, decode and split the clips; report what cannot be read and continue without it.

    Args:
        options: which clips, and how they become sequences.
        data_set: what was found there already; None: it is looked for.

    Raises:
        DataError: no clips, one label only, or a label of which no clip can be read.
    """
    data, copies = _read(options, data_set)
    clips, requested, seed = data.clips, options.clips, options.training.seed
    apart = keep_groups(clips, requested.split_by)
    split, copied = divide(clips, copies, requested.val, requested.fold, seed, apart)
    sides = group_split(clips, split, requested.split_by)
    return replace(
        data,
        split=split,
        notes=(*data.notes, *copied, *missing_in_val(clips, split, data.labels)),
        groups=sides,
        warnings=group_warnings(clips, split, sides),
    )


def load_folds(options: TrainOptions, data_set: DataSet | None = None) -> tuple[Data, list[Data]]:
    """Find and decode the clips, and divide them into `options.folds` folds.

    Copies of a clip are in one fold, and groups where they are kept apart.

    Args:
        options: which clips, and how they become sequences.
        data_set: what was found there already; None: it is looked for.

    Returns:
        The clips, all of them in `split.val`, with notes on them; and for each fold the same clips,
        those of the fold to validate and the others to train.

    Raises:
        DataError: as for `load_dataset`; or there are too few groups for the folds.
    """
    data, copies = _read(options, data_set)
    clips, requested = data.clips, options.clips
    apart = keep_groups(clips, requested.split_by)
    joined = joined_groups(clips, copies, apart)
    splits = split_folds(joined, options.folds, options.training.seed)
    folds = []
    for split in splits:
        sides = group_split(clips, split, requested.split_by)
        both = sides.warning()
        folds.append(replace(data, split=split, groups=sides, warnings=(both,) if both else ()))
    whole = Split([], [*range(len(clips))], [])
    notes = copies_notes(clips, copies, {})
    return replace(data, split=whole, notes=(*data.notes, *notes)), folds


def _read(options: TrainOptions, data_set: DataSet | None) -> tuple[Data, list[NearDuplicate]]:
    """Return the clips, not divided yet, with notes on them; and the copies among them."""
    data_set = data_set or find_data_set(
        data_path(options),
        options.clips.dataset,
        options.images.stills,
        options.clips.official_split,
        options.clips.region,
        options.images.vectors,
    )
    found = data_set.clips
    labels = labels_of(found)
    check_label_names(labels)
    image, sequence = plan_sequence(options, found)
    cache = Cache(options.clips.cache, options.clips.cache_size)
    store = Store(cache, image, options.clips.image_fps, sequence)
    try:
        with progress("decoding") as advance:
            clips, decoded, broken = decode_all(store, found, advance)
    except OtherFeatures:
        refuse_other_features(found, options.clips.image_fps)
        raise
    for line in broken if is_first() else ():
        print_line(f"left out: {line}")
    refuse_lost_labels(labels, clips)
    copies = find_near_duplicates(clips, decoded)
    background = find_background(labels, options.clips.background)
    settled = finalize_sequence(options, image, sequence, decoded, background)
    around: Sequence[Surroundings | None] = ()
    if reach := options.augmentation.context:
        with progress("decoding what is around") as advance:
            around = load_surroundings(store, clips, decoded, reach, background, labels, advance)
    data = Data(
        clips=clips,
        decoded=decoded,
        labels=labels,
        truth=[labels.index(clip.label) for clip in clips],
        split=Split([], [], []),
        image=image,
        sequence=settled,
        background=background,
        notes=(
            *data_set.notes,
            *([] if options.images.vectors else image_rate_note(clips, options.clips.image_fps)),
            *source_notes([(c, found.note) for c, found in zip(clips, decoded, strict=True)]),
            *_only_stills(decoded, sequence),
            *_no_background(labels, background, sequence),
            *([] if options.images.vectors else augmentation_notes(options.augmentation, labels)),
            *range_notes(decoded, image.value_range),
            *_damaged(clips, decoded, len(found)),
            *(_like_frames(clips, decoded) if options.images.vectors else ()),
            *_mostly_short(decoded, settled, background),
            *_without_surroundings(around),
        ),
        left_out=tuple(broken),
        around=around,
    )
    return data, copies


def refuse_other_features(clips: Sequence[Clip], rate: float) -> None:
    """Refuse clips of vectors that differ in their number of features, naming two of them.

    Raises:
        DataError: they do.
    """
    shapes = []
    for clip in clips:
        try:
            shapes.append((clip.name, read_vectors(clip.path, clip.fps or rate).values.shape))
        except SourceError:
            continue  # it is left out
    try:
        refuse_mixed(shapes)
    except SourceError as error:
        raise DataError(str(error)) from None


def data_summary(data: Data) -> dict[str, Any]:
    """Return what the clips were, with a fingerprint that changes when a clip or label does."""
    return {
        "clips": dict(Counter(clip.label for clip in data.clips)),
        "train": len(data.split.train),
        "val": len(data.split.val),
        "test": len(data.split.test),
        "fingerprint": fingerprint(data.clips, data.decoded),
        **({"unlabelled": len(data.unlabelled)} if data.unlabelled else {}),
    }


def fingerprint(clips: Sequence[Clip], decoded: Sequence[Decoded]) -> str:
    """Return a number that changes when a clip or label does, whatever their order."""
    rows = sorted(
        [f"{clip.path.name}{clip.fragment}", clip.label, len(frames.times)]
        for clip, frames in zip(clips, decoded, strict=True)
    )
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def _damaged(clips: Sequence[Clip], decoded: Sequence[Decoded], found: int) -> tuple[str, ...]:
    """Return notes on the clips that could not be read, or only in part."""
    notes = []
    if len(clips) < found:
        notes.append(left_out_note(found - len(clips), found))
    lines = incomplete(clips, decoded)
    if lines:
        notes.append(incomplete_note(lines, len(clips)))
    return tuple(notes)


def _like_frames(clips: Sequence[Clip], decoded: Sequence[Decoded]) -> tuple[str, ...]:
    """Return a note where arrays of points look like the frames of clips, each in a file."""
    shapes = {clip.frames.shape for clip in decoded}
    numbered = all(clip.path.suffix == ".npy" and clip.path.stem.isdecimal() for clip in clips)
    if len(shapes) > 1 or not numbered or not clips:
        return ()
    ((points, coordinates),) = shapes
    if coordinates > _MOST_COORDINATES:
        return ()
    return (
        f"each file is read as a clip of {points} vectors of {coordinates} features; if it is one "
        f"frame of {points} points, save it flat: numpy.save(path, array.ravel())",
    )


# Of a point: x, y, z and how visible it is.
_MOST_COORDINATES = 4


def _mostly_short(
    decoded: Sequence[Decoded], sequence: SequenceSpec, background: str | None
) -> tuple[str, ...]:
    """Return a note where more than a quarter of the clips does not fill a window for streams."""
    if not isinstance(sequence, TimedSequence) or background is None:
        return ()
    short = sum(is_short(clip, sequence) for clip in decoded if len(clip.times) > 1)
    if 4 * short <= len(decoded):
        return ()
    seconds = sequence.frames / sequence.fps
    return (
        f"{short} of {len(decoded)} clips are shorter than the window ({sequence.frames} frames at "
        f"{sequence.fps:g} fps, {seconds:.2g} s); live, an answer is for a full one: "
        "fewer --frames or a higher --fps make it shorter",
    )


def _without_surroundings(around: Sequence[Surroundings | None]) -> tuple[str, ...]:
    """Return a note where --context was given and nothing is around any clip."""
    if not around or any(around):
        return ()
    return (
        "--context has no effect: no clip is a part of a video; name the video and the part in a "
        "list: path,label,start,end",
    )


def _only_stills(decoded: Sequence[Decoded], sequence: SequenceSpec) -> tuple[str, ...]:
    if sequence.kind != "video" or any(len(clip.times) > 1 for clip in decoded):
        return ()
    return (ONLY_STILLS,)


def _no_background(
    labels: Sequence[str], background: str | None, sequence: SequenceSpec
) -> tuple[str, ...]:
    if background is not None or not isinstance(sequence, TimedSequence):
        return ()  # a picture is no moment of a stream
    return (background_note(labels, None, None),)


def check_label_names(labels: Sequence[str]) -> None:
    """Refuse at the start what the card would refuse at the end.

    Raises:
        DataError: a label that cannot be shown safely.
    """
    decision = {"temperature": 1.0, "smoothing": "none", "smoothing_frames": 1,
                "min_confidence": 0.0, "on_threshold": 1.0, "off_threshold": 0.0,
                "early": None, "minimum_seconds": 0.0, "cooldown_seconds": 0.0}  # fmt: skip
    for label in labels:
        try:
            Decision.model_validate({**decision, "background": label})
        except ValidationError as error:
            raise DataError(f"label {label!r}: {first_problem(error)[1]}") from None


def refuse_lost_labels(labels: Sequence[str], clips: Sequence[Clip]) -> None:
    """Refuse to learn a label of which no clip can be read.

    Raises:
        DataError: there is one.
    """
    readable = {clip.label for clip in clips}
    for label in labels:
        if label not in readable:
            raise DataError(f"label {label!r}: none of its clips can be read")


def missing_in_val(clips: Sequence[Clip], split: Split, labels: Sequence[str]) -> tuple[str, ...]:
    """Return notes on labels without validation clips, and on too few clips."""
    there = {clips[i].label for i in split.val}
    missing = [label for label in labels if label not in there]
    notes = [f"no validation clip for {', '.join(missing)}"] if missing else []
    if len(split.val) < _FEW_CLIPS:
        count = "1 clip validates" if len(split.val) == 1 else f"{len(split.val)} clips validate"
        notes.append(
            f"only {count}: figures on so few clips are unreliable; "
            "more clips, a larger --val or fewer folds help"
        )
    return tuple(notes)
