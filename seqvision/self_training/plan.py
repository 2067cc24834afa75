"""What a self-training works with, from its own options and those the model was trained with."""

import hashlib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seqvision.config import SelfTrainOptions, TrainOptions
from seqvision.config.self_training_resume import NAME
from seqvision.data.augment import with_content
from seqvision.errors import CheckpointError, StudyError
from seqvision_edge.card import ModelCard
from seqvision_edge.files import atomic_write
from seqvision_edge.renamed import translated
from seqvision_edge.wording import first_problem
from seqvision_edge.yaml_file import dump_yaml

# Where things lie, what computes and for how long: no figure of a round depends on these.
_PLACES = ("output", "runs", "resume", "cache", "device", "rounds", "patience")
_PATHS = ("model", "labelled", "unlabelled", "output", "runs", "cache")


def of_a_student(options: SelfTrainOptions, card: ModelCard) -> TrainOptions:
    """Return the options that the model was trained with, and that its students are.

    Raises:
        CheckpointError: the card does not tell them.
        DataError: --augment cannot be used.
    """
    try:
        own = TrainOptions.model_validate(translated(card.origin.options))
    except ValidationError as error:
        loc, words, _ = first_problem(error)
        name = ".".join(map(str, loc))
        raise CheckpointError(
            f"{options.model}: its card has no training options of this version ({name}: {words}); "
            "train it again with this version"
        ) from None
    training: dict[str, Any] = {"device": options.device}
    if options.epochs is not None:
        training["epochs"] = options.epochs
    clips: dict[str, Any] = {"cache": options.cache}
    if options.dataset != "auto":
        clips["dataset"] = options.dataset
    augmentation = {} if options.augment is None else {"augment": options.augment}
    return with_content(
        own.model_copy(
            update={
                "data": options.labelled,
                "root": None,
                "output": options.output,
                "runs": options.runs,
                "resume": None,
                "config": None,
                "clips": own.clips.model_copy(update=clips),
                "augmentation": own.augmentation.model_copy(update=augmentation),
                "training": own.training.model_copy(update=training),
            }
        )
    )


def about_of(options: SelfTrainOptions, labelled: str, pool: str) -> dict[str, Any]:
    """Return, as plain data, everything that the rounds depend on.

    Args:
        labelled, pool: fingerprints of the clips.
    """
    assert options.model is not None
    requested = options.model_dump(mode="json", exclude={*_PLACES, *_PATHS})
    model = hashlib.sha256(options.model.read_bytes()).hexdigest()[:16]
    return {**requested, "model": model, "labelled": labelled, "unlabelled": pool}


def refuse_other(run: Path, kept: dict[str, Any], about: dict[str, Any]) -> None:
    """Refuse to go on with something else.

    Raises:
        StudyError: the clips, the model or an option are not those of the run.
    """
    what = {"model": "model", "labelled": "labelled clips", "unlabelled": "unlabelled clips"}
    for name, value in about.items():
        if kept.get(name) != value:
            change = f"its {what[name]} changed" if name in what else f"--{name} was another one"
            raise StudyError(
                f"--resume {run}: {change} since it began; start anew, without --resume"
            )


def write_options(run: Path, options: SelfTrainOptions) -> None:
    """Keep the options in the run folder; from any folder they name the same files.

    Raises:
        StudyError: they cannot be written.
    """
    paths = {
        name: path.expanduser().absolute()
        for name in _PATHS
        if (path := getattr(options, name)) is not None
    }
    content = options.model_copy(update={**paths, "resume": None}).model_dump(mode="json")
    try:
        with atomic_write(run / NAME) as unfinished:
            unfinished.write_text(dump_yaml(content), encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{run}: cannot be written ({error.strerror})") from None
