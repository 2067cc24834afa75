"""What a file or folder is, a video, an image or no data; and the count of what is left out.

Folders are recognised by their content where a name proves nothing: a label may be called `runs`.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from seqvision.errors import DataError
from seqvision_edge.files import IMAGE_SUFFIXES

# What FFmpeg's demuxers open, as cameras, phones, editors and old data sets name it.
VIDEO_SUFFIXES = frozenset((
    ".mp4", ".m4v", ".mov", ".qt", ".avi", ".divx", ".mkv", ".webm", ".wmv", ".asf", ".3gp",
    ".3gpp", ".3g2", ".mts", ".m2ts", ".m2t", ".ts", ".mpg", ".mpeg", ".mpe", ".m1v", ".m2v",
    ".mpv", ".vob", ".ogv", ".ogm", ".flv", ".f4v", ".gif", ".apng", ".mxf", ".y4m", ".dv",
    ".nut", ".ivf", ".amv", ".rm", ".rmvb", ".mjpg", ".mjpeg", ".h264", ".264", ".h265", ".265",
    ".hevc", ".obu", ".insv", ".lrv",
))  # fmt: skip
_AUDIO = frozenset((
    ".mp3", ".wav", ".m4a", ".aac", ".flac", ".ogg", ".oga", ".opus", ".wma", ".aif", ".aiff",
    ".amr", ".mid", ".midi", ".mka",
))  # fmt: skip
_DOCUMENTS = frozenset((
    ".txt", ".md", ".rst", ".pdf", ".doc", ".docx", ".odt", ".rtf", ".htm", ".html", ".xls",
    ".xlsx", ".ods", ".numbers", ".pages", ".ppt", ".pptx", ".csv", ".tsv", ".json", ".jsonl",
    ".xml", ".xgtf", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".srt", ".vtt", ".ass", ".sub",
    ".log", ".url", ".lnk", ".webloc", ".eaf", ".textgrid", ".bib", ".tex",
))  # fmt: skip
_PROGRAMS = frozenset((
    ".py", ".pyc", ".ipynb", ".sh", ".bat", ".ps1", ".js", ".mjs", ".css", ".c", ".cpp", ".h",
    ".java", ".m", ".r", ".jl", ".rs", ".go", ".exe", ".dll", ".so", ".dylib", ".lock", ".whl",
))  # fmt: skip
_MODELS = frozenset((
    ".pt", ".pth", ".ckpt", ".onnx", ".safetensors", ".h5", ".hdf5", ".pb", ".tflite", ".keras",
    ".engine", ".u8", ".db", ".sqlite", ".tfevents",
))  # fmt: skip
_UNFINISHED = frozenset((
    ".part", ".partial", ".crdownload", ".download", ".opdownload", ".filepart", ".tmp",
    ".temp", ".aria2", ".!ut", ".!qb", ".ytdl", ".bak", ".swp", ".old", ".orig",
))  # fmt: skip
_SYSTEM_FILES = frozenset((
    "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "folder.jpg",
    "albumartsmall.jpg", "icon\r", "picasa.ini", ".picasa.ini", "zbthumbnail.info",
))  # fmt: skip
_SYSTEM_FOLDERS = frozenset((
    "__macosx", "__pycache__", "@eadir", "#recycle", "#snapshot", "@recycle",
    "@recently-snapshot", "lost+found", "system volume information", "$recycle.bin", "recycler",
    "found.000", "node_modules", "site-packages", "lost.dir",
))  # fmt: skip
# What programs of this field leave, where no clip lies in it.
_LOGS = frozenset(("wandb", "mlruns", "lightning_logs", "tensorboard", "tb_logs", "optuna"))
_CONFLICT = re.compile(
    r"\.sync-conflict-\d|\((?:[^()]*'s )?conflicted copy|\(case conflict|in konflikt stehende|"
    r"konfliktkopie|copie en conflit|copia en conflicto|_conflict-\d{8}",
    re.IGNORECASE,
)
_CACHED = re.compile(r"[0-9a-f]{40}\.\w+")
_RUN_SIGNS = ("checkpoints", "metrics.json", "run.json", "model.pt", "logs", "predictions.csv")
_RUN_OPTIONS = ("options.yaml", "rounds.csv", "round-1.csv")
_LOOKED_AT = 200
_NAMED = 3


def is_video(name: str) -> bool:
    """Return whether a file's name is that of a video."""
    return os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES  # noqa: PTH122


