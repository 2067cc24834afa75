"""What was found in a data set: as data, as JSON, on the terminal."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table
from rich.text import Text

from seqvision.config import DataOptions
from seqvision.console import result_console
from seqvision.data.clips import Clip, background_note
from seqvision.dataset_report.probe import Duplicates, Probe
from seqvision.landmarks.found import Found
from seqvision_edge.card import ImageSpec, SequenceSpec, TimedSequence, VectorSequence

PARTS = ("train", "val", "test")
PIXELS = "{}×{}"

_MOST_ROWS = 50
_ENDS = 20
_FEW = 5
_BAR = 20
# Slower than this, a gesture falls between two frames.
_COARSE_FPS = 6.0
_FINE_FPS = 10.0
_MOST_FRAMES = 64


@dataclass(frozen=True)
class Findings:
    """What a data set is.

    Attributes:
        where: path of the data set.
        dataset: name of its layout.
        clips: those that can be read, with a probe each.
        parts: index in `clips` → train, val or test; empty where it cannot be divided.
        split: how it was divided, in words.
        broken: a line for each clip that cannot be read, or not whole.
        same: clips that show the same.
        divided_groups: group → clips per part, where that is more than one part.
        problems: what training would refuse.
        notes: what a reader left out.
        image: the size of a step in the model.
        sequence: what the model reads of a clip, with the fps that training would take.
        background: the label that stands for nothing happens.
        landmarks: in how many of the frames looked at there are hands or a body; None: not asked.
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
    landmarks: Found | None = None

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
            "landmarks": None if self.landmarks is None else self.landmarks.to_json(),
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


def print_findings(findings: Findings, options: DataOptions) -> None:
    """Print the findings."""
    # Names of files and labels are shown as they are: square brackets are no markup.
    console = result_console(markup=False, highlight=False)
    labels, clips = _count(len(findings.labels), "label"), _count(len(findings.clips), "clip")
    title = f"{findings.where}: {findings.dataset}, {labels}, {clips}"
    console.print(title, style="bold", soft_wrap=not console.is_terminal)
    console.print(_labels(findings))
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, text in _facts(findings, options):
        facts.add_row(name, text)
    console.print(facts)
    for line in _troubles(findings, options):
        # On a terminal between words; a pipe gets each finding as one line.
        console.print(line, soft_wrap=not console.is_terminal)


def _labels(findings: Findings) -> Table:
    rows = list(findings.labels.items())
    shown = [part for part in PARTS if any(counts[part] for _, counts in rows)]
    table = Table(show_footer=True)
    table.add_column("label", "all", overflow="fold")
    for name in ("clips", *shown):
        total = sum(counts[name] for _, counts in rows)
        table.add_column(name, str(total), justify="right")
    table.add_column("", min_width=_BAR)
    largest = max(counts["clips"] for _, counts in rows)
    left_out = rows[_ENDS:-_ENDS] if len(rows) > _MOST_ROWS else []
    for number, (label, counts) in enumerate(rows):
        if left_out and number == _ENDS:
            most, least = left_out[0][1]["clips"], left_out[-1][1]["clips"]
            table.add_row(f"… {len(left_out)} more", f"{most}–{least}", *("" for _ in shown))
        if left_out and _ENDS <= number < len(rows) - _ENDS:
            continue
        bar = "█" * max(1, round(_BAR * counts["clips"] / largest))
        cells = (str(counts[name] or "–") for name in ("clips", *shown))
        table.add_row(Text(label), *cells, Text(bar, style="blue"))
    return table


def _facts(findings: Findings, options: DataOptions) -> Iterator[tuple[str, str]]:
    yield "split", findings.split
    yield "balance", _balance(findings)
    yield "groups", _groups(findings)
    is_timed = isinstance(findings.sequence, TimedSequence)
    if is_timed and not findings.are_stills and not findings.problems:
        labels, requested = sorted(findings.labels), options.clips.background
        note = background_note(labels, findings.background, requested)
        yield "background", note.removeprefix("background label: ")
    if findings.are_stills:
        yield "length", "still images"
    elif findings.seconds:
        first, middle, last = _low_middle_high(findings.seconds)
        fewest, usual, most = _low_middle_high(findings.frames)
        yield (
            "length",
            (
                f"{first:.3g} to {last:.3g} s, median {middle:.3g} s; "
                f"{fewest:.0f} to {most:.0f} frames, median {usual:.0f}"
            ),
        )
    unknown = sum(probe.frames is None for probe in findings.probes)
    if unknown:
        yield "", f"{unknown} videos have no frame count (--decode counts their frames)"
    if findings.rates:
        yield "rate", _most_common(findings.rates, " fps")
    if isinstance(findings.sequence, VectorSequence):
        yield "features", _features(findings.sequence)
    else:
        yield "size", _most_common(findings.sizes, "")
    yield from _model(findings, options)
    if findings.landmarks is not None:
        yield "landmarks", findings.landmarks.text()


