"""What `train` chooses by itself: where clips are few, and for `--preset best`.  No torch.

A network of a million weights learns five clips by heart.  The head on a pretrained encoder that
stays as it is has less to do it with, and trains in seconds, because features are computed once
(`samples/few_clips.py`).
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from statistics import median
from typing import Any, Final

from seqvision.config import TrainOptions
from seqvision.config.option_types import FROM_SCRATCH, LANDMARKS, is_onnx
from seqvision.data.clips import Clip

# Clips of a label, to train and to validate: of so many or fewer an encoder learns nothing new.
FEW: Final = 10
_Choices = Mapping[str, Mapping[str, Any]]
# Stronger than what a training takes by itself, for a head on features that stay.
_FEW_CLIPS: Final[_Choices] = {
    "model": {
        "freeze": True,
        "head": "gru",
        "dropout": 0.5,
    },
    "training": {"weight_decay": 0.2, "label_smoothing": 0.1},
}
_BEST_FROZEN: Final[_Choices] = {
    "model": {
        "freeze": True,
        "dropout": 0.5,
        "ensemble": 5,
    },
    "training": {"label_smoothing": 0.1, "time": "25m"},
}
_BEST: Final[_Choices] = {
    "model": {"ensemble": 3},
    "training": {"time": "25m"},
}
# If one of these is given, the user has decided how the encoder learns.
_LEARNING: Final = frozenset(("freeze", "unfreeze_at", "encoder_lr_scale"))


def choose_options(
    options: TrainOptions, clips: Sequence[Clip], given: Collection[str]
) -> tuple[TrainOptions, str | None]:
    """Return the options of a training that begins, and a line on what was chosen.

    Args:
        options: what was given and the defaults.
        clips: all of its clips.
        given: names of the options that the user gave; they stay as they are.
    """
    if options.preset == "best":
        return _best(options, clips, given)
    return small_data_defaults(options, clips, given)


def small_data_defaults(
    options: TrainOptions, clips: Sequence[Clip], given: Collection[str]
) -> tuple[TrainOptions, str | None]:
    """Return the options with what suits few clips, and a line about it; see `choose_options`."""
    count = _few(options, clips)
    if count is None:
        return options, None
    model = options.model
    if not _is_pretrained(options):
        named = model.encoder if model.encoder not in FROM_SCRATCH else "mobilenet_v2"
        requested = {"encoder", "weights"} <= set(given)
        hint = f"{count}: so few teach a pretrained encoder's head more than a whole network"
        return options, None if requested else f"{hint}: --encoder {named} --weights imagenet"
    if not _may_freeze(options, given):
        return options, None
    chosen, flags = _with_choices(options, _FEW_CLIPS, given)
    note = f"{count}: chosen for so few, unless you give it: {flags}"
    return chosen, note if flags else None


def _best(
    options: TrainOptions, clips: Sequence[Clip], given: Collection[str]
) -> tuple[TrainOptions, str | None]:
    """Return the options of `--preset best`, and which ones they are."""
    frozen = _is_pretrained(options) and _may_freeze(options, given)
    choices: _Choices = _BEST_FROZEN if frozen else _BEST
    if frozen and _few(options, clips) is not None:
        choices = {part: {**choices[part], **_FEW_CLIPS[part]} for part in choices}
    chosen, flags = _with_choices(options, choices, given)
    return chosen, f"--preset best: chosen, unless you give it: {flags}" if flags else None


def _few(options: TrainOptions, clips: Sequence[Clip]) -> str | None:
    """Return how many clips a label of a video data set has, if these are few."""
    counts = Counter(clip.label for clip in clips if clip.split != "test")
    if not counts or median(counts.values()) > FEW or options.images.sequence != "video":
        return None
    return f"{median(counts.values()):g} clips of a label"


def _is_pretrained(options: TrainOptions) -> bool:
    model = options.model
    own = is_onnx(model.encoder) or model.encoder in LANDMARKS
    return own or model.weights not in ("auto", "none")


def _may_freeze(options: TrainOptions, given: Collection[str]) -> bool:
    """Return whether the user has left open how the encoder learns, or has frozen it."""
    if "freeze" in given and not options.model.freeze:
        return False
    return not _LEARNING & set(given) - {"freeze"}


def _with_choices(
    options: TrainOptions, choices: _Choices, given: Collection[str]
) -> tuple[TrainOptions, str]:
    """Return the options with choices that were not given, and these as flags to type."""
    changes: dict[str, Any] = {}
    flags = []
    for part, values in choices.items():
        before = getattr(options, part)
        new = {name: value for name, value in values.items() if name not in given}
        changes[part] = before.model_copy(update=new)
        for name, value in new.items():
            if value != type(before).model_fields[name].default:
                flag = f"--{name.replace('_', '-')}"
                flags.append(flag if value is True else f"{flag} {value}")
    return options.model_copy(update=changes), " ".join(flags)
