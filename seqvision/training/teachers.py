"""What other models predict for the clips of a training, for a student to learn (Hinton et al.
2015, "Distilling the knowledge in a neural network").

Each teacher sees the centre window of a clip at its own size and rate; its prediction is kept in
the cache under the contents of both.  Several teachers are averaged; where some were trained on a
clip and others were not, as in a cross-validation, only the latter predict it.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqvision.config import TrainOptions
from seqvision.console import print_line, progress
from seqvision.data.cache import Cache, touch
from seqvision.data.clips import Clip
from seqvision.data.datasets.detect import with_region
from seqvision.data.decode import Decoded, Store, decode_all
from seqvision.data.unlabelled import find_unlabelled
from seqvision.errors import CheckpointError, DataError
from seqvision.evaluation import logits_of
from seqvision.training.data import Data
from seqvision.training.foreign_teacher import ForeignModel, open_foreign
from seqvision.training.model_io import UsedClips, load_model, load_used_clips, mark_of
from seqvision.training.teacher_files import ONNX, TeacherFile, find_teachers
from seqvision_edge.card import ImageSpec, SequenceSpec, TimedSequence, VectorSequence
from seqvision_edge.errors import ModelError
from seqvision_edge.files import atomic_write
from seqvision_edge.sampling import Steps, centre
from seqvision_edge.session import Session

# Raise it when the same teacher and clip give other probabilities.
_VERSION: Final = 1
_BATCH: Final = 8
# A smaller probability carries no information.
_LEAST: Final = 1e-8

Probabilities = NDArray[np.float32]
# Decoded clips → `(clips, labels)`.
Answers = Callable[[Sequence[Decoded]], Probabilities]


@dataclass(frozen=True)
class Teacher:
    """One model that predicts.

    Attributes:
        file: where it is.
        digest: of what its answers depend on.
        labels: in the order of its answers.
        image, sequence: the input that it takes.
        used: marks of the clips that it was trained on; None where it does not record them.
        start: loads it; it is not needed where every answer is kept.
    """

    file: Path
    digest: str
    labels: tuple[str, ...]
    image: ImageSpec
    sequence: SequenceSpec
    used: UsedClips | None
    start: Callable[[], Answers]


@dataclass(frozen=True)
class Taught:
    """What the teachers predict.

    Attributes:
        probabilities: `(clips of the data, then the unlabelled ones; labels)` float32, softened by
            the temperature.
        unlabelled: the clips without labels.
        summary: who the teachers are and how good, in a line.
        accuracy: share of the validation clips that they name right; None where they learned from
            them.
        warnings: lines on clips that they know.
    """

    probabilities: Tensor
    unlabelled: tuple[Decoded, ...]
    summary: str
    accuracy: float | None
    warnings: tuple[str, ...]


def ask_teachers(options: TrainOptions, data: Data, device: torch.device) -> Taught:
    """Return what the teachers of a training predict for its clips.

    Raises:
        SeqvisionError: a teacher or the clips without labels cannot be used.
    """
    requested = options.distillation
    files = find_teachers(requested.teacher)
    pool, pool_notes = _unlabelled(options, data)
    clips = [*data.clips, *(clip for clip, _ in pool)]
    answers: list[Probabilities] = []
    knows: list[NDArray[np.bool_]] = []
    for number, file in enumerate(files, 1):
        teacher = _open(file, options, data, device)
        replace(file, labels=teacher.labels).check(data.labels)
        counted = f" {number} of {len(files)}" if len(files) > 1 else ""
        decoded = _decoded(teacher, clips, options, counted)
        found = _asked(teacher, decoded, options, counted)
        columns = [teacher.labels.index(label) for label in data.labels]
        found = np.maximum(found[:, columns], _LEAST)
        answers.append(found / found.sum(axis=1, keepdims=True))
        learned = teacher.used.train if teacher.used is not None else frozenset()
        knows.append(np.array([mark_of(clip) in learned for clip in decoded]))
    kept = _not_known(np.stack(knows))
    softened = [_softened(each, requested.teacher_temperature) for each in answers]
    accuracy, warnings = _figures(data, _mean(answers, kept), np.stack(knows), kept)
    summary = _summary(options, files, accuracy, len(pool))
    return Taught(
        torch.from_numpy(_mean(softened, kept)),
        tuple(clip for _, clip in pool),
        "; ".join([summary, *pool_notes]),
        accuracy,
        warnings,
    )


def _open(file: TeacherFile, options: TrainOptions, data: Data, device: torch.device) -> Teacher:
    """Describe a teacher; it is loaded when it is used."""
    path = file.path
    if path.suffix.lower() != ONNX:
        return _trained(path, device)
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if file.card is None:
        return _foreign(file, content, digest, options, data)
    card = file.card

    def start() -> Answers:
        session = Session(content)

        def answer(clips: Sequence[Decoded]) -> Probabilities:
            steps = [centre(clip, card.image, card.sequence) for clip in clips]
            return np.concatenate([session.run(each[None])[0] for each in steps])

        return answer

    return Teacher(path, digest, card.labels, card.image, card.sequence, None, start)


def _trained(path: Path, device: torch.device) -> Teacher:
    try:
        model, card = load_model(path)
        used = load_used_clips(path)
    except CheckpointError as error:
        raise CheckpointError(f"--teacher {error}") from None

    def start() -> Answers:
        model.to(device)

        def answer(clips: Sequence[Decoded]) -> Probabilities:
            logits = logits_of(model, card, clips, _BATCH)
            found: Probabilities = (logits / card.decision.temperature).softmax(dim=1).numpy()
            return found

        return answer

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Teacher(path, digest, card.labels, card.image, card.sequence, used, start)


def _foreign(
    file: TeacherFile, content: bytes, digest: str, options: TrainOptions, data: Data
) -> Teacher:
    model: ForeignModel = open_foreign(
        file.path, content, data.image, data.sequence, options.distillation.teacher_normalize
    )
    assert file.labels is not None
    labels = file.labels

    def start() -> Answers:
        def answer(clips: Sequence[Decoded]) -> Probabilities:
            steps: list[Steps] = [centre(clip, model.image, model.sequence) for clip in clips]
            found = np.stack([model.answer(each) for each in steps])
            if found.shape[1] != len(labels):
                raise ModelError(
                    f"--teacher {file.path}: gives {found.shape[1]} numbers and has {len(labels)} "
                    "labels"
                )
            return found

        return answer

    about = f"{digest} {options.distillation.teacher_normalize} {model.sequence!r} {model.image!r}"
    own = hashlib.sha256(about.encode()).hexdigest()
    return Teacher(file.path, own, labels, model.image, model.sequence, None, start)


def _decoded(
    teacher: Teacher, clips: Sequence[Clip], options: TrainOptions, counted: str
) -> list[Decoded]:
    """Return clips as the input of a teacher."""
    moves = isinstance(teacher.sequence, TimedSequence)
    reads_vectors = isinstance(teacher.sequence, VectorSequence)
    if reads_vectors != options.images.vectors:
        kinds = ("vectors", "pictures") if reads_vectors else ("pictures", "vectors")
        raise DataError(f"--teacher {teacher.file}: reads {kinds[0]}, the clips are {kinds[1]}")
    if moves == options.images.stills:
        kinds = ("videos", "still images") if moves else ("still images", "videos")
        raise DataError(f"--teacher {teacher.file}: reads {kinds[0]}, the clips are {kinds[1]}")
    cache = Cache(options.clips.cache, options.clips.cache_size)
    store = Store(cache, teacher.image, options.clips.image_fps, teacher.sequence)
    with progress(f"decoding for teacher{counted}") as advance:
        found, decoded, broken = decode_all(store, clips, advance)
    if len(found) < len(clips):
        raise DataError(f"--teacher {teacher.file}: {broken[0]}")
    return decoded


def _asked(
    teacher: Teacher, clips: Sequence[Decoded], options: TrainOptions, counted: str
) -> Probabilities:
    """Return a teacher's probabilities for clips, `(clips, labels)`, cached ones where there are.

    What was answered is kept at once: a training that is stopped here goes on from there.
    """
    cache = Cache(options.clips.cache, options.clips.cache_size)
    paths = [cache.file(["teacher", _VERSION, teacher.digest, clip.key], ".npy") for clip in clips]
    answers: Answers | None = None
    found: list[Probabilities] = []
    with progress(f"asking teacher{counted}") as advance:
        for begin in range(0, len(clips), _BATCH):
            some = range(begin, min(begin + _BATCH, len(clips)))
            kept = {index: _kept(paths[index], len(teacher.labels)) for index in some}
            missing = [index for index in some if kept[index] is None]
            if missing:
                answers = answers or teacher.start()
                new = answers([clips[index] for index in missing]).astype(np.float32)
                if not np.isfinite(new).all() or new.shape[1] != len(teacher.labels):
                    raise ModelError(f"--teacher {teacher.file}: gives numbers that are not finite")
                for index, row in zip(missing, new, strict=True):
                    kept[index] = row
                    _keep(paths[index], row, cache)
            found += [row for row in kept.values() if row is not None]
            advance(len(found), len(clips))
    return np.stack(found)


def _kept(path: Path, labels: int) -> Probabilities | None:
    try:
        row: Any = np.load(path, allow_pickle=False)
        touch(path)
    except (OSError, ValueError, EOFError):
        return None
    is_whole = row.shape == (labels,) and row.dtype == np.float32 and np.isfinite(row).all()
    return row if is_whole else None


def _keep(path: Path, row: Probabilities, cache: Cache) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as unfinished, unfinished.open("wb") as file:
            np.save(file, row)
    except OSError as error:
        raise cache.error(error) from None


def _not_known(knows: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return how much each teacher counts for each clip, `(teachers, clips)`.

    Of a clip that some were trained on and others were not, only the latter predict it.
    """
    strangers = ~knows
    strangers[:, knows.all(axis=0)] = True
    return (strangers / strangers.sum(axis=0)).astype(np.float32)


