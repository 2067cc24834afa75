"""Review of clips in a terminal or a window: keep, relabel or delete each.

    FOLDER/20261121T130405.123Z_camera_0.mp4
    FOLDER/collected.csv        clip,label,confidence and any other columns

`clip` is relative to the folder, `label` is the predicted label and `confidence` its probability, 0
to 1; both may be empty.  A column `group` is the person or recording.  Reviewing never writes to
this list: a clip with a line in `clips.csv`, or without a file, has been reviewed.
"""

import csv
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Literal, TextIO

from seqvision_edge.background_label import backgrounds
from seqvision_edge.command_line import print_text
from seqvision_edge.csv_cells import dict_reader
from seqvision_edge.drawing import BACKGROUND, colours
from seqvision_edge.errors import RecordingError, SourceError
from seqvision_edge.frame import Frame, Image
from seqvision_edge.number_parsing import parse_number
from seqvision_edge.recording.take_folder import Takes
from seqvision_edge.recording.take_list import COLLECTED_NAME, Take
from seqvision_edge.recording.window_view import Pane, draw_clip
from seqvision_edge.sources.factory import open_path

Act = Literal["keep", "relabel", "delete", "back", "stop"]

HELP = "Enter keeps · a label or its number relabels · =LABEL is a new one · d deletes · b · q"

TITLE = "seqvision record --review"
KEYS = "Enter: keep    1-9: relabel    d: delete    b: back    q: stop"
_SURE = "d again deletes this clip for good"
_NEEDS_LABEL = "it has no label yet: 1-9, or d"
# How long an unplayable clip, or the last picture of one, is shown.
_STILL_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class ReviewDecision:
    """The user's decision about a clip; `label` is the new one."""

    act: Act
    label: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A clip to review.

    Attributes:
        path: the file.
        label: its own, or the predicted one; may then be empty.
        person: the person in the clip.
        take: its line; None for a collected clip that has none yet.
        about: further information.
    """

    path: Path
    label: str
    person: str
    take: Take | None
    about: str = ""


Prompt = Callable[[Item, int, int, Sequence[str]], ReviewDecision]

"""Shows an item, its number, the total and the known labels; returns the user's decision."""


@dataclass(frozen=True, slots=True)
class CollectedClip:
    """A clip without a confirmed label; `confidence` is None if unknown."""

    path: Path
    guess: str
    confidence: float | None
    group: str = ""


def items_of(takes: Takes, collected: Sequence[CollectedClip], labels: Sequence[str]) -> list[Item]:
    """Return what to review: collected clips if there are any, else the takes.

    `labels` selects those with one of these labels; empty: all.
    """
    if collected:
        found = [_guessed(clip) for clip in collected]
    else:
        found = [Item(takes.path_of(take), take.label, take.person, take) for take in takes.all()]
    return [item for item in found if not labels or item.label in labels]


def review(
    takes: Takes, items: Sequence[Item], labels: Sequence[str], prompt: Prompt,
    report: Callable[[str], None],
) -> Counter[Act]:  # fmt: skip
    """Prompt for each item and apply the decision at once; return the count of each action.

    Args:
        takes: the folder of takes.
        items: the clips to review.
        labels: the labels to offer; new ones are added.
        prompt: shows an item and returns the decision.
        report: called with a line for each change.

    Raises:
        RecordingError: the folder cannot be written to.
    """
    waiting: list[Item | None] = list(items)
    known = list(dict.fromkeys(labels))
    done: Counter[Act] = Counter()
    index = 0
    while index < len(waiting):
        item = waiting[index]
        if item is None:
            index += 1
            continue
        answer = prompt(item, index + 1, len(waiting), known)
        if answer.act == "stop":
            break
        if answer.act == "back":
            before = [number for number in range(index) if waiting[number] is not None]
            index = before[-1] if before else index
            continue
        try:
            waiting[index] = _do(takes, item, answer)
        except RecordingError as error:
            # For example an invalid label, or a clip deleted by another program meanwhile.
            report(str(error))
            if not item.path.exists():
                waiting[index] = None
            continue
        done[answer.act] += 1
        if answer.label and answer.label not in known:
            known.append(answer.label)
        report(_change_line(item, waiting[index]))
        index += 1
    return done


