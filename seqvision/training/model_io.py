"""model.pt and model.safetensors: weights, architecture, card and marks of its clips, as plain
data.

Neither can run code: a `.pt` is read with `weights_only=True` and in no other way.

`Content` is the same for both: texts, and named tensors.  A hash over all of it is in the file, so
that damage is found; against a forger only a hash from elsewhere helps.

With them `evaluate` finds clips that the model knows, wherever they lie now.
"""

import errno
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import safetensors
import safetensors.torch
import torch
from pydantic import ValidationError
from pydantic_core import from_json
from torch import Tensor

from seqvision.config import ModelOptions
from seqvision.config.option_types import is_onnx
from seqvision.data.clips import Clip
from seqvision.data.decode import Decoded
from seqvision.data.group_split import KnownGroups
from seqvision.data.splits import Split
from seqvision.errors import CheckpointError, WeightsError
from seqvision.models.classifier import Classifier
from seqvision.models.onnx_encoder import CONTENT
from seqvision.output_files import MODEL_FORMAT, replacing_other, same_training
from seqvision_edge.card import ModelCard
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.files import atomic_write, read_limited, why_not_whole
from seqvision_edge.option_fields import first_problem
from seqvision_edge.renamed_options import translated

# What can be trained (--size, --step); the network is tried on one such step when it is built.
MAX_PIXELS: Final = 1024 * 1024

SAFETENSORS: Final = ".safetensors"
FORMAT: Final = MODEL_FORMAT
# safetensors' own metadata maps texts to texts; everything of ours is in this one.
METADATA_KEY: Final = MODEL_FORMAT
MAX_BYTES: Final = 1 << 32
MAX_TEXT: Final = 1 << 20
MAX_CLIPS_TEXT: Final = 1 << 28
_MADE_BY: Final = "make one with: seqvision train FOLDER"
FRAME_MODEL: Final = f"encoder.{CONTENT}"  # the only bytes among the weights
_TYPES: Final = (torch.float32, torch.int64)  # int64 are the counters of batch norms

# Of a sha256: two of a million clips are alike by chance once in 37 million data sets.
_DIGITS: Final = 16


