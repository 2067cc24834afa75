"""The frames of a clip that is a part of a video, found in one pass: those that `segment` takes.

A part has the frames from the one nearest to its start up to, but without, the one nearest to its
end; at least one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from seqvision.data.clips import Clip, Cut
from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame
from seqvision_edge.regions import cropped
from seqvision_edge.sources.factory import open_path


class Cutter:
    """Assigns each frame of a video, in order, to the parts that it belongs to.

    Which frame is nearest to a moment is known only with the next one: `take` answers for the frame
    before.
    """

    def __init__(self, cuts: Sequence[Cut]) -> None:
        """Take the parts; they may overlap."""
        self._cuts = cuts
        self._taken = [0] * len(cuts)
        self._before: float | None = None
        self._first = 0.0
        self._number = -1

    def take(self, time: float) -> list[int]:
        """Return the parts that the frame before this one is in, this one being at `time`."""
        before, self._before = self._before, time
        self._number += 1
        if before is None:
            self._first = time
            return []
        return self._of(self._number - 1, (before + time) / 2)

    def end(self) -> list[int]:
        """Return the parts that the last frame is in."""
        if self._before is None:
            return []
        period = (self._before - self._first) / max(1, self._number)
        # A part that begins while the last frame is shown has that frame.
        return self._of(self._number, self._before + period / 2, until=self._before + period)

    @property
    def is_over(self) -> bool:
        """Whether no frame after this one can be in any part."""
        return all(
            taken and cut.end is not None and self._passed(cut)
            for cut, taken in zip(self._cuts, self._taken, strict=True)
        )

    def _passed(self, cut: Cut) -> bool:
        now = self._number if cut.in_frames else self._before
        return now is not None and cut.end is not None and now > cut.end

    def _of(self, number: int, middle: float, until: float = 0.0) -> list[int]:
        chosen = []
        for index, cut in enumerate(self._cuts):
            if cut.in_frames:
                begins = cut.start <= number
                ends = cut.end is not None and cut.end <= number
            else:
                begins = cut.start <= max(middle, until)
                ends = cut.end is not None and cut.end <= middle
            if begins and (not ends or not self._taken[index]):
                self._taken[index] += 1
                chosen.append(index)
        return chosen

    def empty(self) -> list[int]:
        """Return the parts that no frame is in, after the last one."""
        return [index for index, taken in enumerate(self._taken) if not taken]

    def why_empty(self, index: int, path: object) -> str:
        """Return why a part has no frame."""
        cut, last = self._cuts[index], self._before or 0.0
        period = (last - self._first) / max(1, self._number)
        length = f"{self._number + 1} frames, {last - self._first + period:.2f} s"
        unit = "frame " if cut.in_frames else ""
        after = "" if cut.in_frames else " s"
        hint = ""
        if not cut.in_frames and cut.start <= self._number and cut.start == int(cut.start):
            hint = "; are these numbers of frames? call the columns start_frame,end_frame"
        return (
            f"{cut.where or path}: begins at {unit}{cut.start:g}{after}, after the end of "
            f"{path} ({length}){hint}"
        )

    def why_short(self, index: int) -> str | None:
        """Return a line where a part ends after the video; None where it does not."""
        cut = self._cuts[index]
        if cut.end is None or self._before is None:
            return None
        period = (self._before - self._first) / max(1, self._number)
        if cut.in_frames:
            count = self._number + 1
            return (
                f"the video ends at frame {count}, before {cut.end:g}" if cut.end > count else None
            )
        length = self._before - self._first + period
        # A time that was written down is rounded.
        if cut.end <= length + max(2 * period, 0.1):
            return None
        return f"the video ends at {length:.2f} s, before {cut.end:g} s"


def clip_frames(clip: Clip, image_fps: float) -> Iterator[Frame]:
    """Yield the frames of a clip at their full size, one that is a part of a video from time 0.

    Raises:
        SourceError: it cannot be read, or the part is not in the video.
    """
    with open_path(clip.path, clip.fps or image_fps) as source:
        frames = cropped(source, clip.region, source.name)
        if clip.cut is None:
            yield from frames
            return
        cutter = Cutter([clip.cut])
        start: float | None = None
        for frame in _chosen(cutter, frames):
            start = frame.time if start is None else start
            yield replace(frame, time=frame.time - start)
        if cutter.empty():
            raise SourceError(cutter.why_empty(0, clip.path))


def _chosen(cutter: Cutter, source: Iterable[Frame]) -> Iterator[Frame]:
    before: Frame | None = None
    for frame in source:
        if cutter.take(frame.time) and before is not None:
            yield before
        if cutter.is_over:
            return
        before = frame
    if cutter.end() and before is not None:
        yield before