def length(path: Path) -> str:
    """Return the duration and rate of a clip as text, or that it cannot be read."""
    try:
        with open_path(path) as source:
            if source.claimed is None:
                return f"{source.fps:.3g} fps"
            return f"{source.claimed / source.fps:.1f} s at {source.fps:.3g} fps"
    except SourceError:
        return "cannot be read"


def _do(takes: Takes, item: Item, answer: ReviewDecision) -> Item | None:
    """Apply the decision and return the updated item; None if it was deleted."""
    if answer.act == "delete":
        if item.take is None:
            takes.discard(item.path)
        else:
            takes.delete(item.take)
        return None
    label = answer.label if answer.act == "relabel" else item.label
    if item.take is None:
        take = takes.add(item.path, label, item.person)
    else:
        take = takes.relabel(item.take, label)
    return replace(item, path=takes.path_of(take), label=take.label, take=take)


def _change_line(item: Item, after: Item | None) -> str:
    if after is None:
        return f"{item.path.name}: deleted"
    if after.label != item.label:
        return f"{after.path.name}: {item.label or 'unnamed'} is now {after.label}"
    return f"{after.path.name}: kept as {after.label}"


def _guessed(clip: CollectedClip) -> Item:
    about = "" if clip.confidence is None else f"predicted with {clip.confidence:.0%} confidence"
    return Item(clip.path, clip.guess, clip.group, None, about)


_LETTERS = {
    "": ReviewDecision("keep"),
    "k": ReviewDecision("keep"),
    "d": ReviewDecision("delete"),
    "b": ReviewDecision("back"),
    "q": ReviewDecision("stop"),
}


class LinePrompt:
    """Prompt on stderr, read from standard input; its end stops the review."""

    def __init__(self, lines: TextIO | None = None) -> None:
        self._lines = lines or sys.stdin
        self._helped = False

    def __call__(
        self, item: Item, number: int, total: int, labels: Sequence[str]
    ) -> ReviewDecision:
        """Prompt until the answer is understood."""
        if not self._helped:
            self._print(HELP)
            self._helped = True
        offered = "  ".join(f"{index} {label}" for index, label in enumerate(labels, 1))
        about = ", ".join(filter(None, (length(item.path), item.person, item.about)))
        self._print(f"\n{number}/{total}  {item.path}  ({about})\n{offered}")
        while True:
            self._print(f"[{item.label}] ", end="")
            line = self._lines.readline()
            if not line:
                return ReviewDecision("stop")
            answer = understand(line.strip(), item, labels)
            if isinstance(answer, ReviewDecision):
                return answer
            self._print(answer)

    def _print(self, text: str, end: str = "\n") -> None:
        print_text(text, sys.stderr, end)


def understand(text: str, item: Item, labels: Sequence[str]) -> ReviewDecision | str:
    """Return the decision that a line expresses, or an error message."""
    if text.isdecimal() and 1 <= int(text) <= len(labels):
        return ReviewDecision("relabel", labels[int(text) - 1])
    if text in labels:
        return ReviewDecision("relabel", text)
    if text.startswith("=") and text[1:].strip():
        return ReviewDecision("relabel", text[1:].strip())
    answer = _LETTERS.get(text.lower())
    if answer is None:
        return f"no label {text!r} here; ={text} makes it one"
    if answer.act == "keep" and not item.label:
        return "it has no label yet; give it one, or d deletes it"
    return answer


