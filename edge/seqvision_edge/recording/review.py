"""To go through clips: keep, relabel or delete each; THE WAY of `--review`."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from seqvision_edge.errors import RecordingError, SourceError
from seqvision_edge.recording.collected import Collected
from seqvision_edge.recording.take import Take
from seqvision_edge.recording.takes import Takes
from seqvision_edge.sources import open_path

Act = Literal["keep", "relabel", "delete", "back", "stop"]


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
