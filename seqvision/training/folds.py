"""`seqvision train --folds K`: K trainings, each measured on the groups of one fold; one report.

Every clip is held out once, and neither a clip of its group nor a copy of it trains then.  A fold
is a run folder of its own in the folder of the cross-validation: fold1 to foldK.
"""

import contextlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from seqvision.compat import torchvision as torchvision  # before lightning touches it
from seqvision.config import TrainOptions, data_path, seconds_of, to_yaml
from seqvision.config.resume import FOLDS, last_checkpoint, load_run_options, recorded
from seqvision.console import (
    Remark,
    add_state,
    print_line,
    print_note,
    print_warning,
    progress,
    remarks,
    shell_command,
    silent,
)
from seqvision.data.augment import with_content
from seqvision.data.clip_notes import incomplete
from seqvision.data.clips import background_note
from seqvision.data.datasets import DataSet
from seqvision.errors import CheckpointError, DataError
from seqvision.evaluation import predict_probabilities
from seqvision.metrics import Metrics, metrics_table
from seqvision.models.classifier import Classifier
from seqvision.preflight.shared_checks import MODEL_SUFFIXES
from seqvision.report.contents import FoldRow, ReportContents, SplitResult, make_part
from seqvision.report.folds import Spread, accuracy_lines, accuracy_spread, folds_to_json
from seqvision.report.page import write_page
from seqvision.report.png_plots import draw_confusion
from seqvision.report.run_folder import NAME, write_predictions
from seqvision.signals import Stop, interrupt, stop_of
from seqvision.statistics import no_better_than_chance
from seqvision.training.callbacks import EpochBar
from seqvision.training.data import Data, fingerprint, load_folds
from seqvision.training.fit import fit
from seqvision.training.hardware import check_precision, idle_gpus, pick_device
from seqvision.training.model_io import load_model
from seqvision.training.planner import Planner
from seqvision.training.run_context import model_line, prepare_run
from seqvision.training.train import (
    finish_run,
    hold_run,
    model_in,
    new_run_folder,
    seconds_to_measure,
)
from seqvision_edge.card import ModelCard, TimedSequence
from seqvision_edge.files import write_whole

HELD_OUT = "held out"


@dataclass(frozen=True)
class CrossValidated:
    """What a cross-validation leaves; one that was stopped has only the finished folds.

    Attributes:
        run: its folder.
        folds: the figures of each fold.
        held_out: the figures of all held-out clips together.
        stopped_by: the signal that stopped it.
    """

    run: Path
    folds: tuple[FoldRow, ...]
    held_out: Metrics | None = None
    stopped_by: Stop | None = None

    @property
    def accuracy(self) -> Spread | None:
        """The accuracy over folds; None before all are finished."""
        return None if self.held_out is None else accuracy_spread(self.folds)


def fold_defaults(options: TrainOptions, given: set[str]) -> tuple[TrainOptions, str | None]:
    """Return the options of folds, and a line on what was chosen; given options stay.

    Held-out clips measure a fold, so they must not choose its epoch.
    """
    chosen = {"keep": "last", "patience": 0}
    changed = {
        name: value
        for name, value in chosen.items()
        if name not in given and getattr(options.training, name) != value
    }
    by_choice = "keep" in given and options.training.keep == "best"
    if not changed or by_choice:
        return options, None
    training = options.training.model_copy(update=changed)
    flags = " ".join(f"--{name} {value}" for name, value in changed.items())
    note = f"--folds: chosen, so that held-out clips choose no epoch, unless you give it: {flags}"
    return options.model_copy(update={"training": training}), note


def train_folds(
    options: TrainOptions, data_set: DataSet | None = None, notes: Sequence[str] = ()
) -> CrossValidated:
    """Train and measure every fold, and write one report.

    Args:
        options: validated ones (`seqvision.preflight.validate_train`), with `folds`; with `resume`
            finished folds are kept, and the one that was running goes on.
        data_set: the clips that validation has found; None: they are looked for.
        notes: printed before the work, once nothing is refused any more.

    Raises:
        SeqvisionError: the options, the clips or the weights cannot be used.
    """
    began = time.monotonic()
    options = with_content(options)
    device = pick_device(options.training.device)
    check_precision(options.training.precision, device)
    with remarks() as made, contextlib.ExitStack() as held:
        for text in notes:
            print_note(text)
        hold_run(held, options.resume)
        whole, folds = load_folds(options, data_set)
        for text in (*whole.notes, *idle_gpus(device)):
            print_note(text)
        if folds[0].warnings:
            print_warning(folds[0].warnings[0])
        validation = _CrossValidation(options, whole, folds, device, began, made)
        try:
            out = validation.begin(held)
            stop = validation.train()
            if stop is not None:
                print_line(f"stopped; {validation.what_is_kept()}")
                return CrossValidated(out, (), stopped_by=stop)
            return validation.finish()
        except KeyboardInterrupt as error:
            message = f"stopped; {validation.what_is_kept()}"
            raise interrupt(stop_of(error), message) from None
        except CheckpointError:
            raise  # its message is complete
        except Exception as error:
            add_state(error, validation.what_is_kept())
            raise
        finally:
            held.close()
            validation.remove_empty()


