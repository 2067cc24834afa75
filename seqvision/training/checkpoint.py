"""model.pt or model.safetensors: weights, architecture and card as plain data.

Neither can run code: a `.pt` is read with `weights_only=True` and in no other way.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import ValidationError
from pydantic_core import from_json

from seqvision.config import ModelOptions
from seqvision.errors import CheckpointError
from seqvision.models.classifier import Classifier
from seqvision.output_files import replacing_other, same_training
from seqvision.training import containers
from seqvision.training.containers import Content
from seqvision.training.used_clips import UsedClips
from seqvision_edge.card import ModelCard
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.files import atomic_write
from seqvision_edge.renamed import translated
from seqvision_edge.wording import first_problem

# What can be trained (--size, --step); the network is tried on one such step when it is built.
MAX_PIXELS: Final = 1024 * 1024


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
    content = Content(options.model_dump_json(), card.to_json(), weights, clips=used)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as unfinished:
            containers.write(unfinished, content)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written ({error.strerror})") from None


def write_card(path: Path, card: ModelCard, output: Path) -> Path | None:
    """Write a model file once more with another card; its weights stay as they are.

    Returns:
        Where the model of another training is kept that was under that name; None where none was.

    Raises:
        CheckpointError: it cannot be read, or the new file cannot be written.
    """
    content = containers.read(path)
    content.check_hash(path)
    kept: list[Path] = []

    def is_own() -> bool:
        try:
            there = ModelCard.from_json(containers.read(output).card, str(output))
        except SeqvisionError:
            return False
        return same_training(there, card)

    try:
        with replacing_other(output, is_own, kept) as unfinished:
            changed = replace(content, card=card.to_json(), told=None)
            containers.write(unfinished, changed)
    except OSError as error:
        raise CheckpointError(f"{output}: cannot be written ({error.strerror})") from None
    return kept[0] if kept else None


def load_used_clips(path: Path) -> UsedClips | None:
    """Return the clips that the model of a file learnt from; None where it does not say.

    Raises:
        CheckpointError: missing, damaged, or not a model file.
    """
    return UsedClips.from_json(containers.read(path).clips)


def load_model(path: Path) -> tuple[Classifier, ModelCard]:
    """Read a model file.

    Returns:
        The network, ready for inference, and its card.

    Raises:
        CheckpointError: missing, damaged, or not a model file.
        CardError: its card is of another spec, or damaged.
    """
    content = containers.read(path)
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
        built = options.model_copy(update=changes)
        # On meta a network has shapes and no memory: a few words could ask for terabytes.
        with torch.device("meta"):
            shell = Classifier(built, card.image, len(card.labels))
        _refuse_misfits(shell, content, path)
        model = Classifier(built, card.image, len(card.labels))
        model.load_state_dict(content.weights)
    except ValidationError as error:
        loc, words, _ = first_problem(error)
        name = ".".join(map(str, loc))
        raise CheckpointError(f"{path}: its architecture is damaged: {name}: {words}") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: its architecture is damaged ({_line(error)})") from None
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit ({_line(error)})") from None
    return model.eval(), card


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
