"""One clip as a model sees it: the centre window, or a varied one.  No torch."""

import numpy as np
from numpy.typing import NDArray

from seqvision.data.augment import Augmenter
from seqvision.data.decode import Decoded
from seqvision_edge.card import ImageSpec, SequenceSpec, VideoSequence
from seqvision_edge.sampling import centre
from seqvision_edge.still_images import cut_steps


def view(
    clip: Decoded,
    label: int,
    image: ImageSpec,
    sequence: SequenceSpec,
    augmenter: Augmenter | None = None,
    draw: tuple[int, int] = (0, 0),
) -> tuple[NDArray[np.uint8], int]:
    """Return the steps `(time, height, width, channels)` of a clip, and its label.

    Args:
        clip: decoded.
        label: a mirror may exchange it for another.
        image, sequence: what a step is, and how many there are.
        augmenter: varies it; without one, it is the centre window.
        draw: seed and epoch; what is drawn depends on them and on the clip alone.
    """
    if augmenter is None:
        return centre(clip, image, sequence), label
    generator = np.random.default_rng((*draw, int(clip.key, 16)))
    if isinstance(sequence, VideoSequence):
        chosen, label = augmenter.choose(
            clip.times, sequence.fps, sequence.frames, label, generator, clip.source_fps, clip.end
        )
        seed = int(generator.integers(2**31))
        return augmenter(clip.frames[chosen], label, seed)
    start, seed = generator.random(), int(generator.integers(2**31))
    # A still image is varied as a whole: a row has no geometry of its own.
    whole, label = augmenter(clip.frames[:1], label, seed)
    return cut_steps(whole[0], image, sequence, start), label
