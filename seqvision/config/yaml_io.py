"""Options as YAML: `--config`, the record in a run folder, resuming."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from seqvision.config.commands import TrainOptions
from seqvision.errors import DataError
from seqvision_edge.hints import did_you_mean, near_options, path_error
from seqvision_edge.option_fields import first_problem, flag_name, options_of
from seqvision_edge.renamed_options import new_name, translated
from seqvision_edge.sanitize import printable
from seqvision_edge.yaml_file import YamlError, dump_yaml, read_yaml


def to_yaml(options: BaseModel) -> str:
    """Return options as YAML that `from_yaml` reads back."""
    return dump_yaml(options.model_dump(mode="json"))


def flattened(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested options as `model.head`, value."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def from_yaml(path: Path, saved: bool = False) -> TrainOptions:
    """Read training options.

    Args:
        path: the file.
        saved: a program wrote it, so names of before are translated and not refused.

    Raises:
        DataError: the file cannot be read, or an option in it is unknown or has a bad value.
    """
    if path.is_dir():
        own = path / "options.yaml"
        hint = f"did you mean {own}?" if own.is_file() else "give a YAML file"
        raise DataError(f"--config {path}: a folder; {hint}")
    if not path.exists():
        raise DataError(f"--config {path_error(path, 'file')}")
    try:
        values = read_yaml(path) or {}
    except YamlError as error:
        raise DataError(f"{path}: not a YAML of options: {error}") from None
    if not isinstance(values, dict):
        raise DataError(f"{path}: not a YAML of options")
    try:
        return TrainOptions.model_validate(translated(values) if saved else values)
    except ValidationError as error:
        loc, message, value = first_problem(error)
        name = printable(".".join(map(str, loc)))
        hint = _near(loc)
        given = (
            f" {printable(str(value))}" if isinstance(value, str | int | float) and not hint else ""
        )
        raise DataError(f"{path}: {name}{given}: {message}{hint}") from None


def _near(loc: Sequence[int | str]) -> str:
    """Return what an unknown name at the end of a path means, and where it belongs."""
    known: Any = TrainOptions
    for name in loc[:-1]:
        field = known.model_fields.get(str(name)) if hasattr(known, "model_fields") else None
        if field is None:
            return ""
        known = field.annotation
    fields = getattr(known, "model_fields", {})
    if not loc or loc[-1] in fields:
        return ""
    name = str(loc[-1]).lstrip("-")
    keys = {option.name: option.keys for option in options_of(TrainOptions)}
    here = [flag_name(each) for each in fields]
    new = new_name(name, keys)
    if new is not None:
        plain, _, value = new.removeprefix("no-").partition(" ")
        return f"; it is now {'.'.join(keys[plain])}{f': {value}' if value else ''}"
    near = near_options(name, here) or near_options(name, list(keys))
    if not near:
        return f"; there are: {', '.join(fields)}"
    meant = [".".join(keys.get(each, (*map(str, loc[:-1]), each))) for each in near]
    inside = [text.rpartition(".")[2] if each in here else text
              for each, text in zip(near, meant, strict=True)]  # fmt: skip
    return f"; {did_you_mean(inside)}"
