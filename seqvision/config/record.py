"""Options as YAML: `--config`, the record in a run folder, resuming."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from seqvision.config.verbs import TrainOptions
from seqvision.errors import DataError
from seqvision_edge.wording import first_problem


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
        place, message, value = first_problem(error)
        name = ".".join(map(str, place))
        hint = _near(place)
        given = f" {value}" if isinstance(value, str | int | float) and not hint else ""
        raise DataError(f"{path}: {name}{given}: {message}{hint}") from None


def _near(place: Sequence[int | str]) -> str:
    """Return a hint where the last name of a place is unknown and looks like one that is not."""
    known: Any = TrainOptions
    for name in place[:-1]:
        field = known.model_fields.get(str(name)) if hasattr(known, "model_fields") else None
        if field is None:
            return ""
        known = field.annotation
    fields = getattr(known, "model_fields", {})
    if not place or place[-1] in fields:
        return ""
    near = difflib.get_close_matches(str(place[-1]), fields, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(fields)}"
