"""Clips of vectors: `(time, features)` in a file, or a folder with a file for each vector.

`.npy`, `.npz`, `.csv`, `.tsv`, `.txt`, `.jsonl` and, with pyarrow, `.parquet`.  Training reads its
clips with `read_vectors` too, so that a clip gives the same vectors at the same times in training
and at run time.
"""

import importlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.card import MAX_FEATURES
from seqvision_edge.errors import SourceError
from seqvision_edge.files import read_at_most
from seqvision_edge.hints import path_error
from seqvision_edge.vector_text import (
    TextTable,
    Values,
    bare,
    checked_times,
    decode_text,
    order_of,
    printable_names,
    read_table,
    time_column,
)

ARRAYS: Final = (".npy", ".npz")
_TEXTS: Final = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson")
PARQUET: Final = ".parquet"
VECTOR_SUFFIXES: Final = (*ARRAYS, *_TEXTS, PARQUET)
MAX_BYTES: Final = 1 << 30
# Parsed, a text takes up to thirty times as much memory.
MAX_TEXT_BYTES: Final = 1 << 27
_DATA_KEYS: Final = ("data", "values", "features", "x", "landmarks", "keypoints", "skeleton",
                     "arr_0")  # fmt: skip
_MOST_NAMED: Final = 5


@dataclass(frozen=True)
class VectorClip:
    """Vectors over time.

    Attributes:
        values: `(time, features)` float32; NaN is a missing value.
        times: seconds of each, `(time,)` float64, rising from 0.
        fps: vectors per second, of its times or as given.
        timed: whether it has times of its own.
        names: of the features, if the file has them.
        note: what a user may not expect; "" for nothing.
    """

    values: Values
    times: NDArray[np.float64]
    fps: float
    timed: bool
    names: tuple[str, ...] | None = None
    note: str = ""


def is_vector_file(name: str) -> bool:
    """Return whether a file's name is that of a file that may hold vectors."""
    return os.path.splitext(name)[1].lower() in VECTOR_SUFFIXES  # noqa: PTH122


def is_single_vector(path: Path) -> bool:
    """Return whether a file is an array of one axis: a vector of a clip, not a clip."""
    if path.suffix.lower() not in ARRAYS:
        return False
    try:
        return _array(path, str(path))[0].ndim < 2
    except SourceError:
        return False


def read_vectors(
    path: str | Path, rate: float, expected: Sequence[str] | None = None
) -> VectorClip:
    """Read a clip.

    Args:
        path: a file, or a folder with a file for each vector.
        rate: vectors per second, where the clip has no times.
        expected: names of the features, in order; a clip with names is arranged by them.

    Raises:
        SourceError: it cannot be read as vectors.
    """
    where, path = str(path), Path(path)
    if not path.exists():
        raise SourceError(path_error(where))
    table = _read_folder(path, where) if path.is_dir() else _read_file(path, where)
    if table.names is not None and expected is not None:
        order = order_of(table.names, expected, where)
        table = replace(table, values=table.values[:, order], names=tuple(expected))
    return _clip(table, where, rate)


def vectors_of(array: NDArray[Any], rate: float) -> VectorClip:
    """Return an array `(time, features)` of numbers as a clip.

    Raises:
        SourceError: it is none.
    """
    return _clip(TextTable(_two_axes(array, "the array"), None, None), "the array", rate)


