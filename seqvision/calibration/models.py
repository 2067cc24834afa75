"""Both kinds of model, as calibration asks and rewrites them: model.pt, and model.onnx."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqvision.calibration.answers import TrainedSession
from seqvision.calibration.temperature import Logits
from seqvision.data.decode import Decoded
from seqvision.errors import CheckpointError
from seqvision.evaluation import logits_of
from seqvision.output_files import exported_by, replacing_other
from seqvision.training.checkpoint import load_model, write_card
from seqvision.training.device import pick_device
from seqvision_edge.card import METADATA_KEY, Decision, ModelCard
from seqvision_edge.clip import centre
from seqvision_edge.model_file import read_model
from seqvision_edge.session import Session


@dataclass(frozen=True)
class Model:
    """A model that can be asked and whose card can be written.

    Attributes:
        card: as it is in the file.
        has_free_temperature: whether the temperature is not yet a part of the graph.
        logits: clips → `(clips, labels)`, before any temperature.
        live: a decision (for its temperature) → what asks the model as a live run does.
        write: puts another card into the file, under a name.
    """

    card: ModelCard
    has_free_temperature: bool
    logits: Callable[[Sequence[Decoded]], Logits]
    live: Callable[[Decision], Session]
    write: Callable[[ModelCard, Path], Path | None]


def open_model(path: Path, device: str, batch_size: int) -> Model:
    """Open a model of a training, or an exported one.

    Raises:
        SeqvisionError: it cannot be used.
    """
    return _exported(path) if path.suffix.lower() == ".onnx" else _trained(path, device, batch_size)


def _trained(path: Path, device: str, batch_size: int) -> Model:
    network, card = load_model(path)
    network = network.to(pick_device(device))

    def live(decision: Decision) -> Session:
        return TrainedSession(network, card.model_copy(update={"decision": decision}), str(path))

    return Model(
        card=card,
        has_free_temperature=True,
        logits=lambda clips: logits_of(network, card, clips, batch_size).double().numpy(),
        live=live,
        write=lambda changed, output: write_card(path, changed, output),
    )


def _exported(path: Path) -> Model:
    session = Session(path, "cpu")
    card = session.card

    def logits(clips: Sequence[Decoded]) -> Logits:
        """The graph ends in a softmax: what its logits were, up to a constant that no one needs."""
        seen = (centre(clip, card.image, card.sequence) for clip in clips)
        shares = np.stack([session.run(steps[None])[0][0] for steps in seen]).astype(np.float64)
        return np.log(np.maximum(shares, 1e-30)) * card.decision.temperature

    return Model(
        card=card,
        has_free_temperature=False,
        logits=logits,
        live=lambda _: session,
        write=lambda changed, output: _write_onnx(path, changed, output),
    )


def _write_onnx(path: Path, card: ModelCard, output: Path) -> Path | None:
    """Write an exported file once more with another card; its graph stays byte for byte."""
    import onnx

    content, _ = read_model(path)
    model = onnx.load_model_from_string(content)
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = card.to_json()
    changed = model.SerializeToString()
    read_model(changed)  # the hash in the card proves that the graph is the same
    kept: list[Path] = []
    try:
        with replacing_other(output, lambda: exported_by(output, card), kept) as unfinished:
            unfinished.write_bytes(changed)
    except OSError as error:
        raise CheckpointError(f"{output}: cannot be written ({error.strerror})") from None
    return kept[0] if kept else None
