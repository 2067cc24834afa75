"""What runs, for the readers of its lines."""

from collections.abc import Sequence
from typing import Any

from seqvision_edge import __version__
from seqvision_edge.card import Decision
from seqvision_edge.session import Session
from seqvision_edge.sources import Source


def about(session: Session, sources: Sequence[Source], decision: Decision) -> dict[str, Any]:
    """Return what a reader of the JSON lines must know of the run."""
    card = session.card
    return {
        "version": __version__,
        "spec": card.spec,
        "model": session.where,
        "device": session.device,
        "sources": [
            {"name": source.name, "live": source.live, "fps": source.fps} for source in sources
        ],
        "labels": list(card.labels),
        "sequence": card.sequence.model_dump(),
        "decision": decision.model_dump(),
    }
