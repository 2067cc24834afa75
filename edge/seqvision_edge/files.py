"""Write files atomically, and read them with a size limit."""

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

from seqvision_edge.errors import SeqvisionError
from seqvision_edge.hints import path_error
from seqvision_edge.interrupts import DeferredSignals
from seqvision_edge.sanitize import printable

if sys.platform != "win32":
    import fcntl

STDOUT = Path("-")
NO_FILE = "that is a device or a pipe; name a file"
_reserved: list[TextIO] = []


@contextmanager
def stdout_reserved() -> Iterator[None]:
    """Reserve standard output for the file `-`: all other prints go to standard error."""
    _reserved.append(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _reserved.pop()


def user_cache() -> Path:
    """Return this user's cache folder, by the XDG base directories.

    Raises:
        OSError: the user has no home folder.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    try:
        cache = Path(named) if Path(named).is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, "no home folder") from None
    return cache / "seqvision"


# Bytes of a file's name used in its temporary one: file systems allow 255 in all.
_LONGEST_STEM, _LONGEST_SUFFIX = 180, 16
_TRIES = 100
_UNFINISHED = re.compile(r"\..*\.[0-9a-f]{8}\.unfinished(\.[^.]*)?", re.DOTALL)
# A folder is removed as a whole: no folder of a user has such a name or such a mark.
_FOLDER_PREFIX, _FOLDER_SUFFIX = "seqvision-", ".unfinished"
_FOLDER = re.compile(r"\.?seqvision-[a-z0-9_]{8}\.unfinished")
_TEMPORARY = ".seqvision-temporary"
# In a user's folder: the lock of the process that works there, never a mark to remove the folder.
_LOCK = ".seqvision-lock"
_LOCKS = re.compile(r"(\..*)?\.seqvision-lock", re.DOTALL)
# A sweep holds a lock briefly, to check whether another process holds it.
_LOCK_TRIES, _LOCK_PAUSE = 5, 0.05
# More than a writer may have left of a disk that was too small for its last write.
_PROBE_BYTES = 1 << 20
# If files cannot be locked, nothing younger counts as left behind.
_OLD_SECONDS = 3600.0
# Folders that this process has already swept.
_swept: set[str] = set()

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


def output_error(output: Path, inputs: Iterable[Path] = ()) -> str | None:
    """Return why a file cannot be written under a name; None if it can.

    Called before the work that produces it.  A missing folder is not created: it is more often a
    typing error than intended.
    """
    if output == STDOUT:
        return None
    try:
        kind = output.stat().st_mode
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return f"cannot be written ({error.strerror})"
    else:
        if stat.S_ISDIR(kind):
            return "that is a folder; name a file"
        if not stat.S_ISREG(kind):
            return NO_FILE
    if is_one_of(output, inputs):
        return "that is an input file; choose another name"
    if not output.parent.is_dir():
        return f"there is no folder {output.parent}; make it first"
    try:
        with unfinished_file(output.parent, output.stem):
            return None
    except OSError as error:
        return f"cannot be written ({error.strerror})"


def is_one_of(output: Path, inputs: Iterable[Path]) -> bool:
    """Return whether writing `output` would overwrite one of the inputs."""
    return any(output.exists() and path.exists() and output.samefile(path) for path in inputs)


@contextmanager
def atomic_write(
    path: Path, around: AbstractContextManager[object] | None = None
) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` if the block succeeds.

    An older file stays until then, and an error or a kill leaves no incomplete one under its name.
    A new file gets the default permissions, one that replaces another keeps its permissions.  The
    suffix is kept, because some writers choose their format by it.  `around` is entered while
    renaming.

    With the path `-` the content goes to standard output.

    Raises:
        OSError: the folder is missing or cannot be written to.
    """
    if path == STDOUT:
        with temporary_folder() as folder:
            kept = folder / "output"
            yield kept
            text = kept.read_text(encoding="utf-8")
        stream = _reserved[-1] if _reserved else sys.stdout
        # A program gets every character; on a terminal control characters would be executed.
        print(printable(text, "\n\t") if stream.isatty() else text, end="", file=stream, flush=True)
        return
    mode: int | None = None
    with contextlib.suppress(FileNotFoundError):
        there = path.stat().st_mode
        if not stat.S_ISREG(there) and not stat.S_ISDIR(there):
            raise OSError(errno.EINVAL, NO_FILE, str(path))
        mode = stat.S_IMODE(there)
    rights = 0o666 if mode is None else 0o600
    with unfinished_file(path.parent, path.stem, path.suffix, rights) as unfinished:
        yield unfinished
        if mode is not None:
            unfinished.chmod(mode)
        with around or nullcontext():
            unfinished.replace(path)


def why_not_whole(path: Path) -> str | None:
    """Return the system's reason why an unfinished file cannot be extended; None if it can.

    For writers that report no reason for a failure.  The file is then no longer usable.
    """
    try:
        with path.open("ab") as file:
            file.write(bytes(_PROBE_BYTES))
    except OSError as error:
        return error.strerror
    return None


def write_whole(path: Path, text: str) -> None:
    """Write a text file atomically.

    Raises:
        OSError: it cannot be written.
    """
    with atomic_write(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


@contextmanager
def unfinished_file(folder: Path, stem: str, suffix: str = "", mode: int = 0o666) -> Iterator[Path]:
    """Create an empty hidden file, and remove it after the block if it still exists.

    A killed process leaves it behind, and the next one that writes into the folder removes it: it
    is locked as long as its process lives.

    Args:
        folder: its folder.
        stem: a part of its name; cut if it is too long.
        suffix: the end of its name.
        mode: its permissions, less the process's umask.  The system applies that: to read it in
            Python one has to change it, for the files of all threads.

    Raises:
        OSError: the folder is missing or cannot be written to.
    """
    _sweep_once(folder)
    short, ending = _hidden_name(stem, suffix)
    path: Path | None = None
    try:
        with DeferredSignals():
            for _ in range(_TRIES):
                made = folder / f".{short}.{secrets.token_hex(4)}.unfinished{ending}"
                with contextlib.suppress(FileExistsError):
                    handle = os.open(made, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)
                    if _hold(handle, made):
                        path = made
                        break
                    os.close(handle)
            else:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder / stem))
        if os.name == "nt":  # no open file can be renamed there
            os.close(handle)
        yield made
    finally:
        if path is not None:
            path.unlink(missing_ok=True)
            if os.name != "nt":
                os.close(handle)


