"""Going on with a self-training: its own options hold.  No torch."""

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from seqvision.config.self_training import SelfTrainOptions
from seqvision.errors import StudyError
from seqvision_edge.renamed import translated
from seqvision_edge.wording import first_problem
from seqvision_edge.yaml_file import YamlError, read_yaml

NAME: Final = "self-train.yaml"
# Where things lie and how long it goes on; anything else would make it another self-training.
_MAY_CHANGE: Final = frozenset((
    "model", "labelled", "unlabelled", "output", "resume", "rounds", "patience", "cache", "device",
))  # fmt: skip


def load_self_training_options(run: Path) -> SelfTrainOptions:
    """Return the options that a self-training was started with, to go on with it.

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
