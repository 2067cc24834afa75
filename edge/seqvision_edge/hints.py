"""Suggestions for a wrong option, command, word or path."""

import difflib
import glob
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

# Names that other programs give to the same thing.
OPTION_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "learning-rate": ("lr",),
    "base-lr": ("lr",),
    "max-lr": ("lr",),
    "bs": ("batch-size",),
    "batchsize": ("batch-size",),
    "mini-batch": ("batch-size",),
    "epoch": ("epochs",),
    "num-epochs": ("epochs",),
    "n-epochs": ("epochs",),
    "max-epochs": ("epochs",),
    "num-workers": ("workers",),
    "n-workers": ("workers",),
    "jobs": ("workers",),
    "backbone": ("encoder",),
    "arch": ("encoder",),
    "net": ("encoder",),
    "network": ("encoder",),
    "rnn": ("head",),
    "cell": ("head",),
    "pretrained": ("weights",),
    "checkpoint": ("resume", "model"),
    "ckpt": ("resume", "model"),
    "ckpt-path": ("resume", "model"),
    "continue": ("resume",),
    "img-size": ("size",),
    "imgsz": ("size",),
    "image-size": ("size",),
    "resolution": ("size",),
    "resize": ("size", "fit"),
    "num-frames": ("frames",),
    "n-frames": ("frames",),
    "clip-len": ("frames",),
    "clip-length": ("frames",),
    "seq-len": ("frames",),
    "sequence-length": ("frames",),
    "window-size": ("frames", "window"),
    "frame-rate": ("fps", "image-fps"),
    "framerate": ("fps", "image-fps"),
    "rate": ("fps", "image-fps"),
    "hidden-size": ("hidden",),
    "hidden-dim": ("hidden",),
    "hidden-units": ("hidden",),
    "num-layers": ("layers",),
    "n-layers": ("layers",),
    "bidir": ("bidirectional",),
    "wd": ("weight-decay",),
    "l2": ("weight-decay",),
    "early-stopping": ("patience",),
    "early-stop": ("patience",),
    "val-split": ("val",),
    "val-size": ("val",),
    "validation": ("val",),
    "validation-split": ("val",),
    "test-size": ("val",),
    "random-seed": ("seed",),
    "random-state": ("seed",),
    "manual-seed": ("seed",),
    "amp": ("precision",),
    "dtype": ("precision",),
    "half": ("precision",),
    "fp16": ("precision",),
    "int8": ("precision",),
    "bf16": ("precision",),
    "quantize": ("precision",),
    "gpu": ("device",),
    "gpus": ("device",),
    "cuda": ("device",),
    "cpu": ("device",),
    "accelerator": ("device",),
    "greyscale": ("grayscale",),
    "gray": ("grayscale",),
    "augmentation": ("augment",),
    "mirror": ("flip",),
    "hflip": ("flip",),
    "horizontal-flip": ("flip",),
    "folds": ("fold",),
    "kfold": ("fold",),
    "k-fold": ("fold",),
    "grad-clip": ("clip-gradient",),
    "gradient-clip": ("clip-gradient",),
    "out": ("output", "save"),
    "out-dir": ("runs", "output"),
    "output-dir": ("runs", "output"),
    "logdir": ("runs",),
    "log-dir": ("runs",),
    "save-dir": ("runs",),
    "dest": ("output",),
    "target": ("output",),
    "input": ("data", "source", "paths"),
    "in": ("data", "source", "paths"),
    "dataset-dir": ("data",),
    "data-dir": ("data",),
    "data-path": ("data",),
    "train-dir": ("data",),
    "dir": ("data",),
    "folder": ("data",),
    "clips": ("data", "paths", "unlabelled"),
    "path": ("data", "paths"),
    "video": ("source", "paths"),
    "file": ("source", "paths", "model"),
    "webcam": ("camera",),
    "cam": ("camera",),
    "stream": ("source",),
    "rtsp": ("source",),
    "url": ("source",),
    "onnx": ("model",),
    "weights-file": ("model",),
    "confidence": ("min-confidence", "on-threshold", "threshold"),
    "conf": ("min-confidence", "on-threshold", "threshold"),
    "threshold": ("on-threshold",),
    "thresh": ("on-threshold",),
    "record": ("clips",),
    "write": ("save",),
    "out-video": ("save",),
    "show": ("window",),
    "display": ("window",),
    "view": ("window",),
    "headless": ("no-window",),
    "no-display": ("no-window",),
    "no-gui": ("no-window",),
    "no-show": ("no-window",),
    "topk": ("top",),
    "top-k": ("top",),
    "address": ("host",),
    "bind": ("host",),
    "listen": ("host",),
    "ip": ("host",),
    "password": ("token",),
    "api-key": ("token",),
    "timeout": ("call-timeout", "stall-timeout"),
    "retries": ("max-retries",),
    "reconnect": ("max-retries",),
    "html": ("report",),
    "name": ("labels", "study", "person"),
    "classes": ("labels",),
    "class": ("labels",),
    "user": ("person",),
    "n-trials": ("trials",),
    "length": ("seconds",),
    "duration": ("seconds",),
}
# One-letter options of the field's programs.
SHORT_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "b": ("batch-size",),
    "c": ("camera", "config"),
    "d": ("data", "device"),
    "e": ("epochs",),
    "f": ("fps",),
    "i": ("source", "data", "paths"),
    "j": ("workers", "json"),
    "l": ("labels", "lr"),
    "m": ("model",),
    "o": ("output", "save"),
    "p": ("port", "precision"),
    "r": ("resume", "root"),
    "s": ("source", "seed"),
    "t": ("threads", "threshold"),
    "v": ("version",),
    "w": ("workers", "weights"),
}
# Words for one of the choices of an option: the first one that the option has is meant.
CHOICE_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "gpu": ("cuda",),
    "nvidia": ("cuda",),
    "trt": ("tensorrt",),
    "dml": ("directml",),
    "mps": ("coreml",),
    "metal": ("coreml",),
    "apple": ("coreml",),
    "intel": ("openvino",),
    "half": ("fp16", "16"),
    "float16": ("fp16", "16"),
    "fp16": ("16",),
    "16": ("fp16",),
    "float32": ("fp32", "32"),
    "full": ("fp32", "32"),
    "fp32": ("32",),
    "32": ("fp32",),
    "bfloat16": ("bf16",),
    "8": ("int8",),
    "quantized": ("int8",),
    "pretrained": ("imagenet",),
    "default": ("auto", "imagenet"),
    "true": ("imagenet",),
    "scratch": ("none",),
    "random": ("none",),
    "false": ("none",),
    "off": ("none",),
    "no": ("none",),
    "heavy": ("strong",),
    "medium": ("light",),
    "weak": ("light",),
    "letterbox": ("pad",),
    "center": ("crop",),
    "centre": ("crop",),
    "resize": ("stretch",),
    "squash": ("stretch",),
    "frames": ("video",),
    "clips": ("video",),
    "clip": ("video",),
    "images": ("patches",),
    "bilstm": ("lstm",),
    "bigru": ("gru",),
    "avg": ("mean",),
    "average": ("mean",),
    "acc": ("accuracy",),
    "val-loss": ("loss",),
    "val-accuracy": ("accuracy",),
    "validation": ("val",),
    "ema": ("exponential",),
    "mobilenet": ("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large"),
    "efficientnet": ("efficientnet_b0",),
    "shufflenet": ("shufflenet_v2_x1_0",),
    "squeezenet": ("squeezenet1_1",),
    "cnn": ("small_cnn",),
    "smthsmth": ("something",),
    "sthv2": ("something",),
    "ucf": ("ucf101",),
    "hmdb": ("hmdb51",),
}

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
# Files easily given instead of a model.
NOT_MODELS = (*ARCHIVES, ".mp4", ".avi", ".mov", ".mkv", ".webm", ".jpg", ".png", ".csv", ".yaml")
MODELS = (".pt", ".pth", ".ckpt", ".safetensors", ".onnx")
# Path("https://host") has lost one of its slashes.
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+", re.IGNORECASE)