@contextmanager
def temporary_folder(folder: Path | None = None) -> Iterator[Path]:
    """Create a folder for the block, hidden in `folder` or in the system's temporary folder.

    One left by a killed process is removed by the next one.

    Raises:
        OSError: it cannot be created.
    """
    parent = Path(tempfile.gettempdir()) if folder is None else folder
    prefix = _FOLDER_PREFIX if folder is None else f".{_FOLDER_PREFIX}"
    _sweep_once(parent)
    with contextlib.ExitStack() as opened:
        for _ in range(_TRIES):
            name = opened.enter_context(
                tempfile.TemporaryDirectory(
                    prefix=prefix, suffix=_FOLDER_SUFFIX, dir=parent, ignore_cleanup_errors=True
                )
            )
            mark = Path(name) / _TEMPORARY
            with contextlib.suppress(FileNotFoundError):
                handle = os.open(mark, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
                opened.callback(os.close, handle)
                # Another process may have swept it before it was locked.
                if _hold(handle, mark):
                    break
        else:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(parent))
        yield Path(name)


@contextmanager
def alone_in(folder: Path, name: str = "") -> Iterator[bool]:
    """Lock a folder, or one file name in it, for the block; yield False if it is locked already.

    The lock is a hidden file in the folder.  The system releases it when a process dies, and the
    next sweep removes it.  If files cannot be locked, the result is always True.

    Args:
        folder: the folder.
        name: the file in it that other processes may not write meanwhile; the folder itself if
            none is given.

    Raises:
        OSError: the folder is missing or cannot be written to.
    """
    mark = folder / (f".{_hidden_name(name, '')[0]}{_LOCK}" if name else _LOCK)
    tries = 0
    while True:
        handle = os.open(mark, os.O_CREAT | os.O_RDWR, 0o666)
        held = _lock(handle, wait=False) is not False
        tries += not held
        # One that was just released is no longer valid.
        if tries >= _LOCK_TRIES or (held and _is_at(handle, mark)):
            break
        os.close(handle)
        if not held:
            time.sleep(_LOCK_PAUSE)
    try:
        yield held
    finally:
        # Before the lock is released, so that its next holder has a file that still exists.
        if held and os.name != "nt":
            mark.unlink(missing_ok=True)
        os.close(handle)
        if held and os.name == "nt":  # no open file can be removed there
            with contextlib.suppress(OSError):
                mark.unlink(missing_ok=True)


