"""Review of clips in a terminal or a window: keep, relabel or delete each.

    FOLDER/20261121T130405.123Z_camera_0.mp4
    FOLDER/collected.csv        clip,label,confidence and any other columns

`clip` begins at the folder, `label` is the model's guess and `confidence` how sure it was, 0 to 1;
both may be empty.  A column `group` is the person or recording.  Who looks through them never
writes here: a clip that has its line in `clips.csv`, or is gone, has been looked at.
"""

import csv
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Literal, TextIO

from seqvision_edge.background import backgrounds
from seqvision_edge.command_line import print_text
from seqvision_edge.csv_cells import dict_reader
from seqvision_edge.drawing import BACKGROUND, colours
from seqvision_edge.errors import RecordingError, SourceError
from seqvision_edge.frame import Frame, Image
from seqvision_edge.numerals import number
from seqvision_edge.recording.take import COLLECTED_NAME, Take
from seqvision_edge.recording.takes import Takes
from seqvision_edge.recording.window_view import Pane, draw_clip
from seqvision_edge.sources.factory import open_path

Act = Literal["keep", "relabel", "delete", "back", "stop"]

HELP = "Enter keeps · a label or its number relabels · =LABEL is a new one · d deletes · b · q"

TITLE = "seqvision record --review"
KEYS = "Enter: keep    1-9: relabel    d: delete    b: back    q: stop"
_SURE = "d again deletes this clip for good"
_NEEDS_LABEL = "it has no label yet: 1-9, or d"
# A clip that cannot be played, or its end, is looked at for so long.
_STILL_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person wants done with a clip; `label` is the new one."""

    act: Act
    label: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A clip to look at.

    Attributes:
        path: the file.
        label: what it has, or what a model guessed; may be empty then.
        person: who is seen.
        take: its line; None for one that was collected and has none yet.
        about: more to know of it.
    """

    path: Path
    label: str
    person: str
    take: Take | None
    about: str = ""


Prompt = Callable[[Item, int, int, Sequence[str]], Answer]

"""Shows an item, its number of how many and the known labels; returns what a person wants."""


@dataclass(frozen=True, slots=True)
class Collected:
    """A clip without a label of a person; `confidence` is None where nobody said it."""

    path: Path
    guess: str
    confidence: float | None
    group: str = ""


def items_of(takes: Takes, collected: Sequence[Collected], labels: Sequence[str]) -> list[Item]:
    """Return what to look at: collected clips where there are any, else the takes.

    `labels` picks those that have one of them; empty: all.
    """
    if collected:
        found = [_guessed(clip) for clip in collected]
    else:
        found = [Item(takes.path_of(take), take.label, take.person, take) for take in takes.all()]
    return [item for item in found if not labels or item.label in labels]