def _clip(table: TextTable, where: str, rate: float) -> VectorClip:
    count, features = table.values.shape
    if not count or not features:
        raise SourceError(f"{where}: empty: its shape is {table.values.shape}")
    if features > MAX_FEATURES:
        raise SourceError(
            f"{where}: {features} features; at most are {MAX_FEATURES}; a clip is (time, features)"
        )
    with np.errstate(over="ignore"):
        values = table.values.astype(np.float32)
    bad = np.argwhere(np.isinf(values))
    if len(bad):
        row, column = bad[0] + 1
        raise SourceError(
            f"{where}: an infinite value (vector {row}, feature {column}); write nan for a missing "
            "one"
        )
    if np.isnan(values).all():
        raise SourceError(f"{where}: no value in it, only nan")
    times = table.times
    if times is None:
        times, fps = np.arange(count) / rate, rate
    else:
        steps = np.diff(times)
        rising = steps[steps > 0]
        fps = float(1 / np.median(rising)) if len(rising) else rate
    timed = table.times is not None
    return VectorClip(values, times, fps, timed, printable_names(table.names), table.note)


def _read_file(path: Path, where: str) -> TextTable:
    suffix = path.suffix.lower()
    if suffix in ARRAYS:
        array, times = _array(path, where)
        _floats(array[:0], where)
        if array.ndim < 2:
            raise SourceError(
                f"{where}: one vector, of shape {array.shape}; a clip is (time, features), or a "
                "folder with a file for each vector"
            )
        return TextTable(_two_axes(array, where), None, _times(times, len(array), where))
    if suffix == PARQUET:
        return _read_parquet(path, where)
    if suffix in _TEXTS:
        return read_table(decode_text(_content(path, where), where), where)
    kinds = " ".join(VECTOR_SUFFIXES)
    raise SourceError(f"{where}: not a file of vectors; the model reads {kinds}")


def _content(path: Path, where: str) -> bytes:
    try:
        content = read_at_most(path, MAX_TEXT_BYTES)
    except OSError as error:
        raise SourceError(f"{where}: cannot be read ({error.strerror})") from None
    if content is None:
        raise SourceError(
            f"{where}: larger than {MAX_TEXT_BYTES >> 20} MB; cut it into clips, or save it as .npy"
        )
    return content


def _read_folder(folder: Path, where: str) -> TextTable:
    """Read a folder with one vector in each file, in the natural order of their names."""
    from seqvision_edge.sources.image_files import natural_order  # with OpenCV

    try:
        inside = list(folder.iterdir())
    except OSError as error:
        raise SourceError(f"{where}: cannot be read ({error.strerror})") from None
    files = sorted(
        (file for file in inside if file.suffix.lower() in ARRAYS and file.name[0] != "."),
        key=natural_order,
    )
    if not files:
        raise SourceError(f"{where}: no .npy files in it")
    rows: list[NDArray[np.float64]] = []
    for file in files:
        array, _ = _array(file, str(file))
        if array.ndim > 1 and 1 not in array.shape[:1]:
            raise SourceError(
                f"{file}: its shape is {array.shape}; in a folder that is a clip each file is one "
                "vector, (features,)"
            )
        vector = _floats(array, str(file)).ravel()
        if rows and len(vector) != len(rows[0]):
            raise SourceError(f"{file}: {len(vector)} features, {files[0].name} has {len(rows[0])}")
        rows.append(vector)
    return TextTable(np.stack(rows), None, None)