def _model(findings: Findings, options: DataOptions) -> Iterator[tuple[str, str]]:
    """Yield what training would make of the clips, and what might suit them better."""
    sequence, image = findings.sequence, findings.image
    is_auto = isinstance(sequence, TimedSequence) and options.clips.fps == "auto"
    how = " (--fps auto)" if is_auto else ""
    steps = f", steps of {image.width}×{image.height}"
    yield "model", f"{sequence}{how}{'' if isinstance(sequence, VectorSequence) else steps}"
    if not isinstance(sequence, TimedSequence):
        return
    if not findings.seconds:
        return
    window, middle = sequence.frames / sequence.fps, median(findings.seconds)
    longer = sum(seconds > 1.05 * window + 1 / sequence.fps for seconds in findings.seconds)
    if longer:
        yield (
            "",
            (
                f"{longer} of {len(findings.seconds)} clips are longer than that ({window:.3g} s): "
                "training sees a part of them"
            ),
        )
    own = median(probe.fps for probe in findings.probes if probe.fps)
    if sequence.fps < _COARSE_FPS < own and is_auto:
        fps = min(_FINE_FPS, own)
        frames = min(_MOST_FRAMES, round(middle * fps))
        yield "", f"--frames {frames} --fps {fps:g} would see fast motion better, and cost more"


def _features(sequence: VectorSequence) -> str:
    """Return how many features a vector has, and the first of their names."""
    names = sequence.names or ()
    shown = ", ".join(names[:_FEW]) + (", …" if len(names) > _FEW else "")
    return f"{sequence.features}{f': {shown}' if shown else ''}"


def _balance(findings: Findings) -> str:
    counts = [(label, row["clips"]) for label, row in findings.labels.items()]
    (large, most), (small, least) = counts[0], counts[-1]
    if most == least:
        return f"every label has {_count(most, 'clip')}"
    return f"{most / least:.2g} to 1: {large} has {most}, {small} has {least}"


def _groups(findings: Findings) -> str:
    if not findings.groups:
        return "none named: clips of one person or recording may be on both sides of the split"
    fewest, most = min(findings.groups.values()), max(findings.groups.values())
    without = len(findings.clips) - findings.groups.total()
    rest = f"; {without} clips have none" if without else ""
    each = f"{most}" if fewest == most else f"{fewest} to {most}"
    return f"{len(findings.groups)}, of {each} clips{rest}"


def _troubles(findings: Findings, options: DataOptions) -> Iterator[Text]:
    yield from _lines("note", "yellow", findings.notes, most=len(findings.notes))
    yield from _lines("broken", "red", findings.broken)
    leaks = [_same(findings, one) for one in findings.leaks]
    yield from _lines("leak", "red", leaks)
    divided = [_divided(group, home) for group, home in findings.divided_groups.items()]
    yield from _lines("leak", "red", divided)
    contradictions = [_same(findings, one) for one in findings.contradictions]
    yield from _lines("two labels", "red", contradictions)
    listed = {*findings.leaks, *findings.contradictions}
    rest = [_same(findings, one) for one in findings.same if one not in listed]
    yield from _lines("same", "yellow", rest)
    if not (findings.broken or findings.same or findings.divided_groups):
        looked = "can be read" if options.decode else "can be opened (--decode reads every frame)"
        yield Text(f"every clip {looked}, no two are the same, no group is on two sides", "green")


def _lines(name: str, style: str, lines: Sequence[str], most: int = _FEW) -> Iterator[Text]:
    for line in lines[:most]:
        yield Text.assemble((f"{name}: ", style), line)
    if len(lines) > most:
        yield Text.assemble((f"{name}: ", style), f"{len(lines) - most} more (--json FILE has all)")


def _divided(group: str, home: Counter[str]) -> str:
    parts = " and ".join(f"{part} ({_count(home[part], 'clip')})" for part in PARTS if home[part])
    return f"group {group} is in {parts}"


def _same(findings: Findings, same: Duplicates) -> str:
    """Return `train/wave a.mp4 = val/wave b.mp4 (same bytes)`."""
    names = []
    for index in same.clips[:_FEW]:
        clip, part = findings.clips[index], findings.parts.get(index)
        names.append(f"{f'{part} ' if part else ''}{_short(clip.name, findings.where)}")
    more = len(same.clips) - len(names)
    rest = f" and {more} more" if more else ""
    return f"{' = '.join(names)}{rest} (same {same.how})"


def _short(path: str, where: str) -> str:
    folder = Path(where) if Path(where).is_dir() else Path(where).parent
    return path.removeprefix(f"{folder}/")


def _most_common(counts: Counter[str], unit: str) -> str:
    few = [f"{name}{unit} ({count})" for name, count in counts.most_common(3)]
    more = len(counts) - len(few)
    return ", ".join(few) + (f", {more} more" if more else "")


def _low_middle_high(values: Sequence[float]) -> tuple[float, float, float]:
    return values[0], median(values), values[-1]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"
