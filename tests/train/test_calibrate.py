"""`seqvision calibrate`: what it finds holds for other clips and videos, and nothing is lost."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import colour_model
import numpy as np
import pytest
import torch
from conftest import square_clip, write_video
from numpy.typing import NDArray
from trainings import options, train, weights

from seqvision.calibration.calibrate import calibrate
from seqvision.calibration.clip_calibration import choose_clips
from seqvision.calibration.event_counts import EventCounts
from seqvision.calibration.event_search import (
    Point,
    Replay,
    Trials,
    cross_validate,
    make_decision_grid,
    search,
)
from seqvision.calibration.inference import TakePredictions, TrainedSession, record_predictions
from seqvision.calibration.inputs import TruthVideo, find_inputs
from seqvision.calibration.temperature import (
    UNKNOWN,
    find_reject,
    fit_temperature,
    held_out,
    probable,
)
from seqvision.cli import main
from seqvision.config import CalibrateOptions
from seqvision.data.cache import Cache
from seqvision.data.datasets import find_data_set
from seqvision.data.decode import Store, decode_all
from seqvision.errors import DataError
from seqvision.evaluation import predict_windows
from seqvision.training.model_io import load_model, write_card
from seqvision.training.train import Trained
from seqvision_edge.card import Decision, VideoSequence
from seqvision_edge.event_metrics import TrueEvent
from seqvision_edge.events import window_lag
from seqvision_edge.runner import run
from seqvision_edge.session import Session
from seqvision_edge.sinks.console import EventList
from seqvision_edge.sources.factory import open_path

DIRECTIONS = {"left": -1, "right": 1}
SETTINGS = Decision.model_validate(colour_model.card_data()["decision"])


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Squares that move as fast as those of the takes, and squares that rest."""
    folder = tmp_path_factory.mktemp("clips")
    for label, direction in (*DIRECTIONS.items(), ("none", 0)):
        for number in range(12):
            clip = square_clip(direction, 7000 + 50 * number + len(label), 10)
            write_video(folder / label / f"{label}{number}.mp4", clip)
    return folder


