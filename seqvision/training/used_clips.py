"""Which clips a model learnt from: marks of their contents, kept in its file.

With them `evaluate` finds clips that the model knows, wherever they lie now.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seqvision.data.decode import Decoded
from seqvision.data.split import Split

# Of a sha256: two of a million clips are alike by chance once in 37 million data sets.
_DIGITS: Final = 16


@dataclass(frozen=True)
class UsedClips:
    """Marks of the clips that trained, and of those that chose the epoch that was kept."""

    train: frozenset[str]
    val: frozenset[str]

    def to_json(self) -> str:
        """Return them as JSON."""
        return json.dumps(
            {"train": " ".join(sorted(self.train)), "val": " ".join(sorted(self.val))}
        )

    @classmethod
    def from_json(cls, text: str) -> "UsedClips | None":
        """Read them again; None where a file has none, or not in this way."""
        try:
            kept = json.loads(text)
            return cls(frozenset(kept["train"].split()), frozenset(kept["val"].split()))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def warning(self, decoded: Sequence[Decoded]) -> str | None:
        """Return a line about clips that the model knows already; None where it knows none."""
        marks = [mark_of(clip) for clip in decoded]
        train = sum(mark in self.train for mark in marks)
        val = sum(mark in self.val - self.train for mark in marks)
        if not train and not val:
            return None
        parts = [f"{train} of {len(marks)} clips were used to train this model"] if train else []
        if val:
            of = f"{val}" if train else f"{val} of {len(marks)} clips were used"
            parts.append(f"{of} to choose its epoch")
        return f"{', '.join(parts)}: these figures flatter it"


def used_clips(decoded: Sequence[Decoded], split: Split) -> UsedClips:
    """Return the clips of a training."""
    return UsedClips(
        frozenset(mark_of(decoded[i]) for i in split.train),
        frozenset(mark_of(decoded[i]) for i in split.val),
    )


def mark_of(clip: Decoded) -> str:
    """Return what tells a clip's content, at the size of the model, from another."""
    return clip.key[:_DIGITS]
