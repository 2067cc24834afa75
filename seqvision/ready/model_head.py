"""The card of a trained model, read without torch: enough to refuse a file in a moment.

Nothing in it is run or trusted: who uses the model reads and checks the whole file.
"""

import json
import pickletools
import zipfile
from pathlib import Path
from typing import Any

from seqvision.errors import CheckpointError
from seqvision_edge.card import ModelCard

FORMAT = "seqvision.model"
_MOST_BYTES = 1 << 26


def trained_card(path: Path) -> ModelCard | None:
    """Return the card of a model.pt or .safetensors; None where only torch can tell.

    Raises:
        CheckpointError: the file cannot be read, or is no model of a training.
        CardError: its card is damaged, or of another spec.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(9)
        texts = _of_safetensors(path) if begin[8:9] == b"{" else _of_zip(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception:  # of a damaged file, anything
        raise CheckpointError(f"{path}: not a model file, or damaged") from None
    if texts is None:
        return None
    if texts.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a model file of seqvision")
    card = texts.get("card")
    return ModelCard.from_json(card, str(path)) if isinstance(card, str) else None


def _of_safetensors(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > _MOST_BYTES:
            raise ValueError("too large")
        texts: dict[str, Any] = json.loads(json.loads(file.read(size))["__metadata__"][FORMAT])
    return texts


def _of_zip(path: Path) -> dict[str, Any] | None:
    """Return the texts that follow their names in the pickle of a zip, without unpickling it."""
    with zipfile.ZipFile(path) as archive:
        item = next(each for each in archive.infolist() if each.filename.endswith("/data.pkl"))
        if item.file_size > _MOST_BYTES:
            return None
        pickle = archive.read(item)
    texts: dict[str, Any] = {}
    name = None
    for operation, argument, _ in pickletools.genops(pickle):
        if operation.name in ("BINPUT", "LONG_BINPUT", "MEMOIZE", "PUT"):
            continue
        if isinstance(argument, str) and "UNICODE" in operation.name:
            if name in ("format", "card") and name not in texts:
                texts[name] = argument
            name = argument
        else:
            name = None
    return texts
