"""How a model lies in a file: torch's zip (`.pt`) or safetensors; both hold data and no code.

`Content` is the same for both: texts, and named tensors.  A hash over all of it is in the file, so
that damage is found; against a forger only a hash from elsewhere helps.
"""

import errno
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from seqvision.errors import CheckpointError
from seqvision.output_files import MODEL_FORMAT
from seqvision_edge.files import read_limited, why_not_whole

SAFETENSORS: Final = ".safetensors"
FORMAT: Final = MODEL_FORMAT
# safetensors' own metadata maps texts to texts; everything of ours is in this one.
METADATA_KEY: Final = MODEL_FORMAT
MAX_BYTES: Final = 1 << 32
MAX_TEXT: Final = 1 << 20
MAX_CLIPS_TEXT: Final = 1 << 28
_MADE_BY: Final = "make one with: seqvision train FOLDER"
_TYPES: Final = (torch.float32, torch.int64)  # int64 are the counters of batch norms


@dataclass(frozen=True)
class Content:
    """A model: options of its network and card, both as JSON, its weights, and its file's hash.

    `clips` is JSON too: part of the split → marks of the clips' contents; "" in older files.
    """

    architecture: str
    card: str
    weights: dict[str, Tensor]
    told: str | None = None
    clips: str = ""

    def check_hash(self, path: Path) -> None:
        """Compare the content with the hash in its file; those of older versions have none.

        Raises:
            CheckpointError: they differ.
        """
        if self.told is not None and self.told != self.sha256():
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
    """Read a model; what it is, is told by its first bytes and not by its name.

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
        plain = isinstance(name, str) and type(tensor) is Tensor and tensor.dtype in _TYPES
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
