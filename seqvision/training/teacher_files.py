"""The files of `--teacher`, and the labels that each of them knows.  No torch.

A teacher is a model of ours (model.pt, .safetensors, .onnx), a run folder or the folder of a
cross-validation, whose models are an ensemble, or an ONNX model of others with its labels beside.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import onnx

from seqvision.errors import CheckpointError, DataError
from seqvision.preflight.shared_checks import MODEL_SUFFIXES, trained_card
from seqvision_edge.card import METADATA_KEY, ModelCard
from seqvision_edge.errors import ModelError
from seqvision_edge.files import read_limited
from seqvision_edge.hints import path_error
from seqvision_edge.onnx_validation import read_model

ONNX: Final = ".onnx"
_MOST_BYTES: Final = (1 << 31) - 1
_MOST_LABELS: Final = 1 << 22
# What exporters call the names of classes in the metadata of a file.
_KEYS: Final = ("labels", "names", "classes")


@dataclass(frozen=True)
class TeacherFile:
    """One file of a teacher.

    Attributes:
        path: the file.
        labels: what it knows, in the order of its answers; None where only torch can read it.
        card: that of a model of ours; None for another ONNX model.
    """

    path: Path
    labels: tuple[str, ...] | None
    card: ModelCard | None

    def check(self, needed: Sequence[str]) -> None:
        """Refuse a teacher that lacks a label of the clips: it would call them something else.

        Raises:
            DataError: it lacks one.
        """
        missing = [label for label in needed if label not in (self.labels or needed)]
        if missing:
            known = ", ".join(self.labels or ())
            raise DataError(
                f"--teacher {self.path}: does not know the label {missing[0]!r} (it knows "
                f"{known[:200]}); a teacher knows all labels of the clips, by the same names"
            )


def find_teachers(paths: Sequence[Path]) -> list[TeacherFile]:
    """Return the files of all teachers.

    Raises:
        SeqvisionError: a path leads to no model, or a file cannot be read.
    """
    files = [_described(file) for path in paths for file in _files(path)]
    given = [file.path.absolute() for file in files]
    for index, path in enumerate(given):
        if path in given[:index]:
            raise DataError(f"--teacher {files[index].path}: is given twice")
    return files


def _files(path: Path) -> list[Path]:
    """Return the models of a path: itself, or what a folder has of folds, a run or exports."""
    if not path.exists():
        raise DataError(f"--teacher {path_error(path, 'model')}")
    if not path.is_dir():
        if path.suffix.lower() not in (*MODEL_SUFFIXES, ONNX):
            raise DataError(
                f"--teacher {path}: not a model; give a model.pt, a model.onnx or a run folder"
            )
        return [path]
    folds = [each for each in path.glob("fold*") if each.name[4:].isdecimal()]
    for folders in (sorted(folds, key=lambda each: int(each.name[4:])), [path]):
        models = [folder / f"model{suffix}" for folder in folders for suffix in MODEL_SUFFIXES]
        found = [model for model in models if model.is_file()]
        if found:
            return found
    exports = sorted(
        each for each in path.iterdir() if each.suffix.lower() in (*MODEL_SUFFIXES, ONNX)
    )
    if not exports:
        raise DataError(f"--teacher {path}: no model in this folder")
    return exports


def _described(path: Path) -> TeacherFile:
    if path.suffix.lower() != ONNX:
        try:
            card = trained_card(path)
        except CheckpointError as error:
            raise CheckpointError(f"--teacher {error}") from None
        return TeacherFile(path, None if card is None else card.labels, card)
    content = read_limited(path, _MOST_BYTES, "give the path of a model", ModelError)
    try:
        proto = onnx.load_model_from_string(content)
    except Exception:  # protobuf's own, of a private module
        raise ModelError(f"--teacher {path}: not an ONNX model, or damaged") from None
    texts = {item.key: item.value for item in proto.metadata_props}
    if METADATA_KEY in texts:
        _, file = read_model(content)
        return TeacherFile(path, file.card.labels, file.card)
    return TeacherFile(path, _labels_beside(path, texts), None)


def _labels_beside(path: Path, texts: dict[str, str]) -> tuple[str, ...]:
    """Return the labels of an ONNX model of others: a line each in its .txt, or its metadata."""
    beside = path.with_suffix(".txt")
    if beside.is_file():
        content = read_limited(beside, _MOST_LABELS, "give one label a line", DataError)
        try:
            lines = content.decode("utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise DataError(f"{beside}: no text of labels, one a line, in UTF-8") from None
        labels = [line.strip() for line in lines if line.strip()]
    else:
        labels = next((_named(texts[key]) for key in _KEYS if key in texts), [])
    if not labels or len(set(labels)) != len(labels):
        reason = f"needs its labels in {beside.name}, one a line, in the order of its answers"
        again = "; one is there twice" if labels else ""
        raise DataError(f"--teacher {path}: {reason}{again}")
    return tuple(labels)


def _named(text: str) -> list[str]:
    """Return the labels of a metadata text: a JSON list or object, or names between commas."""
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        found = text.split(",")
    if isinstance(found, dict):
        found = list(found.values())
    return [str(each).strip() for each in found] if isinstance(found, list) else []
