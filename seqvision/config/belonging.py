"""Which options say something about which kind of sequence: one that is ignored is refused."""

from collections.abc import Mapping
from typing import Any

from seqvision.config.parts import AugmentOptions, ClipOptions, SequenceOptions
from seqvision.errors import DataError

_BANDS = ("rows", "columns")
_LENGTHS = (*_BANDS, "windows")
_STILLS = (*_LENGTHS, "patches", "channels")
# The aspect ratio of what has a length is kept, so nothing has to fit.
_KINDS: Mapping[str, tuple[str, ...]] = {
    "frames": ("video",),
    "fps": ("video",),
    "image_fps": ("video",),
    "fit": ("video", "patches", "channels"),
    "grayscale": ("video", *_LENGTHS, "patches"),
    "step": _BANDS,
    "window": ("windows",),
    "stride": ("windows",),
    "patch": ("patches",),
    "order": ("patches",),
    "max_steps": _LENGTHS,
    "longer": _LENGTHS,
    "speed": ("video",),
    "time_crop": ("video",),
    "drop": ("video",),
    "reverse": ("video",),
    "reverse_swap": ("video",),
}

# An options.yaml of an older run has them where nobody asked for anything.
_FORMER_DEFAULTS: Mapping[str, Any] = {"frames": 16}


def check_sequence(
    clips: ClipOptions, images: SequenceOptions, augmentation: AugmentOptions
) -> None:
    """Refuse an option that has no effect with the kind of sequence.

    Raises:
        DataError: there is one; it is named.
    """
    kind = images.sequence
    for part in (clips, images, augmentation):
        for name, field in type(part).model_fields.items():
            value = getattr(part, name)
            kinds = _KINDS.get(name, (kind,))
            if kind not in kinds and value not in (field.default, _FORMER_DEFAULTS.get(name)):
                flag = f"--{name.replace('_', '-')}{_said(value)}"
                belongs = "" if kinds[0] == "video" and len(kinds) > 1 else _valid_kinds(kinds)
                raise DataError(f"{flag} has no effect with --sequence {kind}{belongs}")


def _valid_kinds(kinds: tuple[str, ...]) -> str:
    words = f"{', '.join(kinds[:-1])} and {kinds[-1]}" if len(kinds) > 1 else kinds[0]
    still = " (clips)" if kinds == ("video",) else ""
    return f" (only {words}{still})"


def _said(value: Any) -> str:
    if value is True:
        return ""
    return f" {' '.join(map(str, value))}" if isinstance(value, tuple) else f" {value}"
