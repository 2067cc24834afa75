"""Files that are either complete or not there, and no larger than they may be."""

import contextlib
import errno
import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

from seqvision_edge.errors import SeqvisionError
from seqvision_edge.path_hints import missing

STDOUT = Path("-")
_reserved: list[TextIO] = []


@contextmanager
def stdout_reserved() -> Iterator[None]:
    """Keep standard output for the file `-`: all else that is printed goes to standard error."""
    _reserved.append(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _reserved.pop()


def user_cache() -> Path:
    """Return this user's folder for what can be made again, by the XDG base directories.

    Raises:
        OSError: the user has none.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    try:
        cache = Path(named) if Path(named).is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, "no home folder") from None
    return cache / "seqvision"


# Of a file's name in that of its unfinished one, in bytes: file systems take 255 for all of it.
_LONGEST_STEM = 180
_TRIES = 100

USUAL_IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
# Phones, scanners and video tools write these too, and OpenCV reads them.
_OTHERS = (
    ".avif",
    ".dib",
    ".jfif",
    ".jp2",
    ".jpe",
    ".pbm",
    ".pgm",
    ".pnm",
    ".ppm",
    ".tif",
    ".tiff",
)
IMAGE_SUFFIXES = frozenset((*USUAL_IMAGE_SUFFIXES, *_OTHERS))


def why_unwritable(output: Path, inputs: Iterable[Path] = ()) -> str | None:
    """Return why a file cannot be written under a name; None where it can.

    To be asked before the work whose result it is.  A missing folder is not made: it is more often
    a slip of the pen than a wish.
    """
    if output == STDOUT:
        return None
    if output.is_dir():
        return "that is a folder; name a file"
    if output.exists() and not output.is_file():
        return "that is a device or a pipe; name a file"
    if is_one_of(output, inputs):
        return "that is a file that is read; choose another name"
    if not output.parent.is_dir():
        return f"there is no folder {output.parent}; make it first"
    try:
        with tempfile.NamedTemporaryFile(prefix=f".{output.stem}.", dir=output.parent):
            return None
    except OSError as error:
        return f"cannot be written ({error.strerror})"


def is_one_of(output: Path, inputs: Iterable[Path]) -> bool:
    """Whether writing `output` would destroy one of the files that are read."""
    return any(output.exists() and path.exists() and output.samefile(path) for path in inputs)


@contextmanager
def replacing(path: Path, around: AbstractContextManager[object] | None = None) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` if the block succeeds.

    An older file stays until then, and an error or a kill leaves no half-written one under its
    name.  A new file gets the rights that any new file gets here, one that replaces another keeps
    its rights.  The suffix is kept, because some writers choose their format by it.  `around` is
    entered for the moment of the renaming.

    Under the name `-` it goes to standard output.

    Raises:
        OSError: the folder is missing or cannot be written to.
    """
    if path == STDOUT:
        with tempfile.TemporaryDirectory(prefix="seqvision-") as folder:
            kept = Path(folder) / "output"
            yield kept
            text = kept.read_text(encoding="utf-8")
        print(text, end="", file=_reserved[-1] if _reserved else sys.stdout, flush=True)
        return
    try:
        mode: int | None = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        mode = None
    unfinished = _new_file_beside(path, 0o666 if mode is None else 0o600)
    try:
        yield unfinished
        if mode is not None:
            unfinished.chmod(mode)
        with around or nullcontext():
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _new_file_beside(path: Path, mode: int) -> Path:
    """Make an empty hidden file with the rights `mode`, less the process's umask.

    The umask is applied by the system: to read it from Python one has to change it, for the files
    of all threads.
    """
    stem = path.stem.encode()[:_LONGEST_STEM].decode(errors="ignore")
    for _ in range(_TRIES):
        unfinished = path.with_name(f".{stem}.{secrets.token_hex(4)}{path.suffix}")
        with contextlib.suppress(FileExistsError):
            os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode))
            return unfinished
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def read_or_refuse(path: Path, most: int, hint: str, refusal: type[SeqvisionError]) -> bytes:
    """Return the content of a file; what is wrong with it is raised as a `refusal`.

    Args:
        path: the file.
        most: how many bytes it may have.
        hint: what to do where there is none.
        refusal: the kind of error.
    """
    try:
        content = read_at_most(path, most)
    except FileNotFoundError:
        found = missing(path, "file")
        raise refusal(found if "did you mean" in found else f"{found}; {hint}") from None
    except IsADirectoryError:
        raise refusal(f"{path}: a folder, not a model file; {hint}") from None
    except OSError as error:
        raise refusal(f"{path}: cannot be read ({error.strerror})") from None
    if content is None:
        raise refusal(f"{path}: larger than {most / (1 << 30):.0f} GB, which no model is")
    return content


def read_at_most(path: Path, most: int) -> bytes | None:
    """Return the content of a file; None where it is larger than `most`, which is found first.

    Raises:
        OSError: it cannot be read, or the memory is too small.
    """
    try:
        with path.open("rb") as file:
            told = os.fstat(file.fileno())
            if told.st_size > most:
                return None
            # A pipe or a device does not say its size.
            content = file.read() if stat.S_ISREG(told.st_mode) else file.read(most + 1)
    except MemoryError:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) from None
    return content if len(content) <= most else None
