"""model.pt: weights, architecture and card as plain data.

It is read with `weights_only=True` and in no other way, so that a file from a stranger cannot run
code.
"""

from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from seqvision.config import ModelOptions
from seqvision.errors import CheckpointError
from seqvision.models.classifier import Classifier
from seqvision_edge.card import ModelCard
from seqvision_edge.files import replacing

_FORMAT = "seqvision.model"


def save_model(path: Path, model: Classifier, options: ModelOptions, card: ModelCard) -> None:
    """Write a model file; an older one stays until the new one is complete.

    Raises:
        CheckpointError: the file cannot be written.
    """
    content = {
        "format": _FORMAT,
        "architecture": options.model_dump_json(),
        "card": card.to_json(),
        "weights": {name: tensor.cpu() for name, tensor in model.state_dict().items()},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as unfinished:
            torch.save(content, unfinished)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        raise CheckpointError(f"{path}: cannot be written ({_line(error)})") from None


def load_model(path: Path) -> tuple[Classifier, ModelCard]:
    """Read a model file.

    Returns:
        The network, ready for inference, and its card.

    Raises:
        CheckpointError: missing, damaged, or not a model file.
        CardError: its card is of another spec, or damaged.
    """
    content = _read(path)
    card = ModelCard.from_json(content["card"], str(path))
    try:
        options = ModelOptions.model_validate_json(content["architecture"])
        # The weights come from this file: whatever the encoder started from is not needed.
        built = options.model_copy(update={"weights": "none"})
        model = Classifier(built, card.image, len(card.labels))
        model.load_state_dict(content["weights"])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise CheckpointError(
            f"{path}: its architecture is damaged: {place}: {first['msg']}"
        ) from None
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit ({_line(error)})") from None
    return model.eval(), card


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; make one with: seqvision train FOLDER")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises many unrelated types for a damaged or hostile file
        raise CheckpointError(f"{path}: not a model file, or damaged") from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise CheckpointError(f"{path}: not a model file of seqvision")
    for key, kind in (("card", str), ("architecture", str), ("weights", dict)):
        if not isinstance(content.get(key), kind):
            raise CheckpointError(f"{path}: damaged, it has no {key}")
    return content


def _line(error: BaseException) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:160]
