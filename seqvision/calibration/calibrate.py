"""`seqvision calibrate`: THE WAY from a model, clips and videos to a card with better settings.

clips → temperature, threshold for unknown → videos, with that temperature → settings of events →
the card, its old settings kept in its notes.
"""

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from seqvision import ready
from seqvision.calibration.clips import FromClips, calibrate_clips
from seqvision.calibration.events import FromTakes, calibrate_takes, check_takes
from seqvision.calibration.models import Model, open_model
from seqvision.calibration.places import CalibrationInputs
from seqvision.calibration.tell import print_clips, print_settings, print_takes
from seqvision.config import CalibrateOptions
from seqvision.console import print_note, print_step
from seqvision.output_files import alone_with
from seqvision_edge.card import Decision, ModelCard

# The key under which the card's metrics tell of it.
FIGURES = "calibration"


def calibrate(options: CalibrateOptions) -> Path:
    """Calibrate a model on clips, on untrimmed videos, or on both; return the file written.

    Raises:
        SeqvisionError: the model, the clips or the videos cannot be used, or another process writes
            the file; nothing is written.
    """
    inputs = ready.validate_calibrate(options)
    output = options.output or options.model
    with alone_with(output):
        return _calibrate(options, inputs, output)


def _calibrate(options: CalibrateOptions, inputs: CalibrationInputs, output: Path) -> Path:
    model = open_model(options.model, options.device, options.batch_size)
    before = model.card.decision
    takes = check_takes(inputs.takes, model.card, options.unknown) if inputs.takes else []
    for video in inputs.unmarked:
        _note(f"{video}: skipped: its truth {video.with_suffix('.json').name} is missing")

    decision = before
    from_clips: FromClips | None = None
    if inputs.clips:
        print_step("asking about the clips")
        from_clips = calibrate_clips(model, inputs.clips, options)
        decision = _with_clips(decision, from_clips, alone=not takes)
        print_clips(from_clips)
        _note_limits(model, bool(takes))
    from_takes: FromTakes | None = None
    if takes:
        print_step(f"watching {len(takes)} untrimmed video{'s' if len(takes) > 1 else ''}")
        rejects = (from_clips.reject.threshold,) if from_clips else ()
        budget = options.max_false_per_hour
        from_takes = calibrate_takes(
            model.live(decision), takes, before, rejects, budget, options.tolerance
        )
        decision = from_takes.decision
        print_takes(from_takes, budget)
    print_settings(before, decision)
    card = calibrated(model.card, decision, from_clips, from_takes, options)
    kept = model.write(card, output)
    if kept is not None:
        _note(f"{output}: the model of another training is kept as {kept}")
    return output


def calibrated(
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


def _note_limits(model: Model, has_takes: bool) -> None:
    """Print notes on settings that clips alone cannot determine."""
    if not model.has_free_temperature:
        _note(
            "the temperature of an exported file is inside its graph and stays; "
            "calibrate the model.pt and export it again"
        )
    if not has_takes and model.card.sequence.kind == "video":
        _note(
            "smoothing, thresholds and lengths of events stay as they are: give untrimmed videos "
            "with their truth to search them"
        )


def _note(text: str) -> None:
    print_note(f"{text}")