class _CrossValidation:
    """The trainings of all folds, in one folder.

    `finished` are the numbers of the folds that are trained and measured.
    """

    def __init__(
        self,
        options: TrainOptions,
        whole: Data,
        folds: Sequence[Data],
        device: torch.device,
        began: float,
        remarks: list[Remark],
    ) -> None:
        self._remarks = remarks
        self._options = options
        self._whole = whole
        self._folds = folds
        self._out = options.resume or options.runs
        self._device = device
        self._began = began
        self._is_new = False
        self._trained_here = 0
        self._finished: list[int] = []
        self._stopped_after: dict[str, float] = {}

    def begin(self, held: contextlib.ExitStack) -> Path:
        """Make the folder, or find out which folds in it are finished; print what is trained.

        Args:
            held: keeps other processes from the folder until it is closed.

        Returns:
            The folder.

        Raises:
            CheckpointError: the clips are not those of the folds that are finished.
        """
        mark = fingerprint(self._whole.clips, self._whole.decoded)
        if self._options.resume is None:
            self._out = new_run_folder(self._options, f"-{self._options.folds}folds")
            self._is_new = True
            hold_run(held, self._out)
        else:
            kept = self._read_record()
            if kept.get("fingerprint") != mark:
                raise CheckpointError(
                    f"--resume {self._out}: the clips have changed since, and with them the folds; "
                    f"start anew: seqvision train --config {self._out}/options.yaml"
                )
            self._finished = [
                number for number in kept["finished"] if self._model(number).is_file()
            ]
            self._stopped_after = kept["stopped_after"]
        self._mark = mark
        self._write_record()
        self._write("options.yaml", to_yaml(recorded(self._options)))
        lines = [self._sizes(), self._groups(), model_line(self._whole, self._options)]
        is_timed = isinstance(self._whole.sequence, TimedSequence)
        if self._whole.background is not None and is_timed:
            given = self._options.clips.background
            note = background_note(self._whole.labels, self._whole.background, given)
            lines.insert(2, note)
        print_line("\n".join(lines))
        print_line(f"run folder: {self._out}")
        return self._out

    def train(self) -> Stop | None:
        """Train the folds that are not finished; return the signal that stopped it, if any."""
        for number in self._finished:
            print_line(f"fold {number}/{self._options.folds}  finished before")
        for number, data in enumerate(self._folds, 1):
            if number in self._finished:
                continue
            stop = self._train(number, data)
            if stop is not None:
                return stop
            self._finished.append(number)
            self._trained_here += 1
            self._write_record()
        return None

    def _train(self, number: int, data: Data) -> Stop | None:
        began = time.monotonic()
        run, count = self._run(number), self._options.folds
        resume = last_checkpoint(run).is_file()
        options = self._fold_options(number, resume)
        if not resume:
            shutil.rmtree(run, ignore_errors=True)
            self._make(run)
        context = prepare_run(options, self._device, lambda _: data, quiet=True)
        options = context.options
        write_whole(run / "options.yaml", to_yaml(recorded(options)))
        if context.taught is not None and not self._trained_here:
            print_note(context.taught.summary)
            for warning in context.taught.warnings:
                print_warning(f"fold {number}/{count}: {warning}")

        def left(share: float) -> float | None:
            if share <= 0:
                return None
            return (time.monotonic() - began) / share * (1 - share + count - number)

        epochs = options.training.epochs
        bar = EpochBar(f"fold {number}/{count}", epochs, left)
        planner = Planner(options.training, began, partial(seconds_to_measure, context), quiet=True)
        planner.followers.append(
            lambda training: write_whole(
                run / "options.yaml",
                to_yaml(recorded(options.model_copy(update={"training": training}))),
            )
        )
        fitted = fit(
            context, run, resume, shown=bar, afterwards=len(data.split.val), planner=planner
        )
        seconds = self._stopped_after.pop(str(number), 0.0) + time.monotonic() - began
        if fitted.stopped_by is not None:
            self._stopped_after[str(number)] = seconds
            self._write_record()
            return fitted.stopped_by
        options = options.model_copy(update={"training": planner.options})
        context = replace(context, options=options)
        before = len(self._remarks)
        with silent():
            trained = finish_run(context, run, fitted, seconds, published=False)
        del self._remarks[before:]  # they are in the report of the fold
        assert trained.val is not None
        groups = data.groups.parts["val"].groups if data.groups is not None else ()
        of = f" of {len(groups)} group{'s' if len(groups) > 1 else ''}" if groups else ""
        print_line(
            f"fold {number}/{count}  accuracy {trained.val.accuracy:6.1%}  "
            f"{trained.val.clips} clips{of}  {fitted.epochs} epoch"
            f"{'' if fitted.epochs == 1 else 's'}  {seconds:5.1f} s"
        )
        first = not self._trained_here and self._options.training.time is not None
        if first and fitted.epochs == 1 < epochs:
            print_warning(
                f"--time {self._options.training.time}: one epoch of fold {number} takes all of "
                "its share; give more time, or a smaller --size or --frames"
            )
        return None

    def _fold_options(self, number: int, resume: bool) -> TrainOptions:
        """Return the options of one fold's training: those of a training by itself."""
        options, run = self._options, self._run(number)
        clips = options.clips.model_copy(update={"fold": f"{number}/{options.folds}"})
        training = options.training
        if resume:  # what was decided then: epochs that fit, precision
            training = load_run_options(run).training
            training = training.model_copy(update={"device": options.training.device})
        elif training.time is not None:
            budget = max(1.0, self._seconds_left() / (options.folds - len(self._finished)))
            training = training.model_copy(update={"time": f"{budget:.1f}s"})
        changed = {"folds": 0, "resume": None, "clips": clips, "training": training}
        return options.model_copy(update=changed)

    def _seconds_left(self) -> float:
        """Return what is left of --time, for all folds that are not finished."""
        assert self._options.training.time is not None
        before = self._finished[: len(self._finished) - self._trained_here]
        spent = sum(float(self._facts(number)["seconds"]) for number in before)
        spent += sum(self._stopped_after.values())
        return seconds_of(self._options.training.time) - spent - (time.monotonic() - self._began)

    def finish(self) -> CrossValidated:
        """Measure all held-out clips, each by the model of its fold; write and print the results.

        Raises:
            DataError: a file cannot be written.
        """
        options, count = self._options, self._options.folds
        parts, rows = [], []
        with progress("measuring") as advance:
            for number, data in enumerate(self._folds, 1):
                advance(number - 1, count)
                model, card, part = self._measure(number, data)
                parts.append(part)
                rows.append(self._row(number, data, part))
        clips = [clip for part in parts for clip in part.clips]
        held_out = make_part(
            HELD_OUT,
            clips,
            [frames for part in parts for frames in part.decoded],
            torch.cat([part.probabilities for part in parts]),
            card.labels,
        )
        counts = Counter(clip.label for clip in clips)
        doubt = no_better_than_chance(held_out.metrics.accuracy, HELD_OUT, counts)
        if doubt is not None:
            print_warning(doubt)
        origin = card.origin.model_copy(
            update={"options": options.model_dump(mode="json"), "notes": (), "metrics": {}}
        )
        seconds = sum(row.seconds for row in rows)
        groups = self._folds[0].groups
        figures = folds_to_json(rows, held_out, "none" if groups is None else groups.split_by)
        facts = {**self._facts(count), "seconds": round(seconds, 1), "folds": count}
        report = ReportContents(
            title=f"{options.model.encoder_name} + {options.model.head}, "
            f"{len(card.labels)} labels, {count} folds",
            about=f"{data_path(options)}, cross-validation in {self._out}",
            model=model,
            card=card.model_copy(update={"origin": origin}),
            parts=[held_out],
            data=data_path(options),
            counts={HELD_OUT: counts},
            left_out=self._whole.left_out,
            incomplete=incomplete(self._whole.clips, self._whole.decoded),
            remarks=self._remarks,
            facts={
                "run folder": str(self._out),
                "made": card.origin.created,
                "duration": f"{seconds / 60:.0f} min" if seconds > 120 else f"{seconds:.0f} s",
                "seed": str(options.training.seed),
                "data": str(data_path(options)),
                "fingerprint of the data": self._mark,
                "versions": f"seqvision {facts['version']}, torch {facts['torch']}, "
                f"Python {facts['python']}",
                "machine": str(facts["machine"]),
            },
            groups=groups,
            folds=rows,
        )
        page = self._out / "report.html"
        try:
            for name, content in (("metrics.json", figures), ("run.json", facts)):
                write_whole(self._out / name, json.dumps(content, indent=2) + "\n")
            write_predictions(self._out / NAME, parts, card.labels)
            draw_confusion(held_out.metrics, self._out / "confusion_val.png", HELD_OUT)
            write_page(report, page)
        except OSError as error:
            raise DataError(
                f"{self._out}: the results cannot be written ({error.strerror}); resume with: "
                f"{self._resume_command()}"
            ) from None
        title = f"held-out clips of {count} folds"
        lines = f"{held_out.certainty.line()}\n{accuracy_lines(rows)}"
        metrics_table(held_out.metrics, title, lines)
        print_line(f"report: {page}")
        return CrossValidated(self._out, tuple(rows), held_out.metrics)

    def _measure(self, number: int, data: Data) -> tuple[Classifier, ModelCard, SplitResult]:
        """Return the model of a fold and what it answers on the clips that were held out."""
        model, card = load_model(self._model(number))
        indices = data.split.val
        decoded = [data.decoded[i] for i in indices]
        batch = self._options.training.batch_size
        answers = predict_probabilities(model.to(self._device), card, decoded, batch)
        clips = [data.clips[i] for i in indices]
        return model, card, make_part(f"fold{number}", clips, decoded, answers, card.labels)

    def _row(self, number: int, data: Data, part: SplitResult) -> FoldRow:
        run = self._run(number)
        try:
            epoch = int(json.loads((run / "metrics.json").read_text(encoding="utf-8"))["epoch"])
        except (OSError, ValueError, KeyError, TypeError):
            raise CheckpointError(f"{run / 'metrics.json'}: damaged") from None
        groups = data.groups.parts["val"].groups if data.groups is not None else ()
        seconds = float(self._facts(number)["seconds"])
        return FoldRow(number, run, groups, int(part.right.sum()), part.metrics, epoch, seconds)

    def _facts(self, number: int) -> Mapping[str, Any]:
        path = self._run(number) / "run.json"
        try:
            facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            float(facts["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            raise CheckpointError(f"{path}: damaged") from None
        return facts

    def what_is_kept(self) -> str:
        """Return what is finished, and how it goes on."""
        count = len(self._finished)
        begun = any(last_checkpoint(self._run(n)).is_file() for n in range(1, len(self._folds) + 1))
        if not count and not begun:
            return "no epoch was complete, so nothing is kept"
        folds = f"{count} of {self._options.folds} folds {'is' if count == 1 else 'are'} finished"
        return f"{folds} in {self._out}; resume with: {self._resume_command()}"

    def remove_empty(self) -> None:
        """Remove the folder where nothing in it is worth going on with."""
        begun = any(last_checkpoint(self._run(n)).is_file() for n in range(1, len(self._folds) + 1))
        if self._is_new and not begun:
            shutil.rmtree(self._out, ignore_errors=True)

    def _resume_command(self) -> str:
        return shell_command("seqvision", "train", "--resume", self._out)

    def _run(self, number: int) -> Path:
        return self._out / f"fold{number}"

    def _model(self, number: int) -> Path:
        """Return the model file of a fold; --output may have got another format since."""
        run = self._run(number)
        found = (run / f"model{suffix}" for suffix in MODEL_SUFFIXES)
        return next((path for path in found if path.is_file()), model_in(run, self._options.output))

    def _make(self, run: Path) -> None:
        try:
            run.mkdir()
        except OSError as error:
            raise DataError(f"{run}: cannot be made ({error.strerror})") from None

    def _read_record(self) -> dict[str, Any]:
        path = self._out / FOLDS
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            after = {str(n): float(s) for n, s in record["stopped_after"].items()}
            whole = {**record, "finished": [int(n) for n in record["finished"]],
                     "stopped_after": after}  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise CheckpointError(f"{path}: damaged; start anew, without --resume") from None
        return whole

    def _write_record(self) -> None:
        record = {"folds": self._options.folds, "fingerprint": self._mark,
                  "finished": self._finished, "stopped_after": self._stopped_after}  # fmt: skip
        self._write(FOLDS, json.dumps(record) + "\n")

    def _write(self, name: str, text: str) -> None:
        try:
            write_whole(self._out / name, text)
        except OSError as error:
            raise DataError(f"{self._out / name}: cannot be written ({error.strerror})") from None

    def _sizes(self) -> str:
        sizes = sorted(len(data.split.val) for data in self._folds)
        each = str(sizes[0]) if sizes[0] == sizes[-1] else f"{sizes[0]} to {sizes[-1]}"
        return (
            f"{len(self._whole.labels)} labels, {len(self._whole.clips)} clips, "
            f"{len(sizes)} folds of {each} clips"
        )

    def _groups(self) -> str:
        found = self._folds[0].groups
        if found is None or not found.known:
            return "groups: none known; one person or recording may be on both sides of a fold"
        if found.split_by == "none":
            return "groups: not kept apart (--split-by none)"
        names = {group for part in found.parts.values() for group in part.groups}
        return f"groups: {len(names)}, each held out in one fold"