def near_options(name: str, known: Sequence[str]) -> list[str]:
    """Return the options that a name without dashes probably means, the likeliest first.

    A well-known name for the same thing comes first, then names with this prefix, then names with
    it as one of their words, then similar spellings.
    """
    name = _even(name)
    if name in known:
        return [name]
    if len(name) == 1:
        meant = [one for one in SHORT_OPTIONS.get(name, ()) if one in known]
        return meant[:1] or [one for one in known if one.startswith(name)]
    starts = [one for one in known if one.startswith(name)]
    synonyms = [one for one in OPTION_SYNONYMS.get(name, ()) if one in known]
    if synonyms and not starts:
        return synonyms
    if starts:
        return starts
    words = [one for one in known if name in one.split("-")]
    if words and not name.startswith("no-"):
        return words
    plain = {one.replace("-", ""): one for one in known}
    squeezed = name.replace("-", "")
    if squeezed in plain:
        return [plain[squeezed]]
    close = difflib.get_close_matches(name, known, n=2)
    if close:
        return close[:1]
    # --rate-learning, --size-batch: the same words in another order.
    mixed = [one for one in known if set(one.split("-")) == set(name.split("-"))]
    return mixed or [one for one in known if len(one) > 3 and name.startswith(f"{one}-")]


def near_words(given: str, choices: Collection[str]) -> list[str]:
    """Return the choices that a word probably means, the likeliest first."""
    even = {_even(choice): choice for choice in choices}
    word = _even(given.strip())
    if word in even:
        return [even[word]]
    word = re.sub(r"(?<=[a-z]):\d+$", "", word)  # cuda:0
    if word in even:
        return [even[word]]
    meant = [one for one in CHOICE_SYNONYMS.get(word, ()) if one in choices]
    if meant:
        return meant
    squeezed = {re.sub("[^a-z0-9]", "", key): choice for key, choice in even.items()}
    key = re.sub("[^a-z0-9]", "", word)
    if key in squeezed:
        return [squeezed[key]]
    starts = [choice for form, choice in squeezed.items() if key and form.startswith(key)]
    if starts:
        return starts[:4]
    close = difflib.get_close_matches(key, squeezed, n=1, cutoff=0.6)
    if close:
        return [squeezed[close[0]]]
    ends = [choice for form, choice in squeezed.items() if len(form) > 2 and key.startswith(form)]
    return ends[:1]


