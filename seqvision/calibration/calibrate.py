"""`seqvision calibrate`: fit a model's temperature, rejection threshold and event settings.

clips → temperature and rejection threshold → untrimmed videos, with that temperature → event
settings → the card, with its old settings in its notes.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seqvision.calibration.clip_calibration import FEW, FromClips, calibrate_clips
from seqvision.calibration.delay_curve import draw_curve
from seqvision.calibration.event_calibration import FromTakes, calibrate_takes, check_takes
from seqvision.calibration.event_counts import EventCounts
from seqvision.calibration.inference import CalibrationModel, open_model
from seqvision.calibration.inputs import CalibrationInputs, find_inputs
from seqvision.config import CalibrateOptions
from seqvision.console import print_note, print_step, result_console
from seqvision.errors import DataError
from seqvision.output_files import lock_output
from seqvision.preflight.shared_checks import find_for_model
from seqvision_edge.card import Decision, ModelCard, TimedSequence

# The key of its figures in the card's metrics.
FIGURES = "calibration"

Row = tuple[str, str, str]

# Where the budget allows fewer false events than this, a search by them is one by luck.
_ENOUGH_FALSE = 2


def calibrate(options: CalibrateOptions, inputs: CalibrationInputs | None = None) -> Path:
    """Calibrate a model on clips, on untrimmed videos, or on both; return the file written.

    Args:
        options: validated ones (`seqvision.preflight.validate_calibrate`).
        inputs: what validation has found; None: it is looked for.

    Raises:
        SeqvisionError: the model, the clips or the videos cannot be used, or another process writes
            the file; nothing is written.
    """
    inputs = inputs or find_inputs(options.data)
    output = options.output or options.model
    with lock_output(output):
        return _calibrate(options, inputs, output)


def _calibrate(options: CalibrateOptions, inputs: CalibrationInputs, output: Path) -> Path:
    model = open_model(options.model, options.device, options.batch_size)
    before = model.card.decision
    own = [take.of_region(options.region) for take in inputs.takes]
    takes = check_takes(own, model.card, options.unknown) if own else []
    for video in inputs.unmarked:
        _print_note(f"{video}: skipped: its truth {video.with_suffix('.json').name} is missing")

    decision = before
    from_clips: FromClips | None = None
    if inputs.clips:
        print_step("asking about the clips")
        data_sets = inputs.data_sets or tuple(
            find_for_model(path, model.card, unknown=options.unknown, region=options.region)
            for path in inputs.clips
        )
        from_clips = calibrate_clips(model, data_sets, options)
        decision = _with_clips(decision, from_clips, alone=not takes)
        print_clips(from_clips)
        _note_limits(model, bool(takes))
    from_takes: FromTakes | None = None
    if takes:
        print_step(f"watching {len(takes)} untrimmed video{'s' if len(takes) > 1 else ''}")
        rejects = (from_clips.reject.threshold,) if from_clips else ()
        budget = options.max_false_per_hour
        from_takes = calibrate_takes(
            model.live(decision),
            takes,
            before,
            rejects,
            budget,
            options.tolerance,
            options.max_delay,
        )
        decision = from_takes.decision
        print_takes(from_takes, budget)
        print_curve(from_takes, options.max_delay)
    print_settings(before, decision)
    card = calibrated_card(model.card, decision, from_clips, from_takes, options)
    kept = model.write(card, output)
    if options.curve is not None and from_takes is not None:
        _draw(from_takes, options.curve, options.max_false_per_hour)
    if kept is not None:
        _print_note(f"{output}: the model of another training is kept as {kept}")
    return output


def calibrated_card(
    card: ModelCard,
    decision: Decision,
    from_clips: FromClips | None,
    from_takes: FromTakes | None,
    options: CalibrateOptions,
) -> ModelCard:
    """Return the card with new settings, the figures behind them, and the settings before."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    figures: dict[str, Any] = {
        **(from_clips.to_json() if from_clips else {}),
        **(from_takes.to_json() if from_takes else {}),
    }
    if from_takes:
        figures["max_false_per_hour"] = options.max_false_per_hour
        figures["max_delay"] = options.max_delay
    by = ", ".join(map(str, options.data))
    note = f"calibrated {now} by {by}; before: {json.dumps(card.decision.model_dump())}"
    origin = card.origin.model_copy(
        update={
            "metrics": {**card.origin.metrics, FIGURES: figures},
            "notes": (*card.origin.notes, note),
        }
    )
    changed = card.model_copy(update={"decision": decision, "origin": origin})
    # What is written must be read again.
    return ModelCard.from_json(changed.to_json(), "the calibrated card")


def _with_clips(decision: Decision, found: FromClips, alone: bool) -> Decision:
    """Return the settings with the temperature; where nothing else decides, with the threshold too.

    What holds an event must not be called unknown, so the threshold ends where an event does.
    """
    changes: dict[str, float] = {"temperature": found.temperature}
    if alone:
        changes["min_confidence"] = min(found.reject.threshold, decision.off_threshold)
    return Decision.model_validate({**decision.model_dump(), **changes})


