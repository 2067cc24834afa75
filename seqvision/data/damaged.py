"""Clips that cannot be read, or only in part, as notes and reports name them.  No torch."""

from collections.abc import Sequence

from seqvision.data.clips import Clip
from seqvision.data.decode import Decoded


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
