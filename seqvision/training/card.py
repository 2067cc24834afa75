"""The model card, written once, here."""

from datetime import datetime, timezone
from typing import Any

import seqvision
from seqvision.config import TrainOptions
from seqvision.metrics import Metrics
from seqvision.models.classifier import Classifier
from seqvision.training.data import Data, describe
from seqvision_edge.card import SPEC, Decision, ModelCard, Origin, State, StateTensor
from seqvision_edge.sequence import VideoSequence


def make_card(options: TrainOptions, data: Data, model: Classifier) -> ModelCard:
    """Return the card of a model, its metrics still empty."""
    return ModelCard(
        spec=SPEC,
        labels=data.labels,
        sequence=data.sequence,
        image=data.image,
        state=State(
            kind="window",
            tensors=(StateTensor(name="past", axes=("batch", "kept", model.memory)),),
        ),
        decision=_decision(data),
        origin=Origin(
            version=seqvision.__version__,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            options=options.model_dump(mode="json"),
            data=describe(data),
            metrics={},
            notes=(*data.notes, *model.notes),
        ),
        graph=None,
    )


def _decision(data: Data) -> Decision:
    """Return when answers become events, in proportion to the window; a picture stands alone.

    A gesture stays in the window, and its label sure, for most of the window's length: what lasts
    less than a third of that is another motion that looked like it in passing.  Events end early,
    well above one half, because doubtful answers are those for what is left of a gesture.
    """
    frames, seconds = 1, 0.0
    if isinstance(data.sequence, VideoSequence):
        frames, seconds = data.sequence.frames, data.sequence.frames / data.sequence.fps
    return Decision(
        temperature=1.0,
        smoothing="mean",
        smoothing_frames=max(1, round(frames / 5)),
        min_confidence=0.0,
        on_threshold=0.8,
        off_threshold=0.6,
        early=None,
        minimum_seconds=round(0.3 * seconds, 3),
        cooldown_seconds=round(0.25 * seconds, 3),
        background=data.background,
    )


def with_metrics(card: ModelCard, parts: dict[str, Metrics]) -> ModelCard:
    """Return the card with the headline figures of each part of the split."""
    names = ("loss", "accuracy", "precision", "recall", "f1", "clips")
    figures: dict[str, Any] = {
        part: {name: getattr(metrics, name) for name in names} for part, metrics in parts.items()
    }
    origin = card.origin.model_copy(update={"metrics": figures})
    return card.model_copy(update={"origin": origin})
