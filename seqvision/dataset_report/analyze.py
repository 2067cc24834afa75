"""`seqvision data`: describe a data set before a training.

find the clips → read each → divide them as training would → compare them → print, draw, write.
"""

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqvision.config import DataOptions, ModelOptions, TrainingOptions, TrainOptions, data_path
from seqvision.console import print_written, progress
from seqvision.data.augment import augmentation_notes, make_augmenter
from seqvision.data.cache import Cache
from seqvision.data.clips import Clip, find_background, image_rate_note, labels_of, source_notes
from seqvision.data.datasets import DataSet
from seqvision.data.decode import Decoded, Store
from seqvision.data.group_split import group_split, group_warnings
from seqvision.data.near_duplicates import NearDuplicate, divide
from seqvision.data.splits import Split, keep_groups
from seqvision.dataset_report.contact_sheet import draw_sheet
from seqvision.dataset_report.findings import PARTS, Findings, print_findings
from seqvision.dataset_report.probe import (
    Probe,
    as_same,
    find_copies,
    find_same,
    groups_on_two_sides,
    in_threads_with_progress,
    look,
    probe_pixels,
)
from seqvision.errors import DataError
from seqvision.landmarks.found import Found, count_found
from seqvision.training.data import (
    ONLY_STILLS,
    check_label_names,
    missing_in_val,
    refuse_lost_labels,
    refuse_other_features,
)
from seqvision.training.sequence_planning import finalize_sequence, plan_sequence, settle_video
from seqvision_edge.card import ImageSpec, SequenceSpec, TimedSequence, VideoSequence
from seqvision_edge.errors import SourceError
from seqvision_edge.files import atomic_write
from seqvision_edge.still_images import sized

# Clips, and frames of each, in which landmarks are looked for: enough for a share, in seconds.
_LOOKED_AT, _FRAMES = 100, 6


def analyze_data_set(options: DataOptions, data_set: DataSet) -> Findings:
    """Print what a data set is; write JSON and a contact sheet where paths for them are given.

    Args:
        options: validated ones.
        data_set: what `seqvision.preflight.validate_data` found.

    Raises:
        DataError: there are no clips, or training would refuse them: raised after everything else.
    """
    findings = examine(options, data_set)
    print_findings(findings, options)
    if options.json_ is not None:
        _write_json(options.json_, findings)
        print_written(options.json_)
    if options.sheet is not None:
        draw_sheet(findings, options, options.sheet)
        print_written(options.sheet)
    if findings.problems:
        raise DataError(findings.problems[0])
    return findings


def examine(options: DataOptions, data_set: DataSet) -> Findings:
    """Return everything that can be known of a data set without training on it.

    Raises:
        DataError: nothing there, no clips, a bad line of a list, or none that can be read.
    """
    training, stills = _training(options), options.images.stills
    vectors = options.images.vectors
    clips, probes, broken = _look_at(data_set.clips, options.clips.image_fps, vectors)
    if not clips:
        raise DataError(f"{broken[0]}; none of the {len(broken)} clips can be read")
    if vectors:
        refuse_other_features(clips, options.clips.image_fps)
    image, sequence = plan_sequence(training, clips)
    if options.decode and not vectors:
        clips, probes, more = _decode(clips, probes, options, image, sequence)
        broken += more
    labels = sorted({clip.label for clip in clips})
    sequence = _settled(training, image, sequence, probes, labels)
    landmarks = None if options.encoder is None else _find_landmarks(clips, options, image)
    copies, notes = ([], []) if vectors else _copies(clips, probes, options, image, sequence)
    split, problems = _divide(data_set.clips, clips, options, copies)
    parts = {index: part for part in PARTS for index in getattr(split, part)} if split else {}
    rates = [] if vectors else image_rate_note(clips, options.clips.image_fps)
    notes = [*data_set.notes, *rates, *notes]
    notes += source_notes([(c, probe.note) for c, probe in zip(clips, probes, strict=True)])
    same = find_same(clips, probes)
    if split:
        notes += missing_in_val(clips, split, labels)
        notes += group_warnings(clips, split, group_split(clips, split, options.clips.split_by))
    if not stills and all(probe.is_still for probe in probes):
        notes.append(ONLY_STILLS)
    background = None
    if not problems:
        background = find_background(labels, options.clips.background)
        notes += [] if vectors else augmentation_notes(options.augmentation, labels)
    return Findings(
        where=str(data_set.path),
        dataset=data_set.name,
        clips=clips,
        probes=probes,
        parts=parts,
        split=_split_in_words(clips, options),
        broken=broken,
        same=[*same, *as_same(copies, same)],
        divided_groups=groups_on_two_sides(clips, parts),
        problems=problems,
        notes=notes,
        image=image,
        sequence=sequence,
        background=background,
        landmarks=landmarks,
    )


def _look_at(
    clips: Sequence[Clip], image_fps: float, vectors: bool
) -> tuple[list[Clip], list[Probe], list[str]]:
    answers = in_threads_with_progress(
        "looking", lambda clip: look(clip, image_fps, vectors), clips
    )
    return _readable(clips, answers)


