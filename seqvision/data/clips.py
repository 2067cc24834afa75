"""A clip as a record, and a set of clips: its labels, their spelling, the background label.

`seqvision.data.datasets` finds clips.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from seqvision.errors import DataError
from seqvision_edge.background_label import backgrounds

if TYPE_CHECKING:
    from seqvision_edge.regions import Region

_DIVIDER = re.compile(r"(?<!\d)[\s_\-\u2010-\u2014]+|[\s_\-\u2010-\u2014]+(?!\d)")


@dataclass(frozen=True)
class Cut:
    """The part of a video that is a clip, as `seqvision segment` would cut it out.

    Attributes:
        start, end: seconds, or numbers of frames where `in_frames`; the end is not a part, and
            None is the end of the video.
        where: its row, for messages.
    """

    start: float
    end: float | None = None
    in_frames: bool = False
    where: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Return the part as the end of a URL: `t=1.5,3` is a W3C media fragment."""
        kind = "frames" if self.in_frames else "t"
        end = "" if self.end is None else f",{self.end:.10g}"
        return f"{kind}={self.start:.10g}{end}"


@dataclass(frozen=True)
class Clip:
    """One labelled clip: a video file, a folder of frames, or a still image.

    Attributes:
        group: what must stay on one side of a split, such as the performer.
        split: `train`, `val` or `test`, where the data has one.
        fps: rate of a frame folder; None where it is unknown, or for a video.
        index: of an image in the file `path`, where one file holds many (idx files).
        cut: the part of the video that it is; None for all of it.
        region: the part of the picture that it is, without a name; None for all of it.
    """

    path: Path
    label: str
    group: str | None = None
    split: str | None = None
    fps: float | None = None
    index: int | None = None
    cut: Cut | None = None
    region: "Region | None" = None

    @property
    def is_part(self) -> bool:
        """Whether it is a part of a video, or of its picture."""
        return self.cut is not None or self.region is not None

    @property
    def fragment(self) -> str:
        """Which part of its file it is, as the end of a URL: `#t=1.5,3`; "" for all of it."""
        parts = [str(self.cut)] if self.cut is not None else []
        if self.region is not None:
            parts.append(f"region={self.region.numbers}")
        return f"#{'&'.join(parts)}" if parts else ""

    @property
    def name(self) -> str:
        """What to call the clip in a message: its path, and which part of that file it is."""
        image = "" if self.index is None else f", image {self.index}"
        return f"{self.path}{self.fragment}{image}"


def labels_of(clips: Sequence[Clip]) -> tuple[str, ...]:
    """Return the labels in alphabetical order.

    Raises:
        DataError: fewer than two, so that there is nothing to classify.
    """
    labels = tuple(sorted({clip.label for clip in clips}))
    if len(labels) < 2:
        raise DataError(
            f"only one label ({labels[0]}): a classifier needs two or more, "
            "for example a label none for nothing happens"
        )
    return labels


def image_rate_note(clips: Sequence[Clip], image_fps: float) -> list[str]:
    """Return a note on folders of images whose rate is unknown."""
    count = sum(clip.fps is None and clip.index is None and clip.path.is_dir() for clip in clips)
    if not count:
        return []
    clips_are = f"{count} clips are folders" if count > 1 else "1 clip is a folder"
    return [
        f"{clips_are} of images without a rate, taken as {image_fps:g} frames per second; "
        "set another with --image-fps, or with a column fps in a list"
    ]


def source_notes(remarks: Sequence[tuple[Clip, str]]) -> list[str]:
    """Return one note on remarks of sources about their files."""
    some = [(clip, text) for clip, text in remarks if text]
    if not some:
        return []
    clip, text = some[0]
    more = f"; {len(some) - 1} more clips have such a note" if len(some) > 1 else ""
    return [f"{clip.path}: {text}{more}"]


def find_background(labels: Sequence[str], given: str | None) -> str | None:
    """Return the label that stands for nothing happens.

    Args:
        labels: of the data.
        given: the one that it is; `none`, where no label has that name, means that there is none.
            By default it is found by its name.

    Raises:
        DataError: the given label does not exist.
    """
    given = None if given is None else normal(given)
    if given is None:
        return next(iter(backgrounds(labels)), None)
    near = next((label for label in labels if label.casefold() == given.casefold()), None)
    if given not in labels and near is None and given.casefold() != "none":
        raise DataError(
            f"--background {given}: not a label here ({', '.join(labels)}); "
            "use none if no label means that nothing happens"
        )
    return given if given in labels else near


def background_note(labels: Sequence[str], background: str | None, given: str | None) -> str:
    """Return what the background label is, or what it means live that there is none."""
    if background is None:
        return (
            f"no background label: live, every moment is called one of {_listed(labels)}. "
            "Add clips in which nothing happens under a label none, or name the label that means "
            "it: --background LABEL"
        )
    found = f"background label: {background} (nothing happens; never makes an event)"
    others = [label for label in backgrounds(labels) if label != background]
    if given is None and others:
        found += f"; {_listed(others)} could be it too and makes events: --background LABEL decides"
    elif given is None and background.casefold() != "none":
        found += ", by its name: --background LABEL or none changes it"
    return found


def _listed(labels: Sequence[str], most: int = 8) -> str:
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(labels[:most]) + more


def natural(name: Path | str) -> list[tuple[int, int, str]]:
    """Return a sort key under which 2.jpg comes before 10.jpg."""
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part.casefold())
        for part in re.split(r"(\d+)", name if isinstance(name, str) else name.name)
        if part
    ]


def normal(label: str) -> str:
    """Return a label in Unicode's composed form (NFC): a Mac's `ü` is the `ü` of a list."""
    return unicodedata.normalize("NFC", label)


def alike_notes(labels: Iterable[str]) -> list[str]:
    """Return a question for each set of labels that differ only in case, spaces or the like."""
    sets: dict[str, list[str]] = defaultdict(list)
    for label in sorted(set(labels)):
        sets[_bare(label)].append(label)
    return [
        f"labels {_spelled(same)} differ only in {_difference(same)}: are they one?"
        for same in sets.values()
        if len(same) > 1
    ]


def _bare(label: str) -> str:
    return _joined(_visible(label).casefold())


def _visible(label: str) -> str:
    """Return the label in plain letters: no full-width forms, no letters that are not seen."""
    plain = unicodedata.normalize("NFKC", label)
    return "".join(
        " " if letter.isspace() else letter
        for letter in plain
        if unicodedata.category(letter) != "Cf"
    )


def _joined(label: str) -> str:
    """Return a label without what divides its words; what divides numbers stays."""
    return _DIVIDER.sub("", label)


def _difference(labels: list[str]) -> str:
    """Return in words how labels differ: each way without which they would still differ."""
    ways: tuple[tuple[str, Callable[[str], str]], ...] = (
        ("case", str.casefold),
        ("spaces, _ or -", _joined),
        ("the form of their letters", _visible),
    )
    for name, way in ways:
        if len({way(label) for label in labels}) == 1:
            return name
    apart = []
    for number, (name, _) in enumerate(ways):
        texts = set(labels)
        for other, (_, way) in enumerate(ways):
            if other != number:
                texts = {way(text) for text in texts}
        if len(texts) > 1:
            apart.append(name)
    return " and ".join(apart or [name for name, _ in ways])


def _spelled(labels: list[str]) -> str:
    shown = [repr(label) for label in labels]
    return f"{', '.join(shown[:-1])} and {shown[-1]}"
