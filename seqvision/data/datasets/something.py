"""Something-Something (Goyal et al., ICCV 2017), version 1 as frames or 2 as videos, 12 fps.

    20bn-something-something-v1/<id>/00001.jpg
    something-something-v1-{labels,train,validation,test}.csv      like Jester's

    20bn-something-something-v2/<id>.webm
    something-something-v2-labels.json       {"Approaching something with your camera": "0", …}
    something-something-v2-train.json        [{"id": "78687", "template": "Holding [something] …"}]
    something-something-v2-validation.json, -test.json (ids only)

The label of version 2 is the template without its brackets.  The later release has the same files
as `labels/train.json`, …, and `labels/test-answers.csv`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqvision.data.datasets.base import Reading, ReadOptions, first_there
from seqvision.data.datasets.twentybn import (
    FPS,
    PARTS,
    AnnotationRow,
    find_folder,
    find_list,
    id_rows,
    known_labels,
    make_clips,
    read_test_labels,
)
from seqvision.errors import DataError

_PREFIXES = ("something-something-v2", "something-something-v1")


def fits(data: Path) -> bool:
    """Return whether clips or a list of Something-Something are here."""
    return first_there(data, *(name for prefix in _PREFIXES for name in _signs(prefix))) is not None


def read(data: Path, options: ReadOptions) -> Reading:
    """Read version 2 where its lists are here, else version 1.

    Raises:
        DataError: a list or the clips are missing, or a line or an entry is wrong.
    """
    two, one = _PREFIXES
    lists = {part: find_list(data, two, f"{part}.json") for part in PARTS}
    if lists["train"] is not None:
        folder = find_folder(data, (f"20bn-{two}", "videos", "."))
        parts = {part: _json_rows(path) for part, path in lists.items() if path}
        return make_clips(parts, _json_labels(data), read_test_labels(data, two), folder, None)
    lists = {part: find_list(data, one, f"{part}.csv") for part in PARTS}
    if lists["train"] is None:
        raise DataError(f"{data}: neither {two}-train.json nor {one}-train.csv")
    folder = find_folder(data, (f"20bn-{one}",))
    parts = {part: id_rows(path) for part, path in lists.items() if path}
    return make_clips(parts, known_labels(data, one), read_test_labels(data, one), folder, FPS)


def _signs(prefix: str) -> tuple[str, ...]:
    return f"20bn-{prefix}", f"{prefix}-train.json", f"{prefix}-train.csv"


def _json_rows(path: Path) -> Iterator[AnnotationRow]:
    entries = _load(path)
    if not isinstance(entries, list):
        raise DataError(f"{path}: not a list of clips")
    for number, entry in enumerate(entries, 1):
        where = f"{path}, entry {number}"
        identity = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(identity, str | int):
            raise DataError(f"{where}: no id")
        template = entry.get("template")
        if template is not None and not isinstance(template, str):
            raise DataError(f"{where}: the template is not text")
        label = template.replace("[", "").replace("]", "").strip() if template else None
        yield AnnotationRow(where, str(identity), label)


def _json_labels(data: Path) -> frozenset[str]:
    path = find_list(data, _PREFIXES[0], "labels.json")
    if path is None:
        return frozenset()
    labels = _load(path)
    if not isinstance(labels, dict):
        raise DataError(f"{path}: not a table of labels")
    return frozenset(labels)


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON ({error.msg})") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