def is_image(name: str) -> bool:
    """Return whether a file's name is that of an image that can be read."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder, by name.

    Raises:
        DataError: the folder cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from None


def why_no_file(entry: os.DirEntry[str]) -> str | None:
    """Return why a file is no clip and no frame whatever its suffix; None where it may be."""
    name = entry.name.lower()
    if name.startswith("."):
        return "hidden"
    if name in _SYSTEM_FILES:
        return "system file"
    if os.path.splitext(name)[1] in _UNFINISHED or name.startswith("~$") or name.endswith("~"):  # noqa: PTH122
        return "unfinished or temporary"
    if _CONFLICT.search(name):
        return "conflict of a file sync"
    try:
        empty = (is_video(name) or is_image(name)) and not entry.stat().st_size
    except OSError:
        return "broken link"
    return "empty" if empty else None


def why_no_folder(path: Path, by_content: bool = True) -> str | None:
    """Return why a folder holds no data, by its name or its content; None where it may."""
    name = path.name.lower()
    if name.startswith("."):
        return "hidden folder"
    if name in _SYSTEM_FOLDERS:
        return "system folder"
    if not by_content:
        return None
    if _is_run(path):
        return "run of seqvision"
    inside = [entry for entry in entries(path) if not entry.name.startswith(".")]
    if any(entry.name == "pyvenv.cfg" for entry in inside):
        return "Python environment"
    if _is_cache(inside):
        return "cache of seqvision"
    folders = [Path(entry.path) for entry in inside if entry.is_dir()]
    clips = any(is_video(entry.name) for entry in inside)
    if not clips and folders and any(map(_is_run, folders[:_LOOKED_AT])):
        rest = (folder for folder in folders if not _is_run(folder))
        if not any(_has_media(folder) for folder in rest):
            return "folder with runs of seqvision"
    if name in _LOGS and not clips and not any(map(_has_videos, folders)):
        return "folder with logs of trainings"
    return None


def kind_of(name: str) -> str:
    """Return what a file is that is neither a clip nor a frame, for a count: `document`, `.npy`."""
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122
    for kind, suffixes in (
        ("document", _DOCUMENTS),
        ("audio file", _AUDIO),
        ("program", _PROGRAMS),
        ("model or table", _MODELS),
    ):
        if suffix in suffixes:
            return kind
    return f"{suffix} file" if suffix else "file without a suffix"


def is_next_to_data(folder: Path) -> bool:
    """Return whether a folder is neither empty nor has anything in it that might be a clip.

    Annotations, notes, programs and checkpoints lie next to the labels in many data sets.
    """
    known = _DOCUMENTS | _PROGRAMS | _MODELS
    some = False
    for name in _files_below(folder):
        if os.path.splitext(name)[1].lower() not in known and "." in name:  # noqa: PTH122
            return False
        some = True
    return some


def _is_run(path: Path) -> bool:
    return any((path / name).is_file() for name in _RUN_OPTIONS) and any(
        (path / sign).exists() for sign in _RUN_SIGNS
    )


def _is_cache(inside: Iterable[os.DirEntry[str]]) -> bool:
    """Return whether a folder holds `??/<40 digits>.u8`, as `seqvision.data.cache` names files."""
    homes = [
        entry for entry in inside if entry.is_dir() and re.fullmatch("[0-9a-f]{2}", entry.name)
    ]
    for home in homes[:_LOOKED_AT]:
        names = [entry.name for entry in entries(Path(home.path))]
        if names and all(_CACHED.fullmatch(name.lstrip(".")) for name in names):
            return True
    return False


def _has_media(folder: Path) -> bool:
    return any(is_video(name) or is_image(name) for name in _files_below(folder))


def _has_videos(folder: Path) -> bool:
    return any(is_video(name) for name in _files_below(folder))


def _files_below(folder: Path) -> Iterator[str]:
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (name for name in files if not name.startswith("."))


class LeftOut:
    """Counts what is no clip, by kind, for one note."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._counts: Counter[str] = Counter()
        self._names: dict[str, list[str]] = defaultdict(list)

    def add(self, kind: str, path: str | Path, count: int = 1) -> None:
        """Count a file or folder of some kind."""
        try:
            name = Path(path).relative_to(self._root).as_posix()
        except ValueError:
            name = str(path)
        self._counts[kind] += count
        self._names[kind].append(name)

    def add_folder(self, kind: str, path: Path) -> None:
        """Count a folder as one thing, whatever in it was counted before."""
        inside = f"{path.relative_to(self._root).as_posix()}/"
        for known, names in self._names.items():
            rest = [name for name in names if not name.startswith(inside)]
            self._counts[known] -= len(names) - len(rest)
            self._names[known] = rest
        self.add(kind, path)

    def add_file(self, entry: os.DirEntry[str], why: str) -> None:
        """Count a file that `why_no_file` refuses; what every system leaves is not worth a word."""
        if why == "system file" or (why == "hidden" and not _looks_like_data(entry.name)):
            return
        kind = f"{why} file" if not why.startswith(("conflict", "broken link")) else why
        self.add(kind, entry.path)

    def notes(self) -> list[str]:
        """Return the note, or nothing."""
        kinds = [self._words(kind) for kind, count in self._counts.items() if count]
        return [f"left out: {', '.join(kinds)}"] if kinds else []

    def _words(self, kind: str) -> str:
        count, names = self._counts[kind], self._names[kind]
        shown = ", ".join(printable_name(name) for name in names[:_NAMED])
        shown += ", …" if len(names) > _NAMED else ""
        return f"{count} {plural(kind, count)} ({shown})"


def plural(kind: str, count: int) -> str:
    """Return a kind in the number of its count."""
    if count == 1:
        return kind
    for one, many in _PLURALS:
        if kind.startswith(one):
            return kind.replace(one, many, 1)
    return f"{kind}s"


_PLURALS = (
    ("run of", "runs of"),
    ("folder with", "folders with"),
    ("cache of", "caches of"),
    ("conflict of", "conflicts of"),
    ("broken link", "broken links"),
    ("file without", "files without"),
    ("model or table", "models or tables"),
    ("video without", "videos without"),
    ("clip without", "clips without"),
    ("loose image", "loose images"),
    ("image next to", "images next to"),
    ("folder without clips", "folders without clips"),
    ("folder next to", "folders next to"),
)


def printable_name(text: str) -> str:
    """Return a name that cannot disturb a terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _looks_like_data(name: str) -> bool:
    return is_video(name) or is_image(name) or not name.startswith(".")
