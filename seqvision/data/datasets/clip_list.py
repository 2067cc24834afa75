"""A list: a table with the columns `path,label[,group][,split][,fps][,start,end][,region]`.

`path` is a video, a folder of frames or an image; relative ones start at the list's own folder.
`start,end` are seconds or a clock, `start_frame,end_frame` numbers of frames from 0, both included:
the clip is that part of the video.  `region` is a part of the picture, `0.1,0.2,0.4,0.9` in quotes,
and so are all four of `x,y,width,height`.  Columns may be called otherwise: see `COLUMNS`.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from seqvision.data.clips import Clip, normal
from seqvision.data.datasets import kinetics
from seqvision.data.datasets.base import Reading, ReadOptions
from seqvision.data.datasets.list_times import Times, times_of
from seqvision.data.datasets.table import SUFFIXES, Row, Table, read_table, unused_note
from seqvision.data.file_kinds import is_image, is_video
from seqvision.data.splits import part_called
from seqvision.errors import DataError
from seqvision_edge.errors import SourceError
from seqvision_edge.number_parsing import parse_number
from seqvision_edge.vector_files import is_vector_file

if TYPE_CHECKING:
    from seqvision_edge.regions import Region

LIST_NAME = "clips.csv"
_TIMES = {
    "start": "begin begins beginning onset t0 t_0 from anfang beginn debut inicio clip_start in",
    "end": "finish stop t1 t_1 to ende fin clip_end out until offset",
    "duration": "dur length dauer",
}
_MEANT = {
    "path": "file filename file_name filepath file_path video video_path video_file video_name "
    "video_filename videoname clip clip_path clip_name clip_file image image_path img img_path "
    "relative_path rel_path relpath media media_path source src uri url datei dateiname pfad "
    "fichier archivo vid video_id clip_id id name",
    "label": "labels class class_name classname label_name labelname category action action_label "
    "action_name target gesture gesture_name activity activity_name tag sign gloss y klasse "
    "bezeichnung geste etiqueta classe",
    "group": "groups performer person person_id subject subject_id signer signer_id actor actor_id "
    "user user_id participant participant_id speaker speaker_id recording recording_id",
    "split": "set subset part partition phase usage dataset_split split_name",
    "fps": "frame_rate framerate frames_per_second",
}
BOX = ("x", "y", "width", "height")
_CORNERS = re.compile(r"\d[^,;]*[,;][^,;]*\d")
PARTS_OF_A_VIDEO = ("start", "end", "duration", "start_frame", "end_frame")


def _spellings(role: str, names: str) -> tuple[str, ...]:
    """Return the ways to write a column of times: `begin`, `begin_s`, `t_begin`, `time_begin`."""
    bases = (role, *names.split())
    units = ("", "_s", "_sec", "_secs", "_second", "_seconds", "_ms", "_msec", "_milliseconds")
    forms = ("{}", "{}_time", "time_{}", "t_{}", "{}_timestamp", "timestamp_{}", "{}time")
    return tuple(form.format(base) + unit for unit in units for base in bases for form in forms)


def _frames(*bases: str) -> tuple[str, ...]:
    forms = ("{}_frame", "frame_{}", "{}frame", "{}_frames", "{}_frame_number", "{}_idx", "{}_f")
    return tuple(form.format(base) for base in bases for form in forms)


COLUMNS: dict[str, Sequence[str]] = {
    **{name: names.split() for name, names in _MEANT.items()},
    **{name: _spellings(name, names) for name, names in _TIMES.items()},
    "start_frame": (*_frames("start", "begin", "first", "from", "onset"), "f0"),
    "end_frame": (*_frames("end", "stop", "last", "to", "finish", "offset"), "f1"),
    "region": (),
    "x": (),
    "y": (),
    "width": ("w",),
    "height": ("h",),
}


def fits(data: Path) -> bool:
    """Return whether this is a list, or a folder that has one under the name `clips.csv`."""
    if data.is_file():
        return data.suffix.lower() in SUFFIXES and not kinetics.fits(data)
    return (data / LIST_NAME).is_file()


def read(data: Path, options: ReadOptions) -> Reading:
    """Read the list.

    Raises:
        DataError: a missing column, or a row that is not complete, with its line.
    """
    return read_list(data if data.is_file() else data / LIST_NAME)


def read_list(path: Path, labelled: bool = True) -> Reading:
    """Read a list; if it has no labels, its column `path` is enough.

    Raises:
        DataError: a missing column, a row that is not complete, with its line, or no clip is there.
    """
    table = read_table(path, COLUMNS, lambda rows: _headless(path, rows, labelled))
    table.require("path", *(("label",) if labelled else ()))
    times = times_of(table)
    files = _Files(path)
    box = region_columns(table)
    clips = [_clip(row, times, files, labelled, box) for row in table.rows]
    files.refuse_none(clips)
    return _grouped(clips, path), [*table.notes, *_notes(table, times), *files.notes()]


def names_vectors(path: Path) -> bool:
    """Return whether most clips of a list are vectors; False where it cannot be read as one.

    A table of numbers, one clip of vectors, names no files.
    """
    if path.suffix.lower() not in SUFFIXES:
        return False
    try:
        table = read_table(path, COLUMNS, lambda rows: _headless(path, rows, False))
        if "path" not in table.columns:
            return False
        files = _Files(path)
        found = [files.find(row["path"]) for row in table.rows[:_PEEKED]]
    except DataError:
        return False
    there = [clip for clip in found if clip is not None]
    vectors = [
        clip
        for clip in there
        if is_vector_file(clip.name) or (clip.is_dir() and _has_vectors(clip))
    ]
    return 2 * len(vectors) > len(there)


_PEEKED = 32


def _has_vectors(folder: Path) -> bool:
    names = os.listdir(folder)  # noqa: PTH208
    return any(map(is_vector_file, names)) and not any(is_image(name) for name in names)


def columns_of(path: Path) -> tuple[str, ...]:
    """Return the known columns of a list; none where it cannot be read as a table.

    Raises:
        DataError: the file cannot be read as text.
    """
    return read_table(path, COLUMNS, lambda rows: _headless(path, rows, True)).columns


def _headless(path: Path, rows: Sequence[Sequence[str]], labelled: bool) -> Sequence[str] | None:
    """Name the columns of a list whose first row is a clip already."""
    width = Counter(len(row) for row in rows).most_common(1)[0][0]
    first = rows[0]
    if len(first) != width:
        return None
    files = _Files(path)
    there = {index: found for index, cell in enumerate(first[:2]) if (found := files.find(cell))}
    if not there:
        return None
    # A label may be the name of a folder too.
    at = max(there, key=lambda index: (there[index].is_file(), len(there[index].parts)))
    if width == 2:
        return ("path", "label") if at == 0 else ("label", "path")
    if width == 3 and at == 0:
        if part_called(first[2]):
            return ("path", "label", "split")
        if first[1].isdecimal() and not files.find(first[1]):
            return ("path", "number of frames", "label")  # as mmaction's lists of frame folders
        return ("path", "label", "group")
    raise DataError(
        f"{path}, line 1: no header, and {width} columns; write their names into the first line: "
        "path,label,start,end"
    )


# Rows -------------------------------------------------------------------------------------------


def _clip(row: Row, times: Times, files: "_Files", labelled: bool, box: Sequence[str]) -> Clip:
    name, label = row["path"], normal(row["label"])
    bare_name = name.strip("\"'")
    if bare_name != name and files.find(name) is None:
        name = bare_name
    if not name or (labelled and not label):
        raise DataError(f"{row.where}: path{' or label' if labelled else ''} is empty")
    split = row["split"]
    part = part_called(split) if split else None
    if split and part is None:
        raise DataError(f"{row.where}: split is {split!r}, must be train, val or test")
    fps = row["fps"]
    rate = parse_number(fps.replace(",", "."))
    if fps and (rate is None or not 0.01 <= rate <= 1000):
        raise DataError(f"{row.where}: fps is {fps!r}, must be a number from 0.01 to 1000")
    return Clip(
        path=files.take(name, row.where),
        label=label,
        group=normal(row["group"]) or None,
        split=part,
        fps=rate,
        cut=times.cut(row),
        region=region_of(row, box),
    )


def region_columns(table: Table) -> tuple[str, ...]:
    """Return the columns with the part of the picture: `region`, all of `x,y,width,height`, none.

    A column `region` of other words, such as of countries, is none.
    """
    if "region" in table.columns and any(_CORNERS.search(row["region"]) for row in table.rows):
        return ("region",)
    return BOX if set(BOX) <= set(table.columns) else ()


def region_of(row: Row, columns: Sequence[str]) -> "Region | None":
    """Return the part of the picture that a row's clip is, by `region_columns`; None: all of it.

    Raises:
        DataError: it is no part of a picture.
    """
    texts = [row[name] for name in columns]
    if not any(texts):
        return None
    from seqvision_edge.regions import from_size, parse_region

    try:
        if len(columns) == len(BOX):
            numbers = [text.replace(",", ".") for text in texts]
            return from_size("", numbers, f"{row.where}: {', '.join(BOX)}")
        found = parse_region(texts[0].strip("[]() "), f"{row.where}: region")
    except SourceError as error:
        raise DataError(str(error)) from None
    return replace(found, name="")


def _notes(table: Table, times: Times) -> list[str]:
    """Return what a person may not expect: which columns stand for what, which for nothing."""
    used = {times.start, times.end, times.duration, "path", "label", "group", "split", "fps"}
    box = region_columns(table)
    used |= set(box)
    ignored = [table.spelled[name] for name in (*PARTS_OF_A_VIDEO, "region", *BOX)
               if name in table.spelled and name not in used]  # fmt: skip
    rest = replace(table, unused=(*table.unused, *ignored))
    meant = [
        f"{table.spelled[name]!r} as {name}"
        for name in ("path", "label", "group", "split", "fps")
        if name in table.spelled and table.spelled[name].strip().casefold() != name
    ]
    cut = [name for name in (times.start, times.end, times.duration) if name]
    notes = [f"{table.path}: column {', '.join(meant)}"] if meant else []
    if cut:
        spelled = " to ".join(repr(table.spelled[name]) for name in cut)
        unit = "frames" if times.in_frames else "milliseconds" if times.scale < 1 else "seconds"
        notes.append(f"{table.path}: clips are the parts of videos from {spelled} ({unit})")
    if box:
        spelled = ", ".join(repr(table.spelled[name]) for name in box)
        notes.append(f"{table.path}: clips are the parts of pictures in column {spelled}")
    return [*notes, *unused_note(rest)]


def _grouped(clips: Sequence[Clip], path: Path) -> list[Clip]:
    """Return the clips, those of one cut video as a group: its parts show the same scene."""
    cut = {clip.path for clip in clips if clip.is_part}

    def group(clip: Clip) -> str | None:
        if clip.group is not None or clip.path not in cut:
            return clip.group
        try:
            return clip.path.relative_to(path.parent).as_posix()
        except ValueError:
            return str(clip.path)

    return [replace(clip, group=group(clip)) for clip in clips]


# Files ------------------------------------------------------------------------------------------


@dataclass
class _Files:
    """Finds what the cells of a list mean: a folder is listed once, not for each clip."""

    listed: Path
    missing: list[tuple[str, str]] = field(default_factory=list)
    ways: Counter[str] = field(default_factory=Counter)
    _folders: dict[Path, dict[str, list[str]]] = field(default_factory=dict)
    _stems: dict[Path, dict[str, list[str]]] = field(default_factory=dict)

    def take(self, name: str, where: str) -> Path:
        """Return the file or folder of a cell; where it should be, if it is not there.

        Raises:
            DataError: without its suffix it could be several files.
        """
        found = self.find(name)
        if found is not None:
            return found
        several = self._without_suffix(self.listed.parent / name.replace("\\", "/"))
        if len(several) > 1:
            raise DataError(
                f"{where}: {name!r} could be {' or '.join(sorted(several)[:3])}; "
                "write the whole name"
            )
        self.missing.append((name, where))
        return self.listed.parent / name

    def find(self, name: str) -> Path | None:
        """Return what is there under a name, however its slashes and letters are written."""
        if not name or len(name) > 4096 or "\0" in name:
            return None
        plain = name.removeprefix("file://")
        forms = [plain] if "\\" not in plain else [plain, plain.replace("\\", "/")]
        for index, form in enumerate(forms):
            for way, base in self._bases():
                path = base / Path(form).expanduser() if form.startswith("~") else base / form
                found = self._there(path)
                if found is not None:
                    self.ways["backslash" if index else ""] += 1
                    self.ways[way] += 1
                    return found
        return None

    def refuse_none(self, clips: Sequence[Clip]) -> None:
        """Refuse a list of which no clip is there.

        Raises:
            DataError: none is there; with the cause, as far as one can be seen.
        """
        if not clips or len(self.missing) < len(clips):
            return
        name, where = self.missing[0]
        count = f"none of its {len(clips)} clips is there" if len(clips) > 1 else "no such file"
        raise DataError(f"{where}: {count}: {name}{self._cause(name)}")

    def notes(self) -> list[str]:
        """Return what was assumed to find the clips, and how many are missing."""
        notes = [
            f"{self.listed}: {self.ways[way]} paths start at {folder}, not at the list's folder"
            for way, folder in (
                ("above", str(self.listed.parent.parent)),
                ("here", str(Path.cwd())),
            )
            if self.ways[way]
        ]
        if self.missing:
            name, where = self.missing[0]
            count = len(self.missing)
            notes.append(
                f"{where}: no such file: {name}{self._cause(name)}"
                + (f"; {count - 1} more are missing" if count > 1 else "")
            )
        return notes

    def _bases(self) -> tuple[tuple[str, Path], ...]:
        own = self.listed.parent
        return ("own", own), ("above", own.parent if own.name else own / ".."), ("here", Path())

    def _there(self, path: Path) -> Path | None:
        names = self._names(path.parent)
        key = _key(path.name)
        same = names.get(key, [])
        if path.name in same or (not key and path.is_dir()):
            return path
        if len(same) == 1:
            return path.parent / same[0]
        if path.name in ("", ".", "..") and path.is_dir():
            return path
        several = self._without_suffix(path)
        return path.parent / several[0] if len(several) == 1 and not same else None

    def _without_suffix(self, path: Path) -> list[str]:
        """Return the videos and images that are called like a path with a suffix."""
        key = _key(path.name)
        if not key or is_video(path.name) or is_image(path.name):
            return []
        folder = path.parent
        if folder not in self._stems:
            stems: dict[str, list[str]] = {}
            for names in self._names(folder).values():
                for name in names:
                    if is_video(name) or is_image(name) or is_vector_file(name):
                        stems.setdefault(_key(name.rpartition(".")[0]), []).append(name)
            self._stems[folder] = stems
        return self._stems[folder].get(key, [])

    def _names(self, folder: Path) -> dict[str, list[str]]:
        """Return what is in a folder, under names without case and form of letters."""
        if folder not in self._folders:
            names: dict[str, list[str]] = {}
            try:
                for name in os.listdir(folder):  # noqa: PTH208
                    names.setdefault(_key(name), []).append(name)
            except OSError:
                pass
            self._folders[folder] = names
        return self._folders[folder]

    def _cause(self, name: str) -> str:
        """Return why a path leads nowhere, and what to do; empty if none is seen."""
        own = self.listed.parent
        windows, posix = PureWindowsPath(name), PurePosixPath(name)
        if name.startswith(("http://", "https://")):
            return " (a URL: download the clips first)"
        foreign = windows.is_absolute() or windows.drive or posix.is_absolute()
        parts = windows.parts if windows.drive or "\\" in name else posix.parts
        for count in range(len(parts) - 1, 0, -1):
            rest = Path(*parts[-count:])
            if self._there(own / rest) is not None:
                why = "an absolute path of another machine" if foreign else "another folder"
                return f" ({why}; {rest.as_posix()} is here: write that, from the list's folder)"
        if foreign:
            return f" (an absolute path of another machine; write paths from {own or '.'})"
        return f" (paths start at the list's folder, {own.absolute()})"


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
