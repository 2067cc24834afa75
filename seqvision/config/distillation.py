"""The options of a training that learns from other models too."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from seqvision.config.option_types import TEACHERS, NormalizeKind, PixelNumbers
from seqvision.errors import DataError
from seqvision_edge.option_fields import Arg, Options


def _teacher(path: Path) -> Path:
    if str(path).startswith("torchvision:"):
        raise ValueError("must be a file; export the network to ONNX, with its labels in a .txt")
    return path


Teacher = Annotated[Path, AfterValidator(_teacher)]


class DistillationOptions(Options):
    """Whose answers it learns from."""

    heading = TEACHERS

    teacher: Annotated[tuple[Teacher, ...], Arg("MODEL", once=True)] = ()
    """Model whose probabilities it learns from too, such as a larger one: model.pt, model.onnx, a
    run folder or that of --folds, or any ONNX model of clips with its labels in a .txt beside."""
    teacher_weight: Annotated[float, Field(gt=0, le=1), Arg("SHARE")] = 0.7
    """Share of the loss that is about the teachers' probabilities; the rest is about the labels."""
    teacher_temperature: Annotated[float, Field(ge=0.5, le=50), Arg("FACTOR")] = 2.0
    """Temperature that softens both probabilities, so that small ones count."""
    teacher_normalize: Annotated[
        NormalizeKind | PixelNumbers, Arg("KIND|MEAN:DEVIATION", default="imagenet")
    ] = "auto"
    """Pixel range of a teacher that is an ONNX model of others."""
    unlabelled: Annotated[Path | None, Arg("CLIPS")] = None
    """Clips without labels, for which the teachers' probabilities are learned: a folder of any
    layout, or a CSV with the column path."""


def check_teachers(options: DistillationOptions, context: float = 0.0) -> None:
    """Refuse options that have no effect without a teacher, or do not go together with one.

    Args:
        options: those of teachers.
        context: seconds of a video around its parts from which windows are drawn.

    Raises:
        DataError: one is given.
    """
    if options.teacher and context:
        raise DataError(
            f"--context {context:g}: draws other windows in every epoch, and a teacher predicts "
            "the clip alone; leave --context or --teacher out"
        )
    if options.teacher:
        return
    if options.unlabelled is not None:
        raise DataError(
            f"--unlabelled {options.unlabelled}: needs a model that labels them: --teacher MODEL"
        )
    for name in ("teacher_weight", "teacher_temperature", "teacher_normalize"):
        value = getattr(options, name)
        if value != DistillationOptions.model_fields[name].default:
            flag = f"--{name.replace('_', '-')}"
            raise DataError(f"{flag} {value}: has no effect without --teacher MODEL")
