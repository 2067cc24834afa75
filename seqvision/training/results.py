"""Write what a run folder has besides the model: card, metrics, report."""

import json
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import seqvision
from seqvision import __version__, rank
from seqvision.config import TrainOptions, data_path
from seqvision.config.option_types import LANDMARKS
from seqvision.console import Remark
from seqvision.data.cache import Cache
from seqvision.data.clip_notes import incomplete
from seqvision.data.dataset import ClipDataset, FeatureDataset
from seqvision.errors import DataError
from seqvision.evaluation import predict_features, predict_probabilities
from seqvision.metrics import Metrics, metrics_table
from seqvision.models.classifier import Classifier
from seqvision.report.contents import ReportContents, SplitResult, make_part, part_to_json
from seqvision.report.page import write_page
from seqvision.report.png_plots import draw_confusion, draw_curves
from seqvision.report.run_folder import NAME, column, write_predictions
from seqvision.training.autotune import Arithmetic
from seqvision.training.data import Data, data_summary
from seqvision.training.features import Features
from seqvision.training.landmark_features import ClipLandmarks
from seqvision.training.run_context import RunContext
from seqvision_edge.card import (
    SPEC,
    VECTORS_SPEC,
    Decision,
    ModelCard,
    Origin,
    State,
    StateTensor,
    TimedSequence,
)
from seqvision_edge.files import write_whole
from seqvision_edge.opencv import cv2

_CLIPS = {"val": "validation clips", "test": "test clips"}


@dataclass(frozen=True)
class Facts:
    """run.json: what a training took, and what ran it.

    `seconds` are those of all its sittings; `epochs` is how many passes were made; `processes` is
    how many shared each batch.
    """

    seconds: float
    epochs: int
    parameters: int
    device: str
    processes: int
    arithmetic: Arithmetic
    version: str
    torch: str
    python: str
    machine: str


def measure_parts(context: RunContext, card: ModelCard) -> list[SplitResult]:
    """Return what the model answers on the validation and the test clips."""
    data, parts = context.data, []
    for name, indices in (("val", data.split.val), ("test", data.split.test)):
        if indices:
            clips, decoded = [data.clips[i] for i in indices], [data.decoded[i] for i in indices]
            answers = _answers(context, card, indices)
            parts.append(make_part(name, clips, decoded, answers, card.labels))
    return parts


def _answers(context: RunContext, card: ModelCard, indices: Sequence[int]) -> Tensor:
    """Return probabilities `(clips, labels)`; of a frozen encoder the cache has the features."""
    model, data, size = context.model, context.data, context.options.training.batch_size
    clips, labels = data.part(indices)
    if not model.frozen:
        return predict_probabilities(model, card, clips, size)
    options = context.options.clips
    centres = ClipDataset(clips, labels, card.image, card.sequence)
    cache = Cache(options.cache, options.cache_size)
    features: Features | ClipLandmarks
    if context.options.model.encoder in LANDMARKS:
        features = ClipLandmarks(model, centres, cache)
    else:
        features = Features(model, centres, 1, cache)
    return predict_features(model, card, FeatureDataset(features), size)


@dataclass(frozen=True)
class Results:
    """A finished training: its run folder, what went in and what came of it."""

    run: Path
    context: RunContext
    card: ModelCard
    parts: Sequence[SplitResult]
    epoch: int
    facts: Facts
    remarks: Sequence[Remark] = ()


def write_results(results: Results) -> Path:
    """Write metrics.json, run.json, predictions.csv, the pictures and the report; print tables.

    Returns:
        The report.

    Raises:
        DataError: a file cannot be written.
    """
    run, epoch = results.run, results.epoch
    data = results.context.data
    figures: dict[str, Any] = {"epoch": epoch}
    figures |= {part.name: part_to_json(part) for part in results.parts}
    if data.groups is not None:
        figures["split"] = data.groups.to_json()
    taught = results.context.taught
    if taught is not None:
        figures["teachers"] = {"summary": taught.summary, "accuracy": taught.accuracy}
    page = run / "report.html"
    try:
        for name, content in (("metrics.json", figures), ("run.json", asdict(results.facts))):
            write_whole(run / name, json.dumps(content, indent=2) + "\n")
        write_predictions(run / NAME, results.parts, results.card.labels)
        draw_curves(run / "logs", run / "curves.png", epoch)
        for part in results.parts:
            draw_confusion(part.metrics, run / f"confusion_{part.name}.png", part.name)
            metrics_table(
                part.metrics,
                f"{_CLIPS.get(part.name, part.name)}, model of epoch {epoch + 1}",
                part.certainty.line(),
            )
        write_page(_report(results), page)
    except OSError as error:
        raise DataError(
            f"{run}: the results cannot be written ({error.strerror}); "
            f"the model is whole: {results.context.options.output}"
        ) from None
    return page


