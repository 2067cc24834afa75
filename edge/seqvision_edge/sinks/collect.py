"""Clips that a person should label next: those that the model doubts, and those it seldom sees.

Doubt is 1 less the margin between the two most probable labels of the smoothed answer (margin
sampling: Scheffer, Decomain & Wrobel 2001).  The clip is the window that the answer was for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqvision_edge.errors import SinkError
from seqvision_edge.names import file_part
from seqvision_edge.result import utc
from seqvision_edge.sinks.collection import Collection
from seqvision_edge.sinks.film import Film
from seqvision_edge.sinks.past import (
    ConstantRateWriter,
    FrameBuffer,
    free_path,
    jpeg,
    timestamp_name,
)
from seqvision_edge.sources import Source
from seqvision_edge.step import Step

# From half a margin on an answer is doubtful; a surer one is kept for its label only.
_DOUBTFUL = 0.5
_SLACK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Moment:
    """An answer that is worth a clip."""

    time: float
    label: str
    confidence: float
    uncertainty: float
    captured_at: float | None


class Doubtful:
    """An outlet that keeps the windows of the most useful answers within a budget."""

    def __init__(
        self, folder: Path, budget: int, sources: Sequence[Source], seconds: float, labels: int
    ) -> None:
        """Collect into `folder`, which is made where its parent is there.

        Args:
            folder: for the clips and their list.
            budget: bytes that the clips may take; one more is there while it is written.
            sources: what runs.
            seconds: how long the model's window is.
            labels: how many labels it knows.
        """
        self.name = f"--save-uncertain {folder}"
        self.trouble = ""
        self._collection = Collection(folder, budget)
        self._watchers = {
            source.name: _Watcher(source, self._collection, seconds, labels) for source in sources
        }

    def open(self) -> None:
        """Make the folder, or go on with what is in it.  Raises SinkError where that cannot be."""
        self._collection.open()

    def pick(self, step: Step) -> Iterable[Step]:
        """Return the step where it has a picture."""
        return (step,) if step.frame is not None else ()

    def send(self, step: Step) -> None:
        """Remember the picture, and keep a clip where a stretch of answers is over.

        Raises:
            SinkError: a clip could not be written whole.
        """
        self._watchers[step.source].take(step)

    def stop(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Keep what the last, unfinished stretches brought.  May raise SinkError."""
        errors = []
        for watcher in self._watchers.values():
            try:
                watcher.finish()
            except SinkError as error:
                errors.append(str(error))
        self._collection.close()
        if errors:
            raise SinkError("; ".join(errors))


class _Watcher:
    """The answers of one source: of each stretch as long as a window the most useful one."""

    def __init__(self, source: Source, collection: Collection, seconds: float, labels: int) -> None:
        self._source = source
        self._collection = collection
        self._seconds = seconds
        self._labels = labels
        self._past = FrameBuffer(2 * seconds + _SLACK_SECONDS)
        self._best: Moment | None = None
        # When the stretch began; no clip begins before the one before it has ended.
        self._from = 0.0
        self._now = 0.0

    def take(self, step: Step) -> None:
        assert step.frame is not None
        time = step.frame.time
        if time < self._now:
            self._best, self._from = None, time
        self._now = time
        self._past.add(time, jpeg(step.frame.bgr))
        found = moment_of(step)
        if found is not None and time >= self._from and self._is_worth(found):
            if self._best is None:
                self._from = time
                self._best = found
            elif self._worth(found) > self._worth(self._best):
                self._best = found
        if self._best is not None and time >= self._from + self._seconds:
            self.finish()

    def finish(self) -> None:
        """Keep the best moment of the stretch, if there is one."""
        best, self._best = self._best, None
        if best is None:
            return
        self._from = max(self._now, best.time + self._seconds)
        if not self._is_worth(best) or not self._collection.wants(best.label, best.uncertainty):
            return
        path = self._film(best)
        if path is not None:
            reason = "uncertain" if best.uncertainty >= _DOUBTFUL else "rare"
            at = f"{best.time:.3f}" if best.captured_at is None else utc(best.captured_at)
            row = {
                "clip": path.name,
                "label": best.label,
                "confidence": f"{best.confidence:.4f}",
                "reason": reason,
                "time": at,
                "source": self._source.name,
                "uncertainty": f"{best.uncertainty:.4f}",
            }
            self._collection.add(row)

    def _film(self, best: Moment) -> Path | None:
        """Write the window of an answer; None where its pictures are no longer there."""
        begin = max(0.0, best.time - self._seconds)
        pictures = self._past.since(begin, best.time)
        stem = f"{timestamp_name(self._source, begin, self._now)}_{file_part(self._source.name)}"
        film = Film(free_path(self._collection.folder, stem), "--save-uncertain", self._source.fps)
        film.open()
        try:
            ConstantRateWriter(film, self._source.fps).add_all(pictures)
        except BaseException:
            film.discard()
            raise
        return film.path if film.close() else None

    def _worth(self, found: Moment) -> float:
        return self._collection.useful(found.label, found.uncertainty)

    def _is_worth(self, found: Moment) -> bool:
        """Whether an answer is doubtful, or of a label with no more than an even share."""
        kept = self._collection.kept
        even = kept.total() / self._labels + 1
        return found.uncertainty >= _DOUBTFUL or kept[found.label] < even


def moment_of(step: Step) -> Moment | None:
    """Return what an answer is worth; None where the step has no answer for a whole window."""
    answer = step.prediction
    if not step.answered or not step.window_full or answer is None or step.frame is None:
        return None
    shares: Mapping[str, float] = step.smoothed
    if not any(shares.values()):
        # Unknown for as long as the smoothing reaches: nothing is doubted more.
        return Moment(step.frame.time, answer.label, answer.probability, 1.0, answer.captured_at)
    label = max(shares, key=shares.__getitem__)
    best, second = sorted(shares.values(), reverse=True)[:2]
    uncertainty = min(1.0, max(0.0, 1 - (best - second)))
    return Moment(step.frame.time, label, best, uncertainty, answer.captured_at)
