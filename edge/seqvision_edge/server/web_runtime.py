"""Download and serve onnxruntime-web, with which the page runs the model in a browser.

It is 14 MB, so it is not part of this package.  The archive is npm's own; its hash is fixed here,
and nothing is unpacked before the hash is verified.
"""

import base64
import contextlib
import hashlib
import os
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO, Final

from seqvision_edge.errors import SeqvisionError
from seqvision_edge.files import atomic_write

VERSION: Final = "1.30.0"
URL: Final = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
SHA512: Final = (
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
)
FILES: Final = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)
# Names a local copy of the archive, for machines without internet access.
TARBALL: Final = "SEQVISION_WEB_TARBALL"

_MOST_BYTES = 200 << 20
_PART = 1 << 20
_SECONDS, _LONGEST_SECONDS = 30.0, 600.0


def folder() -> Path:
    """Return the folder of the files, which may not exist."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "seqvision" / f"onnxruntime-web-{VERSION}"


def find(name: str) -> Path | None:
    """Return one of the files; None if the name is not one of them, or they are not downloaded."""
    path = folder() / name
    return path if name in FILES and path.is_file() else None


def fetch() -> Path:
    """Download the files unless they exist, and return their folder.

    Raises:
        SeqvisionError: they cannot be downloaded, have the wrong hash, or cannot be written.
    """
    target = folder()
    if all(map(find, FILES)):
        return target
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile() as archive:
            with _opened() as (where, content):
                digest = _copy(content, archive)
            if digest != SHA512:
                raise SeqvisionError(f"{where}: not onnxruntime-web {VERSION}, its hash differs")
            archive.seek(0)
            _unpack(archive, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SeqvisionError(
            f"onnxruntime-web cannot be fetched ({reason}); "
            f"without internet access, set {TARBALL} to the file of {URL}"
        ) from None
    return target


@contextlib.contextmanager
def _opened() -> Iterator[tuple[str, BufferedIOBase]]:
    """Yield the location of the archive, and its content."""
    local = os.environ.get(TARBALL)
    if local:
        with Path(local).open("rb") as file:
            yield local, file
        return
    try:
        with urllib.request.urlopen(URL, timeout=_SECONDS) as answer:
            yield URL, answer
    except urllib.error.URLError as error:
        raise OSError(None, str(error.reason)) from None


def _copy(content: BufferedIOBase, file: BinaryIO) -> str:
    """Copy the archive and return its hash."""
    digest, size = hashlib.sha512(), 0
    until = time.monotonic() + _LONGEST_SECONDS
    # By what has been received: a slow server could restart a timeout with each byte.
    while part := content.read1(_PART):
        size += len(part)
        if time.monotonic() > until:
            raise OSError(None, f"not complete after {_LONGEST_SECONDS:g} s")
        if size > _MOST_BYTES:
            raise SeqvisionError(f"onnxruntime-web: more than {_MOST_BYTES} bytes received")
        digest.update(part)
        file.write(part)
    return base64.b64encode(digest.digest()).decode()


def _unpack(archive: BinaryIO, target: Path) -> None:
    """Write the required files; each is complete or absent."""
    with tarfile.open(fileobj=archive, mode="r:gz") as tar:
        for name in FILES:
            content = tar.extractfile(f"package/dist/{name}")
            assert content is not None, "an archive with this hash has these files"
            with atomic_write(target / name) as unfinished:
                unfinished.write_bytes(content.read())