def _mean(answers: Sequence[Probabilities], weights: NDArray[np.float32]) -> Probabilities:
    found: Probabilities = np.einsum("tcl,tc->cl", np.stack(answers), weights).astype(np.float32)
    return found


def _softened(probabilities: Probabilities, temperature: float) -> Probabilities:
    logits = np.log(probabilities) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Probabilities = powers / powers.sum(axis=1, keepdims=True)
    return found


def _figures(
    data: Data,
    probabilities: Probabilities,
    knows: NDArray[np.bool_],
    weights: NDArray[np.float32],
) -> tuple[float | None, tuple[str, ...]]:
    """Return how good the teachers are on the validation clips, and warnings."""
    val, test = data.split.val, data.split.test
    known: NDArray[np.bool_] = np.any((knows * weights) > 0, axis=0)
    spoiled = int(known[[*val, *test]].sum())
    warnings: tuple[str, ...] = ()
    if spoiled:
        warnings = (
            f"--teacher: was trained on {spoiled} of the {len(val) + len(test)} clips that "
            "validate or test here: what it knows of them flatters the student's figures",
        )
    fresh = [index for index in val if not known[index]]
    if not fresh:
        return None, warnings
    right = sum(probabilities[index].argmax() == data.truth[index] for index in fresh)
    return float(right / len(fresh)), warnings


