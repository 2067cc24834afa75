"""Earlier reports: a curve of delay, F1 and false events, and the settings chosen from it."""

import json
from dataclasses import replace
from pathlib import Path

import colour_model
import numpy as np
import pytest

from seqvision.calibration.delay_curve import CurvePoint, choose, draw_curve, trace_curve
from seqvision.calibration.event_counts import EventCounts
from seqvision.calibration.event_search import Trials, make_decision_grid, search
from seqvision.calibration.inference import TakePredictions
from seqvision.cli import main
from seqvision_edge.card import Decision, VideoSequence
from seqvision_edge.event_metrics import TrueEvent
from seqvision_edge.runner import run
from seqvision_edge.session import Session
from seqvision_edge.sinks.console import EventList
from seqvision_edge.sources.factory import open_path

SETTINGS = Decision.model_validate(colour_model.card_data()["decision"]).model_copy(
    update={"background": "none"}
)
SEQUENCE = VideoSequence(kind="video", fps=10.0, frames=16)


def lingering(seed: int, surge: float = 0.0) -> TakePredictions:
    """A minute at 10 fps: gestures of a second, which stay in the window for another second.

    Between them the label surges, for a third of a second.
    """
    generator = np.random.default_rng(seed)
    wave = np.full(600, 0.03)
    truth = []
    for start in range(40, 560, 60):
        wave[start : start + 10] = np.linspace(0.1, 0.97, 10)
        wave[start + 10 : start + 20] = 0.97
        truth.append(TrueEvent(label="wave", start=start / 10, end=start / 10 + 1))
        wave[start + 40 : start + 43] = max(surge, 0.03)
    wave = np.clip(wave + generator.normal(size=600) * 0.01, 0.001, 0.999)
    answers = tuple((n / 10, np.array([p, 1 - p])) for n, p in enumerate(wave))
    return TakePredictions(f"take {seed}", answers, tuple(truth), 60.0)


def trials_of(*recorded: TakePredictions) -> Trials:
    grid = make_decision_grid(SETTINGS, SEQUENCE, 2, (0.0,))
    return Trials(recorded, ("wave", "none"), 0.0, 0.5, grid)


def curve_of(trials: Trials, budget: float = 0.0) -> list[CurvePoint]:
    takes = range(len(trials.recordings))
    return trace_curve(trials, takes, search(trials, takes, budget).decision, budget)


def test_events_are_reported_before_their_end_where_that_costs_nothing() -> None:
    trials = trials_of(lingering(1), lingering(2))
    curve = curve_of(trials)
    latest, chosen = curve[0], choose(curve, 0.0)
    assert latest.decision.early is None
    assert latest.figures.delay_after_end == pytest.approx(1.05, abs=0.25)
    assert chosen.decision.early is not None
    assert chosen.figures.delay_after_end is not None
    assert chosen.figures.delay_after_end < 0.1
    assert (chosen.figures.f1, chosen.figures.false) == (1.0, 0)
    unseen = trials_of(*(lingering(seed) for seed in range(10, 14)))
    others = unseen.of(chosen.decision, range(4))
    assert (others.f1, others.false) == (1.0, 0)


def test_what_is_false_early_is_reported_later_unless_a_delay_is_demanded() -> None:
    trials = trials_of(lingering(1, surge=0.96), lingering(2, surge=0.96))
    curve = curve_of(trials, budget=1e6)
    patient = choose(curve, 0.0)
    assert patient.figures.false == 0
    assert patient.figures.f1 == 1.0
    prompt = choose(curve, 1e6, max_delay=0.1)
    assert prompt.figures.delay_after_end is not None
    assert prompt.figures.delay_after_end <= 0.1


def point(
    early: float | None, late: float, right: int, false: int, changed: float = 0.0
) -> CurvePoint:
    counts = EventCounts(right, 100 - right, false, 3600.0, (late + 1,), (late,))
    decision = SETTINGS.model_copy(update={"early": early})
    return CurvePoint(decision, counts, changed)


def test_of_points_that_are_as_good_the_earliest_within_both_limits_is_chosen() -> None:
    curve = [
        point(None, 1.0, 98, 2), point(0.95, 0.5, 98, 3), point(0.9, 0.2, 97, 4),
        point(0.8, 0.0, 97, 30), point(0.7, -0.2, 80, 60),
    ]  # fmt: skip
    assert choose(curve, 5.0).decision.early == 0.9
    assert choose(curve, 3.0).decision.early == 0.95
    assert choose(curve, 100.0, max_delay=0.1).decision.early == 0.8
    assert choose(curve, 5.0, max_delay=0.4).decision.early == 0.9
    assert choose(curve, 5.0, max_delay=0.1).decision.early == 0.9, "the nearest one"
    assert choose(curve, 100.0, max_delay=-0.5).decision.early == 0.7
    nothing_within = [point(None, 1.0, 98, 9), point(0.9, 0.2, 99, 30)]
    assert choose(nothing_within, 5.0).decision.early is None


def test_settings_on_an_edge_are_avoided() -> None:
    curve = [point(None, 1.0, 98, 2), point(0.9, 0.2, 99, 0, changed=0.1)]
    assert choose(curve, 5.0).decision.early is None
    steady = [point(None, 1.0, 98, 2), point(0.9, 0.2, 97, 0, changed=0.0)]
    assert choose(steady, 5.0).decision.early == 0.9