@dataclass(frozen=True)
class UsedClips:
    """Marks of the clips that trained, and of those that chose the epoch; and of their groups.

    A mark is a hash: a model file names no person.
    """

    train: frozenset[str]
    val: frozenset[str]
    train_groups: frozenset[str] = frozenset()
    val_groups: frozenset[str] = frozenset()

    def to_json(self) -> str:
        """Return them as JSON."""
        return json.dumps({field.name: " ".join(sorted(getattr(self, field.name)))
                           for field in fields(self)})  # fmt: skip

    @classmethod
    def from_json(cls, text: str) -> "UsedClips | None":
        """Read them again; None where a file has none, or not in this way."""
        try:
            kept = json.loads(text)
            # A file of before 0.3 has no groups.
            return cls(
                frozenset(kept["train"].split()),
                frozenset(kept["val"].split()),
                frozenset(kept.get("train_groups", "").split()),
                frozenset(kept.get("val_groups", "").split()),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def known_groups(self, groups: Sequence[str]) -> KnownGroups:
        """Return which of these groups the model knows, by their names."""
        train, val = (
            tuple(group for group in groups if group_mark(group) in marks)
            for marks in (self.train_groups, self.val_groups - self.train_groups)
        )
        return KnownGroups(tuple(groups), bool(self.train_groups), train, val)

    def warning(self, decoded: Sequence[Decoded]) -> str | None:
        """Return a line about clips that the model knows already; None where it knows none."""
        marks = [mark_of(clip) for clip in decoded]
        train = sum(mark in self.train for mark in marks)
        val = sum(mark in self.val - self.train for mark in marks)
        if not train and not val:
            return None
        parts = [f"{train} of {len(marks)} clips were used to train this model"] if train else []
        if val:
            of = f"{val}" if train else f"{val} of {len(marks)} clips were used"
            parts.append(f"{of} to choose its epoch")
        return f"{', '.join(parts)}: these figures flatter it"


def save_model(
    path: Path,
    model: Classifier,
    options: ModelOptions,
    card: ModelCard,
    clips: UsedClips | None = None,
) -> None:
    """Write a model file, as safetensors where `path` ends so; an older one stays until then.

    `clips` are those that the model learnt from.

    Raises:
        CheckpointError: the file cannot be written.
    """
    weights = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    used = clips.to_json() if clips is not None else ""
    # Of an ONNX encoder the graph is among the weights: where its file lay is of no use.
    architecture = options.model_copy(update={"encoder": options.encoder_name})
    content = Content(architecture.model_dump_json(), card.to_json(), weights, clips=used)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as unfinished:
            write(unfinished, content)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written ({error.strerror})") from None


def write_card(path: Path, card: ModelCard, output: Path) -> Path | None:
    """Write a model file once more with another card; its weights stay as they are.

    Returns:
        Where the model of another training is kept that was under that name; None where none was.

    Raises:
        CheckpointError: it cannot be read, or the new file cannot be written.
    """
    content = read(path)
    content.check_hash(path)
    kept: list[Path] = []

    def is_own() -> bool:
        try:
            there = ModelCard.from_json(read(output).card, str(output))
        except SeqvisionError:
            return False
        return same_training(there, card)

    try:
        with replacing_other(output, is_own, kept) as unfinished:
            changed = replace(content, card=card.to_json(), stored_hash=None)
            write(unfinished, changed)
    except OSError as error:
        raise CheckpointError(f"{output}: cannot be written ({error.strerror})") from None
    return kept[0] if kept else None


def load_used_clips(path: Path) -> UsedClips | None:
    """Return the clips that the model of a file learnt from; None if it does not record them.

    Raises:
        CheckpointError: missing, damaged, or not a model file.
    """
    return UsedClips.from_json(read(path).clips)


def load_model(path: Path) -> tuple[Classifier, ModelCard]:
    """Read a model file.

    Returns:
        The network, ready for inference, and its card.

    Raises:
        CheckpointError: missing, damaged, or not a model file.
        CardError: its card is of another spec, or damaged.
    """
    content = read(path)
    card = ModelCard.from_json(content.card, str(path))
    content.check_hash(path)
    if card.image.height * card.image.width > MAX_PIXELS:
        raise CheckpointError(
            f"{path}: its card has steps of {card.image.width}×{card.image.height} pixels, "
            "at most are 1024×1024"
        )
    try:
        options = ModelOptions.model_validate(translated(from_json(content.architecture)))
        # The weights come from this file: whatever the encoder started from is not needed.
        changes: dict[str, Any] = {"weights": "none"}
        if "projection" not in options.model_fields_set:  # a file from before there was one
            changes["projection"] = 0
        if "motion" not in options.model_fields_set:  # likewise
            changes["motion"] = "none"
        built = options.model_copy(update=changes)
        frame_content = _frame_content(built, content)
        # On meta a network has shapes and no memory: a few words could ask for terabytes.
        with torch.device("meta"):
            shell = Classifier(built, card.image, len(card.labels), frame_content)
        _refuse_misfits(shell, content, path)
        model = Classifier(built, card.image, len(card.labels), frame_content)
        model.load_state_dict(content.weights)
    except WeightsError as error:  # its encoder is of a package that is not here
        raise CheckpointError(f"{path}: {error}") from None
    except ValidationError as error:
        loc, words, _ = first_problem(error)
        name = ".".join(map(str, loc))
        raise CheckpointError(f"{path}: its architecture is damaged: {name}: {words}") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: its architecture is damaged ({_line(error)})") from None
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit ({_line(error)})") from None
    return model.eval(), card


@dataclass(frozen=True)
class Content:
    """A model: options of its network and card, both as JSON, its weights, and its file's hash.

    `clips` is JSON too: part of the split → marks of the clips' contents; "" in older files.
    """

    architecture: str
    card: str
    weights: dict[str, Tensor]
    stored_hash: str | None = None
    clips: str = ""

    def check_hash(self, path: Path) -> None:
        """Compare the content with the hash in its file; those of older versions have none.

        Raises:
            CheckpointError: they differ.
        """
        if self.stored_hash is not None and self.stored_hash != self.sha256():
            raise CheckpointError(f"{path}: damaged: its content does not match its SHA-256 hash")

    def sha256(self) -> str:
        """Return the hash of texts, names, types, shapes and values."""
        digest = hashlib.sha256()
        for text in (self.architecture, self.card, *([self.clips] if self.clips else [])):
            digest.update(f"{len(text.encode())}:{text}".encode())
        for name in sorted(self.weights):
            tensor = self.weights[name]
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            digest.update(_bytes(tensor))
        return digest.hexdigest()


def _frame_content(options: ModelOptions, content: Content) -> bytes | None:
    """Return the graph of an ONNX encoder in a model file; None where the encoder is another.

    Raises:
        ValueError: it has none.
    """
    if not is_onnx(options.encoder):
        return None
    graph = content.weights.get(FRAME_MODEL)
    if graph is None or graph.dtype is not torch.uint8 or graph.ndim != 1:
        raise ValueError("its ONNX encoder is missing")
    return graph.numpy().tobytes()


def _refuse_misfits(shell: Classifier, content: Content, path: Path) -> None:
    """Compare the network that the options describe with the weights in the file."""
    own = shell.state_dict()
    for name in sorted({*own, *content.weights}):
        expected, given = own.get(name), content.weights.get(name)
        if given is None or expected is None:
            reason = f"{name} is {'missing' if given is None else 'not of this network'}"
        elif (given.shape, given.dtype) != (expected.shape, expected.dtype):
            sizes = f"{list(given.shape)}, must be {expected.dtype} {list(expected.shape)}"
            reason = f"{name} is {given.dtype} {sizes}"
        else:
            continue
        raise CheckpointError(f"{path}: its weights do not fit ({reason[:160]})")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]


def is_safetensors(path: Path) -> bool:
    """Whether a file of this name is written as safetensors."""
    return path.suffix.lower() == SAFETENSORS


