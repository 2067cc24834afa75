"""Random networks with their cards, for the tests of export."""

import torch

from seqvision.config import ModelOptions
from seqvision.models.classifier import Classifier
from seqvision_edge.card import SPEC, Decision, ImageSpec, ModelCard, Origin, State, StateTensor
from seqvision_edge.sequence import VideoSequence
from seqvision_edge.session import Session
from seqvision_export.proof.grid import grid
from seqvision_export.proof.proof import Proof
from seqvision_export.proof.reference import Reference


def build(
    options: ModelOptions, window: int = 5, channels: int = 3, temperature: float = 1.0
) -> tuple[Classifier, ModelCard]:
    """Return a random model, sharpened so that its answers differ, and its card."""
    torch.manual_seed(len(options.model_dump_json()) + window)
    image = ImageSpec(height=32, width=40, channels=channels, fit="stretch")
    model = Classifier(options.model_copy(update={"hidden": 12, "weights": "none"}), image, 4)
    with torch.no_grad():
        model.head.classify.weight.mul_(8)
        if options.motion != "none":
            model.steps.standardize([torch.rand(9, model.features) for _ in range(4)])
    card = ModelCard(
        spec=SPEC,
        labels=("a", "b", "c", "none"),
        sequence=VideoSequence(kind="video", fps=8.0, frames=window),
        image=image,
        state=State(
            kind="window",
            tensors=(StateTensor(name="past", axes=("batch", "kept", model.memory)),),
        ),
        decision=Decision(
            temperature=temperature, smoothing_frames=1, enter=0.6, leave=0.4,
            minimum_seconds=0.0, cooldown_seconds=0.0, background="none",
        ),
        origin=Origin(version="0", created="", options={}, data={}, metrics={}, notes=()),
        graph=None,
    )  # fmt: skip
    return model.eval(), card


def name(options: ModelOptions) -> str:
    bi = "bi" if options.bidirectional else ""
    return f"{bi}{options.head}{options.layers}-{options.pool}-{options.motion}-{options.encoder}"


def prove(model: Classifier, content: bytes) -> Proof:
    """Compare a file with its model on random frames; raise where they differ."""
    session = Session(content)
    proof = Proof(tuple(grid(Reference(model, session.card), session)))
    proof.require()
    return proof
