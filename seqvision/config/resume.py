"""Resume a run or a self-training: its own options hold, a few may be given anew.  No torch."""

from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from seqvision.config.commands import SelfTrainOptions, TrainOptions
from seqvision.config.option_types import is_onnx
from seqvision.config.yaml_io import flattened, from_yaml
from seqvision.errors import CheckpointError, StudyError
from seqvision_edge.hints import path_error
from seqvision_edge.option_fields import first_problem
from seqvision_edge.renamed_options import translated
from seqvision_edge.yaml_file import YamlError, read_yaml

# Paths and length; any other option would make it another training.
MAY_CHANGE: Final = frozenset((
    "data", "root", "output", "resume", "training.epochs", "training.device",
    "clips.cache", "clips.cache_size", "clips.workers",
))  # fmt: skip

NAME: Final = "self-train.yaml"
# Paths and length; any other option would make it another self-training.
_MAY_CHANGE: Final = frozenset((
    "model", "labelled", "unlabelled", "output", "resume", "rounds", "patience", "cache", "device",
))  # fmt: skip


# In the folder of a cross-validation: its folds, and which of them are finished.
FOLDS: Final = "folds.json"


def last_checkpoint(run: Path) -> Path:
    """Return the checkpoint from which a run resumes."""
    return run / "checkpoints" / "last.ckpt"


def load_run_options(run: Path) -> TrainOptions:
    """Return the options that a run was started with.

    Raises:
        CheckpointError: not a run folder, or its training has not come to a checkpoint.
        DataError: its options cannot be read.
    """
    if not run.exists():
        raise CheckpointError(f"--resume {path_error(run, 'run folder')}")
    if not last_checkpoint(run).is_file() and not (run / FOLDS).is_file():
        last = sorted(run.glob("*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
        hint = f"; did you mean {last[-1].parents[1]}?" if last else ""
        raise CheckpointError(
            f"--resume {run}: no run folder with a checkpoint to resume from{hint}"
        )
    options = from_yaml(run / "options.yaml", saved=True)
    # The record has absolute paths; messages name files as they were typed, where that fits.
    here = {name: _from_here(getattr(options, name)) for name in ("data", "root", "output", "runs")}
    return options.model_copy(update={**here, "resume": run, "config": None})


def resume_options(
    kept: TrainOptions, requested: TrainOptions, default: TrainOptions
) -> TrainOptions:
    """Return a run's own options with those that are given anew.

    Args:
        kept: the run's own.
        requested: all options of the command.
        default: the values of options that were not given.

    Raises:
        CheckpointError: an option is given that cannot be another one.
    """
    own, base = dict(flattened(kept.model_dump())), dict(flattened(default.model_dump()))
    given = {
        name: value
        for name, value in flattened(requested.model_dump())
        if name not in base or value != base[name]
    }
    restart = f"seqvision train --config {kept.resume}/options.yaml"
    for name, value in given.items():
        if name in MAY_CHANGE or own.get(name) == value:
            continue
        flag = f"--{name.split('.')[min(1, name.count('.'))].replace('_', '-')}"
        raise CheckpointError(
            f"--resume {kept.resume}: {flag} is that of the run, {_format(own.get(name))}; with "
            f"another one start anew: {restart} {flag} …"
        )
    epochs = given.get("training.epochs", kept.training.epochs)
    if epochs != kept.training.epochs and kept.folds:
        raise CheckpointError(
            f"--epochs {epochs}: every fold of {kept.resume} has {kept.training.epochs}; start "
            f"anew: {restart} --epochs {epochs}"
        )
    if epochs != kept.training.epochs and kept.training.schedule == "cosine":
        raise CheckpointError(
            f"--epochs {epochs}: the cosine of {kept.resume} was planned for "
            f"{kept.training.epochs} epochs and cannot be stretched; start anew: "
            f"{restart} --epochs {epochs}"
        )
    changed: dict[str, Any] = kept.model_dump()
    if {"data", "root"} & set(given):
        changed["data"] = changed["root"] = None
    for name in MAY_CHANGE & set(given):
        section, _, option = name.rpartition(".")
        (changed[section] if section else changed)[option] = given[name]
    return TrainOptions.model_validate(changed)


def recorded(options: TrainOptions) -> TrainOptions:
    """Return the options as a run folder keeps them: from any folder they name the same files."""
    paths = {
        name: None if path is None else path.absolute()
        for name, path in (
            ("data", options.data), ("root", options.root),
            ("output", options.output), ("runs", options.runs),
        )
    }  # fmt: skip
    cache = options.clips.cache.expanduser().absolute()
    weights = options.model.weights
    if weights not in ("auto", "imagenet", "none"):
        weights = str(Path(weights).absolute())
    learned = options.distillation
    taught: dict[str, Any] = {"teacher": tuple(path.absolute() for path in learned.teacher)}
    if learned.unlabelled is not None:
        taught["unlabelled"] = learned.unlabelled.absolute()
    encoder = options.model.encoder
    if is_onnx(encoder):
        encoder = str(Path(encoder).absolute())
    return options.model_copy(
        update={
            **paths,
            "resume": None,
            "config": None,
            "clips": options.clips.model_copy(update={"cache": cache}),
            "model": options.model.model_copy(update={"weights": weights, "encoder": encoder}),
            "distillation": learned.model_copy(update=taught),
        }
    )


def _from_here(path: Path | None) -> Path | None:
    """Return a path relative to the working folder if it lies in it."""
    if path is None or not path.is_relative_to(Path.cwd()):
        return path
    return path.relative_to(Path.cwd())


def _format(value: Any) -> str:
    return "as it was" if value is None else str(value)


def load_self_training_options(run: Path) -> SelfTrainOptions:
    """Return the options that a self-training was started with, to resume it.

    Raises:
        StudyError: not its run folder, or damaged.
    """
    path = run / NAME
    if not path.is_file():
        raise StudyError(f"--resume {run}: no run folder of seqvision self-train")
    try:
        kept = SelfTrainOptions.model_validate(translated(read_yaml(path)))
    except ValidationError as error:
        loc, words, _ = first_problem(error)
        raise StudyError(f"{path}: {'.'.join(map(str, loc))}: {words}") from None
    except YamlError as error:
        raise StudyError(f"{path}: damaged ({error})") from None
    return kept.model_copy(update={"resume": run})


def check_resume_options(kept: SelfTrainOptions, requested: SelfTrainOptions) -> None:
    """Refuse an option that cannot be another one than that of the run.

    Raises:
        StudyError: there is one; it is named.
    """
    for name in type(kept).model_fields:
        before, now = getattr(kept, name), getattr(requested, name)
        if name not in _MAY_CHANGE and before != now:
            flag = f"--{name.replace('_', '-')}"
            raise StudyError(
                f"--resume {kept.resume}: {flag} is that of the run, {before}; "
                "with another one start anew, without --resume"
            )
