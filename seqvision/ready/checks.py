"""What is asked about more than one command: files that are read, files that are written."""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from seqvision.errors import CheckpointError, DataError
from seqvision.output_files import is_model
from seqvision_edge.files import why_unwritable

MODEL_SUFFIXES = (".pt", ".safetensors")


def check_trained(path: Path, verb: str) -> None:
    """Refuse a file that cannot be the model of a training.

    Raises:
        CheckpointError: it is not there, or it is an exported one.
    """
    if path.suffix.lower() == ".onnx":
        raise CheckpointError(
            f"{path}: an exported file; {verb} wants the model of the training, "
            f"such as {path.with_suffix('.pt')}"
        )
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, not a model file; a run folder has a model.pt")
    if not path.exists():
        raise CheckpointError(f"{path}: no such file; make one with: seqvision train FOLDER")


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path | None]) -> None:
    """Refuse files that cannot be written, before the work whose result they are.

    Args:
        outputs: flag → file; None where nobody asked for one.
        inputs: what is read, and must stay.

    Raises:
        DataError: one cannot be written, or two are the same.
    """
    read = [path for path in inputs if path is not None]
    named: dict[Path, str] = {}
    for flag, path in outputs.items():
        if path is None:
            continue
        reason = why_unwritable(path, read)
        if reason is not None:
            raise DataError(f"{flag} {path}: {reason}")
        other = named.setdefault(path.absolute(), flag)
        if other != flag:
            raise DataError(f"{flag} {path}: that is the file of {other}; choose another name")


def check_model_output(flag: str, path: Path) -> None:
    """Refuse to write a model over a file that is none; another model is kept beside the new one.

    Raises:
        CheckpointError: such a file is there.
    """
    if path.is_file() and not is_model(path):
        raise CheckpointError(
            f"{flag} {path}: the file there is no model of seqvision; "
            "choose another name, or move it away"
        )


def beside(model: Path) -> Path:
    """Return where the report of an exported file lies: beside it."""
    return model.with_name(model.name + ".report.json")


def check_folder(flag: str, folder: Path) -> None:
    """Refuse a folder that is not there and cannot be made; it is not made yet."""
    there = folder.expanduser().absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            return
    except OSError as error:
        raise DataError(
            f"{flag} {folder}: no folder can be made there ({error.strerror}); choose another place"
        ) from None


def check_clips(place: Path) -> None:
    """Refuse a place where no clips can be."""
    if not place.exists():
        raise DataError(f"{place}: no such folder or list")
    if place.is_file() and place.suffix.lower() != ".csv":
        raise DataError(f"{place}: neither a folder nor a .csv list")
