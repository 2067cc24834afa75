"""Everything that a survey found, and the same as JSON."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any

from seqvision.data.clips import Clip
from seqvision.survey.overlap import Duplicates
from seqvision.survey.probe import Probe
from seqvision_edge.card import ImageSpec
from seqvision_edge.sequence import SequenceSpec

PARTS = ("train", "val", "test")
PIXELS = "{}×{}"


@dataclass(frozen=True)
class Findings:
    """What a data set is.

    Attributes:
        where: path of the data set.
        dataset: name of its layout.
        clips: those that can be read, with a probe each.
        parts: place in `clips` → train, val or test; empty where it cannot be divided.
        split: how it was divided, in words.
        broken: a line for each clip that cannot be read, or not whole.
        same: clips that show the same.
        divided_groups: group → clips per part, where that is more than one part.
        problems: what training would refuse.
        notes: what a reader left out.
        image: the size of a step in the model.
        sequence: what the model reads of a clip, with the fps that training would take.
        background: the label that stands for nothing happens.
    """

    where: str
    dataset: str
    clips: Sequence[Clip]
    probes: Sequence[Probe]
    parts: Mapping[int, str]
    split: str
    broken: Sequence[str]
    same: Sequence[Duplicates]
    divided_groups: Mapping[str, Counter[str]]
    problems: Sequence[str]
    notes: Sequence[str]
    image: ImageSpec
    sequence: SequenceSpec
    background: str | None = None

    @cached_property
    def labels(self) -> dict[str, Counter[str]]:
        """Label → clips per part and under `clips`, the largest first."""
        counts: dict[str, Counter[str]] = {}
        for index, clip in enumerate(self.clips):
            row = counts.setdefault(clip.label, Counter())
            row["clips"] += 1
            if index in self.parts:
                row[self.parts[index]] += 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1]["clips"], item[0])))

    @cached_property
    def leaks(self) -> list[Duplicates]:
        """Equal clips of which one is in another part than the others."""
        return [one for one in self.same if len({self.parts.get(i) for i in one.clips}) > 1]

    @cached_property
    def contradictions(self) -> list[Duplicates]:
        """Equal clips with different labels."""
        return [one for one in self.same if len({self.clips[i].label for i in one.clips}) > 1]

    @cached_property
    def groups(self) -> Counter[str]:
        """Group → clips."""
        return Counter(clip.group for clip in self.clips if clip.group is not None)

    @cached_property
    def seconds(self) -> list[float]:
        """Lengths of the clips that have one."""
        return sorted(probe.seconds for probe in self.probes if probe.seconds)

    @cached_property
    def frames(self) -> list[int]:
        """Numbers of frames, where they are known."""
        return sorted(probe.frames for probe in self.probes if probe.frames)

    @cached_property
    def rates(self) -> Counter[str]:
        """Frames per second, to a hundredth → clips."""
        return Counter(
            f"{probe.fps:.2f}".rstrip("0").rstrip(".") for probe in self.probes if probe.fps
        )

    @cached_property
    def sizes(self) -> Counter[str]:
        """Width × height → clips."""
        return Counter(PIXELS.format(*probe.size) for probe in self.probes)

    @property
    def are_stills(self) -> bool:
        """Whether every clip is one image."""
        return bool(self.probes) and all(probe.is_still for probe in self.probes)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "data": self.where,
            "dataset": self.dataset,
            "clips": len(self.clips),
            "split": self.split,
            "labels": {label: dict(counts) for label, counts in self.labels.items()},
            "background": self.background,
            "groups": len(self.groups),
            "seconds": _three(self.seconds),
            "frames": _three(self.frames),
            "fps": dict(self.rates.most_common()),
            "sizes": dict(self.sizes.most_common()),
            "model": {
                "image": self.image.model_dump(mode="json"),
                "sequence": self.sequence.model_dump(mode="json"),
            },
            "unreadable": list(self.broken),
            "duplicates": [
                {
                    "match": one.how,
                    "leak": one in self.leaks,
                    "contradiction": one in self.contradictions,
                    "clips": [self._clip(index) for index in one.clips],
                }
                for one in self.same
            ],
            "groups_across_splits": {
                group: dict(home) for group, home in self.divided_groups.items()
            },
            "problems": list(self.problems),
            "notes": list(self.notes),
        }

    def _clip(self, index: int) -> dict[str, Any]:
        clip = self.clips[index]
        plain = {"path": str(clip.path), "label": clip.label, "split": self.parts.get(index)}
        return plain if clip.index is None else {**plain, "index": clip.index}


def _three(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"min": values[0], "median": median(values), "max": values[-1]}
