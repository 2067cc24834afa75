"""What a network costs where it runs: exported, then timed on one thread of this machine."""

import numpy as np

from seqvision.config import ExportOptions
from seqvision.models.classifier import Classifier
from seqvision_edge.card import ModelCard
from seqvision_edge.sequence import VideoSequence
from seqvision_edge.session import Session
from seqvision_export.convert import convert
from seqvision_export.timing import interleaved_timing

# Calls of a few milliseconds: enough of them for some that nobody interrupts.
_SECONDS = 0.3


def live_latency_ms(model: Classifier, card: ModelCard) -> float:
    """Return the milliseconds of one live frame, its window full; of a whole image for stills.

    In fp32, on one thread of the CPU, undisturbed: what else runs here meanwhile is not counted.
    """
    session = Session(convert(model, card, ExportOptions().opset), "cpu", threads=1, trial=False)
    image = card.image
    shape = (card.sequence.window, image.height, image.width, image.channels)
    # What a picture shows does not change what it costs.
    clip = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    if isinstance(card.sequence, VideoSequence):
        stream = session.stream()
        stream.push(clip)
        timing = interleaved_timing({0: lambda: stream.push(clip[:1])}, _SECONDS)[0]
    else:
        timing = interleaved_timing({0: lambda: session.run(clip[None])}, _SECONDS)[0]
    return timing.undisturbed
