"""In how many frames of clips landmarks are found, and what that means; no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.hints import join_and
from seqvision_edge.landmarks import IN_WORDS, is_found, layout

# Of fewer frames with hands, or with a body, the features carry little information.
_RARE: Final = 0.6


@dataclass(frozen=True)
class Found:
    """In how many frames landmarks are found: `seen` of each part, of `frames`."""

    seen: Mapping[str, int]
    frames: int

    def __add__(self, other: "Found") -> "Found":
        seen = {part: count + other.seen[part] for part, count in self.seen.items()}
        return Found(seen, self.frames + other.frames)

    def shares(self) -> dict[str, float]:
        """Return the share of the frames, of each part."""
        return {part: count / max(1, self.frames) for part, count in self.seen.items()}

    def to_json(self) -> dict[str, object]:
        """Return the number of frames and the shares as plain data."""
        return {"frames": self.frames, **self.shares()}

    def text(self) -> str:
        """Return the shares as one line, and where they are low why they may be."""
        shares = self.shares()
        each = [f"{IN_WORDS[part]} in {share:.0%}" for part, share in shares.items()]
        text = f"{join_and(each)} of the frames"
        if self.is_low():
            text += (
                ", which is low. Likely causes: blurred by movement, covered, out of the picture, "
                "too close to a wide lens, small, or a squashed picture; see docs/landmarks.md"
            )
        return text

    def is_low(self) -> bool:
        """Whether one of the shares is so low that the features carry little information."""
        return any(share < _RARE for share in self.shares().values())


def count_found(points: Sequence[NDArray[np.float32]]) -> Found:
    """Return in how many frames there are hands, and a body; `points`: of clips."""
    described = layout(points[0].shape[-1])
    seen = {
        part: sum(int(is_found(each, part).sum()) for each in points) for part in described.names
    }
    return Found(seen, sum(map(len, points)))
