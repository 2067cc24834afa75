"""Which clips a contact sheet shows, and their pictures: as the model sees them, and varied."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqvision.config import DataOptions
from seqvision.console import progress
from seqvision.data.augment import Augmenter, make_augmenter
from seqvision.data.cache import Cache
from seqvision.data.decode import Decoded, Store
from seqvision.data.views import view
from seqvision.errors import DataError
from seqvision.survey.findings import Findings
from seqvision_edge.errors import SourceError
from seqvision_edge.sequence import VideoSequence

PICTURES = 8
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Strip:
    """Pictures `(height, width, channels)` RGB or grey, and the same ones varied; or none of it."""

    caption: str
    plain: list[Picture]
    varied: list[Picture]


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
    except DataError:  # said with the other problems
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
    """Return label → places of its clips, those that train first and each group in turn."""
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
    assert isinstance(sequence, VideoSequence)
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
