"""Checks that several commands share: files that are read, files that are written.

Nothing in a model is run or trusted here: whatever uses it reads and checks the whole file.
"""

import json
import pickletools
import tempfile
import zipfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from seqvision.config import ExportOptions
from seqvision.data.datasets import DataSet, find_data_set
from seqvision.data.datasets.detect import OfficialSplit
from seqvision.data.datasets.table import LAYOUT, why_no_list
from seqvision.data.file_kinds import is_image, is_video
from seqvision.errors import CheckpointError, DataError
from seqvision.output_files import is_model
from seqvision_edge.card import ModelCard, TimedSequence
from seqvision_edge.files import output_error
from seqvision_edge.hints import MODELS, NOT_MODELS, path_error

MODEL_SUFFIXES = (".pt", ".safetensors")

FORMAT = "seqvision.model"
_MOST_BYTES = 1 << 26


def check_trained(path: Path, verb: str, *clips: Path) -> ModelCard | None:
    """Refuse a file that cannot be the model of a training; return its card.

    Args:
        path: the file.
        verb: the command that wants it.
        clips: what is given for the clips; a model among them was swapped with them.

    Returns:
        None where only torch can read the card.

    Raises:
        CheckpointError: it is not there, cannot be read, or is something else.
        CardError: its card is damaged, or of another spec.
    """
    suffix = path.suffix.lower()
    swapped = next((each for each in clips if each.suffix.lower() in MODELS), None)
    if swapped is not None and suffix not in MODELS:
        others = " ".join(str(path if each == swapped else each) for each in clips)
        raise CheckpointError(f"{path}: the model comes first: seqvision {verb} {swapped} {others}")
    if suffix == ".onnx" and verb == "export":
        raise CheckpointError(f"{path}: is already exported; run it: edge-run --model {path}")
    if suffix == ".onnx" and verb != "inspect":
        raise CheckpointError(
            f"{path}: an exported file; {verb} needs the model of the training, "
            f"such as {path.with_suffix('.pt')}"
        )
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, not a model file; a run folder has a model.pt")
    if not path.exists():
        found = path_error(path, "file")
        command = "export model.pt" if suffix == ".onnx" else "train FOLDER"
        make = "" if "did you mean" in found else f"; make one with: seqvision {command}"
        raise CheckpointError(f"{found}{make}")
    if is_video(path.name) or is_image(path.name) or suffix in NOT_MODELS:
        raise CheckpointError(f"{path}: not a model; the first argument of {verb} is a model.pt")
    return trained_card(path)


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path | None]) -> None:
    """Refuse files that cannot be written, before the work whose result they are.

    Args:
        outputs: flag → file; None where none was given.
        inputs: what is read, and must stay.

    Raises:
        DataError: one cannot be written, or two are the same.
    """
    read = [path for path in inputs if path is not None]
    named: dict[Path, str] = {}
    for flag, path in outputs.items():
        if path is None:
            continue
        reason = output_error(path, read)
        if reason is not None:
            raise DataError(f"{flag} {path}: {reason}")
        other = named.setdefault(path.absolute(), flag)
        if other != flag:
            raise DataError(f"{flag} {path}: that is the file of {other}; choose another name")


def check_model_output(flag: str, path: Path) -> None:
    """Refuse to write a model over a file that is none; another model is kept next to the new one.

    Raises:
        CheckpointError: such a file is there.
    """
    if path.is_file() and not is_model(path):
        raise CheckpointError(
            f"{flag} {path}: the file there is no model of seqvision; "
            "choose another name, or move it away"
        )


def exported_path(options: ExportOptions) -> Path:
    """Return the file that an export writes."""
    return options.output or options.model.with_suffix(".onnx")


def report_path(model: Path) -> Path:
    """Return the path of the report of an exported file."""
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
            f"{flag} {folder}: no folder can be made there ({error.strerror}); "
            "choose another folder"
        ) from None


