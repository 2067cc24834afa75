"""Save the clips most worth labelling, uncertain and rare ones, within a disk budget.

Uncertainty is 1 minus the margin between the two highest smoothed probabilities (margin sampling:
Scheffer, Decomain & Wrobel 2001).  The saved clip is the model's window at that prediction.

    DIR/20261121T130405.123Z_camera_0.mp4
    DIR/collected.csv      clip,label,confidence,reason,time,source,uncertainty

The list on the disk is the only state: a new run continues with it, and a clip that was deleted is
no longer counted.  Clips that `clips.csv` lists as well have been reviewed: they are never removed
and do not count towards the budget.
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
from seqvision_edge.number_parsing import parse_number
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
from seqvision_edge.video_writer import VideoWriter

# From half a margin on a prediction is uncertain; a surer one is saved for a rare label only.
_MIN_UNCERTAINTY = 0.5
_SLACK_SECONDS = 1.0

LIST_NAME = "collected.csv"
COLUMNS = ("clip", "label", "confidence", "reason", "time", "source", "uncertainty")
# The columns of lists written before 0.2.
_FORMER_COLUMNS = {"why": "reason", "doubt": "uncertainty"}
_REVIEWED = "clips.csv"

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class UncertainPrediction:
    """A prediction that is worth a clip."""

    time: float
    label: str
    confidence: float
    uncertainty: float
    captured_at: float | None


class UncertainClips:
    """An outlet that saves the windows of the most useful predictions within a budget."""

    def __init__(
        self, folder: Path, budget: int, sources: Sequence[Source], seconds: float, labels: int
    ) -> None:
        """Collect into `folder`, which is created if its parent exists.

        Args:
            folder: the folder of the clips and their list.
            budget: bytes that the clips may take; one more exists while it is written.
            sources: the sources of the run.
            seconds: length of the model's window.
            labels: number of labels of the model.
        """
        self.name = f"--save-uncertain {folder}"
        self.trouble = ""
        self._collection = Collection(folder, budget)
        self._sources = {source.name: source for source in sources}
        self._seconds, self._labels = seconds, labels
        self._watchers: dict[tuple[str, str], _Watcher] = {}

    def open(self) -> None:
        """Create the folder, or continue with what is in it.  Raises SinkError if that fails."""
        self._collection.open()

    def pick(self, step: Step) -> Iterable[Step]:
        """Return the step if it has a picture."""
        return (step,) if step.frame is not None else ()

    def send(self, step: Step) -> None:
        """Remember the picture, and save a clip when a stretch of predictions is over.

        Raises:
            SinkError: a clip could not be written whole.
        """
        errors = []
        for part in step.parts:
            if part.frame is None:
                continue
            try:
                self._watcher(part.source, part.view).take(part)
            except SinkError as error:
                errors.append(str(error))
        if errors:
            raise SinkError("; ".join(errors))

    def _watcher(self, source: str, view: str) -> "_Watcher":
        key = source, view
        if key not in self._watchers:
            self._watchers[key] = _Watcher(
                self._sources[source], self._collection, self._seconds, self._labels, view
            )
        return self._watchers[key]

    def stop(self) -> None:
        """Do nothing: no call here blocks."""

    def close(self) -> None:
        """Save the best clips of the unfinished stretches.  May raise SinkError."""
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
    """The most useful clips that fit into the budget.

    Usefulness is the uncertainty of the prediction (0 to 1) plus 1 / n, where n is the number of
    saved clips with the same predicted label.
    """

    def __init__(self, folder: Path, budget: int) -> None:
        """`budget` is in bytes."""
        self.folder = folder
        self._budget = budget
        self.kept: Counter[str] = Counter()
        self._held = contextlib.ExitStack()

    def open(self) -> None:
        """Create the folder if its parent exists, and read its list.

        Raises:
            SinkError: the folder cannot be written, or its list is not one of ours.
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
        """Release the folder for other runs."""
        with contextlib.suppress(OSError):
            self._held.close()

    def useful(self, label: str, doubt: float) -> float:
        """Return how useful one more clip would be."""
        return doubt + 1 / (1 + self.kept[label])

    def wants(self, label: str, uncertainty: float) -> bool:
        """Return whether a clip would be kept, as far as is known before its size is."""
        rows = self._unreviewed(self._read())
        sizes = [_size(self.folder / row["clip"]) for row in rows]
        if not rows or sum(sizes) + sum(sizes) / len(sizes) <= self._budget:
            return True
        *others, own = _usefulness_of(
            [*rows, {"clip": "", "label": label, "uncertainty": str(uncertainty)}]
        )
        return own > min(others)

    def add(self, row: Mapping[str, str]) -> bool:
        """Add a clip in the folder to the list, and remove clips until the budget is met.

        Returns:
            Whether the clip is kept: it is itself removed if it is the least useful one.

        Raises:
            SinkError: the list cannot be written; the clip is then removed.
        """
        new = dict(row)
        try:
            listed = self._read()
            gone = self._over_budget([*self._unreviewed(listed), new])
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

    def _over_budget(self, rows: list[Row]) -> list[Row]:
        """Return the least useful rows, one by one, until the others fit."""
        rows = list(rows)
        sizes = {row["clip"]: _size(self.folder / row["clip"]) for row in rows}
        gone: list[Row] = []
        while rows and sum(sizes[row["clip"]] for row in rows) > self._budget:
            worths = _usefulness_of(rows)
            # Of equally useful ones the oldest is removed: newer clips show current conditions.
            gone.append(rows.pop(worths.index(min(worths))))
        return gone

    def _unreviewed(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows that have not been reviewed."""
        path = self.folder / _REVIEWED
        if not path.exists():
            return list(rows)
        with path.open(newline="", encoding="utf-8-sig") as file:
            reviewed = {row.get("path") for row in dict_reader(file)}
        return [row for row in rows if row["clip"] not in reviewed]

    def _read(self) -> list[Row]:
        """Return the rows whose clips exist."""
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
        # Only files directly in the folder can be ours.
        names = {child.name for child in self.folder.iterdir() if child.is_file()}
        return [row for row in rows if row["clip"] in names]

    def _write(self, rows: Sequence[Row]) -> None:
        """Write the list atomically; columns added by others are kept."""
        columns = list(dict.fromkeys((*COLUMNS, *(name for row in rows for name in row))))
        with (
            atomic_write(self.folder / LIST_NAME) as unfinished,
            unfinished.open("w", newline="", encoding="utf-8") as file,
        ):
            write_dicts(file, columns, rows)
        self.kept = Counter(row["label"] for row in rows)


class _Watcher:
    """The predictions of one view of a source: the most useful one of each stretch of one window's
    length.
    """

    def __init__(
        self,
        source: Source,
        collection: Collection,
        seconds: float,
        labels: int,
        view: str = "",
    ) -> None:
        self._name = f"{source.name} {view}" if view else source.name
        self._source = source
        self._collection = collection
        self._seconds = seconds
        self._labels = labels
        self._buffer = FrameBuffer(2 * seconds + _SLACK_SECONDS)
        self._best: UncertainPrediction | None = None
        # Start of the stretch; no clip begins before the previous one has ended.
        self._from = 0.0
        self._now = 0.0

    def take(self, step: Step) -> None:
        assert step.frame is not None
        time = step.frame.time
        if time < self._now:
            self._best, self._from = None, time
        self._now = time
        self._buffer.add(time, jpeg(step.frame.bgr))
        found = uncertain_prediction(step)
        if found is not None and time >= self._from and self._is_useful(found):
            if self._best is None:
                self._from = time
                self._best = found
            elif self._usefulness(found) > self._usefulness(self._best):
                self._best = found
        if self._best is not None and time >= self._from + self._seconds:
            self.finish()

    def finish(self) -> None:
        """Save the best candidate of the stretch, if there is one."""
        best, self._best = self._best, None
        if best is None:
            return
        self._from = max(self._now, best.time + self._seconds)
        if not self._is_useful(best) or not self._collection.wants(best.label, best.uncertainty):
            return
        path = self._write_clip(best)
        if path is not None:
            reason = "uncertain" if best.uncertainty >= _MIN_UNCERTAINTY else "rare"
            at = f"{best.time:.3f}" if best.captured_at is None else utc(best.captured_at)
            row = {
                "clip": path.name,
                "label": best.label,
                "confidence": f"{best.confidence:.4f}",
                "reason": reason,
                "time": at,
                "source": self._name,
                "uncertainty": f"{best.uncertainty:.4f}",
            }
            self._collection.add(row)

    def _write_clip(self, best: UncertainPrediction) -> Path | None:
        """Write the window of a prediction; None if its pictures are no longer remembered."""
        begin = max(0.0, best.time - self._seconds)
        pictures = self._buffer.since(begin, best.time)
        stem = f"{timestamp_name(self._source, begin, self._now)}_{file_part(self._name)}"
        film = VideoWriter(
            free_path(self._collection.folder, stem), "--save-uncertain", self._source.fps
        )
        film.open()
        try:
            ConstantRateWriter(film, self._source.fps).add_all(pictures)
        except BaseException:
            film.discard()
            raise
        return film.path if film.close() else None

    def _usefulness(self, found: UncertainPrediction) -> float:
        return self._collection.useful(found.label, found.uncertainty)

    def _is_useful(self, found: UncertainPrediction) -> bool:
        """Return whether a prediction is uncertain, or its label has fewer clips than average."""
        kept = self._collection.kept
        even = kept.total() / self._labels + 1
        return found.uncertainty >= _MIN_UNCERTAINTY or kept[found.label] < even


def uncertain_prediction(step: Step) -> UncertainPrediction | None:
    """Return the candidate of a step; None if it has no prediction for a full window."""
    answer = step.prediction
    if not step.answered or not step.window_full or answer is None or step.frame is None:
        return None
    shares: Mapping[str, float] = step.smoothed
    if not any(shares.values()):
        # Not known until the smoothing window is full; treated as the most uncertain.
        return UncertainPrediction(
            step.frame.time, answer.label, answer.probability, 1.0, answer.captured_at
        )
    label = max(shares, key=shares.__getitem__)
    best, second = sorted(shares.values(), reverse=True)[:2]
    uncertainty = min(1.0, max(0.0, 1 - (best - second)))
    return UncertainPrediction(step.frame.time, label, best, uncertainty, answer.captured_at)


def _usefulness_of(rows: Sequence[Row]) -> list[float]:
    """Return the usefulness of each clip among the others."""
    counts = Counter(row["label"] for row in rows)
    return [_number(row.get("uncertainty", "")) + 1 / counts[row["label"]] for row in rows]


def _number(text: str) -> float:
    return parse_number(text) or 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