class WindowPrompt:
    """Prompt in a window; if that fails, with `instead`."""

    def __init__(self, instead: Prompt, mirror: bool = True) -> None:
        self._pane = Pane(TITLE)
        self._instead = instead
        self._mirror = mirror

    def __call__(
        self, item: Item, number: int, total: int, labels: Sequence[str]
    ) -> ReviewDecision:
        """Play the clip until a key gives a decision."""
        foot, confirming = KEYS, False
        while self._pane.is_there():
            for bgr, milliseconds in _played(item):
                picture = self._draw(bgr, item, f"{number} / {total}", labels, foot)
                key = self._pane.put(picture, milliseconds).lower()
                if key == "d" and not confirming:
                    confirming, foot = True, _SURE
                elif key in ("\r", "\n", " ", "k") and not item.label:
                    foot = _NEEDS_LABEL
                elif answer := _answer(key, labels):
                    return answer
                elif key:
                    confirming, foot = False, KEYS
                if not self._pane.is_there():
                    break
        return self._instead(item, number, total, labels)

    def close(self) -> None:
        """Close the window."""
        self._pane.close()

    def _draw(
        self, bgr: Image | None, item: Item, count: str, labels: Sequence[str], foot: str
    ) -> Image:
        every = [*labels, *([item.label] if item.label not in labels else [])]
        shades = colours(every, next(iter(backgrounds(every)), None))
        title = item.label or "no label yet"
        about = ", ".join(filter(None, (item.person, item.about)))
        picture = bgr[:, ::-1] if bgr is not None and self._mirror else bgr
        colour = shades.get(item.label, BACKGROUND)
        offered = [f"{index} {label}" for index, label in enumerate(labels[:9], 1)]
        return draw_clip(picture, (title, colour), (count, about), offered, foot)


def _answer(key: str, labels: Sequence[str]) -> ReviewDecision | None:
    if key in ("\r", "\n", " ", "k"):
        return ReviewDecision("keep")
    if key.isdecimal() and 1 <= int(key) <= min(9, len(labels)):
        return ReviewDecision("relabel", labels[int(key) - 1])
    if key == "d":
        return ReviewDecision("delete")
    if key == "b":
        return ReviewDecision("back")
    return ReviewDecision("stop") if key in ("q", "\x1b") else None


def _played(item: Item) -> Iterator[tuple[Image | None, int]]:
    """Yield each picture of a clip and its display time in milliseconds."""
    still = round(1000 * _STILL_SECONDS)
    before: Frame | None = None
    try:
        with open_path(item.path) as source:
            began = monotonic()
            for frame in source:
                if before is not None:
                    early = began + frame.time - monotonic()
                    yield before.bgr, max(1, round(1000 * early))
                before = frame
    except SourceError:
        yield None, still
        return
    yield (None if before is None else before.bgr), still


def read_collected(folder: Path) -> list[CollectedClip]:
    """Return the clips collected by a run; none if there is no such list.

    Raises:
        RecordingError: the list cannot be read, has no such column, or leads out of the folder.
    """
    path = folder / COLLECTED_NAME
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = dict_reader(file, restval="")
            missing = {"clip", "label", "confidence"} - set(reader.fieldnames or ())
            if missing:
                raise RecordingError(f"{path}: the first line has no column {min(missing)}")
            return [_clip(folder, reader.line_num, row) for row in reader]
    except FileNotFoundError:
        return []
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path}: not a readable CSV ({error})") from None
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read ({error.strerror})") from None


def unreviewed(takes: Takes) -> list[CollectedClip]:
    """Return the collected clips not yet kept or deleted, the most uncertain first."""
    listed = {take.path for take in takes.all()}
    waiting = [
        clip
        for clip in read_collected(takes.folder)
        if clip.path.is_file() and clip.path.relative_to(takes.folder).as_posix() not in listed
    ]
    return sorted(waiting, key=lambda clip: clip.confidence or 0.0)


def _clip(folder: Path, line: int, row: dict[str, str]) -> CollectedClip:
    where = f"{folder / COLLECTED_NAME}, line {line}"
    path = folder / row["clip"]
    if not row["clip"] or not path.resolve().is_relative_to(folder.resolve()):
        raise RecordingError(f"{where}: {row['clip']!r} is not a clip of this folder")
    text = row["confidence"].strip()
    confidence = parse_number(text)
    if text and confidence is None:
        raise RecordingError(f"{where}: confidence is {text!r}, must be a number")
    return CollectedClip(path, row["label"].strip(), confidence, row.get("group", "").strip())
