"""`seqvision predict`: classify clips; one line per clip, and a CSV.

find the clips → decode each, one ahead → cut its windows → run the model → print a line.
model.onnx runs in the edge session: then nothing here imports torch.
"""

import contextlib
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqvision.config import PredictOptions
from seqvision.console import loading, print_line, print_note, print_result, print_written, progress
from seqvision.data.cache import Cache
from seqvision.data.clip_notes import is_short, short_clips
from seqvision.data.clip_views import fixed_views
from seqvision.data.clips import Clip
from seqvision.data.datasets.detect import find_unnamed, with_region
from seqvision.data.decode import Decoded, OtherFeatures, Store
from seqvision.data.parallel import work_until
from seqvision.errors import DataError
from seqvision_edge.card import ModelCard, TimedSequence
from seqvision_edge.csv_cells import write_rows
from seqvision_edge.errors import ModelError, SourceError
from seqvision_edge.events import is_unsure
from seqvision_edge.files import atomic_write, is_one_of, temporary_folder
from seqvision_edge.overlay import unsure
from seqvision_edge.sampling import windows
from seqvision_edge.session import Frames, Session
from seqvision_edge.sources.video_file import ahead

# Windows of one length `(windows, time, height, width, channels)` → `(windows, labels)`.
Predictor = Callable[[Frames], NDArray[np.float32]]


@dataclass(frozen=True)
class PredictedClip:
    """A model's prediction for a clip: probabilities in the order of the card's labels.

    `name` is its path, and the part of that file that it is.
    """

    name: str
    probabilities: NDArray[np.float64]
    card: ModelCard

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.card.labels[int(self.probabilities.argmax())]

    @property
    def probability(self) -> float:
        """The probability of the most probable label."""
        return float(self.probabilities.max())

    @property
    def by_label(self) -> dict[str, float]:
        """The probabilities by their labels."""
        return dict(zip(self.card.labels, self.probabilities.tolist(), strict=True))

    @property
    def unsure(self) -> bool:
        """Whether the answer is below `decision.min_confidence`."""
        return is_unsure(self.probability, self.card.decision.min_confidence)


@dataclass(frozen=True)
class Predicted:
    """What a prediction came to: the answers, and one line for each clip that was damaged."""

    answers: list[PredictedClip]
    damaged: list[str]


def predict(options: PredictOptions) -> Predicted:
    """Name what is in clips: print a line for each as it comes, and write the CSV at the end.

    Raises:
        SeqvisionError: the model cannot be used, a path leads nowhere, or no clip can be read.
    """
    predictor, card = _load(options)
    images = not isinstance(card.sequence, TimedSequence)
    found = [find_unnamed(given, images, card.vectors is not None) for given in options.paths]
    for note in dict.fromkeys(note for _, notes in found for note in notes):
        print_note(note)
    clips = with_region(
        list(dict.fromkeys(chain.from_iterable(some for some, _ in found))), options.region
    )
    read = [options.model, *map(Path, options.paths), *(clip.path for clip in clips)]
    if options.csv is not None and is_one_of(options.csv, read):
        raise DataError(f"--csv {options.csv}: that is an input file; choose another name")
    width = max(len(clip.name) for clip in clips) if sys.stdout.isatty() else 0
    answers: list[PredictedClip] = []
    damaged: list[str] = []
    short = 0
    left = threading.Event()
    with (
        temporary_folder() as folder,
        contextlib.closing(ahead(_decode_each(clips, card, options, folder, left), 1)) as decoded,
        contextlib.ExitStack() as ends,
        progress("predicting") as advance,
    ):
        ends.callback(left.set)  # before the thread that decodes is waited for
        for done, (name, clip, kept) in enumerate(decoded):
            advance(done, len(clips))
            if isinstance(clip, SourceError):
                damaged.append(str(clip))
                print_line(f"left out: {clip}")
                continue
            if clip.incomplete:
                damaged.append(f"{name}: {clip.incomplete}")
                print_line(damaged[-1])
            answers.append(PredictedClip(name, _answer(clip, predictor, card, options), card))
            short += is_short(clip, card.sequence)
            print_result(line_of(answers[-1], options.top, width))
            shutil.rmtree(kept, ignore_errors=card.vectors is not None)
    if not answers:
        raise DataError(f"none of {len(clips)} clips can be read")
    if short:
        print_note(f"{short_clips(short, len(answers), card.sequence)}")
    if options.csv is not None:
        write_csv(options.csv, answers, card.labels)
        print_written(options.csv)
    return Predicted(answers, damaged)