def review(
    takes: Takes, items: Sequence[Item], labels: Sequence[str], ask: Prompt,
    say: Callable[[str], None],
) -> Counter[Act]:  # fmt: skip
    """Ask about each item and do at once what is answered; return how often what was done.

    Args:
        takes: where the clips are.
        items: what to look at.
        labels: those that are offered; new ones are added as they come.
        ask: how a person is asked.
        say: told what was done.

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
        answer = ask(item, index + 1, len(waiting), known)
        if answer.act == "stop":
            break
        if answer.act == "back":
            before = [number for number in range(index) if waiting[number] is not None]
            index = before[-1] if before else index
            continue
        try:
            waiting[index] = _do(takes, item, answer)
        except RecordingError as error:
            # As a label that is none, or a clip that another program has deleted meanwhile.
            say(str(error))
            if not item.path.exists():
                waiting[index] = None
            continue
        done[answer.act] += 1
        if answer.label and answer.label not in known:
            known.append(answer.label)
        say(_told(item, waiting[index]))
        index += 1
    return done


def length(path: Path) -> str:
    """Return how long a clip is, as people say it, or that it cannot be read."""
    try:
        with open_path(path) as source:
            if source.claimed is None:
                return f"{source.fps:.3g} fps"
            return f"{source.claimed / source.fps:.1f} s at {source.fps:.3g} fps"
    except SourceError:
        return "cannot be read"


def _do(takes: Takes, item: Item, answer: Answer) -> Item | None:
    """Do it and return the item as it is then; None where it is gone."""
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


def _told(item: Item, after: Item | None) -> str:
    if after is None:
        return f"{item.path.name}: deleted"
    if after.label != item.label:
        return f"{after.path.name}: {item.label or 'unnamed'} is now {after.label}"
    return f"{after.path.name}: kept as {after.label}"


def _guessed(clip: Collected) -> Item:
    about = "" if clip.confidence is None else f"predicted with {clip.confidence:.0%} confidence"
    return Item(clip.path, clip.guess, clip.group, None, about)


_LETTERS = {"": Answer("keep"), "k": Answer("keep"), "d": Answer("delete"), "b": Answer("back"),
            "q": Answer("stop")}  # fmt: skip


class LinePrompt:
    """Ask on stderr, read from standard input; its end stops."""

    def __init__(self, lines: TextIO | None = None) -> None:
        self._lines = lines or sys.stdin
        self._helped = False

    def __call__(self, item: Item, number: int, total: int, labels: Sequence[str]) -> Answer:
        """Ask until the answer can be understood."""
        if not self._helped:
            self._say(HELP)
            self._helped = True
        offered = "  ".join(f"{index} {label}" for index, label in enumerate(labels, 1))
        about = ", ".join(filter(None, (length(item.path), item.person, item.about)))
        self._say(f"\n{number}/{total}  {item.path}  ({about})\n{offered}")
        while True:
            self._say(f"[{item.label}] ", end="")
            line = self._lines.readline()
            if not line:
                return Answer("stop")
            answer = understand(line.strip(), item, labels)
            if isinstance(answer, Answer):
                return answer
            self._say(answer)

    def _say(self, text: str, end: str = "\n") -> None:
        print_text(text, sys.stderr, end)


def understand(text: str, item: Item, labels: Sequence[str]) -> Answer | str:
    """Return what a line asks for, or what is wrong with it."""
    if text.isdecimal() and 1 <= int(text) <= len(labels):
        return Answer("relabel", labels[int(text) - 1])
    if text in labels:
        return Answer("relabel", text)
    if text.startswith("=") and text[1:].strip():
        return Answer("relabel", text[1:].strip())
    answer = _LETTERS.get(text.lower())
    if answer is None:
        return f"no label {text!r} here; ={text} makes it one"
    if answer.act == "keep" and not item.label:
        return "it has no label yet; give it one, or d deletes it"
    return answer


class WindowPrompt:
    """Ask in a window; where it fails, ask by `instead`."""

    def __init__(self, instead: Prompt, mirror: bool = True) -> None:
        self._pane = Pane(TITLE)
        self._instead = instead
        self._mirror = mirror

    def __call__(self, item: Item, number: int, total: int, labels: Sequence[str]) -> Answer:
        """Play the clip until a key is an answer."""
        foot, asked_to_delete = KEYS, False
        while self._pane.is_there():
            for bgr, milliseconds in _played(item):
                picture = self._draw(bgr, item, f"{number} / {total}", labels, foot)
                key = self._pane.put(picture, milliseconds).lower()
                if key == "d" and not asked_to_delete:
                    asked_to_delete, foot = True, _SURE
                elif key in ("\r", "\n", " ", "k") and not item.label:
                    foot = _NEEDS_LABEL
                elif answer := _answer(key, labels):
                    return answer
                elif key:
                    asked_to_delete, foot = False, KEYS
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


def _answer(key: str, labels: Sequence[str]) -> Answer | None:
    if key in ("\r", "\n", " ", "k"):
        return Answer("keep")
    if key.isdecimal() and 1 <= int(key) <= min(9, len(labels)):
        return Answer("relabel", labels[int(key) - 1])
    if key == "d":
        return Answer("delete")
    if key == "b":
        return Answer("back")
    return Answer("stop") if key in ("q", "\x1b") else None


def _played(item: Item) -> Iterator[tuple[Image | None, int]]:
    """Yield each picture of a clip and for how many milliseconds it is to be shown."""
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


def read_collected(folder: Path) -> list[Collected]:
    """Return the clips that a run collected; none where there is no such list.

    Raises:
        RecordingError: the list cannot be read, lacks a column, or leads out of the folder.
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


def not_looked_at(takes: Takes) -> list[Collected]:
    """Return the collected clips that nobody has kept or deleted, the most doubtful first."""
    listed = {take.path for take in takes.all()}
    waiting = [
        clip
        for clip in read_collected(takes.folder)
        if clip.path.is_file() and clip.path.relative_to(takes.folder).as_posix() not in listed
    ]
    return sorted(waiting, key=lambda clip: clip.confidence or 0.0)


def _clip(folder: Path, line: int, row: dict[str, str]) -> Collected:
    where = f"{folder / COLLECTED_NAME}, line {line}"
    path = folder / row["clip"]
    if not row["clip"] or not path.resolve().is_relative_to(folder.resolve()):
        raise RecordingError(f"{where}: {row['clip']!r} is no clip of this folder")
    text = row["confidence"].strip()
    confidence = number(text)
    if text and confidence is None:
        raise RecordingError(f"{where}: confidence is {text!r}, must be a number")
    return Collected(path, row["label"].strip(), confidence, row.get("group", "").strip())