def write(path: Path, content: Content) -> None:
    """Write a model, as safetensors where its name ends so.

    Raises:
        OSError: the file cannot be written.
    """
    texts = {
        "format": FORMAT,
        "architecture": content.architecture,
        "card": content.card,
        "sha256": content.sha256(),
    }
    if content.clips:
        texts["clips"] = content.clips
    if is_safetensors(path):
        metadata = {METADATA_KEY: json.dumps(texts)}
        path.write_bytes(safetensors.torch.save(content.weights, metadata))
    else:
        save(path, {**texts, "weights": content.weights})


def save(path: Path, content: dict[str, Any]) -> None:
    """Write plain data and tensors as torch does.

    Raises:
        OSError: the file cannot be written.
    """
    try:
        torch.save(content, path)
    except RuntimeError as error:  # of torch's own streams, which do not know why
        why = why_not_whole(path) or "not all of it could be written; is the disk full?"
        raise OSError(errno.EIO, why, str(path)) from error


def read(path: Path) -> Content:
    """Read a model; its format is detected by its first bytes, not by its name.

    Its hash is still to be compared: a newer version may make it in another way.

    Raises:
        CheckpointError: missing, too large, damaged, hostile, or not a model file.
    """
    data = read_limited(path, MAX_BYTES, _MADE_BY, CheckpointError)
    by_header = data[8:9] == b"{"
    try:
        found = _safetensors(data) if by_header else _zip(data)
    except Exception:  # torch and safetensors raise many unrelated types here
        raise CheckpointError(f"{path}: not a model file, or damaged") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a model file of seqvision")
    for key, kind in (("card", str), ("architecture", str), ("weights", dict)):
        if not isinstance(found.get(key), kind):
            raise CheckpointError(f"{path}: damaged, it has no {key}")
        if kind is str and len(found[key]) > MAX_TEXT:
            raise CheckpointError(f"{path}: its {key} has {len(found[key])} letters")
    _check_tensors(found["weights"], len(data), path)
    stored_hash = found.get("sha256")
    # The zip of an older version has checksums of its own.
    if stored_hash is None and by_header:
        raise CheckpointError(f"{path}: damaged, it has no sha256")
    clips = found.get("clips", "")
    if not isinstance(clips, str) or len(clips) > MAX_CLIPS_TEXT:
        raise CheckpointError(f"{path}: damaged, its clips are no text")
    return Content(found["architecture"], found["card"], found["weights"], stored_hash, clips)


def _zip(data: bytes) -> Any:
    """Read what torch.save wrote: a zip, nothing in it compressed, every checksum right."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        # Compressed zeros could become a thousand times the file.
        if any(item.compress_type != zipfile.ZIP_STORED for item in archive.infolist()):
            raise ValueError("compressed")
        if archive.testzip() is not None:
            raise ValueError("checksum")
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _safetensors(data: bytes) -> dict[str, Any]:
    size = int.from_bytes(data[:8], "little")
    if size > len(data) - 8:
        raise ValueError("the header ends after the file")
    metadata = json.loads(data[8 : 8 + size])["__metadata__"]
    return {**json.loads(metadata[METADATA_KEY]), "weights": safetensors.torch.load(data)}


def _check_tensors(weights: Mapping[Any, Any], size: int, path: Path) -> None:
    """Refuse what is no plain tensor, and tensors that look larger than the file."""
    total = 0
    for name, tensor in weights.items():
        types = (torch.uint8,) if name == FRAME_MODEL else _TYPES
        plain = isinstance(name, str) and type(tensor) is Tensor and tensor.dtype in types
        if not plain or tensor.layout is not torch.strided or tensor.device.type != "cpu":
            raise CheckpointError(f"{path}: damaged, its weights are not named float32 tensors")
        total += tensor.numel() * tensor.element_size()
    if total > size:
        raise CheckpointError(f"{path}: its weights are {total} bytes, the file has {size}")
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{path}: its weights are not finite, first {name[:80]}")


def _bytes(tensor: Tensor) -> memoryview:
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data


def used_clips(
    clips: Sequence[Clip],
    decoded: Sequence[Decoded],
    split: Split,
    unlabelled: Sequence[Decoded] = (),
) -> UsedClips:
    """Return the clips of a training; `unlabelled` are more that it learned from."""
    return UsedClips(
        frozenset(mark_of(clip) for clip in (*(decoded[i] for i in split.train), *unlabelled)),
        frozenset(mark_of(decoded[i]) for i in split.val),
        frozenset(group_mark(group) for i in split.train if (group := clips[i].group)),
        frozenset(group_mark(group) for i in split.val if (group := clips[i].group)),
    )


def group_mark(group: str) -> str:
    """Return a hash of a group's name."""
    return hashlib.sha256(f"group {group}".encode(errors="surrogateescape")).hexdigest()[:_DIGITS]


def mark_of(clip: Decoded) -> str:
    """Return a hash of a clip's content at the size of the model."""
    return clip.key[:_DIGITS]