def write_csv(path: Path, answers: Sequence[PredictedClip], labels: Sequence[str]) -> None:
    """Write path, label and probability of each answer, and a column for each label.

    Raises:
        DataError: the file cannot be written.
    """
    rows = [["path", "label", "probability", *labels]]
    for answer in answers:
        best = int(answer.probabilities.argmax())
        numbers = [f"{value:.6f}" for value in answer.probabilities]
        rows.append([answer.name, labels[best], numbers[best], *numbers])
    try:
        # A file name need not be text: what UTF-8 cannot hold is written as its code.
        with (
            atomic_write(path) as unfinished,
            unfinished.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
        ):
            write_rows(file, rows)
    except OSError as error:
        raise DataError(f"--csv {path}: cannot be written ({error.strerror})") from None


def _load(options: PredictOptions) -> tuple[Predictor, ModelCard]:
    """Return what answers for windows, and its card."""
    if options.model.suffix.lower() == ".onnx":
        session = Session(options.model, options.device)
        return lambda frames: session.run(frames)[0], session.card

    with loading("torch"):
        from seqvision.evaluation import predict_windows
        from seqvision.training.hardware import pick_device
        from seqvision.training.model_io import load_model

    model, card = load_model(options.model)
    model = model.to(pick_device(options.device))
    return lambda frames: predict_windows(model, card, frames), card


def _decode_each(
    clips: Sequence[Clip],
    card: ModelCard,
    options: PredictOptions,
    folder: Path,
    left: threading.Event,
) -> Iterator[tuple[str, Decoded | SourceError, Path]]:
    """Yield each clip decoded as training does it, or why it cannot be, and where it is kept.

    Its frames lie in a file, so that a long clip needs no more memory than a short one.
    """
    work_until(left)
    for number, each in enumerate(clips):
        kept = folder / str(number)
        store = Store(Cache(kept), card.image, options.image_fps, card.sequence)
        try:
            clip = store.load(each)
            if not isinstance(card.sequence, TimedSequence) and len(clip.times) > 1:
                raise SourceError(f"{each.name}: not a still image, and the model reads no other")
            yield each.name, clip, kept
        except SourceError as error:
            yield each.name, error, kept
        except OtherFeatures as error:
            yield each.name, SourceError(str(error)), kept
        except DataError:
            raise DataError(
                f"{each.name}: no room for its frames in {folder}; set TMPDIR to another folder"
            ) from None


def _answer(
    clip: Decoded, predictor: Predictor, card: ModelCard, options: PredictOptions
) -> NDArray[np.float64]:
    """Return the probabilities for the centre window, or the mean over several views of a clip."""
    seen = fixed_views(clip, card.image, card.sequence, options.test_views)
    if options.every_window:
        seen = windows(clip, card.image, card.sequence)
    answers = []
    # A call takes windows of one length; a slower view of a short clip may have a step more.
    for _, alike in groupby(seen, len):
        while batch := list(islice(alike, options.batch_size)):
            answers.append(predictor(np.stack(batch)))
    probabilities = np.concatenate(answers).astype(np.float64)
    if not np.isfinite(probabilities).all():
        raise ModelError(f"{options.model}: its answer is not finite; train it again")
    return probabilities.mean(axis=0)


def line_of(answer: PredictedClip, top: int, width: int) -> str:
    """Return the path and the most probable labels; between tabs where no terminal reads it.

    An answer below `decision.min_confidence` is unsure; between tabs that is a last field.
    """
    order = np.argsort(-answer.probabilities, kind="stable")[:top]
    shown = [(answer.card.labels[index], answer.probabilities[index]) for index in order]
    if not width:
        fields = [answer.name, *(f"{label}\t{share:.4f}" for label, share in shown)]
        return "\t".join([*fields, "unsure"] if answer.unsure else fields)
    (label, share), *others = shown
    label = unsure(label) if answer.unsure else label
    next_best = ", ".join(f"{label} {share:.3f}" for label, share in others)
    return f"{answer.name:{width}}  {label} {share:.3f}" + (f"  ({next_best})" if others else "")