def _summary(
    options: TrainOptions, files: Sequence[TeacherFile], accuracy: float | None, unlabelled: int
) -> str:
    requested = options.distillation
    names = ", ".join(str(path) for path in requested.teacher)
    counted = f" ({len(files)} models)" if len(files) > len(requested.teacher) else ""
    good = "" if accuracy is None else f", which names {accuracy:.1%} of validation clips right"
    more = f"; {unlabelled} clips without labels" if unlabelled else ""
    return f"learned from {names}{counted}{good}{more}"


def _unlabelled(options: TrainOptions, data: Data) -> tuple[list[tuple[Clip, Decoded]], list[str]]:
    """Return the clips without labels that the student sees too, and notes on what is left out.

    None is of a group that validates or tests, and none is among the labelled clips.

    Raises:
        DataError: none is left.
    """
    path = options.distillation.unlabelled
    if path is None:
        return [], []
    found, notes = find_unlabelled(
        path, options.images.stills, truth=False, vectors=options.images.vectors
    )
    found = with_region(found, options.clips.region)
    learnt = {data.clips[index].group for index in data.split.train}
    held = {data.clips[index].group for index in (*data.split.val, *data.split.test)}
    held -= learnt | {None}
    apart = [clip for clip in found if clip.group not in held]
    store = Store(Cache(options.clips.cache, options.clips.cache_size), data.image,
                  options.clips.image_fps, data.sequence)  # fmt: skip
    with progress("decoding clips without labels") as advance:
        clips, decoded, broken = decode_all(store, apart, advance)
    for line in broken:
        print_line(f"left out: {line}")
    known = {clip.key for clip in data.decoded}
    kept: dict[str, tuple[Clip, Decoded]] = {}
    same = 0
    for clip, content in zip(clips, decoded, strict=True):
        if content.key in known or content.key in kept:
            same += 1
        else:
            kept[content.key] = (clip, content)
    counted = (
        (len(broken), "cannot be read"),
        (len(found) - len(apart), "are of groups that validate or test"),
        (same, "are copies of others or labelled"),
    )
    notes += [f"{count} of {len(found)} clips without labels {why}" for count, why in counted
              if count]  # fmt: skip
    if not kept:
        raise DataError(f"--unlabelled {path}: no clip is left to learn from: {'; '.join(notes)}")
    return list(kept.values()), list(notes)
