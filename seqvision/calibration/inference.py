"""What both kinds of model answer on clips and takes, computed once for calibration.

Settings of the decision change nothing before it, so one pass of the model serves every trial.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from seqvision.calibration.inputs import TruthVideo
from seqvision.calibration.temperature import Logits, probable
from seqvision.data.decode import Decoded
from seqvision.errors import CheckpointError
from seqvision.evaluation import logits_of
from seqvision.models.classifier import Classifier
from seqvision.output_files import exported_by, replacing_other
from seqvision.training.hardware import pick_device
from seqvision.training.model_io import load_model, write_card
from seqvision_edge.card import METADATA_KEY, Decision, ModelCard, TimedSequence
from seqvision_edge.event_metrics import TrueEvent
from seqvision_edge.events import NOTHING, EventDetector, EventUpdate, window_lag
from seqvision_edge.frame import Frame
from seqvision_edge.onnx_validation import read_model
from seqvision_edge.pipeline import preprocessed_frames
from seqvision_edge.pipeline.video import VideoPipeline
from seqvision_edge.regions import cropped
from seqvision_edge.sampling import centre
from seqvision_edge.session import Session, States, run_batch
from seqvision_edge.sources.factory import open_path
from seqvision_edge.sources.video_file import VideoFile
from seqvision_edge.types import Event

# Recorded frames have no age.
_NO_AGE = float("inf")

Answers = tuple[tuple[float, NDArray[np.float64] | None], ...]


class TrainedSession(Session):
    """The model of a training where a run expects an exported file: it answers the same."""

    def __init__(self, model: Classifier, card: ModelCard, where: str) -> None:
        """Take a model that is ready for inference; `where` names it."""
        self.where, self.card = where, card
        self._model = model
        self._device = next(model.parameters()).device

    @torch.inference_mode()
    def run(
        self, frames: NDArray[np.uint8], state: States | None = None, **_: object
    ) -> tuple[NDArray[np.float32], States]:
        """Answer for the newest step, as `Session.run` does."""
        (kept,) = self.empty_state(len(frames)) if state is None else state
        seen = torch.from_numpy(np.ascontiguousarray(frames)).to(self._device)
        past = torch.from_numpy(kept).to(self._device)
        steps = torch.cat((past, self._model.step_memory(self._model.encode(seen))), dim=1)
        window = self.card.sequence.window
        logits = self._model.logits_from_memory(steps[:, -window:])
        shares = (logits.float() / self.card.decision.temperature).softmax(dim=1)
        left = steps[:, max(0, steps.shape[1] - (window - 1)) :]
        return shares.cpu().numpy(), (left.cpu().numpy(),)


@dataclass(frozen=True)
class TakePredictions:
    """Predictions of a model over a take.

    Attributes:
        answers: times, each with `(labels,)` probabilities, or None where the past ends: a gap.
        truth: what happened, without the background.
        seconds: how long the take is.
    """

    where: str
    answers: Answers
    truth: tuple[TrueEvent, ...]
    seconds: float
    incomplete: str | None = None

    def events(self, decision: Decision, labels: Sequence[str], lag: float) -> list[Event]:
        """Return the events that a run with these settings reports."""
        detector = EventDetector(decision, labels, lag)
        ended: list[Event] = []
        for time, answer in self.answers:
            step = detector.close(time) if answer is None else detector.step(time, answer)
            ended += step.ended
        return [*ended, *detector.close(self.seconds).ended]

    def cooled(self, factor: float) -> "TakePredictions":
        """Return the predictions that a temperature lower by a factor would have given."""
        answers = tuple(
            (time, None if answer is None else probable(np.log(answer.clip(1e-30)), 1 / factor))
            for time, answer in self.answers
        )
        return replace(self, answers=answers)

    def perturbed(self, much: float, seed: int) -> "TakePredictions":
        """Return the predictions as another processor might have given them.

        Args:
            much: standard deviation of what is added to each logit; a probability near one half
                changes by a quarter of it.
            seed: of what is drawn.
        """
        generator = np.random.default_rng(seed)
        answers = tuple(
            (
                time,
                None
                if answer is None
                else probable(
                    np.log(answer.clip(1e-30)) + much * generator.standard_normal(answer.shape), 1.0
                ),
            )
            for time, answer in self.answers
        )
        return replace(self, answers=answers)


def record_predictions(
    session: Session,
    take: TruthVideo,
    advance: Callable[[float], None] = lambda share: None,
) -> TakePredictions:
    """Let a model see a take as a live run shows it, and keep its answers.

    `advance` is called with the share of the video that is done, 0 to 1.

    Raises:
        SourceError: the video cannot be read.
    """
    card = session.card
    assert isinstance(card.sequence, TimedSequence), "still images have no takes"
    recorder = _Recorder(card.decision, card.labels, window_lag(card.sequence))
    seconds = 0.0
    with open_path(take.video) as source:
        way = VideoPipeline(session, card.sequence, source, None, _NO_AGE, monotonic, recorder)
        for frame in preprocessed_frames(way, cropped(source, take.region, source.name)):
            assert isinstance(frame, Frame), "a file has no states"
            frames = way.model_input(frame)
            if frames is not None:
                (answer,) = run_batch(session, [(way.stream, frames)])
                way.handle_output(frame, answer, inferred=True)
            else:
                way.handle_output(frame, None, inferred=False)
            seconds = frame.time
            if isinstance(source, VideoFile) and source.claimed:
                advance(min(1.0, source.decoded / source.claimed))
        incomplete = source.incomplete
    truth = tuple(true for true in take.truth if true.label != card.decision.background)
    return TakePredictions(str(take.video), tuple(recorder.answers), truth, seconds, incomplete)


class _Recorder(EventDetector):
    """Record the input of an event detector without detecting."""

    def __init__(self, decision: Decision, labels: Sequence[str], lag: float) -> None:
        super().__init__(decision, labels, lag)
        self.answers: list[tuple[float, NDArray[np.float64] | None]] = []

    def step(self, time: float, probabilities: ArrayLike) -> EventUpdate:
        """Record the probabilities."""
        self.answers.append((time, np.asarray(probabilities, np.float64)))
        return NOTHING

    def close(self, time: float) -> EventUpdate:
        """Keep that the past ends here."""
        self.answers.append((time, None))
        return NOTHING


@dataclass(frozen=True)
class CalibrationModel:
    """A model that predicts and whose card can be written.

    Attributes:
        card: as it is in the file.
        has_free_temperature: whether the temperature is not yet a part of the graph.
        logits: clips → `(clips, labels)`, before any temperature.
        live: a decision (for its temperature) → a session that predicts as a live run does.
        write: puts another card into the file, under a name.
    """

    card: ModelCard
    has_free_temperature: bool
    logits: Callable[[Sequence[Decoded]], Logits]
    live: Callable[[Decision], Session]
    write: Callable[[ModelCard, Path], Path | None]


def open_model(path: Path, device: str, batch_size: int) -> CalibrationModel:
    """Open a model of a training, or an exported one.

    Raises:
        SeqvisionError: it cannot be used.
    """
    return _exported(path) if path.suffix.lower() == ".onnx" else _trained(path, device, batch_size)


def _trained(path: Path, device: str, batch_size: int) -> CalibrationModel:
    network, card = load_model(path)
    network = network.to(pick_device(device))

    def live(decision: Decision) -> Session:
        return TrainedSession(network, card.model_copy(update={"decision": decision}), str(path))

    return CalibrationModel(
        card=card,
        has_free_temperature=True,
        logits=lambda clips: logits_of(network, card, clips, batch_size).double().numpy(),
        live=live,
        write=lambda changed, output: write_card(path, changed, output),
    )


def _exported(path: Path) -> CalibrationModel:
    session = Session(path, "cpu")
    card = session.card

    def logits(clips: Sequence[Decoded]) -> Logits:
        """The graph ends in a softmax: what its logits were, up to a constant that no one needs."""
        seen = (centre(clip, card.image, card.sequence) for clip in clips)
        shares = np.stack([session.run(steps[None])[0][0] for steps in seen]).astype(np.float64)
        return np.log(np.maximum(shares, 1e-30)) * card.decision.temperature

    return CalibrationModel(
        card=card,
        has_free_temperature=False,
        logits=logits,
        live=lambda _: session,
        write=lambda changed, output: _write_onnx(path, changed, output),
    )


def _write_onnx(path: Path, card: ModelCard, output: Path) -> Path | None:
    """Write an exported file once more with another card; its graph stays byte for byte."""
    import onnx

    content, _ = read_model(path)
    model = onnx.load_model_from_string(content)
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = card.to_json()
    changed = model.SerializeToString()
    read_model(changed)  # the hash in the card proves that the graph is the same
    kept: list[Path] = []
    try:
        with replacing_other(output, lambda: exported_by(output, card), kept) as unfinished:
            unfinished.write_bytes(changed)
    except OSError as error:
        raise CheckpointError(f"{output}: cannot be written ({error.strerror})") from None
    return kept[0] if kept else None