def _note_limits(model: CalibrationModel, has_takes: bool) -> None:
    """Print notes on settings that clips alone cannot determine."""
    if not model.has_free_temperature:
        _print_note(
            "the temperature of an exported file is inside its graph and stays; "
            "calibrate the model.pt and export it again"
        )
    if not has_takes and isinstance(model.card.sequence, TimedSequence):
        _print_note(
            "smoothing, thresholds and lengths of events stay as they are: give untrimmed videos "
            "with their truth to search them"
        )


def _print_note(text: str) -> None:
    print_note(f"{text}")


def print_clips(found: FromClips) -> None:
    """Print the calibration on clips."""
    table = _table(found.chosen)
    table.add_row("expected calibration error", *_pair(found.before.error, found.after.error))
    table.add_row("loss", *_pair(found.before.loss, found.after.loss))
    console = result_console()
    console.print(table)
    reject = found.reject
    summary = "no clip was misclassified" if reject.refused is None else (
        f"rejects {reject.refused:.0%} of {reject.unknown} predictions for unknown clips"
    )  # fmt: skip
    line = (
        f"unknown below {reject.threshold:g}: "
        f"keeps {reject.kept:.0%} of correct predictions, {summary}"
    )
    console.print(f"{line} ({reject.how})", soft_wrap=not console.is_terminal)
    if found.clips < FEW:
        _note(console, f"{found.clips} clips are few: figures and settings may be luck")


def print_takes(found: FromTakes, budget: float) -> None:
    """Print the event metrics on untrimmed videos."""
    count = "one video" if found.takes == 1 else f"{found.takes} videos"
    minutes = found.before.seconds / 60
    table = _table(f"{count}, {minutes:.1f} minutes, {found.true} events")
    table.add_column("on videos not searched", justify="right")
    others = found.held_out
    columns = [_events(each) for each in (found.before, found.after, others or found.after)]
    for (name, *cells), (_, after), (_, left) in zip(*columns, strict=True):
        table.add_row(name, *cells, after, left if others else "?")
    console = result_console()
    console.print(table)
    if others is None:
        _note(console, "only one video: the figures after are those of the very video that was "
              "searched, and optimistic; give more videos")  # fmt: skip
    if 0 < budget * minutes < 60 * _ENOUGH_FALSE:
        _note(console, f"in {minutes:.1f} minutes one false event is {60 / minutes:.0f} per hour "
              "already, and is avoided at the cost of true ones; give "
              f"{60 * _ENOUGH_FALSE / budget:.0f} minutes or more")  # fmt: skip
    after = found.after
    if not after.is_within(budget):
        _note(console, f"no settings keep within {budget:g} false per hour; these come nearest")
    elif not after.false:
        _note(console, f"no false event in {minutes:.1f} minutes shows only: fewer than "
              f"{after.false_rate_upper_bound:.0f} per hour, 95 % sure")  # fmt: skip


def print_curve(found: FromTakes, max_delay: float | None) -> None:
    """Print how early events can be reported, and what that costs."""
    table = Table(title="earlier reports", title_justify="left")
    for name in ("--early", "after the end, s", "after the start, s", "F1", "false per hour",
                 "changed if perturbed"):  # fmt: skip
        table.add_column(name, justify="right")
    for point in found.curve:
        figures, early = point.figures, point.decision.early
        table.add_row(
            "off" if early is None else f"{early:g}",
            _seconds(figures.delay_after_end),
            _seconds(figures.delay),
            f"{figures.f1:.3f}",
            f"{figures.false_per_hour:.0f}",
            f"{point.changed:.1%}",
            style="bold" if point is found.chosen else "",
        )
    console = result_console()
    console.print(table)
    late = found.after.delay_after_end
    if max_delay is not None and late is not None and late > max_delay:
        _note(console, f"no settings report events within --max-delay {max_delay:g} s and the "
              "budget of false events; these come nearest")  # fmt: skip


def _draw(found: FromTakes, path: Path, budget: float) -> None:
    try:
        draw_curve(found.curve, found.chosen, budget, path)
    except OSError as error:
        raise DataError(f"--curve {path}: cannot be written ({error.strerror})") from None
    _print_note(f"{path}: how early events can be reported; numbers in {path.stem}.json")


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def print_settings(before: Decision, after: Decision) -> None:
    """Print each setting that changed."""
    table = _table("settings")
    old, new = before.model_dump(), after.model_dump()
    for name, value in old.items():
        if value != new[name]:
            table.add_row(name, _format(value), _format(new[name]))
    if table.row_count:
        result_console().print(table)
    else:
        result_console().print("the settings stay as they are")


def _table(title: str) -> Table:
    table = Table(title=escape(title), title_justify="left")
    table.add_column("")
    table.add_column("before", justify="right")
    table.add_column("after", justify="right")
    return table


def _pair(before: float, after: float) -> tuple[str, str]:
    return f"{before:.3f}", f"{after:.3f}"


def _events(figures: EventCounts) -> Iterator[tuple[str, str]]:
    yield "F1", f"{figures.f1:.3f}"
    yield "precision", f"{figures.precision:.3f}"
    yield "recall", f"{figures.recall:.3f}"
    yield "false per hour", f"{figures.false_per_hour:.0f}"
    yield "detection delay, s (median)", _seconds(figures.delay)
    yield "… after the end of a gesture", _seconds(figures.delay_after_end)


def _format(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else escape(str(value))


def _note(console: Console, text: str) -> None:
    console.print(f"[yellow]note:[/] {escape(text)}", soft_wrap=not console.is_terminal)