def is_held(handle: int) -> bool:
    """Lock an open file for as long as it is open; return True if another process has it."""
    return _lock(handle, wait=False) is False


def is_being_written(path: Path) -> bool:
    """Return whether a running process writes a file that will have this name."""
    short, ending = _hidden_name(path.stem, path.suffix)
    name = re.compile(re.escape(f".{short}.") + r"[0-9a-f]{8}" + re.escape(f".unfinished{ending}"))
    for other in path.parent.iterdir():
        if name.fullmatch(other.name):
            with contextlib.suppress(OSError):
                handle = os.open(other, os.O_RDWR)
                try:
                    if is_held(handle):
                        return True
                finally:
                    os.close(handle)
    return False


def sweep(folder: Path, depth: int = 0) -> None:
    """Remove what killed processes left in a folder: temporary files and folders, locks.

    Only items with such a name and no running process; also in folders `depth` levels below.
    """
    where = os.path.realpath(folder)
    _swept.add(where)
    with contextlib.suppress(OSError), os.scandir(where) as entries:
        for entry in list(entries):
            name = entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder and _FOLDER.fullmatch(name):
                _remove_left(Path(entry.path) / _TEMPORARY, Path(entry.path))
            elif entry.is_file(follow_symlinks=False) and (
                _UNFINISHED.fullmatch(name) or _LOCKS.fullmatch(name)
            ):
                _remove_left(Path(entry.path), Path(entry.path))
            elif is_folder and depth:
                sweep(Path(entry.path), depth - 1)


def _hidden_name(stem: str, suffix: str) -> tuple[str, str]:
    """Return the part of a name used for its temporary file, cut to the limit."""
    short = stem.encode(errors="surrogateescape")[:_LONGEST_STEM].decode(errors="ignore")
    return short, suffix if len(os.fsencode(suffix)) <= _LONGEST_SUFFIX else ""


def _sweep_once(folder: Path) -> None:
    if os.path.realpath(folder) not in _swept:
        sweep(folder)


def _hold(handle: int, path: Path) -> bool:
    """Lock a new file for as long as this process has it open; False if it was swept before."""
    _lock(handle, wait=True)
    return _is_at(handle, path)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return path.stat().st_ino == os.fstat(handle).st_ino
    except FileNotFoundError:
        return False


def _remove_left(mark: Path, left: Path) -> None:
    """Remove a file or folder whose mark no process holds."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
        handle = os.open(mark, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        close = opened.callback(os.close, handle)
        held = os.fstat(handle)
        is_free = _lock(handle, wait=False)
        if is_free is None:
            is_free = time.time() - held.st_mtime > _OLD_SECONDS
        if not is_free or (hasattr(os, "geteuid") and held.st_uid != os.geteuid()):
            return
        if os.name == "nt":
            opened.pop_all()
            close(handle)
        if left == mark:
            left.unlink()
        else:
            shutil.rmtree(left, ignore_errors=True)


def _lock(handle: int, wait: bool) -> bool | None:
    """Lock a file; False if another process has it, None if that cannot be known."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def read_limited(path: Path, most: int, hint: str, refusal: type[SeqvisionError]) -> bytes:
    """Return the content of a file; raise any problem with it as a `refusal`.

    Args:
        path: the file.
        most: maximum size in bytes.
        hint: what to do if there is no file.
        refusal: the exception type.
    """
    try:
        content = read_at_most(path, most)
    except FileNotFoundError:
        found = path_error(path, "file")
        raise refusal(found if "did you mean" in found else f"{found}; {hint}") from None
    except IsADirectoryError:
        raise refusal(f"{path}: a folder, not a model file; {hint}") from None
    except OSError as error:
        raise refusal(f"{path}: cannot be read ({error.strerror})") from None
    if content is None:
        raise refusal(f"{path}: larger than {most / (1 << 30):.0f} GB, which no model is")
    return content


def read_at_most(path: Path, most: int) -> bytes | None:
    """Return the content of a file; None if it is larger than `most`, checked first.

    Raises:
        OSError: it cannot be read, or memory is too small.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_size > most:
                return None
            # A pipe or a device does not report its size.
            content = file.read() if stat.S_ISREG(status.st_mode) else file.read(most + 1)
    except MemoryError:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) from None
    return content if len(content) <= most else None
