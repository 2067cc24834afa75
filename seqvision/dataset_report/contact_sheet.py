"""A contact sheet: clips of every label as filmstrips, as they are and as training varies them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqvision.config import DataOptions
from seqvision.console import progress
from seqvision.data.augment import Augmenter, make_augmenter
from seqvision.data.cache import Cache
from seqvision.data.clip_views import view
from seqvision.data.clips import natural
from seqvision.data.decode import Decoded, Store
from seqvision.dataset_report.findings import Findings
from seqvision.errors import DataError
from seqvision_edge.card import TimedSequence
from seqvision_edge.drawing import BACKGROUND, colours, fitted, put_panel, put_text, text_width
from seqvision_edge.errors import SourceError
from seqvision_edge.files import atomic_write
from seqvision_edge.opencv import cv2

_PAPER = (250, 250, 252)
_INK = (30, 41, 59)
_SOFT = (100, 116, 139)
_MARGIN = 28
_GAP = 2
_CAPTION = 16
_FEW_LABELS = 8
_SOME_LABELS = 24
_MOST_LABELS = 60
# An enlarged picture of so few pixels shows them; a larger one is smoothed.
_COARSE = 48

PICTURES = 8
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class _Layout:
    """How a sheet is divided; lengths in pixels.

    Attributes:
        columns: of labels side by side.
        strips: clips of a label side by side.
        side: height of a picture.
        name: width of the label at the left.
        rows: pictures of a clip under each other: as it is, and varied.
    """

    columns: int
    strips: int
    side: int
    name: int
    rows: int
    captions: bool

    @property
    def strip(self) -> int:
        return PICTURES * (self.side + _GAP) - _GAP

    @property
    def column(self) -> int:
        return self.name + self.strips * (self.strip + 20)

    @property
    def block(self) -> int:
        caption = _CAPTION if self.captions else 0
        return caption + self.rows * (self.side + _GAP) + 16


def draw_sheet(findings: Findings, options: DataOptions, path: Path) -> None:
    """Write the sheet as a PNG.

    Raises:
        DataError: it cannot be written.
    """
    labels = sorted(findings.labels, key=natural)[:_MOST_LABELS]
    count = 2 if len(labels) <= _FEW_LABELS else 1
    strips = make_strips(findings, options, labels, count)
    varied = any(strip.varied for rows in strips.values() for strip in rows)
    layout = _layout(len(labels), 2 if varied else 1, not findings.are_stills)
    picture = _paper(findings, options, labels, strips, layout)
    good, data = cv2.imencode(".png", picture)
    try:
        with atomic_write(path) as unfinished:
            unfinished.write_bytes(data.tobytes())
    except OSError as error:
        raise DataError(f"--sheet {path}: cannot be written ({error.strerror})") from None
    assert good


def _layout(labels: int, rows: int, captions: bool) -> _Layout:
    """Return large pictures for few labels, small ones in several columns for many."""
    if labels <= _FEW_LABELS:
        return _Layout(1, 2, 76, 150, rows, captions)
    if labels <= _SOME_LABELS:
        return _Layout(2, 1, 68, 140, rows, captions)
    return _Layout(3, 1, 52, 128, rows, captions)


@dataclass(frozen=True)
class Strip:
    """Pictures `(height, width, channels)` RGB or grey, and the same ones varied; or none of it."""

    caption: str
    plain: list[Picture]
    varied: list[Picture]


def _paper(
    findings: Findings,
    options: DataOptions,
    labels: Sequence[str],
    strips: dict[str, list[Strip]],
    layout: _Layout,
) -> Picture:
    lines = _title(findings, options, len(labels), bool(layout.rows > 1))
    down = -(-len(labels) // layout.columns)
    width = 2 * _MARGIN + layout.columns * layout.column + (layout.columns - 1) * 12 - 20
    top = _MARGIN + 34 + 20 * (len(lines) - 1) + 14
    paper = np.full((top + down * layout.block + _MARGIN - 8, width, 3), _PAPER[::-1], np.uint8)
    inner = width - 2 * _MARGIN
    put_text(paper, fitted(lines[0], inner, 22, 600)[0], (_MARGIN, _MARGIN + 20), 22, _INK, 600)
    for number, line in enumerate(lines[1:]):
        text, size = fitted(line, inner, 14)
        put_text(paper, text, (_MARGIN, _MARGIN + 46 + 20 * number), size, _SOFT)
    paint = colours(sorted(findings.labels), None)
    for number, label in enumerate(labels):
        column, row = divmod(number, down)
        at = _MARGIN + column * (layout.column + 12), top + row * layout.block
        _label(paper, label, findings, at, layout, paint.get(label, BACKGROUND))
        for index, strip in enumerate(strips[label]):
            left = at[0] + layout.name + index * (layout.strip + 20)
            _strip(paper, strip, (left, at[1]), layout)
    return paper


def _title(findings: Findings, options: DataOptions, shown: int, varied: bool) -> list[str]:
    count = len(findings.labels)
    name = Path(findings.where).resolve()
    name = name.parent if name.is_file() else name
    first = f"{name.name}: {count} labels, {len(findings.clips)} clips"
    if shown < count:
        first += f" (the first {shown} labels)"
    sequence, image = findings.sequence, findings.image
    lines = [first]
    if isinstance(sequence, TimedSequence) and not findings.are_stills:
        some = f"{PICTURES} of the " if sequence.frames > PICTURES else "the "
        lines.append(
            f"{'Upper row' if varied else 'A row'}: {some}{sequence.frames} frames that the model "
            f"reads of a clip, at {sequence.fps:g} fps and {image.width}×{image.height} pixels. "
            "Above it: file, part of the split, length of the clip"
        )
    else:
        lines.append(
            f"{'Upper row' if varied else 'Each row'}: images as they are sized for the model "
            f"({sequence})"
        )
    if varied:
        flip = " --flip" if options.augmentation.flip else ""
        named = options.augmentation.augment
        augment = named if isinstance(named, str) else "(a YAML's content)"
        lines.append(
            f"Lower row: the same, varied as in the first epoch of a training with "
            f"--augment {augment}{flip} --seed {options.seed}"
        )
    return lines


def _label(
    paper: Picture,
    label: str,
    findings: Findings,
    at: tuple[int, int],
    layout: _Layout,
    colour: tuple[int, int, int],
) -> None:
    height = layout.rows * (layout.side + _GAP) - _GAP
    top = at[1] + (_CAPTION if layout.captions else 0)
    put_panel(paper, (at[0], top, 4, height), colour, 1.0, 2)
    size = 15 if layout.side > 60 else 14
    room = max(1, (height - 18) // (size + 4))
    lines = _wrapped(label, layout.name - 24, size, room)
    for number, line in enumerate(lines):
        put_text(paper, line, (at[0] + 12, top + size + number * (size + 4)), size, _INK, 600)
    clips = findings.labels[label]["clips"]
    below = top + size + len(lines) * (size + 4)
    put_text(paper, f"{clips} clip{'s' if clips != 1 else ''}", (at[0] + 12, below), 12, _SOFT)


def _wrapped(text: str, width: float, size: float, most: int) -> list[str]:
    """Return the text in at most `most` lines; the last one may end in an ellipsis."""
    lines = [""]
    # An underscore is where a compound label may break; a word without one breaks anywhere.
    for word in text.replace("_", "_\0").replace(" ", " \0").split("\0"):
        if lines[-1] and _width(lines[-1] + word, size) > width:
            lines.append("")
        for letter in word:
            if lines[-1] and _width(lines[-1] + letter, size) > width:
                lines.append("")
            lines[-1] += letter
    if len(lines) > most:
        last = "".join(lines[most - 1 :])
        while last and _width(f"{last}…", size) > width:
            last = last[:-1]
        lines = [*lines[: most - 1], f"{last}…"]
    return [line.rstrip() for line in lines]


def _width(text: str, size: float) -> int:
    return text_width(text.rstrip(), size, 600)


def _strip(paper: Picture, strip: Strip, at: tuple[int, int], layout: _Layout) -> None:
    top = at[1]
    if layout.captions:
        text, size = fitted(strip.caption, layout.strip, 11)
        put_text(paper, text, (at[0], top + 10), size, _SOFT)
        top += _CAPTION
    for pictures in (strip.plain, strip.varied):
        left = at[0]
        for picture in pictures:
            small = _sized(picture, layout.side)
            width = min(small.shape[1], at[0] + layout.strip - left)
            if width < min(small.shape[1], layout.side // 4):
                break
            paper[top : top + layout.side, left : left + width] = small[:, :width]
            left += width + _GAP
        top += layout.side + _GAP


def _sized(picture: Picture, height: int) -> Picture:
    """Return an RGB or grey picture as BGR of a given height, its aspect ratio kept."""
    code = cv2.COLOR_GRAY2BGR if picture.shape[2] == 1 else cv2.COLOR_RGB2BGR
    bgr = cv2.cvtColor(picture, code)
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    if picture.shape[0] > height:
        how = cv2.INTER_AREA
    else:
        how = cv2.INTER_NEAREST if picture.shape[0] <= _COARSE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(bgr, (width, height), interpolation=how), np.uint8)


def make_strips(
    findings: Findings, options: DataOptions, labels: Sequence[str], strips: int
) -> dict[str, list[Strip]]:
    """Return at most `strips` strips for each of the labels.

    Raises:
        DataError: the cache cannot be written.
    """
    cache = Cache(options.clips.cache, options.clips.cache_size)
    cache.check()
    store = Store(cache, findings.image, options.clips.image_fps, findings.sequence)
    numbers = {label: number for number, label in enumerate(sorted(findings.labels))}
    try:
        augmenter = make_augmenter(options.augmentation, sorted(findings.labels))
    except DataError:  # reported with the other problems
        augmenter = None
    indices = _by_label(findings)
    made: dict[str, list[Strip]] = {}
    with progress("drawing") as advance:
        for done, label in enumerate(labels, 1):
            images = findings.are_stills
            count = PICTURES * strips if images else strips
            clips = list(_decoded(findings, store, indices[label], count))
            if images:
                made[label] = _stills(clips, numbers[label], augmenter, options.seed)
            else:
                made[label] = [
                    _film(findings, clip, caption, numbers[label], augmenter, options.seed)
                    for clip, caption in clips
                ]
            advance(done, len(labels))
    return made


def _by_label(findings: Findings) -> dict[str, list[int]]:
    """Return label → indices of its clips, those that train first and each group in turn."""
    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    indices = range(len(findings.clips))
    for index in sorted(indices, key=lambda index: findings.parts.get(index) != "train"):
        clip = findings.clips[index]
        groups[clip.label][clip.group or ""].append(index)
    return {label: list(_in_turn(list(rows.values()))) for label, rows in groups.items()}


def _in_turn(rows: Sequence[Sequence[int]]) -> Iterator[int]:
    for number in range(max(map(len, rows))):
        yield from (row[number] for row in rows if number < len(row))


def _decoded(
    findings: Findings, store: Store, indices: Sequence[int], count: int
) -> Iterator[tuple[Decoded, str]]:
    """Yield the first `count` clips that can be decoded, with a caption."""
    given = 0
    for index in indices:
        if given == count:
            return
        try:
            decoded = store.load(findings.clips[index])
        except SourceError:
            continue
        given += 1
        yield decoded, _caption(findings, index)


def _caption(findings: Findings, index: int) -> str:
    clip, probe = findings.clips[index], findings.probes[index]
    length = f"{probe.seconds:.3g} s" if probe.seconds else ""
    return " · ".join(part for part in (clip.path.name, findings.parts.get(index), length) if part)


def _film(
    findings: Findings,
    clip: Decoded,
    caption: str,
    label: int,
    augmenter: Augmenter | None,
    seed: int,
) -> Strip:
    """Return some frames of the centre window, and of what the first epoch draws of the clip."""
    image, sequence = findings.image, findings.sequence
    assert isinstance(sequence, TimedSequence)
    plain, _ = view(clip, label, image, sequence)
    if augmenter is None:
        return Strip(caption, _evenly(plain), [])
    varied, new = view(clip, label, image, sequence, augmenter, (seed, 0))
    if new != label:
        caption += f" · mirrored: {sorted(findings.labels)[new]}"
    return Strip(caption, _evenly(plain), _evenly(varied))


def _stills(
    clips: Sequence[tuple[Decoded, str]], label: int, augmenter: Augmenter | None, seed: int
) -> list[Strip]:
    """Return whole images side by side; each is varied as training varies it."""
    strips = []
    for begin in range(0, len(clips), PICTURES):
        part = clips[begin : begin + PICTURES]
        plain = [clip.frames[0] for clip, _ in part]
        varied: list[Picture] = []
        for clip, _ in part if augmenter else ():
            generator = np.random.default_rng((seed, 0, int(clip.key, 16)))
            generator.random()  # where a part of a long image lies: drawn first, not shown here
            assert augmenter is not None
            varied.append(augmenter(clip.frames[:1], label, int(generator.integers(2**31)))[0][0])
        strips.append(Strip("", plain, varied))
    return strips


def _evenly(frames: NDArray[np.uint8]) -> list[Picture]:
    chosen = np.linspace(0, len(frames) - 1, min(PICTURES, len(frames))).round().astype(int)
    return [frames[number] for number in chosen]
