"""The way from clips to model.pt.

find → decode → split → build → fit → keep the best → measure → write.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from pydantic import ValidationError
from rich.console import Console
from torch.utils.data import DataLoader

import seqvision
from seqvision.config import ClipOptions, TrainOptions, from_yaml, to_yaml
from seqvision.data.augment import Augmenter, mirror_labels, refuse_unsafe_flip
from seqvision.data.clips import Clip, find_background, find_clips, labels_of
from seqvision.data.dataset import ClipDataset, EpochSampler, FeatureDataset, Item, collate
from seqvision.data.decode import Decoded, Store, decode_all
from seqvision.data.split import Split, split_clips
from seqvision.errors import CheckpointError, DataError
from seqvision.evaluate import predict
from seqvision.metrics import Metrics, measure
from seqvision.models.classifier import Classifier
from seqvision.progress import progress
from seqvision.report import draw_confusion, draw_curves, metrics_table
from seqvision.training.callbacks import EpochLines, StopOnSignal, early_stopping
from seqvision.training.checkpoint import save_model
from seqvision.training.device import pick_device
from seqvision.training.module import ClassifierModule
from seqvision_edge.card import (
    SPEC,
    Decision,
    ImageSpec,
    ModelCard,
    Origin,
    State,
    StateTensor,
    VideoSequence,
)


@dataclass(frozen=True)
class Trained:
    """What a training leaves."""

    model: Path
    run: Path
    best_epoch: int
    val: Metrics
    test: Metrics | None
    interrupted: bool


@dataclass(frozen=True)
class Data:
    """Decoded clips with everything that was decided about them."""

    clips: Sequence[Clip]
    decoded: Sequence[Decoded]
    labels: tuple[str, ...]
    truth: Sequence[int]
    split: Split
    fps: float
    background: str | None
    notes: tuple[str, ...]

    def part(self, indices: Sequence[int]) -> tuple[list[Decoded], list[int]]:
        """Return the clips and label indices of one part of the split."""
        return [self.decoded[i] for i in indices], [self.truth[i] for i in indices]


def train(options: TrainOptions) -> Trained:
    """Train a classifier and write its model file and run folder.

    Raises:
        SeqvisionError: the options, the clips or the weights cannot be used.
    """
    options, run = _run_folder(options)
    device = pick_device(options.training.device)
    L.seed_everything(options.training.seed, workers=True, verbose=False)
    image = _image_spec(options.clips)

    data = read_data(options, image)
    model = Classifier(options.model, image, len(data.labels))
    for note in (*data.notes, *model.notes):
        _say(f"[yellow]note:[/] {note}")
    _say(_summary(data, options))

    training, validation = _loaders(options, data, model.to(device))
    module = ClassifierModule(model, options.training, data.labels, _class_weights(options, data))
    (run / "options.yaml").write_text(to_yaml(options), encoding="utf-8")
    _say(f"run folder: {run}")
    best, interrupted = _fit(options, module, training, validation, run, device)

    model.load_state_dict(_best_weights(best, model))
    card = _card(options, data, image, model)
    val = _measure(model, card, data, data.split.val, options)
    test = _measure(model, card, data, data.split.test, options) if data.split.test else None
    card = card.model_copy(
        update={"origin": card.origin.model_copy(update={"metrics": _headline(val, test)})}
    )
    save_model(run / "model.pt", model, options.model, card)
    _copy(run / "model.pt", options.output)
    best_epoch = _epoch_of(best)
    _report(run, val, test, best_epoch)
    return Trained(options.output, run, best_epoch, val, test, interrupted)


def read_data(options: TrainOptions, image: ImageSpec) -> Data:
    """Find, decode and split the clips; name what cannot be read and go on without it.

    Raises:
        DataError: no clips, one label only, or a label of which no clip can be read.
    """
    found = find_clips(options.data)
    labels = labels_of(found)
    _check_labels(labels)
    store = Store(options.clips.cache, image, options.clips.image_fps)
    with progress("decoding") as advance:
        clips, decoded, broken = decode_all(store, found, advance)
    for line in broken:
        print(f"left out: {line}", file=sys.stderr)  # noqa: T201
    if broken:
        _say(f"[yellow]{len(broken)} of {len(found)} clips cannot be read[/]")
    for label in labels:
        if all(clip.label != label for clip in clips):
            raise DataError(f"label {label!r}: none of its clips can be read")
    split = split_clips(
        clips, options.clips.val, options.clips.fold, options.training.seed, options.clips.groups
    )
    fps = options.clips.fps
    return Data(
        clips=clips,
        decoded=decoded,
        labels=labels,
        truth=[labels.index(clip.label) for clip in clips],
        split=split,
        fps=auto_fps(decoded, options.clips.frames) if fps == "auto" else fps,
        background=find_background(labels, options.clips.background),
        notes=_missing_in_val(clips, split, labels),
    )


def auto_fps(clips: Sequence[Decoded], frames: int) -> float:
    """Return the rate at which `frames` cover the median clip, no faster than clips are.

    Rounded to a tenth, so that the card is readable.
    """
    seconds = [clip.seconds for clip in clips if clip.seconds > 0]
    if not seconds:
        return 10.0
    own = median(len(clip.times) / clip.seconds for clip in clips if clip.seconds > 0)
    return round(max(0.1, min(frames / median(seconds), own)), 1)


def _run_folder(options: TrainOptions) -> tuple[TrainOptions, Path]:
    """Return a new run folder, or the one to resume with the options it was started with."""
    if options.resume is None:
        model = options.model
        name = f"{datetime.now():%Y%m%d-%H%M%S}-{model.encoder}-{model.head}"
        try:
            for number in range(1000):
                run = options.runs / (f"{name}-{number}" if number else name)
                with contextlib.suppress(FileExistsError):
                    run.mkdir(parents=True)
                    return options, run
        except OSError as error:
            raise DataError(
                f"{options.runs}: no run folder can be made there ({error.strerror}); "
                "choose another place with --runs"
            ) from None
        raise DataError(f"{options.runs}: full of run folders of this second")
    run = options.resume
    if not (run / "checkpoints" / "last.ckpt").is_file():
        raise CheckpointError(f"--resume {run}: no run folder with a checkpoint to go on from")
    kept = from_yaml(run / "options.yaml")
    return kept.model_copy(update={"resume": run, "output": options.output}), run


def _image_spec(options: ClipOptions) -> ImageSpec:
    return ImageSpec(
        height=options.size,
        width=options.size,
        channels=1 if options.grey else 3,
        fit=options.fit,
    )


def _check_labels(labels: Sequence[str]) -> None:
    """Refuse at the start what the card would refuse at the end."""
    decision = {"smoothing_frames": 1, "enter": 1.0, "leave": 0.0, "temperature": 1.0,
                "minimum_seconds": 0.0, "cooldown_seconds": 0.0}  # fmt: skip
    for label in labels:
        try:
            Decision.model_validate({**decision, "background": label})
        except ValidationError as error:
            message = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise DataError(f"label {label!r}: {message}") from None


def _missing_in_val(clips: Sequence[Clip], split: Split, labels: Sequence[str]) -> tuple[str, ...]:
    there = {clips[i].label for i in split.val}
    missing = [label for label in labels if label not in there]
    return (f"no validation clip for {', '.join(missing)}",) if missing else ()


def _summary(data: Data, options: TrainOptions) -> str:
    sizes = ", ".join(
        f"{len(part)} to {verb}"
        for part, verb in ((data.split.train, "train"), (data.split.val, "validate"),
                           (data.split.test, "test"))
        if part
    )  # fmt: skip
    model = options.model
    head = f"{'bidirectional ' if model.bidirectional and model.head != 'mean' else ''}{model.head}"
    pool = f" with {model.pool} pooling" if model.head != "mean" else ""
    return (
        f"{len(data.labels)} labels, {len(data.clips)} clips ({sizes})\n"
        f"{model.encoder} + {head}{pool}, {options.clips.frames} frames of "
        f"{options.clips.size}×{options.clips.size} at {data.fps:g} fps"
    )


def _class_weights(options: TrainOptions, data: Data) -> torch.Tensor | None:
    """Return weights so that every label counts alike, whatever its number of clips."""
    if not options.training.class_weights:
        return None
    counts = Counter(data.truth[i] for i in data.split.train)
    total, labels = sum(counts.values()), len(data.labels)
    return torch.tensor([total / (labels * counts[i]) for i in range(labels)])


def _loaders(
    options: TrainOptions, data: Data, model: Classifier
) -> tuple[DataLoader[Item], DataLoader[Item]]:
    seed, fps, frames = options.training.seed, data.fps, options.clips.frames
    flip = options.augmentation.flip
    pairs = mirror_labels(data.labels, options.augmentation.swap)
    if flip:
        refuse_unsafe_flip(data.labels, pairs)
    augmenter = Augmenter(options.augmentation.augment, flip, pairs)
    learning: ClipDataset | FeatureDataset
    checking: ClipDataset | FeatureDataset
    learning = ClipDataset(*data.part(data.split.train), fps, frames, augmenter, seed)
    checking = ClipDataset(*data.part(data.split.val), fps, frames)
    workers = _workers(options)
    if model.frozen:
        # A frozen encoder answers the same in every epoch: ask it once, per varied copy.
        views = options.model.views if options.augmentation.augment != "none" or flip else 1
        batch = options.training.batch_size
        learning = FeatureDataset(_encode(model, learning, views, batch, workers), seed)
        checking = FeatureDataset(_encode(model, checking, 1, batch, workers))
        model.steps.standardize([steps for view in learning.views for steps, _ in view])
        workers = 0
    loaders = [
        DataLoader(
            part,
            options.training.batch_size,
            sampler=EpochSampler(part, seed, shuffle),
            collate_fn=collate,
            num_workers=workers if shuffle else 0,
            persistent_workers=False,
        )
        for part, shuffle in ((learning, True), (checking, False))
    ]
    return loaders[0], loaders[1]


@torch.inference_mode()
def _encode(
    model: Classifier, data: ClipDataset, views: int, batch_size: int, workers: int
) -> list[list[Item]]:
    """Return the features of `views` varied copies of each clip."""
    model.eval()
    device = next(model.parameters()).device
    encoded: list[list[Item]] = []
    order = EpochSampler(data, seed=0, shuffle=False)
    with progress("encoding") as advance:
        for view in range(views):
            order.set_epoch(view)
            items: list[Item] = []
            for batch in DataLoader(
                data, batch_size, sampler=order, collate_fn=collate, num_workers=workers
            ):
                features = model.encode(batch.inputs.to(device), batch.lengths.to(device)).cpu()
                for steps, length, label in zip(features, batch.lengths, batch.labels, strict=True):
                    # Cloned: a slice would keep the whole padded batch alive.
                    items.append((steps[: int(length)].clone(), int(label)))
                advance(view * len(data) + len(items), views * len(data))
            encoded.append(items)
    return encoded


def _workers(options: TrainOptions) -> int:
    if options.clips.workers != "auto":
        return options.clips.workers
    return min(8, max(1, (os.cpu_count() or 1) - 1))


def _fit(
    options: TrainOptions,
    module: ClassifierModule,
    training: DataLoader[Item],
    validation: DataLoader[Item],
    run: Path,
    device: torch.device,
) -> tuple[Path, bool]:
    """Train; return the best checkpoint and whether the user stopped it."""
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

    checkpoints = ModelCheckpoint(
        run / "checkpoints",
        filename="best-{epoch}",
        monitor=f"val/{options.training.monitor}",
        mode="min" if options.training.monitor == "loss" else "max",
        save_last=True,
        auto_insert_metric_name=True,
    )
    stop = StopOnSignal()
    callbacks: list[L.Callback] = [checkpoints, stop, EpochLines(options.training.epochs)]
    callbacks += early_stopping(options.training)
    with _quiet_lightning():
        trainer = L.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=1,
            max_epochs=options.training.epochs,
            precision=_PRECISIONS[options.training.precision],
            gradient_clip_val=options.training.clip_gradient or None,
            callbacks=callbacks,
            logger=[
                CSVLogger(run, name="", version="logs"),
                TensorBoardLogger(run, name="", version="logs"),
            ],
            deterministic="warn",
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        last = run / "checkpoints" / "last.ckpt"
        trainer.fit(
            module,
            training,
            validation,
            ckpt_path=str(last) if options.resume else None,
            weights_only=True,
        )
    best = Path(checkpoints.best_model_path)
    if not best.is_file():  # stopped before the first validation
        raise KeyboardInterrupt
    return (last if options.training.keep == "last" else best), stop.asked


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's advertisements and hints about its own settings off the terminal."""
    import logging

    names = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning.*")
        warnings.filterwarnings("ignore", ".*lr_scheduler.step.*")
        warnings.filterwarnings("ignore", ".*epoch parameter in `scheduler.step.*")
        yield


