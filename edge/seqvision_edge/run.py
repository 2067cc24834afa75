"""THE WAY: source → pipeline (sampler, preprocess, stream, decision) → sinks."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

from seqvision_edge.card import Decision
from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame
from seqvision_edge.pipeline import make_pipeline
from seqvision_edge.prefetch import ahead
from seqvision_edge.result import Prediction
from seqvision_edge.session import Session
from seqvision_edge.sinks import Quit, Sink
from seqvision_edge.source import Source


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run came to.

    `prediction` is the last answer: for a file that is one clip, the clip's.  `nonfinite` counts
    the answers that were thrown away, `damaged` the frames that could not be read; `incomplete`
    says what is missing from a file, "decoded 146 of 300 frames".
    """

    frames: int
    answers: int
    events: int
    seconds: float
    prediction: Prediction | None
    nonfinite: int
    damaged: int
    incomplete: str | None


def run(
    source: Source,
    session: Session,
    sinks: Sequence[Sink] = (),
    decision: Decision | None = None,
) -> RunSummary:
    """Run a model on a source until it ends, and hand every step to every sink.

    Args:
        source: what to read; it is opened and closed here.
        session: the loaded model.
        sinks: where the steps go; opened after the source, and closed whatever happens.
        decision: how answers become events; None takes the card's way.

    Raises:
        SourceError: the source cannot be opened, or was lost.
        SinkError: an output cannot be written.
        KeyboardInterrupt: as it came, after the sinks have got the event that it cut off.
    """
    began = perf_counter()
    frames = answers = events = 0
    cut_off: BaseException | None = None
    was_quit = False
    with contextlib.ExitStack() as opened:
        opened.enter_context(source)
        outputs = [opened.enter_context(sink) for sink in sinks]
        pipeline = make_pipeline(session, decision, source.fps)
        try:
            with _frames(source) as each:
                for frame in each:
                    step = pipeline.feed(frame)
                    frames, answers = frames + 1, answers + step.answered
                    events += len(step.events)
                    for output in outputs:
                        output.write(step)
        except Quit:
            was_quit = True
        except (KeyboardInterrupt, SourceError) as error:
            cut_off = error
        last = pipeline.end()
        for output in outputs:
            output.write(last)
    if cut_off is not None:
        raise cut_off
    return RunSummary(
        frames=frames,
        answers=answers,
        events=events + len(last.events),
        seconds=perf_counter() - began,
        prediction=last.prediction,
        nonfinite=pipeline.nonfinite,
        damaged=source.damaged,
        incomplete=None if was_quit else source.incomplete,
    )


@contextlib.contextmanager
def _frames(source: Source) -> Iterator[Iterator[Frame]]:
    """Give the frames of a source: of a file decoded ahead, of a camera as they come."""
    if source.live:
        yield iter(source)
    else:
        with contextlib.closing(ahead(source)) as frames:
            yield frames