def _array(path: Path, where: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return the numbers of a NumPy file, and the times that an .npz may have.

    Raises:
        SourceError: it is damaged, too large, or holds Python objects, which are never loaded.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SourceError(f"{where}: larger than 1 GB; cut it into clips")
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found, None
        with found:
            return _of_archive(found, where)
    except MemoryError:
        raise SourceError(f"{where}: its header promises more than the memory holds") from None
    except OSError as error:
        raise SourceError(f"{where}: cannot be read ({error.strerror or 'damaged'})") from None
    except SourceError:
        raise
    except Exception as error:  # of a damaged file NumPy and zipfile raise many unrelated types
        if "allow_pickle" in str(error) or "Object arrays" in str(error):
            raise SourceError(
                f"{where}: holds Python objects, which are not loaded: they could run programs; "
                "save an array of numbers: numpy.save(path, numpy.asarray(clip, 'float32'))"
            ) from None
        raise SourceError(f"{where}: not a NumPy file, or damaged") from None


def _of_archive(found: Any, where: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    total = sum(info.file_size for info in found.zip.infolist())
    if total > MAX_BYTES:
        raise SourceError(f"{where}: larger than 1 GB when unpacked; cut it into clips")
    keys = list(found.keys())
    named = time_column(keys)
    times = None if named is None else np.asarray(found[keys[named[0]]], np.float64) * named[1]
    rest = [key for key in keys if named is None or key != keys[named[0]]]
    chosen = rest[0] if len(rest) == 1 else next(
        (key for name in _DATA_KEYS for key in rest if bare(key) == name), None
    )  # fmt: skip
    if chosen is None:
        there = ", ".join(rest[:_MOST_NAMED]) or "none"
        raise SourceError(
            f"{where}: which of its arrays ({there}) is the clip? call it data, or keep only one"
        )
    return found[chosen], times


def _times(times: NDArray[Any] | None, count: int, where: str) -> NDArray[np.float64] | None:
    if times is None:
        return None
    if times.shape != (count,):
        raise SourceError(f"{where}: {times.size} times for {count} vectors")
    return checked_times(times, where)


def _two_axes(array: NDArray[Any], where: str) -> NDArray[np.float64]:
    """Return numbers as `(time, features)`: of points, one after the other."""
    values = _floats(array, where)
    if not values.size:
        raise SourceError(f"{where}: empty: its shape is {array.shape}")
    while values.ndim > 2 and values.shape[0] == 1:
        values = values[0]
    if values.ndim < 2:
        raise SourceError(f"{where}: its shape is {array.shape}; a clip is (time, features)")
    return values.reshape(len(values), -1)


def _floats(array: NDArray[Any], where: str) -> NDArray[np.float64]:
    if array.dtype.names:
        fields = ", ".join(array.dtype.names[:_MOST_NAMED])
        raise SourceError(f"{where}: a structured array ({fields}); save plain numbers")
    if array.dtype.kind not in "fiub":
        raise SourceError(f"{where}: an array of {array.dtype}, not of numbers")
    return np.asarray(array, np.float64)


def _read_parquet(path: Path, where: str) -> TextTable:
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise SourceError(
            f"{where}: reading .parquet needs the package pyarrow: pip install pyarrow"
        ) from None
    try:
        table = parquet.read_table(path)
        names = tuple(map(str, table.column_names))
        columns = [table.column(index).to_numpy() for index in range(len(names))]
    except Exception as error:  # pyarrow raises many unrelated types
        raise SourceError(f"{where}: {' '.join(str(error).split())[:120]}") from None
    for name, column in zip(names, columns, strict=True):
        if column.dtype.kind not in "fiub":
            raise SourceError(f"{where}: column {name!r} has no numbers; leave it out")
    values = np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
    found = time_column(names)
    if found is None:
        return TextTable(values, names, None)
    kept = [index for index in range(len(names)) if index != found[0]]
    times = checked_times(values[:, found[0]] * found[1], where, scale_given=found[1] != 1.0)
    return TextTable(values[:, kept], tuple(names[index] for index in kept), times)


def refuse_mixed(shapes: Iterable[tuple[str, tuple[int, int]]]) -> None:
    """Refuse clips with different numbers of features, naming two of them.

    Args:
        shapes: the name of each clip, and its `(time, features)`.

    Raises:
        SourceError: they differ.
    """
    known = list(shapes)
    widths = {features for _, (_, features) in known}
    if len(widths) < 2:
        return
    (first, (_, one)), *_ = known
    other, (_, count) = next(each for each in known if each[1][1] != one)
    hint = ""
    if len({steps for _, (steps, _) in known}) == 1:
        steps = known[0][1][0]
        hint = (
            f"; all clips have {steps} rows: if they are (features, time), save them transposed: "
            "numpy.save(path, array.T)"
        )
    raise SourceError(f"{other}: {count} features, {first} has {one}{hint}")
