"""Clips worth labelling next, in a folder with a budget: uncertain and rare ones.

Doubt is 1 less the margin between the two most probable labels of the smoothed answer (margin
sampling: Scheffer, Decomain & Wrobel 2001).  The clip is the window that the answer was for.

    DIR/20261121T130405.123Z_camera_0.mp4
    DIR/collected.csv      clip,label,confidence,reason,time,source,uncertainty

The list on the disk is all that is known: a run goes on with what is there, and a clip that was
taken away is no longer counted.  Clips that `clips.csv` names too were looked at: they belong to
who did that, are never removed and cost nothing of the budget.
"""

import contextlib
import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqvision_edge.csv_cells import dict_reader, write_dicts
from seqvision_edge.errors import SinkError
from seqvision_edge.files import alone_in, atomic_write
from seqvision_edge.frame import Step
from seqvision_edge.numerals import number
from seqvision_edge.sanitize import file_part
from seqvision_edge.sinks.event_clips import (
    ConstantRateWriter,
    FrameBuffer,
    free_path,
    jpeg,
    timestamp_name,
)
from seqvision_edge.sources.factory import Source
from seqvision_edge.types import utc
from seqvision_edge.video_writer import Film

# From half a margin on an answer is doubtful; a surer one is kept for its label only.
_DOUBTFUL = 0.5
_SLACK_SECONDS = 1.0

LIST_NAME = "collected.csv"
COLUMNS = ("clip", "label", "confidence", "reason", "time", "source", "uncertainty")
# As lists of before 0.2 had them.
_FORMER_COLUMNS = {"why": "reason", "doubt": "uncertainty"}
_LOOKED_AT = "clips.csv"

Row = dict[str, str]


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


class Collection:
    """The most useful clips that fit into a budget.

    A clip is the more useful, the more doubtful its answer was (`doubt`, 0 to 1), and the fewer
    there are of the label that the model gave it: one of n adds 1 / n.
    """

    def __init__(self, folder: Path, budget: int) -> None:
        """Describe it; `budget` is in bytes."""
        self.folder = folder
        self._budget = budget
        self.kept: Counter[str] = Counter()
        self._held = contextlib.ExitStack()

    def open(self) -> None:
        """Make the folder where its parent is there, and read its list.

        Raises:
            SinkError: it cannot be written, or its list is none.
        """
        try:
            self.folder.mkdir(exist_ok=True)
            if not self._held.enter_context(alone_in(self.folder)):
                self.close()
                raise SinkError(
                    f"--save-uncertain {self.folder}: in use by another run; name another folder"
                )
            self._write(self._read())
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise SinkError(f"--save-uncertain {self.folder}: cannot be written ({why})") from None

    def close(self) -> None:
        """Let other runs collect into the folder."""
        with contextlib.suppress(OSError):
            self._held.close()

    def useful(self, label: str, doubt: float) -> float:
        """Return how useful one more clip would be."""
        return doubt + 1 / (1 + self.kept[label])

    def wants(self, label: str, uncertainty: float) -> bool:
        """Whether a clip would stay, as far as can be said before its size is known."""
        rows = self._mine(self._read())
        sizes = [_size(self.folder / row["clip"]) for row in rows]
        if not rows or sum(sizes) + sum(sizes) / len(sizes) <= self._budget:
            return True
        *others, own = _worths(
            [*rows, {"clip": "", "label": label, "uncertainty": str(uncertainty)}]
        )
        return own > min(others)

    def add(self, row: Mapping[str, str]) -> bool:
        """Take a clip that lies in the folder into the list, and let go what is too much.

        Returns:
            Whether the clip stays: it is itself removed where it is the least useful one.

        Raises:
            SinkError: the list cannot be written; then the clip goes.
        """
        new = dict(row)
        try:
            listed = self._read()
            gone = self._too_much([*self._mine(listed), new])
            stays = new not in gone
            if stays:
                self._write([each for each in [*listed, new] if each not in gone])
                removed: Sequence[Row] = gone
            else:
                removed = [new]
            for each in removed:
                (self.folder / each["clip"]).unlink(missing_ok=True)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            (self.folder / new["clip"]).unlink(missing_ok=True)
            why = error.strerror if isinstance(error, OSError) else error
            raise SinkError(f"{self.folder / LIST_NAME}: {why}") from None
        return stays

    def _too_much(self, rows: list[Row]) -> list[Row]:
        """Return the least useful rows, one after the other, until the others fit."""
        rows = list(rows)
        sizes = {row["clip"]: _size(self.folder / row["clip"]) for row in rows}
        gone: list[Row] = []
        while rows and sum(sizes[row["clip"]] for row in rows) > self._budget:
            worths = _worths(rows)
            # Of equal ones the oldest goes: the world changes.
            gone.append(rows.pop(worths.index(min(worths))))
        return gone

    def _mine(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows that are not reviewed yet."""
        path = self.folder / _LOOKED_AT
        if not path.exists():
            return list(rows)
        with path.open(newline="", encoding="utf-8-sig") as file:
            looked_at = {row.get("path") for row in dict_reader(file)}
        return [row for row in rows if row["clip"] not in looked_at]

    def _read(self) -> list[Row]:
        """Return the rows whose clips are there."""
        path = self.folder / LIST_NAME
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = dict_reader(file, restval="")
            if not {"clip", "label"} <= set(reader.fieldnames or ()):
                raise csv.Error(f"{LIST_NAME} exists without the columns clip,label")
            rows = [
                {_FORMER_COLUMNS.get(name, name): row[name] for name in row if name}
                for row in reader
            ]
        # Only what lies in the folder itself can be ours.
        names = {child.name for child in self.folder.iterdir() if child.is_file()}
        return [row for row in rows if row["clip"] in names]

    def _write(self, rows: Sequence[Row]) -> None:
        """Write the list in one step; columns that somebody added stay."""
        columns = list(dict.fromkeys((*COLUMNS, *(name for row in rows for name in row))))
        with (
            atomic_write(self.folder / LIST_NAME) as unfinished,
            unfinished.open("w", newline="", encoding="utf-8") as file,
        ):
            write_dicts(file, columns, rows)
        self.kept = Counter(row["label"] for row in rows)


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


def _worths(rows: Sequence[Row]) -> list[float]:
    """Return how useful each clip is among the others."""
    counts = Counter(row["label"] for row in rows)
    return [_number(row.get("uncertainty", "")) + 1 / counts[row["label"]] for row in rows]


def _number(text: str) -> float:
    return number(text) or 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
