"""clips.csv, the list by which `train` reads a folder: rows are added, and what is there stays."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

from seqvision.data.readers.clip_list import LIST_NAME
from seqvision.data.readers.table import read_table
from seqvision.errors import DataError
from seqvision_edge.csv_cells import write_dicts
from seqvision_edge.files import alone_in, atomic_write, is_held
from seqvision_edge.recording.lock import NAME, locked

_COLUMNS = ("path", "label", "group")


def read_list(folder: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and rows of a folder's list; those of a new one where there is none.

    Raises:
        DataError: it cannot be read, or is no such list.
    """
    path = folder / LIST_NAME
    if not path.exists():
        return list(_COLUMNS), []
    table = read_table(path, dict.fromkeys(_COLUMNS, ()))
    columns = list(table.columns)
    if not {"path", "label"} <= set(columns):
        raise DataError(f"{path}: exists without the columns path,label")
    return columns, [{name: row[name] for name in columns} for row in table.rows]


@contextmanager
def alone_with_list(folder: Path) -> Iterator[None]:
    """Hold a folder and its list: two that add clips at once would lose each other's rows.

    The folder is made where there is none.

    Raises:
        DataError: it cannot be written to, or another process adds clips to it.
    """
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            is_free = held.enter_context(alone_in(folder))
            # A live run with --clips holds the list itself.
            with suppress(FileNotFoundError):
                listed = held.enter_context((folder / LIST_NAME).open("rb"))
                is_free = is_free and not is_held(listed.fileno())
        except OSError as error:
            raise DataError(f"--output {folder}: cannot be written ({error.strerror})") from None
        if not is_free:
            raise DataError(
                f"--output {folder}: another process adds clips to it; wait for it to end, "
                "or name another folder"
            )
        yield


def add_rows(folder: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    """Write the list with more rows, in one step.

    Raises:
        OSError: it cannot be written.
        DataError: the one that is there cannot be read.
    """
    path = folder / LIST_NAME
    # Takes may be recorded into the same folder.
    with locked(folder) if (folder / NAME).exists() else nullcontext():
        columns, kept = read_list(folder)
        columns += [name for name in _COLUMNS if name not in columns]
        with (
            atomic_write(path) as unfinished,
            unfinished.open("w", newline="", encoding="utf-8") as file,
        ):
            write_dicts(file, columns, [*kept, *rows])
    return path
