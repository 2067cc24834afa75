"""What was probably meant by a path that leads nowhere, or to something else than it should."""

import difflib
import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path

ARCHIVES = {
    ".zip": "unzip",
    ".tar": "tar -xf",
    ".gz": "gunzip",
    ".tgz": "tar -xf",
    ".bz2": "bunzip2",
    ".xz": "unxz",
    ".7z": "7z x",
    ".rar": "unrar x",
}
# Easily given where a model is wanted.
NOT_MODELS = (*ARCHIVES, ".mp4", ".avi", ".mov", ".mkv", ".webm", ".jpg", ".png", ".csv", ".yaml")
MODELS = (".pt", ".pth", ".ckpt", ".safetensors", ".onnx")
# Path("https://host") has lost one of its slashes.
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+", re.IGNORECASE)


def missing(path: str | Path, kind: str = "file or folder") -> str:
    """Return in words that nothing is there, and what was probably meant.

    Args:
        path: what was given; nothing has this name.
        kind: what should be there.
    """
    given = str(path)
    if url := _URL.match(given):
        rest = given[url.end() :]
        if url[1].lower() == "file":
            return f"{given}: give the path: /{rest}"
        return f"{url[1]}://{rest}: a URL; download it first, and give the file or folder"
    hint = _hint(given)
    return f"{given}: no such {kind}{f'; {hint}' if hint else ''}"


def archive(path: Path) -> str | None:
    """Return how an archive is unpacked, None where a path is none."""
    command = ARCHIVES.get(path.suffix.lower())
    if command is None or not path.is_file():
        return None
    if path.stem.lower().endswith(".tar"):
        command = "tar -xf"
    return f"an archive; unpack it and give its folder: {command} {path}"


def _hint(given: str) -> str:
    for form in _forms(given):
        if form != given and os.path.exists(form):  # noqa: PTH110
            return f"did you mean {_shown(Path(form))}?"
    if glob.has_magic(given):
        found = sorted(glob.glob(given))  # noqa: PTH207
        if found:
            parent = Path(found[0]).parent
            return f"a pattern is not taken here; give the folder {parent}"
        return "no file matches this pattern"
    return _near(Path(given))


def _forms(given: str) -> Iterator[str]:
    """Yield the path as it may have been meant: without spaces, quotes, backslashes, variables."""
    bare = given.strip().strip("\"'“”‘’").strip()
    for form in (bare, bare.replace("\\", "/"), bare.replace("\\ ", " ")):
        yield form
        yield os.path.expandvars(os.path.expanduser(form))  # noqa: PTH111
    # A path that begins at the root by a slip: /frames for frames.
    yield bare.lstrip("/")


def _near(path: Path) -> str:
    """Return a question about a name in the same folder that is spelt nearly so."""
    parent = path.parent
    try:
        if not parent.is_dir():
            above = next(each for each in path.parents if each.is_dir())
            first = above / path.relative_to(above).parts[0]
            near = _close(first, folders=True)
            return f"did you mean {_shown(near)}?" if near else f"there is no folder {first}"
        near = _close(path)
    except (OSError, ValueError, StopIteration):
        return ""
    return f"did you mean {_shown(near)}?" if near else ""


def _close(path: Path, folders: bool = False) -> Path | None:
    """Return what lies in the folder of a path under nearly the same name."""
    names = {
        child.name.casefold(): child
        for child in sorted(path.parent.iterdir())
        if not child.name.startswith(".") and (child.is_dir() or not folders)
    }
    name = path.name.casefold()
    if name in names:
        return names[name]
    # clip for clip.mp4, clip.avi for clip.mp4; a model only for a model.
    stem = path.stem.casefold() if path.suffix else name
    kind = path.suffix.lower()
    stems = [child for child in names.values() if child.stem.casefold() == stem]
    alike = [
        child for child in stems if not kind or (child.suffix.lower() in MODELS) == (kind in MODELS)
    ]
    if alike:
        return alike[0]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.7)
    return names[close[0]] if close else None


def _shown(path: Path) -> str:
    return f"{path}/" if path.is_dir() else str(path)
