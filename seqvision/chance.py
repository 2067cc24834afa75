"""Whether a model is better than chance: than naming the most frequent label every time."""

from collections.abc import Mapping

from seqvision.statistics import wilson
from seqvision_edge.card import ModelCard


def chance_warning(card: ModelCard) -> str | None:
    """Return a line about a model whose figures are no better than chance; None where they are.

    The test clips decide, else the validation clips; the most frequent label is that of the whole
    data set.  None too where the card does not say all of it.
    """
    counts, metrics = card.origin.data.get("clips"), card.origin.metrics
    part = next((name for name in ("test", "val") if name in metrics), "")
    figures = metrics.get(part)
    if not isinstance(counts, dict) or not isinstance(figures, dict):
        return None
    labels = {name: count for name, count in counts.items() if isinstance(count, int)}
    accuracy, clips = figures.get("accuracy"), figures.get("clips")
    if not (isinstance(accuracy, float) and isinstance(clips, int) and clips > 0 and labels):
        return None
    return _doubt(accuracy, clips, part, labels)


def no_better_than_chance(accuracy: float, part: str, counts: Mapping[str, int]) -> str | None:
    """Return the line about an accuracy on clips with these counts of labels."""
    part = "" if part == "clips" else part
    return _doubt(accuracy, sum(counts.values()), part, counts) if len(counts) > 1 else None


def _doubt(accuracy: float, clips: int, part: str, labels: Mapping[str, int]) -> str | None:
    label = max(labels, key=lambda name: labels[name])
    often = labels[label] / max(1, sum(labels.values()))
    if is_better(accuracy, clips, often):
        return None
    of = f"{part} clips" if part else "clips"
    return (
        f"accuracy on the {clips} {of} is {accuracy:.1%}, not clearly more than chance: "
        f"always naming {label} would be right on {often:.1%}; what helps: "
        "a look at the clips (seqvision data … --sheet clips.png), more of each label, more "
        "--epochs, a larger --size"
    )


def is_better(accuracy: float, clips: int, often: float) -> bool:
    """Return whether the 95 % interval of an accuracy (Wilson 1927) lies above a share."""
    return wilson(round(accuracy * clips), clips).low > often
