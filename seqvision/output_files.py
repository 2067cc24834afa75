"""Put a model at its output path; one of another run is kept next to it.  No torch.

A folder is locked while an old file is kept and the new one gets the name, so that of two trainings
that end at once neither loses its model.
"""

import contextlib
import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from seqvision.errors import CheckpointError
from seqvision_edge.card import METADATA_KEY, ModelCard
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.files import alone_in, atomic_write

MODEL_FORMAT: Final = "seqvision.model"
# Hashes of the files that a run has published: those it may replace.
_RECORD: Final = "published.sha256"


def publish(source: Path, target: Path, run: Path) -> Path | None:
    """Put a copy of a run's model under another name, whole or not at all.

    Args:
        source: the model in the run folder.
        target: the output path that was given.
        run: the folder of the run (or study) whose own files may be replaced.

    Returns:
        Where the model of another run is kept that had the name; None where there was none.

    Raises:
        OSError: it cannot be written there.
    """
    kept: list[Path] = []
    new = _sha256(source)
    own = {new, *_published(run)}
    with atomic_write(target, _keeping(target, lambda: _sha256(target) in own, kept)) as unfinished:
        shutil.copyfile(source, unfinished)
        with (run / _RECORD).open("a", encoding="ascii") as record:
            record.write(f"{new}\n")
    return kept[0] if kept else None


@contextlib.contextmanager
def replacing_other(
    target: Path, is_own: Callable[[], bool], kept: list[Path], companion: Path | None = None
) -> Iterator[Path]:
    """Give a temporary name for `target` as `atomic_write` does; keep what is not one's own.

    Args:
        target: the file to write.
        is_own: whether the file that is there now may be replaced.
        kept: gets the name under which it is kept.
        companion: a file that belongs to it and is kept with it.

    Raises:
        OSError: it cannot be written there.
    """
    with atomic_write(target, _keeping(target, is_own, kept, companion)) as unfinished:
        yield unfinished


@contextlib.contextmanager
def lock_output(output: Path) -> Iterator[None]:
    """Hold a file that takes long to make: of two processes that write it, the second is refused.

    Raises:
        CheckpointError: another process writes it.
    """
    with contextlib.ExitStack() as held:
        # Where no lock can be made, the file cannot be written either, which is reported as such.
        with contextlib.suppress(OSError):
            if not held.enter_context(alone_in(output.parent, output.name)):
                raise CheckpointError(
                    f"{output}: another process is writing this file; wait for it to end, "
                    "or choose another name with --output"
                )
        yield


def same_training(one: ModelCard, other: ModelCard) -> bool:
    """Return whether two cards come from one training, calibrated or exported since or not."""
    marks = [(card.origin.created, card.origin.options, card.origin.data) for card in (one, other)]
    return marks[0] == marks[1]


def exported_by(path: Path, card: ModelCard) -> bool:
    """Return whether an exported file comes from the training of a card."""
    from seqvision_edge.onnx_validation import read_model

    try:
        return same_training(read_model(path)[1].card, card)
    except SeqvisionError:
        return False


def is_model(path: Path) -> bool:
    """Return whether a file is a model of a training or an exported one, whole or not.

    An empty file is none, but nothing is lost with it: it counts as one.
    """
    try:
        if path.stat().st_size == 0:
            return True
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
                return any(MODEL_FORMAT.encode() in archive.read(name) for name in pickles)
        marks = MODEL_FORMAT.encode(), METADATA_KEY.encode()
        return any(mark in path.read_bytes() for mark in marks)
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return False


@contextlib.contextmanager
def _keeping(
    target: Path, is_own: Callable[[], bool], kept: list[Path], companion: Path | None = None
) -> Iterator[None]:
    """Hold the folder, and give the file that is there a second name unless it is one's own."""
    with _locked(target.parent):
        if target.is_file() and target.stat().st_size and not is_own():
            kept.append(_second_name(target))
            if companion is not None and companion.is_file():
                _link(
                    companion, kept[0].with_name(kept[0].name + companion.name[len(target.name) :])
                )
        yield


def _second_name(path: Path) -> Path:
    """Give a file a second name with the time it was written, and return that."""
    written = datetime.fromtimestamp(path.stat().st_mtime)
    for number in range(10_000):
        more = f"-{number}" if number else ""
        second = path.with_stem(f"{path.stem}-{written:%Y%m%d-%H%M%S}{more}")
        with contextlib.suppress(FileExistsError):
            _link(path, second)
            return second
    raise FileExistsError(f"{path.parent}: too many models of this second")


def _link(path: Path, second: Path) -> None:
    try:
        os.link(path, second)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if second.exists():
            raise FileExistsError(str(second)) from None
        with atomic_write(second) as unfinished:
            shutil.copy2(path, unfinished)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes that publish in it, where the system can."""
    with contextlib.ExitStack() as opened:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            handle = os.open(folder, os.O_RDONLY)
            opened.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _published(run: Path) -> set[str]:
    try:
        return set((run / _RECORD).read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return set()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
