"""Clips that are shorter than the window of a model.  No torch."""

from seqvision_edge.clip import Clip
from seqvision_edge.sampler import choose
from seqvision_edge.sequence import SequenceSpec, VideoSequence


def is_short(clip: Clip, sequence: SequenceSpec) -> bool:
    """Return whether a decoded clip does not fill the window; a still image always does."""
    if not isinstance(sequence, VideoSequence):
        return False
    ticks = choose(clip.times, sequence.fps, clip.source_fps, clip.end)
    return len(ticks) < sequence.frames


def short_clips(count: int, total: int, sequence: SequenceSpec) -> str:
    """Return a note on the clips that are shorter than the window."""
    assert isinstance(sequence, VideoSequence)
    seconds = sequence.frames / sequence.fps
    are = "is" if count == 1 else "are"
    return (
        f"{count} of {total} clips {are} shorter than the model's window ({seconds:.2g} s): "
        "answered from what there is"
    )
