"""What the functions of the Python API return, and the bar that they can show."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqvision.metrics import Metrics


@dataclass(frozen=True)
class Run:
    """What a training leaves.

    Attributes:
        model: the model file, of the epoch that was kept.
        folder: the run folder: options, checkpoints, logs, curves, metrics, report.
        report: the report, a page; None after a training that was stopped.
        metrics: figures of the validation clips (`val`) and, where there are some, of the test
            clips (`test`); empty after a training that was stopped.
        epoch: the epoch that was kept, from 1; 0 where several students were trained.
        stopped: whether Ctrl-C or SIGTERM ended it; `train(resume=run.folder)` resumes.
    """

    model: Path
    folder: Path
    report: Path | None
    metrics: Mapping[str, "Metrics"]
    epoch: int
    stopped: bool

    def __repr__(self) -> str:
        figures = "".join(
            f", {part} accuracy {metrics.accuracy:.1%}" for part, metrics in self.metrics.items()
        )
        return f"Run({str(self.model)!r}, epoch {self.epoch}{figures}, folder={str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """Show the figures, and the curves of the training, in a notebook."""
        from seqvision.report.notebook import curves_image, metrics_tables

        return metrics_tables(self.metrics) + curves_image(self.folder / "curves.png")


@dataclass(frozen=True)
class CrossValidation:
    """What the trainings of K folds leave: every clip held out once.

    Attributes:
        folder: its folder: options, report, metrics, answers, and a run folder for each fold.
        report: the report, a page; None after one that was stopped.
        folds: the training of each fold, with the figures of its held-out clips under `val`.
        accuracy: mean accuracy over folds; NaN after one that was stopped.
        std: standard deviation of the accuracy over folds.
        interval: 95 % interval of the mean over folds, both ends included; None where all folds are
            alike.
        metrics: figures of all held-out clips together; None after one that was stopped.
        stopped: whether Ctrl-C or SIGTERM ended it; `train(resume=folder)` goes on.
    """

    folder: Path
    report: Path | None
    folds: tuple[Run, ...]
    accuracy: float
    std: float
    interval: tuple[float, float] | None
    metrics: "Metrics | None"
    stopped: bool

    def __repr__(self) -> str:
        if self.metrics is None:
            return f"CrossValidation(stopped, folder={str(self.folder)!r})"
        reach = ""
        if self.interval is not None:
            reach = f", 95% over folds {self.interval[0]:.1%} to {self.interval[1]:.1%}"
        return (
            f"CrossValidation({len(self.folds)} folds, accuracy {self.accuracy:.1%} ± "
            f"{100 * self.std:.1f} points{reach}, folder={str(self.folder)!r})"
        )

    def _repr_html_(self) -> str:
        """Show the figures of all held-out clips in a notebook."""
        from seqvision.report.notebook import metrics_tables

        return metrics_tables({} if self.metrics is None else {"held out": self.metrics})


@dataclass(frozen=True)
class Search:
    """What a search for options leaves; `run` is None where no trial was complete.

    Attributes:
        study: its name.
        folder: its folder: the study, the table of trials, the plot.
        run: the best trial's training.
        options: the options of the best trial that were searched, by their names.
        value: the figure that was raised, of the best trial.
        trials: how many were complete.
    """

    study: str
    folder: Path
    run: Run | None
    options: Mapping[str, Any]
    value: float | None
    trials: int


@dataclass(frozen=True)
class ClipPrediction:
    """What is in a clip.

    Attributes:
        path: of the clip, and which part of that file it is.
        label: the most probable label.
        probability: its probability, 0 to 1.
        probabilities: those of every label, in the order of the model's labels.
        unsure: whether `probability` is below the threshold that the model was calibrated with.
    """

    path: str
    label: str
    probability: float
    probabilities: Mapping[str, float]
    unsure: bool


@dataclass(frozen=True)
class Predictions(Sequence[ClipPrediction]):
    """What is in some clips, in their order; `damaged` has a line for each that is not whole."""

    clips: tuple[ClipPrediction, ...]
    damaged: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: Any) -> Any:
        return self.clips[index]

    def __iter__(self) -> Iterator[ClipPrediction]:
        return iter(self.clips)

    def _repr_html_(self) -> str:
        from seqvision.report.notebook import predictions_table

        rows = [(each.path, each.label, each.probability, each.unsure) for each in self.clips]
        return predictions_table(rows, self.damaged)


class TqdmBar:
    """A bar of tqdm, which a notebook shows as its own."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._done = 0.0

    def __enter__(self) -> "TqdmBar":
        return self

    def update(self, what: str, done: float, total: float | None) -> None:
        """Show how much is done; another total or a new beginning is another bar."""
        from tqdm.auto import tqdm

        if self._bar is None or self._bar.total != total or done < self._done:
            self._close()
            form = "{desc}: {percentage:3.0f}% |{bar}| {elapsed} < {remaining}"
            self._bar = tqdm(total=total, bar_format=form if total else None, leave=False)
        self._bar.set_description(what, refresh=False)
        self._bar.update(done - self._done)
        self._done = done

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar, self._done = None, 0.0

    def __exit__(self, *_: object) -> None:
        self._close()
