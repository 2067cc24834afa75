"""What clips are varied with: a preset, a YAML file, or the content of one.

clip:      # drawn once: all frames of a clip move and change together
  - Affine: {rotate: [-8, 8], mode: edge}
  - Multiply: [0.8, 1.2]
frame:     # drawn anew for every frame: what a sensor does
  - Sometimes: {p: 0.3, then_list: [{AdditiveGaussianNoise: {scale: [0, 8]}}]}
time:      # which frames are seen, see `timing`
  speed: [0.8, 1.25]
"""

import difflib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from seqvision.config import augment_file
from seqvision.data.augment.temporal import TemporalOptions
from seqvision.data.augment.turns import turns
from seqvision.errors import DataError
from seqvision_edge.option_fields import first_problem
from seqvision_edge.yaml_file import YamlError, parse_yaml, read_yaml

if TYPE_CHECKING:
    from seqvision.data.augment.pixels import Step

# More than a recipe written by hand has; aliases in a YAML can stand for millions.
_MOST = 1000

SECTIONS = ("clip", "frame", "time")


@dataclass(frozen=True)
class Recipe:
    """Augmenters that were tried and are ready to run.

    Attributes:
        content: the YAML as plain data.
        steps: what a clip goes through.
        timing: which of its frames are seen.
        mirrors: the augmenters among them that mirror a picture, or turn it a quarter or more.
    """

    content: Mapping[str, Any]
    steps: tuple["Step", ...]
    timing: TemporalOptions
    mirrors: frozenset[str]


def read_recipe(augment: str | Mapping[str, Any]) -> Recipe:
    """Return the augmenters of a preset, a YAML file or its content, each of them tried.

    Raises:
        DataError: it cannot be read, has an unknown name or a bad value, or an augmenter does not
            work with the installed NumPy and OpenCV.
    """
    # Not above: imgaug and SciPy take a second to import, and clips are found and decoded before.
    from seqvision.data.augment.build import (
        build,
        count_values,
        needs_colour,
        plan_clip,
        plan_frames,
        try_out,
    )

    name = Path(augment).name if isinstance(augment, str) else "augment"
    content = read_content(augment)
    if sum(1 for _ in itertools.islice(count_values(content), _MOST + 1)) > _MOST:
        raise DataError(f"{name}: more than {_MOST} values in it")
    for section in content:
        if section not in SECTIONS:
            near = difflib.get_close_matches(str(section), SECTIONS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(SECTIONS)}"
            raise DataError(f"{name}: no section {section}; {hint}")
    built = {}
    for section in ("clip", "frame"):
        where = f"{name}: {section}"
        built[section] = build(content.get(section) or [], where)
        for number, augmenter in enumerate(built[section]):
            try_out(augmenter, f"{where}[{number}]")
    steps = plan_clip(built["clip"], needs_colour) + plan_frames(built["frame"], needs_colour)
    return Recipe(content, tuple(steps), _timing(content, name), frozenset(turns(content)))


def _timing(content: Mapping[str, Any], name: str) -> TemporalOptions:
    try:
        return TemporalOptions.model_validate(content.get("time") or {})
    except ValidationError as error:
        loc, words, _ = first_problem(error)
        where = ".".join(map(str, ("time", *loc)))
        raise DataError(f"{name}: {where}: {words}") from None


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
