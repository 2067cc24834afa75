"""Draw labels, recent events and the source's state on a picture.

The picture of a source that delivers nothing new is covered by a notice: it would look live.
"""

from collections import deque
from dataclasses import dataclass
from itertools import zip_longest
from time import monotonic

import numpy as np

from seqvision_edge.card import ModelCard
from seqvision_edge.drawing import (
    ELLIPSIS,
    Colour,
    colours,
    drawable,
    fitted,
    put_panel,
    put_text,
    text_width,
    wrapped,
)
from seqvision_edge.frame import Image, Step
from seqvision_edge.landmarks import draw_landmarks
from seqvision_edge.opencv import cv2
from seqvision_edge.types import Event, SourceState, clock

TIMELINE_SECONDS = 30.0
_MARK_SECONDS = 5.0
# On a smaller picture text does not fit; it is enlarged to this, within a limit.
SMALLEST = 480
LARGEST = 1920

_INK: Colour = (15, 18, 26)
_WHITE: Colour = (255, 255, 255)
_SOFT: Colour = (176, 186, 200)
_GLASS = 0.72
_TRACK = 0.2
_PANEL = 250
# A panel with a long label: maximum lines, and maximum fraction of the picture's width.
_LINES, _WIDEST_SHARE = 4, 0.55
# A name with fewer pixels on the timeline is left out, not cut.
_ROOM = 90
_REGULAR, _BOLD = 400, 650
_NO_PICTURE = (480, 640)
# The timelines of views: maximum fraction of the picture's height.
_ROWS_SHARE = 0.35

# A label is shown only for a live picture; in any other state it would be outdated.
# A scene may really be still, so a frozen picture only gets a warning.
SHOWN = ("live", "warming_up", "frozen")
STILL = "the picture does not change"


@dataclass(frozen=True, slots=True)
class Notice:
    """A headline readable from a distance, and a detail line, which may be empty."""

    headline: str
    detail: str = ""