def _best_weights(checkpoint: Path, model: Classifier) -> dict[str, torch.Tensor]:
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    return {name: state[f"model.{name}"] for name in model.state_dict()}


def _epoch_of(checkpoint: Path) -> int:
    return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["epoch"])


def _card(options: TrainOptions, data: Data, image: ImageSpec, model: Classifier) -> ModelCard:
    seconds = options.clips.frames / data.fps
    return ModelCard(
        spec=SPEC,
        labels=data.labels,
        sequence=VideoSequence(kind="video", fps=data.fps, frames=options.clips.frames),
        image=image,
        state=State(
            kind="window",
            tensors=(StateTensor(name="past", axes=("batch", "kept", model.features)),),
        ),
        decision=Decision(
            temperature=1.0,
            smoothing_frames=3,
            enter=0.6,
            leave=0.4,
            minimum_seconds=round(0.1 * seconds, 3),
            cooldown_seconds=round(0.25 * seconds, 3),
            background=data.background,
        ),
        origin=Origin(
            version=seqvision.__version__,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            options=options.model_dump(mode="json"),
            data=_describe(data),
            metrics={},
            notes=(*data.notes, *model.notes),
        ),
    )


def _describe(data: Data) -> dict[str, Any]:
    """Return what the clips were, with a fingerprint that changes when a clip or label does."""
    rows = sorted(
        [clip.path.name, clip.label, len(decoded.times)]
        for clip, decoded in zip(data.clips, data.decoded, strict=True)
    )
    return {
        "clips": dict(Counter(clip.label for clip in data.clips)),
        "train": len(data.split.train),
        "val": len(data.split.val),
        "test": len(data.split.test),
        "fingerprint": hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16],
    }