def check_clips(path: Path, labelled: bool = True) -> None:
    """Refuse a path where no clips can be; clips without labels may lie in any folder.

    Raises:
        DataError: nothing is there, or something else; the message explains the layout of a folder.
    """
    if not path.exists():
        raise DataError(path_error(path, "folder or list"))
    if path.is_file() and (problem := why_no_list(path)):
        raise DataError(problem)
    if path.is_dir() and labelled:
        _refuse_loose(path)


def _refuse_loose(folder: Path) -> None:
    """Refuse a folder in which clips lie without folders of labels."""
    images = videos = 0
    for child in folder.iterdir():
        if child.name.startswith("."):
            continue
        is_media = is_image(child.name) or is_video(child.name)
        if child.is_dir() or not is_media:
            return  # labels, or a data set of another layout
        images += is_image(child.name)
        videos += is_video(child.name)
    if videos:
        count = f"{videos} video{'' if videos == 1 else 's'}"
        raise DataError(
            f"{folder}: {count} in it, but no folder for a label; a clip lies in {LAYOUT}"
        )
    if images:
        count = f"{images} loose image{'' if images == 1 else 's'}"
        raise DataError(
            f"{folder}: {count} in it, but no folder for a label; the frames of a clip lie in "
            "frames/<label>/<clip>/0001.jpg, still images in frames/<label>/ with --sequence rows"
        )


def find_for_model(
    data: Path,
    card: ModelCard,
    dataset: str = "auto",
    official: OfficialSplit = 1,
    split: str = "all",
    unknown: Collection[str] = (),
    region: str | None = None,
) -> DataSet:
    """Return the clips of a data set for a model, whose labels it knows; none is decoded.

    Args:
        data: a folder or a list.
        card: the model's.
        dataset: the name of a layout, or `auto`.
        official: number of the official split; off: the data's own split is ignored.
        split: keep only the clips of this split; `all`: keep them all.
        unknown: labels that the model does not know and that may be there all the same.
        region: the part of the picture of clips whose list gives none.

    Raises:
        DataError: there are no clips, none of the split, or a label that the model does not know.
    """
    check_clips(data)
    stills = not isinstance(card.sequence, TimedSequence)
    found = find_data_set(data, dataset, stills, official, region, card.vectors is not None)
    clips = [clip for clip in found.clips if split in ("all", clip.split)]
    if not clips:
        raise DataError(f"{data}: no clip has the split {split}")
    others = sorted({clip.label for clip in clips} - {*card.labels, *unknown})
    if others:
        known = ", ".join(card.labels)
        raise DataError(
            f"{data}: the model does not know the label {others[0]!r} (it knows {known})"
        )
    return replace(found, clips=clips)


def trained_card(path: Path) -> ModelCard | None:
    """Return the card of a model.pt or .safetensors; None where only torch can read it.

    Raises:
        CheckpointError: the file cannot be read, or is no model of a training.
        CardError: its card is damaged, or of another spec.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(9)
        texts = _of_safetensors(path) if begin[8:9] == b"{" else _of_zip(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception:  # of a damaged file, anything
        raise CheckpointError(f"{path}: not a model file, or damaged") from None
    if texts is None:
        return None
    if texts.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a model file of seqvision")
    card = texts.get("card")
    return ModelCard.from_json(card, str(path)) if isinstance(card, str) else None


def _of_safetensors(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > _MOST_BYTES:
            raise ValueError("too large")
        texts: dict[str, Any] = json.loads(json.loads(file.read(size))["__metadata__"][FORMAT])
    return texts


def _of_zip(path: Path) -> dict[str, Any] | None:
    """Return the texts that follow their names in the pickle of a zip, without unpickling it."""
    with zipfile.ZipFile(path) as archive:
        item = next(each for each in archive.infolist() if each.filename.endswith("/data.pkl"))
        if item.file_size > _MOST_BYTES:
            return None
        pickle = archive.read(item)
    texts: dict[str, Any] = {}
    name = None
    for operation, argument, _ in pickletools.genops(pickle):
        if operation.name in ("BINPUT", "LONG_BINPUT", "MEMOIZE", "PUT"):
            continue
        if isinstance(argument, str) and "UNICODE" in operation.name:
            if name in ("format", "card") and name not in texts:
                texts[name] = argument
            name = argument
        else:
            name = None
    return texts