class Overlay:
    """Draw the steps of one source on its pictures, with the events of the last 30 seconds."""

    def __init__(self, card: ModelCard, top: int = 3, name: str = "") -> None:
        """Show the `top` most probable labels, and `name`, the source's, if given."""
        self._colours = colours(card.labels, card.decision.background)
        self._top = min(top, len(card.labels))
        self._name = name
        self._image = card.image
        self._events: deque[Event] = deque()
        self._time = 0.0
        self._shape = _NO_PICTURE
        self._seen: float | None = None

    def draw(self, step: Step, size: tuple[int, int] | None = None) -> Image:
        """Return the step's picture with the overlay.

        The picture is a new one: of `size` (width, height) with black bars, or without a size at
        least 480 pixels on its shorter side.  If the source is not live, or the step has no frame,
        a notice of the size of the previous pictures replaces it.
        """
        now = monotonic()
        silent = None if self._seen is None else now - self._seen
        covered = notice(step.state, silent)
        if step.frame is None or covered:
            self._events.extend(step.events)
            shape = (size[1], size[0]) if size else self._shape
            return self._cover(shape, covered or Notice(""))
        self._seen = now
        self._remember(step, step.frame.time)
        picture = _boxed(step.frame.bgr, size) if size else _enlarged(step.frame.bgr)
        self._shape = picture.shape[:2]
        height, width = step.frame.bgr.shape[:2]
        left, top, *inner = inner_box(picture, (height, width))
        part = picture[top : top + inner[1], left : left + inner[0]]
        draw_landmarks(part, step.parts, self._image, (width, height))
        unit = min(picture.shape[:2]) / SMALLEST
        if step.views:
            for view in step.views:
                self._draw_view(picture, view, step.frame.bgr.shape[:2], unit)
            panel = 0.0
        else:
            if step.active is not None:
                _frame(picture, self._colours[step.active.label], unit)
            panel = self._draw_answer(picture, step, unit)
        self._draw_clock(picture, step, unit, age(step, now), panel)
        if step.views:
            self._draw_timelines(picture, step, unit)
        else:
            self._draw_timeline(picture, step, unit)
        return picture

    def _cover(self, shape: tuple[int, int], words: Notice) -> Image:
        """Return a dark picture with a notice in its middle, and the name of the source."""
        picture: Image = np.full((*shape, 3), _INK[::-1], np.uint8)
        unit = min(shape) / SMALLEST
        middle = shape[0] / 2
        lines = [(words.headline, 30 * unit, _BOLD, _WHITE, middle)]
        lines.append((words.detail, 15 * unit, _REGULAR, _SOFT, middle + 32 * unit))
        lines.append((self._name, 15 * unit, _REGULAR, _SOFT, middle - 44 * unit))
        for text, size, weight, ink, y in lines:
            text, size = fitted(text, shape[1] - 32 * unit, size, weight)
            left = (shape[1] - text_width(text, size, weight)) / 2
            put_text(picture, text, (left, y), size, ink, weight)
        return picture

    def _remember(self, step: Step, now: float) -> None:
        if now < self._time:
            self._events.clear()
        self._time = now
        self._events.extend(step.events)
        while self._events and self._events[0].end < now - TIMELINE_SECONDS:
            self._events.popleft()

    def _draw_view(self, picture: Image, view: Step, shape: tuple[int, ...], unit: float) -> None:
        """Draw the edge of a part of a frame `(height, width)`, with its name and its label.

        The edge is thick and coloured while an event is running.
        """
        left, top, width, height = inner_box(picture, shape)
        corners = np.array(view.outline) * (width, height) + (left, top)
        text, ink = view.view, _SOFT
        if view.state.state not in SHOWN:
            text = f"{view.view}: not in the picture"
        elif view.window_full and view.ranked:
            label, share = view.ranked[0]
            name = unsure(label) if view.is_unsure else label
            text = f"{view.view}: {name} {share:.0%}"
            ink = _SOFT if view.is_unsure else self._colours[label]
        elif view.is_quiet:
            text = f"{view.view}: {view.state.message}"
        elif not view.window_full:
            text = f"{view.view}: warming up {view.window_fill:.0%}"
        colour = ink if view.active is None else self._colours[view.active.label]
        thick = max(1, round((2 if view.active is None else 5) * unit))
        points = (
            np.rint(corners).astype(np.int32).clip(0, [picture.shape[1] - 1, picture.shape[0] - 1])
        )
        cv2.polylines(picture, [points], True, colour[::-1], thick, cv2.LINE_AA)
        size, pad = 15 * unit, 6 * unit
        at_left, at_top = corners.min(axis=0)
        room = picture.shape[1] - 2 * pad
        text, size = fitted(text, room, size, _BOLD)
        wide, tall = text_width(text, size, _BOLD) + 2 * pad, size + 2 * pad
        # Above the edge; inside of it at the upper side of the picture, where the clock is.
        x = min(max(0.0, at_left), picture.shape[1] - wide)
        y = at_top - tall
        if y < 48 * unit and x + wide > picture.shape[1] / 2:
            y = max(at_top, 48 * unit)
        y = max(0.0, y)
        put_panel(picture, (x, y, wide, tall), _INK, _GLASS, 4 * unit)
        put_text(picture, text, (x + pad, y + pad + 0.8 * size), size, ink, _BOLD)

    def _draw_timelines(self, picture: Image, step: Step, unit: float) -> None:
        """Draw the last 30 seconds of each view as a row; rows that find no room are left out."""
        row, margin, pad = 22 * unit, 16 * unit, 10 * unit
        views = step.views[: max(1, int(_ROWS_SHARE * picture.shape[0] / row))]
        height = row * len(views) + 2 * pad
        top = picture.shape[0] - height - margin
        box = margin, top, picture.shape[1] - 2 * margin, height
        put_panel(picture, box, _INK, _GLASS, 12 * unit)
        names = [fitted(view.view, 0.25 * box[2], 13 * unit, shrink=False) for view in views]
        left = margin + pad + max(text_width(name, size) for name, size in names) + pad
        width = margin + box[2] - pad - left
        for number, (view, (name, size)) in enumerate(zip(views, names, strict=True)):
            y = top + pad + number * row
            put_text(picture, name, (margin + pad, y + 15 * unit), size, _SOFT)
            track = y + 3 * unit, 16 * unit
            put_panel(picture, (left, track[0], width, track[1]), _WHITE, _TRACK, 3 * unit)
            own = [event for event in self._events if event.view == view.view]
            own += [view.active] if view.active else []
            for event, after in zip_longest(own, own[1:]):
                start = max(left, left + width * self._position(event.start))
                end = left + width * self._position(event.end)
                length = max(end - start, 4 * unit)
                colour = self._colours[event.label]
                put_panel(picture, (start, track[0], length, track[1]), colour, 1.0, 3 * unit)
                # Its name stands in the block, else beside it up to the next one.
                label, small = drawable(event.label), 11 * unit
                wide = text_width(label, small, _BOLD) + 6 * unit
                until = left + width * self._position(after.start) if after else left + width
                if wide <= length:
                    at = start + 3 * unit, y + 15 * unit
                    put_text(picture, label, at, small, _INK, _BOLD)
                elif start + length + wide <= until:
                    at = start + length + 3 * unit, y + 15 * unit
                    put_text(picture, label, at, small, _WHITE, _BOLD)

    def _draw_answer(self, picture: Image, step: Step, unit: float) -> float:
        """Draw the best label with its bar, and a row for each of the next best.

        Return the width of their panel in pixels.  An unsure prediction is grey, with the
        model's own probabilities.
        """
        ranked = step.ranked[: self._top]
        shades = self._colours
        if step.window_full and ranked:
            (label, share), *others = ranked
            ink = _WHITE
            if step.is_unsure:
                label, ink = unsure(label), _SOFT
                shades = dict.fromkeys(self._colours, _SOFT)
            colour = shades[ranked[0][0]]
        else:
            label, share = (
                ("no answer", 0.0) if step.window_full else ("warming up", step.window_fill)
            )
            if step.is_quiet:
                label, share = step.state.message, 0.0
            others, colour, ink = [], _SOFT, _WHITE
        margin, pad = 16 * unit, 14 * unit
        percent = f"{share:.0%}"
        text_left = text_width("100%", 20 * unit) + 14 * unit
        # A label that does not fit in the usual panel gets a wider one.
        for panel in (_PANEL * unit, max(_PANEL * unit, _WIDEST_SHARE * picture.shape[1])):
            width = panel - 2 * pad
            lines, size = wrapped(label, width - text_left, 27 * unit, _BOLD, most=_LINES)
            if not any(line.endswith(ELLIPSIS) for line in lines):
                break
        drop = (len(lines) - 1) * 1.15 * size
        height = (78 + 30 * len(others)) * unit + drop
        put_panel(picture, (margin, margin, panel, height), _INK, _GLASS, 12 * unit)
        left, top = margin + pad, margin + 36 * unit
        for number, line in enumerate(lines):
            line = line.removesuffix(" ·")  # a separator at the end of a line separates nothing
            put_text(picture, line, (left, top + number * 1.15 * size), size, ink, _BOLD)
        at = left + width - text_width(percent, 20 * unit), top
        put_text(picture, percent, at, 20 * unit, ink)
        _bar(picture, (left, top + drop + 14 * unit, width, 7 * unit), share, colour)
        for row, (other, probability) in enumerate(others):
            at = left, top + drop + (46 + 30 * row) * unit
            self._draw_row(picture, at, width, (other, probability, shades[other]), unit)
        return panel

    def _draw_row(
        self,
        picture: Image,
        at: tuple[float, float],
        width: float,
        answer: tuple[str, float, Colour],
        unit: float,
    ) -> None:
        """Draw (label, fraction, colour) in one line; `at` is the left end of its base line."""
        label, share, colour = answer
        left, y = at
        size, percent = 15 * unit, f"{share:.0%}"
        text_left = text_width(percent, size)
        text, smaller = fitted(label, width - text_left - size / 2, size)
        put_text(picture, text, at, smaller, _SOFT)
        put_text(picture, percent, (left + width - text_left, y), size, _SOFT)
        _bar(picture, (left, y + 7 * unit, width, 3 * unit), share, colour)

    def _draw_clock(
        self, picture: Image, step: Step, unit: float, age: float | None, panel: float
    ) -> None:
        """Write the picture's time, its age and the frames per second, at the right.

        `panel` is the width of the prediction's panel at the left.
        """
        parts = [self._name] if self._name else []
        if step.state.state == "frozen":
            parts.append(STILL)
        parts.append(clock(self._time))
        if age is not None:
            parts.append(f"{age:.2f} s old")
        text = "   ".join((*parts, f"{step.fps:.0f} fps"))
        size, pad, margin = 14 * unit, 10 * unit, 16 * unit
        # The prediction's panel is at the left; the name is cut for it.
        room = picture.shape[1] - 2 * pad - 3 * margin - panel
        if self._name and text_width(text, size) > room:
            rest = text.removeprefix(self._name)
            name, _ = fitted(self._name, room - text_width(rest, size), size, shrink=False)
            text = (name + rest).lstrip()
        text, size = fitted(text, room, size)
        # A constant width, so that the panel does not jitter with the digits.
        usual = text_width("0:00.0   000 fps", size)
        width = max(usual, text_width(text, size)) + 2 * pad
        left = picture.shape[1] - width - margin
        put_panel(picture, (left, margin, width, 28 * unit), _INK, _GLASS, 8 * unit)
        put_text(picture, text, (left + pad, margin + 19 * unit), size, _SOFT)

    def _draw_timeline(self, picture: Image, step: Step, unit: float) -> None:
        """Draw the last 30 seconds as a strip whose right end is the current time."""
        height, margin, pad = 54 * unit, 16 * unit, 14 * unit
        top = picture.shape[0] - height - margin
        box = margin, top, picture.shape[1] - 2 * margin, height
        put_panel(picture, box, _INK, _GLASS, 12 * unit)
        left, width = margin + pad, box[2] - 2 * pad
        track = top + 31 * unit, 12 * unit
        put_panel(picture, (left, track[0], width, track[1]), _WHITE, _TRACK, 3 * unit)
        for share in np.arange(_MARK_SECONDS, TIMELINE_SECONDS, _MARK_SECONDS) / TIMELINE_SECONDS:
            mark = left + width * share, track[0], max(1, unit), track[1]
            put_panel(picture, mark, _WHITE, _TRACK)
        free_from = left
        for event in (*self._events, *([step.active] if step.active else [])):
            start = max(left, left + width * self._position(event.start))
            end = left + width * self._position(event.end)
            block = start, track[0], max(end - start, 4 * unit), track[1]
            put_panel(picture, block, self._colours[event.label], 1.0, 3 * unit)
            room = left + width - free_from
            name, size = fitted(event.label, room, 13 * unit, shrink=False)
            if name != drawable(event.label) and room < _ROOM * unit:
                continue
            name_width = text_width(name, size)
            at = min(start, left + width - name_width)
            if at >= free_from:
                put_text(picture, name, (at, top + 22 * unit), size, _WHITE)
                free_from = at + name_width + 8 * unit

    def _position(self, time: float) -> float:
        """Return the position of a time on the timeline, 0 to 1; now is 1."""
        return 1 - (self._time - time) / TIMELINE_SECONDS


