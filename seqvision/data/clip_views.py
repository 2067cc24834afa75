"""One clip as a model sees it: the centre window, a varied one, several fixed ones.  No torch."""

from collections.abc import Iterator

import numpy as np

from seqvision.data.augment import Augmenter
from seqvision.data.decode import Decoded
from seqvision.data.surroundings import Surroundings
from seqvision_edge.card import ImageSpec, SequenceSpec, TimedSequence
from seqvision_edge.sampling import SizedClip, Steps, centre, centre_start, select_frames
from seqvision_edge.still_images import cut_steps

# How far a test view may be from the centre: a share of the picture's side, and of the speed.
_SHIFT, _SPEED = 0.06, 0.1


def view(
    clip: Decoded,
    label: int,
    image: ImageSpec,
    sequence: SequenceSpec,
    augmenter: Augmenter | None = None,
    draw: tuple[int, int] = (0, 0),
    around: Surroundings | None = None,
) -> tuple[Steps, int]:
    """Return the steps `(time, height, width, channels)` of a clip, and its label.

    Args:
        clip: decoded.
        label: a mirror may exchange it for another.
        image, sequence: what a step is, and how many there are.
        augmenter: varies it; without one, it is the centre window.
        draw: seed and epoch; what is drawn depends on them and on the clip alone.
        around: what its video shows before and after it: windows are drawn from that too.
    """
    if augmenter is None and around is None:
        return centre(clip, image, sequence), label
    generator = np.random.default_rng((*draw, int(clip.key, 16)))
    if around is not None and isinstance(sequence, TimedSequence):
        window = around.draw(sequence.frames / sequence.fps, label, generator)
        clip, label = window or (clip, label)
    if augmenter is None:
        return centre(clip, image, sequence), label
    if isinstance(sequence, TimedSequence):
        chosen, label = augmenter.choose(
            clip.times, sequence.fps, sequence.frames, label, generator, clip.source_fps, clip.end
        )
        seed = int(generator.integers(2**31))
        return augmenter(clip.frames[chosen], label, seed)
    start, seed = generator.random(), int(generator.integers(2**31))
    # A still image is varied as a whole: a row has no geometry of its own.
    whole, label = augmenter(clip.frames[:1], label, seed)
    return cut_steps(whole[0], image, sequence, start), label


def fixed_views(
    clip: SizedClip, image: ImageSpec, sequence: SequenceSpec, count: int
) -> Iterator[Steps]:
    """Yield `count` views of a clip, the same ones each time; the first is the centre window.

    The others begin elsewhere in the clip, are up to 10 % slower or faster (of still images: not),
    and are shifted by up to 6 % of the picture, whose border is repeated.  Averaging the answers is
    the multi-view test of action recognition, with shifts in place of crops (Feichtenhofer et al.
    2019, SlowFast: 10 clips × 3 crops).  Views are spread by a Halton sequence.

    Yields:
        Steps `(time, height, width, channels)` uint8; their number may differ.
    """
    yield centre(clip, image, sequence)
    for index in range(1, count):
        start, right, down, speed = (_halton(index, base) for base in (2, 3, 5, 7))
        shift = (2 * down - 1) * _SHIFT, (2 * right - 1) * _SHIFT
        if not isinstance(sequence, TimedSequence):
            yield cut_steps(_shifted(clip.frames[:1], *shift)[0], image, sequence, start)
            continue
        factor = 1 + (2 * speed - 1) * _SPEED
        rate = None if clip.source_fps is None else clip.source_fps * factor
        times = (clip.times - clip.times[0]) / factor
        end = None if clip.end is None else (clip.end - float(clip.times[0])) / factor
        ticks = select_frames(times, sequence.fps, rate, end)
        first = centre_start(len(ticks), sequence.frames, start)
        yield _shifted(clip.frames[ticks[first : first + sequence.frames]], *shift)


def _halton(index: int, base: int) -> float:
    """Return the `index`-th number of the van der Corput sequence of a base, 0 to 1."""
    value, part = 0.0, 1.0
    while index:
        part /= base
        index, digit = divmod(index, base)
        value += part * digit
    return value


def _shifted(frames: Steps, down: float, right: float) -> Steps:
    """Shift frames `(time, height, width, channels)` by shares of their sides, in whole pixels.

    Vectors stay as they are.
    """
    if frames.ndim == 2:
        return frames
    rows, columns = (
        np.clip(np.arange(size) - round(share * size), 0, size - 1)
        for size, share in zip(frames.shape[1:3], (down, right), strict=True)
    )
    return np.ascontiguousarray(frames[:, rows[:, None], columns])
