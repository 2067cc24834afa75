"""Which takes are still to be recorded, and in which order."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from seqvision_edge.background import backgrounds

Order = Literal["shuffled", "turn"]


def still_to_record(labels: Sequence[str], takes: int, done: Mapping[str, int]) -> Counter[str]:
    """Return how many takes each label lacks, in the order of the labels."""
    missing = Counter({label: max(0, takes - done.get(label, 0)) for label in labels})
    return +missing


def in_order(missing: Mapping[str, int], order: Order, seed: int | None = None) -> list[str]:
    """Return the label of each take to record, one after the other.

    Light, pose and mood change while a person records.  With all takes of a label in a row, they
    change with the label, and a model may learn them instead of the gesture.  So `shuffled`
    spreads every label over the whole session, each of its takes at a random moment of its own
    share.  `turn` is easier for a person: label by label, with those where nothing happens spread
    between the others.
    """
    if order == "shuffled":
        generator = random.Random(seed)
        moments = [
            ((number + generator.random()) / count, label)
            for label, count in missing.items()
            for number in range(count)
        ]
        return [label for _, label in sorted(moments)]
    nothing = backgrounds(list(missing))
    shown = [label for label in missing if label not in nothing]
    shown = [label for label in shown for _ in range(missing[label])]
    hidden = [label for label in missing if label in nothing]
    hidden = [label for label in hidden for _ in range(missing[label])]
    indices = [((number + 0.5) / len(shown), 0, label) for number, label in enumerate(shown)]
    indices += [((number + 0.5) / len(hidden), 1, label) for number, label in enumerate(hidden)]
    # A stable sort: labels of one moment stay as they are.
    return [label for *_, label in sorted(indices, key=lambda index: index[:2])]