def near_number(given: str) -> str | None:
    """Return the number that a text probably means: of `0,5`, `20%`, `112x112`, `3s`, `1e3`."""
    text = given.strip().lower().replace(" ", "")
    if same := re.fullmatch(r"(\d+)[x×,*]\1", text):
        return same[1]
    if share := re.fullmatch(r"(\d+(?:[.,]\d+)?)%", text):
        return f"{float(share[1].replace(',', '.')) / 100:g}"
    if comma := re.fullmatch(r"-?\d*,\d+", text):
        return comma[0].replace(",", ".")
    if unit := re.fullmatch(r"(-?\d+(?:[.,]\d+)?)[a-zµ°]+", text):
        return unit[1].replace(",", ".")
    if power := re.fullmatch(r"\d+(?:\.\d+)?e\d", text):
        return f"{float(power[0]):.0f}"
    return None


def did_you_mean(near: Sequence[str]) -> str:
    """Return a question such as `did you mean a, b or c?`; empty without suggestions."""
    return f"did you mean {join_or(near[:5])}?" if near else ""


def join_or(names: Iterable[str]) -> str:
    """Join names: `a, b or c`."""
    *head, last = names
    return f"{', '.join(head)} or {last}" if head else last


def join_and(names: Iterable[str]) -> str:
    """Join names: `a, b and c`."""
    *head, last = names
    return f"{', '.join(head)} and {last}" if head else last


def _even(name: str) -> str:
    return name.casefold().replace("_", "-")


def path_error(path: str | Path, kind: str = "file or folder") -> str:
    """Return a message that a path does not exist, with a suggestion.

    Args:
        path: the given path, which does not exist.
        kind: what was expected.
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
    """Return how to unpack an archive, None if a path is not one."""
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
    """Yield corrected forms of a path: without spaces, quotes, backslashes, variables."""
    bare = given.strip().strip("\"'“”‘’").strip()
    for form in (bare, bare.replace("\\", "/"), bare.replace("\\ ", " ")):
        yield form
        yield os.path.expandvars(os.path.expanduser(form))  # noqa: PTH111
    # An accidental leading slash: /frames for frames.
    yield bare.lstrip("/")


def _near(path: Path) -> str:
    """Return a question about a similar name in the same folder."""
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
    """Return the file of the path's folder with the most similar name."""
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