def _headline(val: Metrics, test: Metrics | None) -> dict[str, Any]:
    names = ("loss", "accuracy", "precision", "recall", "f1", "clips")
    parts = {"val": val} | ({"test": test} if test else {})
    return {part: {name: getattr(m, name) for name in names} for part, m in parts.items()}


def _measure(
    model: Classifier, card: ModelCard, data: Data, indices: Sequence[int], options: TrainOptions
) -> Metrics:
    clips, truth = data.part(indices)
    probabilities = predict(model, card, clips, options.training.batch_size)
    return measure(probabilities, torch.tensor(truth), data.labels)


def _report(run: Path, val: Metrics, test: Metrics | None, best_epoch: int) -> None:
    parts = {"val": val} | ({"test": test} if test else {})
    figures = {"best_epoch": best_epoch} | {part: m.to_json() for part, m in parts.items()}
    (run / "metrics.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    draw_curves(run / "logs" / "metrics.csv", run / "curves.png", best_epoch)
    for part, metrics in parts.items():
        draw_confusion(metrics, run / f"confusion_{part}.png", part)
        metrics_table(metrics, f"{part}, best epoch {best_epoch}")


def _copy(source: Path, target: Path) -> None:
    from seqvision_edge.files import replacing

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as unfinished:
            shutil.copyfile(source, unfinished)
    except OSError as error:
        raise CheckpointError(
            f"--output {target}: cannot be written ({error.strerror}); the model is {source}"
        ) from None


_PRECISIONS: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def _say(text: str) -> None:
    Console(stderr=True, highlight=False).print(text)
