"""A student: a network of the teacher's kind that begins anew and learns from both sorts of clips.

It is varied, blended and dropped out as any training is; its teacher saw clean clips (noisy
student, Xie et al. 2020).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from seqvision.config import TrainOptions, to_yaml
from seqvision.config.resume import recorded
from seqvision.errors import StudyError
from seqvision.models.classifier import Classifier
from seqvision.self_training.data import Pool
from seqvision.signals import interrupt
from seqvision.training.callbacks import EpochBar
from seqvision.training.data import Data
from seqvision.training.fit import fit, load_kept_weights
from seqvision.training.model_io import save_model, used_clips
from seqvision.training.results import make_card, measure_parts, with_metrics
from seqvision.training.run_context import prepare_run
from seqvision.training.train import Trained, finish_run
from seqvision_edge.card import ModelCard
from seqvision_edge.files import write_whole


def join_data(labelled: Data, pool: Pool, named: Sequence[tuple[int, int]], note: str) -> Data:
    """Return the labelled clips with pseudo-labelled ones among those that train, and no others.

    Args:
        named: index in the pool and label index of each clip that has a pseudo-label.
        note: for the card of what is trained on them.
    """
    first = len(labelled.clips)
    clips = [replace(pool.clips[i], label=labelled.labels[label]) for i, label in named]
    split = replace(
        labelled.split, train=[*labelled.split.train, *range(first, first + len(named))]
    )
    return replace(
        labelled,
        clips=[*labelled.clips, *clips],
        decoded=[*labelled.decoded, *(pool.decoded[i] for i, _ in named)],
        truth=[*labelled.truth, *(label for _, label in named)],
        split=split,
        notes=(*labelled.notes, note),
    )


@dataclass(frozen=True)
class Student:
    """A network that has learnt, its card, and the epoch that was kept, from 0."""

    model: Classifier
    card: ModelCard
    epoch: int


def train_student(
    options: TrainOptions, data: Data, run: Path, device: torch.device, bar: EpochBar
) -> Student:
    """Train a student in its run folder, shown by a bar, and write its model file there.

    Raises:
        KeyboardInterrupt: it was stopped: a part of a training is no student.
        SeqvisionError: a file cannot be written.
    """
    # The test clips are for the one that is kept in the end.
    data = replace(data, split=replace(data.split, test=[]))
    try:
        run.mkdir()
        context = prepare_run(options, device, lambda _: data, quiet=True)
        write_whole(run / "options.yaml", to_yaml(recorded(context.options)))
    except OSError as error:
        raise StudyError(f"{run}: cannot be written ({error.strerror})") from None
    fitted = fit(context, run, resume=False, shown=bar)
    if fitted.stopped_by is not None:
        raise interrupt(fitted.stopped_by)
    context = context.with_weights(fitted.weights)
    card = make_card(context.options, context.data, context.model)
    (part,) = measure_parts(context, card)
    card = with_metrics(card, {"val": part.metrics})
    used = used_clips(data.clips, data.decoded, data.split)
    save_model(student_file(run, options), context.model, context.options.model, card, used)
    return Student(context.model, card, fitted.epoch)


def finish_student(
    options: TrainOptions, data: Data, run: Path, device: torch.device, seconds: float
) -> Trained:
    """Measure the student that is kept, on the test clips too, and write its report and model.

    Raises:
        SeqvisionError: a file cannot be written.
    """
    context = prepare_run(options, device, lambda _: data, quiet=True)
    return finish_run(
        context, run, load_kept_weights(options.training, run), seconds, owner=run.parent
    )


def student_file(run: Path, options: TrainOptions) -> Path:
    """Return the model file in a student's run folder."""
    return run / f"model{options.output.suffix.lower()}"
