"""Clips gone through in a window, each played again and again until a key says what to do."""

from collections.abc import Iterator, Sequence
from time import monotonic

from seqvision_edge.background import backgrounds
from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame
from seqvision_edge.palette import BACKGROUND, colours
from seqvision_edge.preprocess import Image
from seqvision_edge.recording.picture import draw_clip
from seqvision_edge.recording.review import Answer, Item, Prompt
from seqvision_edge.recording.window import Pane
from seqvision_edge.sources import open_path

TITLE = "seqvision record --review"
KEYS = "Enter: keep    1-9: relabel    d: delete    b: back    q: stop"
_SURE = "d again deletes this clip for good"
_NEEDS_LABEL = "it has no label yet: 1-9, or d"
# A clip that cannot be played, or its end, is looked at for so long.
_STILL_SECONDS = 0.4


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
