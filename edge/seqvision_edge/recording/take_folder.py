"""A folder of takes, and the list by which training reads it.

    TAKES/wave/anna-001.mp4
    TAKES/clips.csv             path,label,group: the group is the person

A take is complete and listed, or absent.  Several programs may write to one folder.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from seqvision_edge.errors import RecordingError
from seqvision_edge.files import atomic_write, sweep, unfinished_file
from seqvision_edge.recording.take_list import (
    COLLECTED_NAME,
    LIST_NAME,
    Row,
    Rows,
    Take,
    clean_label,
    clean_person,
    folder_name,
    is_ours,
    locked,
    read_take_list,
    take_of,
    take_row,
    write_take_list,
)
from seqvision_edge.recording.writer import NewTake
from seqvision_edge.sanitize import file_part

_DIGITS = 3


class Takes:
    """The takes of a folder.  Nothing is cached: every call reads the list."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._list = folder / LIST_NAME

    def open(self) -> None:
        """Create the folder if its parent exists, and check that takes can be added.

        Raises:
            RecordingError: it cannot be written to, or see `check`.
        """
        self.check()
        with self._errors():
            self.folder.mkdir(exist_ok=True)
        with self._writing():
            sweep(self.folder)

    def check(self) -> None:
        """Check that takes can be added, as far as possible without writing.

        Raises:
            RecordingError: the folder cannot be created, its list cannot be read, or it has clips
                that no list names: a new list would hide them from training.
        """
        with self._errors():
            if not self.folder.exists():
                if not self.folder.absolute().parent.is_dir():
                    raise RecordingError(
                        f"{self.folder}: there is no folder {self.folder.parent}; make it first"
                    )
                return
            if not self.folder.is_dir():
                raise RecordingError(f"{self.folder}: that is a file; name a folder")
            unlisted = _has_clips(self.folder)
        read_take_list(self._list)
        has_list = self._list.exists() or (self.folder / COLLECTED_NAME).exists()
        if unlisted is not None and not has_list:
            raise RecordingError(
                f"{self.folder}: has clips already ({unlisted}) and no {LIST_NAME}; "
                "record into a folder of its own"
            )

    def all(self) -> list[Take]:
        """Return the takes in the order of the list.

        Raises:
            RecordingError: the list cannot be read.
        """
        return [take_of(row) for row in read_take_list(self._list).rows]

    def counts(self) -> Counter[tuple[str, str]]:
        """Return how many takes there are of each (label, person)."""
        return Counter((take.label, take.person) for take in self.all())

    def path_of(self, take: Take) -> Path:
        """Return the path of a take's file."""
        return self.folder / take.path

    def begin(self, label: str, person: str = "", fps: float | None = None) -> NewTake:
        """Begin a take; it is added to the folder when it is kept.

        Args:
            label: its label.
            person: the person in it.
            fps: the source's declared rate; the frames' own times are authoritative.

        Raises:
            RecordingError: a label or name that training would refuse.
        """
        label, person = clean_label(label), clean_person(person)

        def keep(film: Path) -> Take:
            return self._add(film, label, person)

        return NewTake(self._unfinished, keep, fps)

    def add(self, film: Path, label: str, person: str = "") -> Take:
        """List a clip that is in the folder already, such as one that a run collected.

        Raises:
            RecordingError: it is listed already or missing, or the label is invalid.
        """
        label, person = clean_label(label), clean_person(person)
        path = film.relative_to(self.folder).as_posix()
        with self._writing():
            found = read_take_list(self._list)
            if any(row["path"] == path for row in found.rows):
                raise RecordingError(f"{film}: is in {LIST_NAME} already")
            if not film.is_file():
                raise RecordingError(f"{film}: no such file")
            self._write(found, (*found.rows, take_row(path, label, person)))
        return Take(path, label, person)

    def relabel(self, take: Take, label: str) -> Take:
        """Give a take another label; its file moves to the folder of that label.

        Raises:
            RecordingError: the take no longer exists, or the label is invalid.
        """
        label = clean_label(label)
        if label == take.label:
            return take
        with self._writing():
            found = read_take_list(self._list)
            index = _index_of(found, take)
            old, new = self.path_of(take), self.path_of(take)
            if is_ours(take):
                new = self._free(found, label, take.person, old.suffix)
                new.parent.mkdir(exist_ok=True)
            renamed = replace(take, path=new.relative_to(self.folder).as_posix(), label=label)
            row = found.rows[index] | {"path": renamed.path, "label": label}
            rows = (*found.rows[:index], row, *found.rows[index + 1 :])
            self._write(found, rows, (old, new))
            _remove_empty(old.parent, self.folder)
        return renamed

    def delete(self, take: Take) -> None:
        """Remove a take.  A file outside the folder stays, only its line is removed.

        Raises:
            RecordingError: the take no longer exists.
        """
        with self._writing():
            found = read_take_list(self._list)
            index = _index_of(found, take)
            self._write(found, (*found.rows[:index], *found.rows[index + 1 :]))
            self._remove(self.path_of(take))

    def discard(self, film: Path) -> None:
        """Delete a clip of the folder that no line names, such as one that a run collected.

        Raises:
            RecordingError: it cannot be deleted.
        """
        with self._writing():
            self._remove(film)

    def _add(self, film: Path, label: str, person: str) -> Take:
        """Give a complete file its name and its line."""
        with self._writing():
            found = read_take_list(self._list)
            path = self._free(found, label, person, film.suffix)
            path.parent.mkdir(exist_ok=True)
            take = Take(path.relative_to(self.folder).as_posix(), label, person)
            rows = (*found.rows, take_row(take.path, label, person))
            try:
                self._write(found, rows, (film, path))
            except BaseException:
                _remove_empty(path.parent, self.folder)
                raise
        return take

    def _free(self, found: Rows, label: str, person: str, ending: str) -> Path:
        """Return the next path for a take: numbers continue after the highest existing one."""
        folder = self.folder / folder_name(label)
        stem = file_part(person) if person else "take"
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        listed = [PurePosixPath(row["path"]) for row in found.rows]
        names += [path.name for path in listed if path.parent.name == folder.name]
        used = [0]
        for name in names:
            before, dash, number = name.partition(".")[0].rpartition("-")
            # File names may differ only by case, which not every file system distinguishes.
            if dash and before.casefold() == stem.casefold() and number.isdecimal():
                used.append(int(number))
        return folder / f"{stem}-{max(used) + 1:0{_DIGITS}d}{ending}"

    def _write(
        self, found: Rows, rows: tuple[Row, ...], move: tuple[Path, Path] | None = None
    ) -> None:
        """Replace the list; a file that is moved keeps its old name if that fails."""
        columns = found.columns
        if "group" not in columns and any(row.get("group") for row in rows):
            columns = (*columns, "group")
        old, new = move or (self._list, self._list)
        moved = False
        try:
            with atomic_write(self._list) as unfinished:
                write_take_list(unfinished, columns, rows)
                if old != new:
                    old.rename(new)
                    moved = True
        except BaseException:
            if moved:
                new.rename(old)
            raise

    def _remove(self, film: Path) -> None:
        inside = film.resolve().is_relative_to(self.folder.resolve())
        if inside and film.is_file():
            film.unlink()
            _remove_empty(film.parent, self.folder)

    @contextlib.contextmanager
    def _unfinished(self, ending: str) -> Iterator[Path]:
        """Yield a new hidden path, which no reader of clips sees."""
        with self._errors(), unfinished_file(self.folder, "take", ending) as path:
            yield path

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._errors(), locked(self.folder):
            yield

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RecordingError(f"{self.folder}: cannot be written ({error.strerror})") from None


def _index_of(found: Rows, take: Take) -> int:
    for index, row in enumerate(found.rows):
        if take_of(row) == take:
            return index
    raise RecordingError(f"{take.path}: no longer a take labelled {take.label!r}")


def _has_clips(folder: Path) -> str | None:
    """Return one of the files that training would find as clips without a list."""
    for inner in sorted(folder.iterdir()):
        if inner.is_dir() and not inner.name.startswith("."):
            for path in sorted(inner.iterdir()):
                if not path.name.startswith("."):
                    return path.relative_to(folder).as_posix()
    return None


def _remove_empty(folder: Path, top: Path) -> None:
    """Remove the folder of a label without takes: training reports an empty one as a mistake."""
    if folder != top:
        with contextlib.suppress(OSError):
            folder.rmdir()
