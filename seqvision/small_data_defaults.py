"""What `train` chooses where clips are few and no option was given.  No torch.

A network of a million weights learns five clips by heart.  The head on a pretrained encoder that
stays as it is has less to do it with, and trains in seconds, because features are computed once.
It reads in both directions: so it has seen the beginning of a clip as freshly as its end, which is
worth more than anything else that was tried (`samples/few_clips.py`).
"""

from collections import Counter
from collections.abc import Collection, Sequence
from statistics import median
from typing import Any, Final

from seqvision.config import TrainOptions
from seqvision.config.training import FROM_SCRATCH
from seqvision.data.clips import Clip

# Clips of a label, to train and to validate: of so many or fewer an encoder learns nothing new.
FEW: Final = 10
# Stronger than what a training takes by itself, for a head on features that stay.
_CHOICES: Final[dict[str, dict[str, Any]]] = {
    "model": {
        "freeze": True,
        "head": "gru",
        "bidirectional": True,
        "dropout": 0.5,
    },
    "training": {"weight_decay": 0.2, "label_smoothing": 0.1},
}
# If one of these is given, the user has decided how the encoder learns.
_LEARNING: Final = frozenset(("freeze", "unfreeze_at", "encoder_lr_scale"))


def small_data_defaults(
    options: TrainOptions, clips: Sequence[Clip], given: Collection[str]
) -> tuple[TrainOptions, str | None]:
    """Return the options with what suits few clips, and a line about it; given options stay.

    Args:
        options: of a training that begins.
        clips: all of its clips.
        given: names of the options that the user gave.
    """
    counts = Counter(clip.label for clip in clips if clip.split != "test")
    if not counts or median(counts.values()) > FEW or options.images.sequence != "video":
        return options, None
    count = f"{median(counts.values()):g} clips of a label"
    model = options.model
    if model.weights in ("auto", "none"):
        named = model.encoder if model.encoder not in FROM_SCRATCH else "mobilenet_v2"
        requested = {"encoder", "weights"} <= set(given)
        hint = f"{count}: so few teach a pretrained encoder's head more than a whole network"
        return options, None if requested else f"{hint}: --encoder {named} --weights imagenet"
    if _LEARNING & set(given) - {"freeze"} or ("freeze" in given and not model.freeze):
        return options, None
    changes: dict[str, Any] = {}
    flags = []
    for part, choices in _CHOICES.items():
        new = {name: value for name, value in choices.items() if name not in given}
        changes[part] = getattr(options, part).model_copy(update=new)
        for name, value in new.items():
            flag = f"--{name.replace('_', '-')}"
            flags.append(flag if value is True else f"{flag} {value}")
    if not flags:
        return options, None
    note = f"{count}: chosen for so few, unless you give it: {' '.join(flags)}"
    return options.model_copy(update=changes), note