def test_a_point_that_another_processor_would_change_shows_it() -> None:
    # Half of the gestures end a thousandth above the only threshold, and half below.
    trials = trials_of(lingering(1))
    answers = [(time, None if p is None else np.where(p > 0.9, 0.9, p))
               for time, p in trials.recordings[0].answers]  # fmt: skip
    edge = replace(trials.recordings[0], answers=tuple(
        (time, None if p is None else np.array([p[0], 1 - p[0]])) for time, p in answers
    ))  # fmt: skip
    on_edge = SETTINGS.model_copy(
        update={"smoothing": "none", "on_threshold": 0.9, "off_threshold": 0.9,
                "minimum_seconds": 0.7, "cooldown_seconds": 0.0}
    )  # fmt: skip
    beside = on_edge.model_copy(update={"on_threshold": 0.7, "off_threshold": 0.3})
    found = trials_of(edge)
    changed = [trace_curve(found, [0], decision, 1e6)[0].changed for decision in (on_edge, beside)]
    assert changed[0] > 0.3
    assert changed[1] == 0.0


def test_chosen_settings_answer_alike_where_probabilities_differ_by_a_thousandth() -> None:
    takes = [lingering(seed, surge=0.6) for seed in range(4)]
    chosen = choose(curve_of(trials_of(*takes[:2])), 0.0).decision
    for take in takes:
        events = take.events(chosen, ("wave", "none"), 0.0)
        for seed in range(5):
            other = take.perturbed(0.004, seed)
            assert 0 < max(
                float(np.abs(one - two).max())
                for (_, one), (_, two) in zip(take.answers, other.answers, strict=True)
                if one is not None and two is not None
            ) < 0.01  # fmt: skip
            again = other.events(chosen, ("wave", "none"), 0.0)
            assert [each.label for each in again] == [each.label for each in events]
            for one, two in zip(events, again, strict=True):
                assert two.reported_at == pytest.approx(one.reported_at, abs=0.21)


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_curve_is_drawn_with_its_numbers_beside(tmp_path: Path, suffix: str) -> None:
    curve = [point(None, 1.0, 98, 2), point(0.9, 0.2, 97, 4), point(0.8, 0.0, 97, 30)]
    contents = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}{suffix}"
        draw_curve(curve, curve[1], 5.0, path)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    assert contents[0].startswith(b"<?xml" if suffix == ".svg" else b"\x89PNG")
    numbers = json.loads((tmp_path / "one.json").read_text())
    assert numbers["chosen"] == numbers["curve"][1]
    assert [each["early"] for each in numbers["curve"]] == [None, 0.9, 0.8]
    assert {"f1", "false_per_hour", "detection_delay", "delay_after_end",
            "changed_if_perturbed"} <= numbers["chosen"].keys()  # fmt: skip
    assert sorted(path.suffix for path in tmp_path.iterdir()) == sorted([suffix, ".json"] * 2)


def test_a_run_reports_as_early_as_calibrate_has_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.onnx").write_bytes(colour_model.model_bytes())
    scenes = [("none", 2.0), ("red", 1.5), ("none", 1.5), ("green", 1.5), ("none", 1.5),
              ("blue", 1.5), ("none", 2.0)]  # fmt: skip
    colour_model.write_video(tmp_path / "take.mp4", scenes)
    events = [{"label": "red", "start": 2, "end": 3.5}, {"label": "green", "start": 5, "end": 6.5},
              {"label": "blue", "start": 8, "end": 9.5}]  # fmt: skip
    Path("take.json").write_text(json.dumps({"events": events}))
    arguments = ["calibrate", "model.onnx", "take.mp4", "--output", "early.onnx"]
    assert main([*arguments, "--curve", "curve.svg", "--max-delay", "-0.2"]) == 0
    out, err = capsys.readouterr()
    assert "earlier reports" in out
    assert "after the end" in out
    assert "curve.svg: how early events can be reported; numbers in curve.json" in err
    session = Session(Path("early.onnx"))
    early = session.card.decision.early
    assert early is not None
    figures = session.card.origin.metrics["calibration"]
    assert isinstance(figures, dict)
    assert json.loads(Path("curve.json").read_text())["curve"] == figures["curve"]
    recorded = EventList()
    run([open_path(Path("take.mp4"))], session, [recorded])
    assert [event.label for event in recorded.events] == ["red", "green", "blue"]
    for event, true in zip(recorded.events, events, strict=True):
        assert event.reported_at < float(str(true["end"])) - 0.2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("a.mp4 --curve curve.pdf", "--curve curve.pdf: must end in .svg or .png"),
        ("a.mp4 --curve a.svg", "--curve a.svg: its numbers would replace the truth a.json"),
        ("a.mp4 --curve no/c.svg", "there is no folder no"),
        ("a.mp4 --max-delay soon", "--max-delay"),
        ("a.mp4 --max-delay nan", "--max-delay"),
    ],
)
def test_a_curve_that_cannot_be_drawn_is_one_line(
    arguments: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("model.onnx").write_bytes(colour_model.model_bytes())
    colour_model.write_video(tmp_path / "a.mp4", [("red", 1.0)])
    Path("a.json").write_text('{"events": [{"label": "red", "start": 0, "end": 1}]}')
    before = sorted(tmp_path.iterdir())
    assert main(["calibrate", "model.onnx", *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert sorted(tmp_path.iterdir()) == before
