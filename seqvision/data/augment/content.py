"""The plain data of a recipe: a preset, a YAML file, or the content of one."""

from collections.abc import Mapping
from importlib import resources
from typing import Any

from seqvision.config import augment_file
from seqvision.errors import DataError
from seqvision_edge.yaml_file import YamlError, parse_yaml, read_yaml

SECTIONS = ("clip", "frame", "time")


def read_content(augment: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a preset or YAML file; content stays as it is.

    Raises:
        DataError: no such preset or file, or not a YAML.
    """
    if isinstance(augment, Mapping):
        return dict(augment)
    path = augment_file(augment)
    if path is None:
        text = resources.files(__package__).joinpath("presets", f"{augment}.yaml").read_text("utf8")
        return dict(parse_yaml(text))
    try:
        content = read_yaml(path)
    except YamlError as error:
        raise DataError(f"--augment {augment}: {error}") from None
    if not isinstance(content, dict):
        raise DataError(f"{augment}: no sections; it needs {', '.join(SECTIONS)}")
    return content
