"""A study: what it is about, so that only trials that compare come together in it."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna

from seqvision.config import TrainOptions, TuneOptions, data_path, flattened
from seqvision.data.clips import Clip
from seqvision.errors import StudyError
from seqvision.tuning.space import Space
from seqvision.tuning.storage import Storage
from seqvision_edge.files import sweep

ABOUT = "seqvision"
# Where things are and how fast they are made changes no figure.
_PLACES = frozenset(("data", "root", "output", "runs", "resume", "config", "clips.cache",
                     "clips.cache_size", "clips.workers", "training.device"))  # fmt: skip


def about_of(
    options: TuneOptions, space: Space, base: TrainOptions, clips: Sequence[Clip]
) -> dict[str, Any]:
    """Return, as plain data, everything that the figures of a study depend on."""
    whole = dict(flattened(base.model_dump(mode="json")))
    rows = sorted([clip.path.name, clip.index, clip.label, clip.split] for clip in clips)
    return {
        "clips": hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16],
        "objective": options.objective,
        "max_latency_ms": options.max_latency_ms,
        "space": {name: dimension.plain() for name, dimension in space.items()},
        "options": {
            name: value
            for name, value in whole.items()
            if name not in _PLACES and name.rpartition(".")[2] not in space
        },
    }


def name_of(options: TuneOptions, about: dict[str, Any]) -> str:
    """Return the study's name: the same for the same command, whatever its trials and clips."""
    if options.study is not None:
        return options.study
    searched = {name: value for name, value in about.items() if name != "clips"}
    digest = hashlib.sha256(json.dumps(searched, sort_keys=True).encode()).hexdigest()
    stem = "".join(c if c.isalnum() else "_" for c in data_path(options.of_a_training()).stem)
    return f"{stem[:40]}-{digest[:8]}"


def open_study(storage: Storage, name: str, about: dict[str, Any]) -> tuple[optuna.Study, bool]:
    """Return a study, and whether it is new.

    Raises:
        StudyError: the study of this name is about something else.
    """
    try:
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
        new = True
    except optuna.exceptions.DuplicatedStudyError:
        study, new = optuna.load_study(study_name=name, storage=storage), False
    if ABOUT not in study.user_attrs:  # also where a process was killed between the two
        study.set_user_attr(ABOUT, json.dumps(about, sort_keys=True))
    _refuse_other(name, json.loads(study.user_attrs[ABOUT]), about)
    return study, new


def _refuse_other(name: str, kept: dict[str, Any], about: dict[str, Any]) -> None:
    if kept == json.loads(json.dumps(about)):
        return
    before, now = dict(flattened(kept)), dict(flattened(about))
    different = next(each for each in {**before, **now} if before.get(each) != now.get(each))
    if different == "clips":
        what = "its clips were others"
    else:
        what = f"{different} was {_said(before.get(different))}, now {_said(now.get(different))}"
    raise StudyError(
        f"study {name}: begun with something else: {what}; give the same, or another --study NAME"
    )


def make_folder(folder: Path) -> None:
    """Make the study's folder among the run folders, where it is missing.

    Raises:
        StudyError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder, depth=3)
    except OSError as error:
        raise StudyError(
            f"{folder}: cannot be made ({error.strerror}); choose another folder with --runs"
        ) from None


def _said(value: Any) -> str:
    return json.dumps(value)[:80]
