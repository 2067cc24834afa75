"""Notes on clips that are damaged or shorter than the model's window.  No torch."""

from collections.abc import Sequence

from seqvision.data.clips import Clip
from seqvision.data.decode import Decoded
from seqvision_edge.card import SequenceSpec, TimedSequence
from seqvision_edge.sampling import SizedClip as DecodedClip
from seqvision_edge.sampling import select_frames


def incomplete(clips: Sequence[Clip], decoded: Sequence[Decoded]) -> list[str]:
    """Return one line for each clip of which frames are missing."""
    pairs = zip(clips, decoded, strict=True)
    return [f"{clip.name}: {found.incomplete}" for clip, found in pairs if found.incomplete]


def incomplete_note(lines: Sequence[str], total: int) -> str:
    """Return the note about clips of which frames are missing, by their lines."""
    are = "is" if len(lines) == 1 else "are"
    return f"{len(lines)} of {total} clips {are} damaged and read in part, such as {lines[0]}"


def left_out_note(count: int, found: int) -> str:
    """Return the note about clips that cannot be read."""
    are = "is" if count == 1 else "are"
    return f"{count} of {found} clips {are} left out: cannot be read"


def is_short(clip: DecodedClip, sequence: SequenceSpec) -> bool:
    """Return whether a decoded clip does not fill the window; a still image always does."""
    if not isinstance(sequence, TimedSequence):
        return False
    ticks = select_frames(clip.times, sequence.fps, clip.source_fps, clip.end)
    return len(ticks) < sequence.frames


def short_clips(count: int, total: int, sequence: SequenceSpec) -> str:
    """Return a note on the clips that are shorter than the window."""
    assert isinstance(sequence, TimedSequence)
    seconds = sequence.frames / sequence.fps
    are = "is" if count == 1 else "are"
    return (
        f"{count} of {total} clips {are} shorter than the model's window ({seconds:.2g} s): "
        "answered from what there is"
    )
