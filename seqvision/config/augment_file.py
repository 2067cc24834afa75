"""What `--augment` names: a preset, or a file."""

from pathlib import Path

from seqvision.config.parts import PRESETS
from seqvision.errors import DataError
from seqvision_edge.hints import did_you_mean, near_words
from seqvision_edge.path_hints import missing


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
        raise DataError(f"--augment {missing(augment, 'file')} (or: {', '.join(PRESETS)})")
    return path