def _bar(
    picture: Image, box: tuple[float, float, float, float], share: float, colour: Colour
) -> None:
    """Draw a bar filled to a fraction; `box` is left, top, width, height."""
    left, top, width, height = box
    put_panel(picture, box, _WHITE, _TRACK, height / 2)
    put_panel(picture, (left, top, width * share, height), colour, 1.0, height / 2)


def inner_box(picture: Image, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return left, top, width and height of a frame `(height, width)` in a picture's middle."""
    height, width = shape[:2]
    scale = min(picture.shape[1] / width, picture.shape[0] / height)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    return (picture.shape[1] - inner[0]) // 2, (picture.shape[0] - inner[1]) // 2, *inner


def _frame(picture: Image, colour: Colour, unit: float) -> None:
    """Draw an edge around the picture while an event is running."""
    height, width = picture.shape[:2]
    cv2.rectangle(picture, (0, 0), (width - 1, height - 1), colour[::-1], round(8 * unit))


def _enlarged(bgr: Image) -> Image:
    """Return a copy whose shorter side has at least 480 pixels, unless it is a narrow strip."""
    height, width = bgr.shape[:2]
    scale = min(SMALLEST / min(height, width), LARGEST / max(height, width))
    if scale <= 1:
        return bgr.copy()
    size = round(width * scale), round(height * scale)
    return cv2.resize(bgr, size, interpolation=cv2.INTER_CUBIC)


def _boxed(bgr: Image, size: tuple[int, int]) -> Image:
    """Return the picture scaled to fit a size (width, height), between black bars."""
    width, height = size
    scale = min(width / bgr.shape[1], height / bgr.shape[0])
    inner = max(1, round(bgr.shape[1] * scale)), max(1, round(bgr.shape[0] * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    picture = np.zeros((height, width, 3), np.uint8)
    picture[top : top + inner[1], left : left + inner[0]] = cv2.resize(
        bgr, inner, interpolation=way
    )
    return picture


def notice(state: SourceState, silent: float | None) -> Notice | None:
    """Return the notice that replaces a picture and its label; None if they may be shown.

    `silent` is the number of seconds without data; None if none ever came.
    """
    if state.state in SHOWN:
        return None
    again = f"attempt {state.attempt}" if state.attempt > 1 else ""
    if state.state == "ended":
        return Notice("ended", state.message)
    if state.state == "failed":
        return Notice("given up", state.message)
    if silent is None:
        words = state.message or again
        return Notice("connecting …" if state.state == "connecting" else "no data yet", words)
    if state.state == "stalled":
        # Its message would repeat the headline.
        return Notice(silence(silent))
    return Notice(silence(silent), state.message or (again and f"connecting again, {again}"))


def unsure(label: str) -> str:
    """Return the text for a prediction below `decision.min_confidence` with this best label."""
    return f"unsure · {label}"


def silence(seconds: float) -> str:
    """Return the duration of a silence as text: `no data for 4 s`, `… for 3 min`."""
    if seconds < 120:
        return f"no data for {seconds:.0f} s"
    if seconds < 7200:
        return f"no data for {seconds / 60:.0f} min"
    return f"no data for {seconds / 3600:.0f} h"


def age(step: Step, now: float) -> float | None:
    """Return the age in seconds of the step's frame; None if it is not live.

    `now` is the monotonic clock.
    """
    arrived = step.frame.arrived if step.frame is not None else None
    return None if arrived is None else max(0.0, now - arrived)
