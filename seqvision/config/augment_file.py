"""What `--augment` names: a preset, or a file."""

import difflib
from pathlib import Path

from seqvision.config.parts import PRESETS
from seqvision.errors import DataError


def augment_file(augment: str) -> Path | None:
    """Return the YAML that `--augment` names; None for a preset.

    Raises:
        DataError: it is neither, or there is no such file.
    """
    if augment in PRESETS:
        return None
    path = Path(augment)
    if path.suffix.lower() not in (".yaml", ".yml"):
        near = difflib.get_close_matches(augment, PRESETS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise DataError(f"--augment {augment}: neither {', '.join(PRESETS)} nor a .yaml file{hint}")
    if not path.exists():
        raise DataError(f"--augment {augment}: no such file (or: {', '.join(PRESETS)})")
    return path