def _report(results: Results) -> ReportContents:
    options, data = results.context.options, results.context.data
    split = {"train": data.split.train, "val": data.split.val, "test": data.split.test}
    return ReportContents(
        title=f"{'vectors' if data.is_vectors else options.model.encoder_name} + "
        f"{options.model.head}, {len(data.labels)} labels",
        about=f"{data_path(options)}, trained in {results.run}",
        model=results.context.model,
        card=results.card,
        parts=results.parts,
        data=data_path(options),
        counts={
            part: Counter(data.clips[i].label for i in indices)
            for part, indices in split.items()
            if indices
        },
        left_out=data.left_out,
        incomplete=incomplete(data.clips, data.decoded),
        remarks=results.remarks,
        facts=_shown(results),
        logs=results.run / "logs",
        epoch=results.epoch,
        groups=data.groups,
    )


def _shown(results: Results) -> dict[str, str]:
    facts, options, origin = results.facts, results.context.options, results.card.origin
    minutes, seconds = divmod(round(facts.seconds), 60)
    return {
        "run folder": str(results.run),
        "made": origin.created,
        "duration": f"{minutes} min {seconds} s",
        "epochs": f"{facts.epochs} of {options.training.epochs}; kept is {results.epoch + 1}",
        "seed": str(options.training.seed),
        **_teachers(results),
        "parameters": f"{facts.parameters:,}",
        "data": str(data_path(options)),
        "fingerprint of the data": str(origin.data["fingerprint"]),
        "device": facts.device,
        "processes": str(facts.processes),
        "arithmetic": str(facts.arithmetic),
        "versions": f"seqvision {facts.version}, torch {facts.torch}, "
        f"Lightning {version('lightning')}, NumPy {version('numpy')}, OpenCV {cv2.__version__}, "
        f"Python {facts.python}",
        "machine": facts.machine,
    }


def _teachers(results: Results) -> dict[str, str]:
    taught = results.context.taught
    return {} if taught is None else {"learned from": taught.summary.removeprefix("learned from ")}


def take_facts(context: RunContext, run: Path, seconds: float) -> Facts:
    """Return what a run took, `seconds` being those of this sitting."""
    return Facts(
        seconds=round(seconds + _seconds_before(run), 1),
        epochs=len(column(run / "logs", "train/loss")),
        parameters=sum(weights.numel() for weights in context.model.parameters()),
        device=str(context.device),
        processes=rank.count(),
        arithmetic=context.arithmetic,
        version=__version__,
        torch=torch.__version__,
        python=platform.python_version(),
        machine=platform.platform(terse=True),
    )


def _seconds_before(run: Path) -> float:
    """Return what a run that is resumed had taken, as far as it could write it down."""
    try:
        return float(json.loads((run / "run.json").read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def make_card(options: TrainOptions, data: Data, model: Classifier) -> ModelCard:
    """Return the card of a model, its metrics still empty."""
    return ModelCard(
        spec=VECTORS_SPEC if data.is_vectors else SPEC,
        labels=data.labels,
        sequence=data.sequence,
        image=data.image,
        state=State(
            kind="window",
            tensors=(StateTensor(name="past", axes=("batch", "kept", model.memory)),),
        ),
        decision=_decision(data),
        origin=Origin(
            version=seqvision.__version__,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            options=options.model_dump(mode="json"),
            data=data_summary(data),
            metrics={},
            notes=(*data.notes, *model.notes),
        ),
        graph=None,
    )


def _decision(data: Data) -> Decision:
    """Return when answers become events, in proportion to the window; a picture stands alone.

    A gesture stays in the window, and its label sure, for most of the window's length: what lasts
    less than a third of that is another motion that looked like it in passing.  Events end early,
    well above one half, because doubtful answers are those for what is left of a gesture.
    """
    frames, seconds = 1, 0.0
    if isinstance(data.sequence, TimedSequence):
        frames, seconds = data.sequence.frames, data.sequence.frames / data.sequence.fps
    return Decision(
        temperature=1.0,
        smoothing="mean",
        smoothing_frames=max(1, round(frames / 5)),
        min_confidence=0.0,
        on_threshold=0.8,
        off_threshold=0.6,
        early=None,
        minimum_seconds=round(0.3 * seconds, 3),
        cooldown_seconds=round(0.25 * seconds, 3),
        background=data.background,
    )


def with_metrics(card: ModelCard, parts: dict[str, Metrics]) -> ModelCard:
    """Return the card with the headline figures of each part of the split."""
    names = ("loss", "accuracy", "precision", "recall", "f1", "clips")
    figures: dict[str, Any] = {
        part: {name: getattr(metrics, name) for name in names} for part, metrics in parts.items()
    }
    origin = card.origin.model_copy(update={"metrics": figures})
    return card.model_copy(update={"origin": origin})
