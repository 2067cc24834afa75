"""Which options go together, and which files they may name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqvision.config.option_types import LANDMARKS, NO_ENCODER, PRESETS
from seqvision.config.training import AugmentOptions, ClipOptions, ModelOptions, SequenceOptions
from seqvision.errors import DataError
from seqvision_edge.hints import did_you_mean, near_words, path_error

_BANDS = ("rows", "columns")
_LENGTHS = (*_BANDS, "windows")
_STILLS = (*_LENGTHS, "patches", "channels")
_TIMED = ("video", "vectors")
_PICTURES = ("video", *_STILLS)
# The aspect ratio of what has a length is kept, so nothing has to fit.
_KINDS: Mapping[str, tuple[str, ...]] = {
    "frames": _TIMED,
    "fps": _TIMED,
    "image_fps": _TIMED,
    "size": _PICTURES,
    "value_range": _PICTURES,
    "region": _PICTURES,
    "flip": _PICTURES,
    "swap": _PICTURES,
    "fit": ("video", "patches", "channels"),
    "grayscale": ("video", *_LENGTHS, "patches"),
    "step": _BANDS,
    "window": ("windows",),
    "stride": ("windows",),
    "patch": ("patches",),
    "order": ("patches",),
    "max_steps": _LENGTHS,
    "longer": _LENGTHS,
    "speed": _TIMED,
    "time_crop": _TIMED,
    "drop": _TIMED,
    "reverse": _TIMED,
    "reverse_swap": _TIMED,
    "context": ("video",),
}

# An options.yaml of an older run has them where no option was given.
_FORMER_DEFAULTS: Mapping[str, Any] = {"frames": 16}


def augment_file(augment: str) -> Path | None:
    """Return the YAML that `--augment` names; None for a preset.

    Raises:
        DataError: it is neither, or there is no such file.
    """
    if augment in PRESETS:
        return None
    path = Path(augment)
    if path.suffix.lower() not in (".yaml", ".yml"):
        near = did_you_mean(near_words(augment, PRESETS))
        hint = f"; {near}" if near else ""
        raise DataError(f"--augment {augment}: neither {', '.join(PRESETS)} nor a .yaml file{hint}")
    if not path.exists():
        raise DataError(f"--augment {path_error(augment, 'file')} (or: {', '.join(PRESETS)})")
    return path


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
                flag = f"--{name.replace('_', '-')}{_format_value(value)}"
                belongs = "" if kinds[0] == "video" and len(kinds) > 1 else _valid_kinds(kinds)
                raise DataError(f"{flag} has no effect with --sequence {kind}{belongs}")


def check_landmarks(model: ModelOptions) -> None:
    """Refuse options that an encoder of landmarks has not, and its own with another encoder.

    Raises:
        DataError: there is one; it is named.
    """
    if "hands" not in model.encoder.split("+"):
        for name in ("hands", "landmarks"):
            value = getattr(model, name)
            if value != ModelOptions.model_fields[name].default:
                raise DataError(f"--{name} {value}: has no effect without --encoder hands")
    if model.encoder not in LANDMARKS:
        return
    if model.weights not in ("auto", "none"):
        raise DataError(
            f"--weights {model.weights}: --encoder {model.encoder} has its own; leave it out"
        )
    if model.normalize not in ("auto", "unit"):
        raise DataError(
            f"--normalize {model.normalize}: --encoder {model.encoder} has its own range; leave it "
            "out"
        )


def check_vectors(model: ModelOptions, images: SequenceOptions) -> None:
    """Refuse an encoder and its options where clips are vectors, and `none` where they are not.

    Raises:
        DataError: there is one; it is named.
    """
    if not images.vectors:
        if model.encoder == NO_ENCODER:
            raise DataError(
                f"--encoder {NO_ENCODER}: is for vectors; pictures need an encoder, such as "
                "small_cnn"
            )
        return
    if model.encoder != NO_ENCODER:
        raise DataError(
            f"--encoder {model.encoder}: the clips are vectors, which need none; leave it out"
        )
    for name in ("weights", "normalize", "freeze", "views"):
        value = getattr(model, name)
        if value != ModelOptions.model_fields[name].default:
            raise DataError(
                f"--{name}{_format_value(value)}: the clips are vectors, which have no encoder; "
                "leave it out"
            )


def check_center(model: ModelOptions, window: int | None = None) -> None:
    """Refuse `--center` where it leaves the head nothing to read, or nothing else than before.

    Args:
        model: the options of the network.
        window: how many steps it sees at once; None: not known yet.

    Raises:
        DataError: it does.
    """
    if not model.centers:
        return
    if model.head == "mean":
        raise DataError(
            "--center: leaves --head mean nothing to read, which is the mean over the window; "
            "take --head lstm or gru"
        )
    if model.reads == "only":
        raise DataError(
            "--center: has no effect with --motion only, which reads nothing that stays the same; "
            "take --motion both"
        )
    if window == 1:
        raise DataError("--center: leaves nothing of a window of one step; give more --frames")


def _valid_kinds(kinds: tuple[str, ...]) -> str:
    words = f"{', '.join(kinds[:-1])} and {kinds[-1]}" if len(kinds) > 1 else kinds[0]
    still = " (clips)" if kinds == ("video",) else ""
    return f" (only {words}{still})"


def _format_value(value: Any) -> str:
    if value is True:
        return ""
    return f" {' '.join(map(str, value))}" if isinstance(value, tuple) else f" {value}"