@pytest.fixture(scope="module")
def trained(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model that tells left, right and none apart."""
    folder = tmp_path_factory.mktemp("to calibrate")
    return train(options(clips, folder, epochs=30, model={"hidden": 32}))


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos in which squares move and rest, with their truth."""
    folder = tmp_path_factory.mktemp("takes")
    for number in range(2):
        write_take(folder / f"take{number}.mp4", seed=number)
    return folder


def write_take(path: Path, seed: int, fps: float = 10.0) -> None:
    """Write about 20 seconds: a square rests, moves, rests, moves …"""
    parts: list[NDArray[np.uint8]] = []
    events = []
    for number, label in enumerate(("left", "right", "right", "left", "right", "left")):
        parts.append(square_clip(0, 1000 * seed + number, 22))
        start = sum(map(len, parts)) / fps
        parts.append(square_clip(DIRECTIONS[label], 1000 * seed + 500 + number, 10))
        events.append({"label": label, "start": start, "end": start + 1})
    parts.append(square_clip(0, 1000 * seed + 900, 22))
    write_video(path, np.concatenate(parts), fps)
    path.with_suffix(".json").write_text(json.dumps({"events": events}))


def copied(trained: Trained, folder: Path) -> Path:
    return Path(shutil.copy(trained.model, folder / "model.pt"))


def test_a_temperature_corrects_overconfidence() -> None:
    generator = np.random.default_rng(0)
    honest = generator.normal(size=(4000, 4)) * 2
    truth = np.array([generator.choice(4, p=row) for row in probable(honest, 1.0)])
    assert fit_temperature(3 * honest, truth) == pytest.approx(3, rel=0.1)
    assert fit_temperature(honest / 2, truth) == pytest.approx(0.5, rel=0.1)
    folds = [range(start, 4000, 4) for start in range(4)]
    assert np.abs(held_out(3 * honest, truth, folds) - probable(honest, 1.0)).max() < 0.05


def test_correct_clips_alone_give_a_bounded_temperature() -> None:
    logits = np.eye(3)[[0, 1, 2] * 4] * 2.0
    truth = np.array([0, 1, 2] * 4)
    shares = probable(logits, fit_temperature(logits, truth))
    # As sure as 12 right answers of 14 are.
    assert shares.max() == pytest.approx(13 / 14, abs=1e-3)


def test_unknown_clips_are_rejected_and_correct_ones_kept() -> None:
    generator = np.random.default_rng(1)
    truth = np.repeat([0, 1, 2], 40)
    known = np.eye(3)[truth] * 5 + generator.normal(size=(120, 3)) * 0.3
    strange = generator.normal(size=(30, 3)) * 0.3
    logits = np.concatenate((known, strange))
    found = find_reject(logits, np.append(truth, [UNKNOWN] * 30), 1.0, background=2)
    assert 0.5 < found.threshold < 0.99
    assert (found.kept, found.refused) == (1.0, 1.0)
    assert 10 < found.unknown < 30, "what is called background is no mistake"
    left_out = find_reject(known, truth, 1.0, background=None)
    assert "left out" in left_out.how
    assert left_out.kept >= 0.95


def test_nothing_is_rejected_where_that_loses_correct_predictions() -> None:
    # Unknown answers are as sure as right ones: no threshold separates them.
    logits = np.tile([[3.0, 0.0, 0.0]], (40, 1))
    truth = np.array([0] * 20 + [UNKNOWN] * 20)
    assert find_reject(logits, truth, 1.0, None).threshold == 0.0


def test_the_trained_model_predicts_live_as_for_whole_windows(trained: Trained) -> None:
    model, card = load_model(trained.model)
    window = card.sequence.window
    shape = (card.image.height, card.image.width, card.image.channels)
    frames = np.random.default_rng(2).integers(0, 256, (window + 5, *shape), np.uint8)
    stream = TrainedSession(model, card, "here").stream()
    for end in range(1, len(frames) + 1):
        live = stream.push(frames[end - 1 : end])
        whole = predict_windows(model, card, frames[None, max(0, end - window) : end])[0]
        np.testing.assert_allclose(live, whole, atol=1e-5)


def test_events_of_recorded_probabilities_equal_those_of_a_run(tmp_path: Path) -> None:
    session = Session(colour_model.model_bytes(nan_on_black=True))
    # Black makes the model give NaN: there the past ends.
    scenes = [("none", 1.0), ("red", 1.2), ("none", 0.5), ("red", 0.6), ("black", 0.3)]
    scenes += [("red", 1.5), ("blue", 0.8), ("none", 1.0), ("green", 1.0)]
    video = colour_model.write_video(tmp_path / "v.mp4", scenes)
    predictions = record_predictions(session, TruthVideo(video, ()))
    assert sum(answer is None for _, answer in predictions.answers) >= 2
    lag = colour_model.LAG
    for changes in ({}, {"minimum_seconds": 0.7}, {"smoothing": "none", "on_threshold": 0.95},
                    {"smoothing": "exponential", "smoothing_frames": 5, "cooldown_seconds": 2.0},
                    {"min_confidence": 0.9, "off_threshold": 0.1}):  # fmt: skip
        decision = SETTINGS.model_copy(update=changes)
        recorded = EventList()
        run([open_path(video)], session, [recorded], decision)
        assert recorded.events == predictions.events(decision, session.card.labels, lag)
        assert recorded.seconds == predictions.seconds


def test_a_recorded_timeline_can_change_its_temperature(trained: Trained, takes: Path) -> None:
    model, card = load_model(trained.model)
    take = find_inputs([takes / "take0.mp4"]).takes[0]
    decision = card.decision.model_copy(update={"temperature": 0.5})
    cold = card.model_copy(update={"decision": decision})
    warm_course = record_predictions(TrainedSession(model, card, ""), take)
    cold_course = record_predictions(TrainedSession(model, cold, ""), take)
    again = cold_course.cooled(0.5)
    for (_, one), (_, two) in zip(warm_course.answers, again.answers, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
def test_another_processor_gives_the_same_events(
    trained: Trained, takes: Path, tmp_path: Path
) -> None:
    """Other kernels, and weights in half precision, stand for another processor."""
    path = copied(trained, tmp_path)
    calibrate(CalibrateOptions(model=path, data=(takes,)))
    model, card = load_model(path)
    decision, lag = card.decision, window_lag(card.sequence)
    coarse, _ = load_model(path)
    for weight in coarse.parameters():
        weight.data = weight.data.half().float()
    for take in find_inputs([takes]).takes:
        here = record_predictions(TrainedSession(model, card, ""), take)
        with torch.backends.mkldnn.flags(enabled=False):
            elsewhere = record_predictions(TrainedSession(model, card, ""), take)
        rounded = record_predictions(TrainedSession(coarse, card, ""), take)
        events = here.events(decision, card.labels, lag)
        assert len(events) >= 4
        assert any(not np.array_equal(one, two) for (_, one), (_, two) in
                   zip(here.answers, rounded.answers, strict=True))  # fmt: skip
        for other in (elsewhere, rounded):
            again = other.events(decision, card.labels, lag)
            assert [event.label for event in again] == [event.label for event in events]
            for one, two in zip(events, again, strict=True):
                assert two.reported_at == pytest.approx(one.reported_at, abs=0.45)


def predictions_of(seed: int, strong: float = 0.9, weak: float = 0.75) -> TakePredictions:
    """Half a minute at 10 fps: gestures of 1.5 s, and surges of the label, weaker and shorter."""
    generator = np.random.default_rng(seed)
    wave = np.full(320, 0.05)
    truth = []
    for start in range(40, 300, 80):
        wave[start : start + 15] = strong
        truth.append(TrueEvent(label="wave", start=start / 10, end=start / 10 + 1.5))
        wave[start + 45 : start + 49] = weak
    wave = np.clip(wave + generator.normal(size=320) * 0.03, 0, 1)
    answers = tuple((n / 10, np.array([p, 1 - p])) for n, p in enumerate(wave))
    return TakePredictions(f"take {seed}", answers, tuple(truth), 32.0)


def test_a_fast_replay_gives_exactly_the_same_events() -> None:
    generator = np.random.default_rng(3)
    predictions = predictions_of(5, strong=0.8, weak=0.7)
    answers = list(predictions.answers)
    for index in (90, 130, 131, 290):  # gaps, one of them within an event
        answers[index] = (answers[index][0], None)
    predictions = replace(predictions, answers=tuple(answers))
    replay = Replay(predictions, ("wave", "none"), 0.3)
    total = 0
    for _ in range(300):
        leave, enter = sorted(generator.choice([0.0, 0.05, 0.3, 0.5, 0.7, 0.75, 0.8, 0.9], 2))
        decision = SETTINGS.model_copy(
            update={
                "smoothing": str(generator.choice(["none", "mean", "exponential"])),
                "smoothing_frames": int(generator.integers(1, 9)),
                "on_threshold": float(enter),
                "off_threshold": float(leave),
                "min_confidence": float(generator.choice([0.0, 0.6, 0.8])),
                "early": float(max(enter, 0.9)) if generator.random() < 0.5 else None,
                "minimum_seconds": float(generator.choice([0.0, 0.4, 1.5])),
                "cooldown_seconds": float(generator.choice([0.0, 1.0, 5.0])),
                "background": "none" if generator.random() < 0.5 else None,
            }
        )
        events = predictions.events(decision, ("wave", "none"), 0.3)
        assert replay.events(decision) == events
        total += len(events)
    assert total > 300


def trials_of(recorded: Sequence[TakePredictions], **settings: object) -> Trials:
    sequence = VideoSequence(kind="video", fps=10.0, frames=16)
    decision = SETTINGS.model_copy(update={"background": "none", **settings})
    return Trials(
        recorded, ("wave", "none"), 0.0, 0.5, make_decision_grid(decision, sequence, 2, (0.0,))
    )


def test_the_search_finds_settings_that_generalize_to_other_videos() -> None:
    trials = trials_of([predictions_of(1), predictions_of(2)], minimum_seconds=0.0)
    before = trials.of(trials.grid.base, range(2))
    assert before.f1 < 0.75
    assert before.false_per_hour > 300
    found = search(trials, range(2), budget=10.0)
    assert (found.figures.f1, found.figures.false) == (1.0, 0)
    others = trials_of([predictions_of(seed) for seed in range(10, 16)])
    assert others.of(found.decision, range(6)).f1 > 0.97

    def find(takes: Sequence[int]) -> Decision:
        return search(trials, takes, 10.0).decision

    left_out = cross_validate(trials, find)
    assert left_out is not None
    assert left_out.f1 > 0.95
    assert cross_validate(trials_of([predictions_of(1)]), find) is None, "one video is too few"


def test_a_false_alarm_budget_trades_true_events() -> None:
    # The gestures of the second video are weaker than surges of the first one that last as long.
    surging, weak = predictions_of(1, weak=0.05), predictions_of(2, strong=0.7, weak=0.05)
    answers = [
        (time, probabilities.copy())
        for time, probabilities in surging.answers
        if probabilities is not None
    ]
    for start in (85, 245):
        for _, probabilities in answers[start : start + 15]:
            probabilities[:] = (0.78, 0.22)
    trials = trials_of([replace(surging, answers=tuple(answers)), weak])
    loose = search(trials, range(2), budget=1e6).figures
    tight = search(trials, range(2), budget=0.0).figures
    assert (loose.right, loose.false) == (8, 2)
    assert 4 <= tight.right < 8
    assert tight.false == 0


class _Landscape(Trials):
    """Settings whose F1 is known: a broad hill, and a needle that is higher."""

    needle: Point = ()
    hill: Point = ()

    def at(self, point: Point, takes: Sequence[int]) -> EventCounts:
        steps = sum(abs(one - two) for one, two in zip(point, self.hill, strict=True))
        right = 1000 if point == self.needle else max(0, 990 - 3 * steps)
        return EventCounts(right, 1000 - right, 0, 3600.0, (1.0,))


def test_a_broad_optimum_is_preferred_to_a_narrow_one() -> None:
    flat = trials_of([predictions_of(1)])
    landscape = _Landscape(flat.recordings, flat.labels, 0.0, 0.5, flat.grid)
    landscape.hill = (0, 2, 1, 2, 0, 3, 2)
    landscape.needle = (0, 2, 4, 2, 0, 3, 2)
    found = search(landscape, [0], budget=10.0)
    assert found.decision == flat.grid.decision(landscape.hill)


def test_every_grid_point_is_valid_and_the_nearest_is_found() -> None:
    sequence = VideoSequence(kind="video", fps=8.0, frames=16)
    grid = make_decision_grid(SETTINGS.model_copy(update={"early": 0.85}), sequence, 4, (0.0, 0.5))
    generator = np.random.default_rng(0)
    for _ in range(200):
        point = tuple(int(generator.integers(len(values))) for values in grid.values)
        decision = Decision.model_validate(grid.decision(point).model_dump())
        assert decision.early == 0.85
        if decision.smoothing != "none":
            assert grid.nearest(decision) == point


def test_calibration_is_written_to_the_card_and_weights_stay(
    trained: Trained, clips: Path, takes: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    model = copied(trained, tmp_path)
    before = load_model(model)[1]
    cache = str(trained.run.parents[1] / "cache")
    arguments = ["calibrate", str(model), str(clips), str(takes), "--cache", cache]
    assert main(arguments) == 0
    out, _ = capsys.readouterr()
    assert "validation clips of the training" in out
    assert "on videos not searched" in out
    assert f"{model} written; next: seqvision export {model}" in out
    after = load_model(model)[1]
    assert after.decision != before.decision
    assert after.labels == before.labels
    assert after.decision.background == "none"
    figures = after.origin.metrics["calibration"]
    assert isinstance(figures, dict)
    assert figures["videos"] == 2
    assert figures["f1_after"] >= figures["f1_before"]
    assert figures["false_per_hour_after"] <= 20.2
    assert after.origin.metrics["val"] == before.origin.metrics["val"]
    *others, note = after.origin.notes
    assert tuple(others) == before.origin.notes
    assert Decision.model_validate_json(note.partition("before: ")[2]) == before.decision
    assert all((weights(trained)[name] == each).all()
               for name, each in load_model(model)[0].state_dict().items())  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_an_exported_file_keeps_its_graph_and_temperature(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(colour_model.model_bytes())
    scenes = [("none", 2.0), ("red", 1.2), ("none", 1.0), ("blue", 0.3), ("none", 1.5),
              ("green", 1.0), ("none", 1.0), ("red", 0.3), ("none", 2.0)]  # fmt: skip
    colour_model.write_video(tmp_path / "take.mp4", scenes)
    events = [{"label": "red", "start": 2, "end": 3.2}, {"label": "green", "start": 7, "end": 8}]
    (tmp_path / "take.json").write_text(json.dumps({"events": events}))
    output = tmp_path / "better.onnx"
    arguments = ["calibrate", str(model), str(tmp_path / "take.mp4"), "--output", str(output)]
    assert main(arguments) == 0
    out, _ = capsys.readouterr()
    assert "only one video" in out
    assert "in 0.2 minutes one false event is 351 per hour already" in out
    assert "give 6 minutes or more" in out
    assert f"{output} written; next: edge-run --model {output}" in out
    assert model.read_bytes() == colour_model.model_bytes(), "--output leaves the model alone"
    old, new = Session(model), Session(output)
    assert new.card.decision.temperature == old.card.decision.temperature
    assert new.card.decision != old.card.decision
    recorded = EventList()
    run([open_path(tmp_path / "take.mp4")], new, [recorded])
    assert [event.label for event in recorded.events] == ["red", "green"]


def test_clips_alone_keep_the_event_settings_with_a_note(
    trained: Trained, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = copied(trained, tmp_path)
    before = load_model(model)[1].decision
    cache = trained.run.parents[1] / "cache"
    calibrate(CalibrateOptions(model=model, data=(clips,), split="all", cache=cache))
    after = load_model(model)[1].decision
    kept = before.model_copy(
        update={"temperature": after.temperature, "min_confidence": after.min_confidence}
    )
    assert after == kept
    assert after.min_confidence <= after.off_threshold
    assert "give untrimmed videos with their truth" in capsys.readouterr().err


def test_the_validation_clips_of_the_training_are_found_again(
    trained: Trained, clips: Path, tmp_path: Path
) -> None:
    _, card = load_model(trained.model)
    found = find_data_set(clips).clips
    store = Store(Cache(trained.run.parents[1] / "cache"), card.image, 30.0, card.sequence)
    found, decoded, _ = decode_all(store, found, lambda done, total: None)
    chosen, words = choose_clips(found, decoded, card, "auto")
    assert words == "validation clips of the training"
    assert len(chosen) == card.origin.data["val"]
    # One clip less: other data, of which nothing is known.
    chosen, words = choose_clips(found[1:], decoded[1:], card, "auto")
    assert (len(chosen), words) == (len(found) - 1, "clips")
    split = [replace(clip, split="val" if index < 3 else "train")
            for index, clip in enumerate(found)]  # fmt: skip
    assert choose_clips(split, decoded, card, "auto")[0] == [0, 1, 2]
    strange = [*split[:-1], replace(split[-1], label="unknown")]
    assert choose_clips(strange, decoded, card, "auto")[0] == [0, 1, 2, len(found) - 1]


def test_a_model_that_detects_no_event_is_not_written(
    trained: Trained, takes: Path, tmp_path: Path
) -> None:
    model = copied(trained, tmp_path)
    _, card = load_model(model)
    # As unsure as can be: no answer reaches any threshold.
    decision = card.decision.model_copy(update={"temperature": 1e6})
    write_card(model, card.model_copy(update={"decision": decision}), model)
    content = model.read_bytes()
    with pytest.raises(DataError, match=r"no settings find one of 12 events within 20 false"):
        calibrate(CalibrateOptions(model=model, data=(takes,)))
    assert model.read_bytes() == content


def test_takes_and_clips_are_distinguished(clips: Path, takes: Path, tmp_path: Path) -> None:
    shutil.copy(takes / "take0.mp4", tmp_path / "a.mp4")
    shutil.copy(takes / "take0.mp4", tmp_path / "b.mp4")
    shutil.copy(takes / "take0.json", tmp_path / "b.json")
    (tmp_path / "takes.csv").write_text("video,truth\na.mp4,b.json\nb.mp4,b.json\n")
    found = find_inputs([clips, tmp_path, tmp_path / "b.mp4"])
    assert found.clips == (clips,)
    assert [take.video.name for take in found.takes] == ["b.mp4"]
    assert [path.name for path in found.unmarked] == ["a.mp4"]
    listed = find_inputs([tmp_path / "takes.csv"])
    assert [take.video.name for take in listed.takes] == ["a.mp4", "b.mp4"]
    assert len(listed.takes[0].truth) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("model.pt", "CLIPS|TAKES is missing"),
        ("model.pt nowhere", "nowhere: no such file or folder"),
        ("no.pt a.mp4", "no.pt: no such file"),
        ("model.pt alone.mp4", "alone.mp4: its truth alone.json is missing"),
        ("model.pt bad.mp4", "bad.json: not valid JSON"),
        ("model.pt list.csv", "list.csv, line 2: no such file: 'none.mp4'"),
        ("model.pt a.mp4 --output x.onnx", "--output x.onnx: must end in .pt or .safetensors"),
        ("model.pt a.mp4 --max-false-per-hour -1", "--max-false-per-hour"),
        ("model.pt a.mp4 --output no/x.pt", "there is no folder no"),
        ("model.pt text.txt", "text.txt: neither a folder, a .csv list nor a video"),
    ],
)
def test_invalid_calibrations_are_one_line(
    arguments: str, message: str, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    shutil.copy(trained.model, "model.pt")
    for name in ("a.mp4", "alone.mp4", "bad.mp4", "text.txt"):
        Path(name).write_bytes(b"x")
    Path("a.json").write_text('{"events": []}')
    Path("bad.json").write_text("{")
    Path("list.csv").write_text("video,truth\nnone.mp4,a.json\n")
    before = sorted(tmp_path.iterdir())
    assert main(["calibrate", *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert sorted(tmp_path.iterdir()) == before


def test_an_unknown_label_in_the_truth_is_one_line_unless_allowed(
    trained: Trained, takes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = copied(trained, tmp_path)
    truth = json.loads((takes / "take0.json").read_text())
    shutil.copy(takes / "take0.mp4", tmp_path / "take.mp4")
    truth["events"].append({"label": "jump", "start": 1, "end": 2})
    (tmp_path / "take.json").write_text(json.dumps(truth))
    arguments = ["calibrate", str(model), str(tmp_path / "take.mp4")]
    assert main(arguments) == 2
    assert "an event 'jump', no label of the model" in capsys.readouterr().err
    assert main([*arguments, "--unknown", "jump"]) == 0
