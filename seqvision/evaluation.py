"""`seqvision evaluate`: a model's figures on clips, by the functions that training uses."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from seqvision.config import EvaluateOptions, data_path
from seqvision.console import (
    print_line,
    print_note,
    print_warning,
    print_written,
    progress,
    remarks,
)
from seqvision.data.cache import Cache
from seqvision.data.clip_notes import (
    incomplete,
    incomplete_note,
    is_short,
    left_out_note,
    short_clips,
)
from seqvision.data.clip_views import fixed_views
from seqvision.data.clips import Clip, image_rate_note
from seqvision.data.dataset import ClipDataset, EpochSampler, FeatureDataset, Item, collate
from seqvision.data.datasets import DataSet
from seqvision.data.decode import Decoded, Store, decode_all
from seqvision.data.group_split import KnownGroups, part_groups
from seqvision.data.value_range import range_notes
from seqvision.errors import DataError
from seqvision.metrics import Metrics, metrics_table
from seqvision.models.classifier import Classifier
from seqvision.preflight.shared_checks import find_for_model
from seqvision.report.contents import ReportContents, make_part, part_to_json
from seqvision.report.page import write_page
from seqvision.statistics import no_better_than_chance
from seqvision.training.hardware import pick_device
from seqvision.training.model_io import load_model, load_used_clips
from seqvision_edge.card import ModelCard


def evaluate(options: EvaluateOptions, data_set: DataSet | None = None) -> Metrics:
    """Measure `options.model` on `options.data`, print a table and write the JSON.

    Args:
        options: validated ones (`seqvision.preflight.validate_evaluate`).
        data_set: the clips that validation has found; None: they are looked for.

    Raises:
        SeqvisionError: the model or the clips cannot be used.
    """
    device = pick_device(options.device)
    model, card = load_model(options.model)
    path = data_path(options)
    data_set = data_set or find_for_model(
        path, card, options.dataset, options.official_split, options.split, region=options.region
    )
    with remarks() as made:
        clips, decoded, left_out = load_clips(data_set, card, options.image_fps, options.cache)
        for note in range_notes(decoded, card.image.value_range):
            print_note(note.partition("; --value-range")[0])
        damaged = incomplete(clips, decoded)
        if damaged:
            print_note(incomplete_note(damaged, len(clips)))
        short = sum(is_short(clip, card.sequence) for clip in decoded)
        if short:
            print_note(short_clips(short, len(clips), card.sequence))
        probabilities = predict_probabilities(
            model.to(device), card, decoded, options.batch_size, options.test_views
        )
        name = "clips" if options.split == "all" else options.split
        part = make_part(name, clips, decoded, probabilities, card.labels)
        views = f", {options.test_views} views of each" if options.test_views > 1 else ""
        title = f"{options.model} on {len(clips)} clips of {path}{views}"
        metrics_table(part.metrics, title, part.certainty.line())
        used = load_used_clips(options.model)
        groups = part_groups(clips).groups
        known_groups = used.known_groups(groups) if used is not None else KnownGroups(groups)
        print_line(known_groups.line())
        known = used.warning(decoded) if used is not None else None
        counts = Counter(clip.label for clip in clips)
        for doubt in (known, no_better_than_chance(part.metrics.accuracy, name, counts)):
            if doubt is not None:
                print_warning(doubt)
    if options.output is not None:
        write_json(options.output, part_to_json(part) | {"groups": known_groups.to_json()})
        print_written(options.output)
    if options.report is not None:
        report = ReportContents(
            title=options.model.name,
            about=f"on {len(clips)} clips of {path}{views}",
            model=model,
            card=card,
            parts=[part],
            data=path,
            counts={name: counts},
            left_out=left_out,
            incomplete=damaged,
            remarks=made,
            known_groups=known_groups,
            facts={"model": str(options.model), "made": card.origin.created,
                   "version": f"seqvision {card.origin.version}", "clips": str(path)},
        )  # fmt: skip
        _write_report(options.report, report)
        print_written(options.report)
    return part.metrics


def load_clips(
    data_set: DataSet, card: ModelCard, image_fps: float, cache: Path
) -> tuple[list[Clip], list[Decoded], list[str]]:
    """Decode the clips of a data set as the card wants them; print which cannot be read.

    Returns:
        The clips that can be read, their frames, and one line for each clip that cannot.

    Raises:
        DataError: none can be read.
    """
    found = data_set.clips
    rates = () if card.vectors else image_rate_note(found, image_fps)
    for note in (*data_set.notes, *rates):
        print_note(note)
    with progress("decoding") as advance:
        clips, decoded, broken = decode_all(
            Store(Cache(cache), card.image, image_fps, card.sequence), found, advance
        )
    for line in broken:
        print_line(f"left out: {line}")
    if not clips:
        raise DataError(f"{data_set.path}: none of its {len(found)} clips can be read")
    if broken:
        print_note(left_out_note(len(broken), len(found)))
    return clips, decoded, broken


@torch.inference_mode()
def predict_probabilities(
    model: Classifier, card: ModelCard, clips: Sequence[Decoded], batch_size: int, views: int = 1
) -> Tensor:
    """Return probabilities `(clips, labels)` for the centre window of each clip.

    With more than one of `views` they are the mean over that many `fixed_views` of each clip.
    """
    if views == 1:
        return _shares(logits_of(model, card, clips, batch_size), card)
    means = []
    with progress("predicting") as advance:
        for done, clip in enumerate(clips):
            advance(done, len(clips))
            steps = fixed_views(clip, card.image, card.sequence, views)
            answers = []
            while some := list(islice(steps, batch_size)):
                batch = collate([(torch.from_numpy(each), 0) for each in some])
                answers.append(_shares(_logits(model, batch.inputs, batch.padded), card))
            means.append(torch.cat(answers).mean(dim=0))
    return torch.stack(means)


@torch.inference_mode()
def logits_of(
    model: Classifier, card: ModelCard, clips: Sequence[Decoded], batch_size: int
) -> Tensor:
    """Return `(clips, labels)` for the centre window of each clip, before any temperature."""
    data = ClipDataset(clips, [0] * len(clips), card.image, card.sequence)
    order = EpochSampler(data, seed=0, shuffle=False)
    return _logits_of_all(model, DataLoader(data, batch_size, sampler=order, collate_fn=collate))


@torch.inference_mode()
def predict_features(
    model: Classifier, card: ModelCard, features: FeatureDataset, batch_size: int
) -> Tensor:
    """Return probabilities `(clips, labels)` for clips that a frozen encoder has encoded."""
    order = EpochSampler(features, seed=0, shuffle=False)
    batches = DataLoader(features, batch_size, sampler=order, collate_fn=collate)
    return _shares(_logits_of_all(model, batches), card)


def _logits_of_all(model: Classifier, batches: DataLoader[Item]) -> Tensor:
    return torch.cat([_logits(model, batch.inputs, batch.padded) for batch in batches])


@torch.inference_mode()
def predict_windows(
    model: Classifier, card: ModelCard, windows: NDArray[Any]
) -> NDArray[np.float32]:
    """Return probabilities `(windows, labels)` for windows of one length.

    Args:
        windows: `(windows, time, height, width, channels)`, or `(windows, time, features)`.
    """
    return _shares(_logits(model, torch.from_numpy(windows), None), card).numpy()


def _logits(model: Classifier, inputs: Tensor, lengths: Tensor | None) -> Tensor:
    device = next(model.parameters()).device
    logits: Tensor = model.eval()(inputs.to(device, non_blocking=True), lengths)
    return logits.float().cpu()


def _shares(logits: Tensor, card: ModelCard) -> Tensor:
    return (logits / card.decision.temperature).softmax(dim=1)


def _write_report(path: Path, report: ReportContents) -> None:
    try:
        write_page(report, path)
    except OSError as error:
        raise DataError(f"--report {path}: cannot be written ({error.strerror})") from None


def write_json(path: Path, metrics: Mapping[str, Any]) -> None:
    """Write metrics as JSON.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        path.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"--output {path}: cannot be written ({error.strerror})") from None
