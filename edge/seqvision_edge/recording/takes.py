"""A folder of takes, and the list by which a training reads it.

    TAKES/wave/anna-001.mp4
    TAKES/clips.csv             path,label,group: the group is the person

A take is there whole, with its line, or not at all.  Several programs may write to one folder.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from seqvision_edge.errors import RecordingError
from seqvision_edge.files import atomic_write, sweep, unfinished_file
from seqvision_edge.recording.take import (
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
    read_rows,
    row_of,
    take_of,
    write_rows,
)
from seqvision_edge.recording.writer import NewTake
from seqvision_edge.sanitize import file_part

_DIGITS = 3


class Takes:
    """The takes of a folder.  Nothing is kept in memory: every question reads the list."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._list = folder / LIST_NAME

    def open(self) -> None:
        """Make the folder where its parent is there, and see that takes can be added to it.

        Raises:
            RecordingError: it cannot be written to, or as `check` says.
        """
        self.check()
        with self._errors():
            self.folder.mkdir(exist_ok=True)
        with self._writing():
            sweep(self.folder)

    def check(self) -> None:
        """See that takes can be added, as far as it can be known without writing.

        Raises:
            RecordingError: there is no place for the folder, its list cannot be read, or it has
                clips that no list names: a list would hide them from a training.
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
        read_rows(self._list)
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
        return [take_of(row) for row in read_rows(self._list).rows]

    def counts(self) -> Counter[tuple[str, str]]:
        """Return how many takes there are of each (label, person)."""
        return Counter((take.label, take.person) for take in self.all())

    def path_of(self, take: Take) -> Path:
        """Return where a take's file is."""
        return self.folder / take.path

    def begin(self, label: str, person: str = "", fps: float | None = None) -> NewTake:
        """Begin a take; it is in the folder once it is kept.

        Args:
            label: what it shows.
            person: who shows it.
            fps: what the source says of its rate; the frames' own times are what counts.

        Raises:
            RecordingError: a label or name that a training would refuse.
        """
        label, person = clean_label(label), clean_person(person)

        def keep(film: Path) -> Take:
            return self._add(film, label, person)

        return NewTake(self._unfinished, keep, fps)

    def add(self, film: Path, label: str, person: str = "") -> Take:
        """List a clip that lies in the folder already, such as one that a run collected.

        Raises:
            RecordingError: it is listed already or not there, or the label is none.
        """
        label, person = clean_label(label), clean_person(person)
        path = film.relative_to(self.folder).as_posix()
        with self._writing():
            found = read_rows(self._list)
            if any(row["path"] == path for row in found.rows):
                raise RecordingError(f"{film}: is in {LIST_NAME} already")
            if not film.is_file():
                raise RecordingError(f"{film}: no such file")
            self._write(found, (*found.rows, row_of(path, label, person)))
        return Take(path, label, person)

    def relabel(self, take: Take, label: str) -> Take:
        """Give a take another label; its file moves to the folder of that label.

        Raises:
            RecordingError: there is no such take now, or the label is none.
        """
        label = clean_label(label)
        if label == take.label:
            return take
        with self._writing():
            found = read_rows(self._list)
            index = _place(found, take)
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
        """Remove a take.  A file that lies outside the folder stays, only its line goes.

        Raises:
            RecordingError: there is no such take now.
        """
        with self._writing():
            found = read_rows(self._list)
            index = _place(found, take)
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
        """Give a film that is whole its name and its line."""
        with self._writing():
            found = read_rows(self._list)
            path = self._free(found, label, person, film.suffix)
            path.parent.mkdir(exist_ok=True)
            take = Take(path.relative_to(self.folder).as_posix(), label, person)
            rows = (*found.rows, row_of(take.path, label, person))
            try:
                self._write(found, rows, (film, path))
            except BaseException:
                _remove_empty(path.parent, self.folder)
                raise
        return take

    def _free(self, found: Rows, label: str, person: str, ending: str) -> Path:
        """Return the next path for a take: numbers go on after the highest one that is there."""
        folder = self.folder / folder_name(label)
        stem = file_part(person) if person else "take"
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        listed = [PurePosixPath(row["path"]) for row in found.rows]
        names += [path.name for path in listed if path.parent.name == folder.name]
        used = [0]
        for name in names:
            before, dash, number = name.partition(".")[0].rpartition("-")
            # The names of files may differ only by case, which not every disk tells apart.
            if dash and before.casefold() == stem.casefold() and number.isdecimal():
                used.append(int(number))
        return folder / f"{stem}-{max(used) + 1:0{_DIGITS}d}{ending}"

    def _write(
        self, found: Rows, rows: tuple[Row, ...], move: tuple[Path, Path] | None = None
    ) -> None:
        """Replace the list; a file that moves with it is under its new name only if it succeeds."""
        columns = found.columns
        if "group" not in columns and any(row.get("group") for row in rows):
            columns = (*columns, "group")
        old, new = move or (self._list, self._list)
        moved = False
        try:
            with atomic_write(self._list) as unfinished:
                write_rows(unfinished, columns, rows)
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
        """Give a new hidden path, which no reader of clips looks at."""
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


def _place(found: Rows, take: Take) -> int:
    for index, row in enumerate(found.rows):
        if take_of(row) == take:
            return index
    raise RecordingError(f"{take.path}: is no take labelled {take.label!r} any more")


def _has_clips(folder: Path) -> str | None:
    """Return one of the files that a training would find as clips without a list."""
    for inner in sorted(folder.iterdir()):
        if inner.is_dir() and not inner.name.startswith("."):
            for path in sorted(inner.iterdir()):
                if not path.name.startswith("."):
                    return path.relative_to(folder).as_posix()
    return None


def _remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder of a label that has no takes left: a training takes it for a mistake."""
    if folder != top:
        with contextlib.suppress(OSError):
            folder.rmdir()
