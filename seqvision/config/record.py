"""Options as YAML: `--config`, the record in a run folder, resuming."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from seqvision.config.verbs import TrainOptions
from seqvision.errors import DataError


def to_yaml(options: BaseModel) -> str:
    """Return options as YAML that `from_yaml` reads back."""
    return yaml.safe_dump(options.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def flattened(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested options as `model.head`, value."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def from_yaml(path: Path) -> TrainOptions:
    """Read training options.

    Raises:
        DataError: the file cannot be read, or an option in it is unknown or has a bad value.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(
            f"{path}: cannot be read as YAML ({' '.join(str(error).split())})"
        ) from None
    if not isinstance(values, dict):
        raise DataError(f"{path}: not a YAML of options")
    try:
        return TrainOptions.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: {place}: {first['msg']}") from None