def _find_landmarks(clips: Sequence[Clip], options: DataOptions, image: ImageSpec) -> Found | None:
    """Look for hands or a body in some frames of some clips; None where none can be decoded."""
    import torch  # which loads for seconds

    from seqvision.landmarks.encoder import LandmarkEncoder

    assert options.encoder is not None
    encoder = LandmarkEncoder(options.encoder, image.height, image.width).eval()
    cache = Cache(options.clips.cache, options.clips.cache_size)
    cache.check()
    sequence = VideoSequence(kind="video", fps=1.0, frames=1)
    store = Store(cache, image, options.clips.image_fps, sequence)
    chosen = np.linspace(0, len(clips) - 1, min(len(clips), _LOOKED_AT)).round().astype(int)
    points = []
    with progress("finding landmarks") as advance:
        for number, index in enumerate(chosen):
            with contextlib.suppress(SourceError):
                clip = store.load(clips[index])
                last = len(clip.times) - 1
                some = np.linspace(0, last, min(last + 1, _FRAMES)).round().astype(int)
                pixels = np.ascontiguousarray(clip.frames[some]).transpose(0, 3, 1, 2)
                with torch.inference_mode():
                    found = encoder(torch.from_numpy(pixels.astype(np.float32) / 255))
                points.append(found.numpy())
            advance(number + 1, len(chosen))
    cache.trim()
    return count_found(points) if points else None


def _copies(
    clips: Sequence[Clip],
    probes: Sequence[Probe],
    options: DataOptions,
    image: ImageSpec,
    sequence: SequenceSpec,
) -> tuple[list[NearDuplicate], list[str]]:
    """Return the clips that show the same recording, and a note where they cannot be looked for."""
    cache = Cache(options.clips.cache, options.clips.cache_size)
    store = Store(cache, image, options.clips.image_fps, sequence)
    try:
        return find_copies(clips, probes, store, options.decode), []
    except DataError as error:
        return [], [f"copies that are encoded anew were not looked for: {error}"]


def _decode(
    clips: Sequence[Clip],
    probes: Sequence[Probe],
    options: DataOptions,
    image: ImageSpec,
    sequence: SequenceSpec,
) -> tuple[list[Clip], list[Probe], list[str]]:
    cache = Cache(options.clips.cache, options.clips.cache_size)
    cache.check()
    store = Store(cache, image, options.clips.image_fps, sequence)
    pairs = list(zip(clips, probes, strict=True))
    answers = in_threads_with_progress("decoding", lambda pair: probe_pixels(*pair, store), pairs)
    cache.trim()
    readable, closer, broken = _readable(clips, answers)
    return readable, closer, [*broken, *(probe.short for probe in closer if probe.short)]


def _readable(
    clips: Sequence[Clip], answers: Sequence[Probe | str]
) -> tuple[list[Clip], list[Probe], list[str]]:
    good = [(clip, answer) for clip, answer in zip(clips, answers, strict=True)
            if isinstance(answer, Probe)]  # fmt: skip
    broken = [answer for answer in answers if isinstance(answer, str)]
    return [clip for clip, _ in good], [probe for _, probe in good], broken


def _settled(
    requested: TrainOptions,
    image: ImageSpec,
    sequence: SequenceSpec,
    probes: Sequence[Probe],
    labels: Sequence[str],
) -> SequenceSpec:
    """Return the sequence with the rate, or the number of steps, that training would take."""
    if isinstance(sequence, TimedSequence):
        lengths = [(probe.frames or 0, probe.seconds or 0.0) for probe in probes]
        background = None
        with contextlib.suppress(DataError):  # which is a problem of its own
            background = find_background(labels, requested.clips.background)
        return settle_video(sequence, requested.clips, lengths, background)
    blanks = []
    for width, height in {probe.size for probe in probes}:
        blank = sized(np.zeros((height, width, 3), np.uint8), image, sequence)
        blanks.append(Decoded(blank[None], np.zeros(1)))
    return finalize_sequence(requested, image, sequence, blanks, None)


def _divide(
    found: Sequence[Clip],
    clips: Sequence[Clip],
    options: DataOptions,
    copies: Sequence[NearDuplicate],
) -> tuple[Split | None, list[str]]:
    """Return the split that training would make, and what it would refuse."""
    problems: list[str] = []

    def attempt(step: Callable[[], Any]) -> Any:
        try:
            return step()
        except DataError as error:
            problems.append(str(error))
            return None

    labels = attempt(lambda: labels_of(found)) or tuple({clip.label for clip in found})
    attempt(lambda: check_label_names(labels))
    attempt(lambda: refuse_lost_labels(labels, clips))
    attempt(lambda: find_background(labels, options.clips.background))
    attempt(lambda: make_augmenter(options.augmentation, labels))
    requested, seed = options.clips, options.seed
    apart = attempt(lambda: keep_groups(clips, requested.split_by))
    divided = attempt(
        lambda: divide(clips, copies, requested.val, requested.fold, seed, bool(apart))
    )
    return divided[0] if divided else None, problems


def _split_in_words(clips: Sequence[Clip], options: DataOptions) -> str:
    apart = options.clips.split_by != "none" and any(clip.group for clip in clips)
    drawn = f"seed {options.seed}{', groups kept apart' if apart else ''}"
    if options.clips.fold is not None:
        return f"fold {options.clips.fold} validates, {drawn}"
    named = {clip.split for clip in clips if clip.split}
    if "val" in named:
        return "from the data"
    share = f"{options.clips.val:.0%}"
    if named:
        return f"from the data; {share} of train validate, {drawn}"
    return f"{share} validate, {drawn}"


def _training(options: DataOptions) -> TrainOptions:
    return TrainOptions(
        data=data_path(options),
        clips=options.clips,
        images=options.images,
        augmentation=options.augmentation,
        model=ModelOptions() if options.encoder is None else ModelOptions(encoder=options.encoder),
        training=TrainingOptions(seed=options.seed),
    )


def _write_json(path: Path, findings: Findings) -> None:
    try:
        with atomic_write(path) as unfinished:
            text = json.dumps(findings.to_json(), indent=2, ensure_ascii=False)
            unfinished.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"--json {path}: cannot be written ({error.strerror})") from None
