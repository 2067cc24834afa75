"""A file that ends too soon for an event is judged as one clip."""

from seqvision_edge.card import Decision
from seqvision_edge.decision import HAIR
from seqvision_edge.pipeline.answer import Probabilities
from seqvision_edge.result import Event
from seqvision_edge.sequence import VideoSequence


class ShortClip:
    """Keep the answers of a file that may turn out to be one trimmed clip.

    An event needs a full window, and answers for `minimum_seconds` after that.  A clip as it was
    trained on is often no longer than the window, so it could never give one.  At the end of a file
    that is at most half a window longer than the window (or `minimum_seconds`, up to a window), and
    that gave no event, the answer for its centre window decides, as in `seqvision predict`: it is
    an event from the beginning to the end of the file if it reaches `on_threshold` and is not the
    background.
    """

    def __init__(
        self, decision: Decision, labels: tuple[str, ...], sequence: VideoSequence
    ) -> None:
        self._decision = decision
        self._labels = labels
        self._window = sequence.frames
        seconds = sequence.frames / sequence.fps
        self._longest = min(max(decision.minimum_seconds, seconds / 2), seconds)
        self._begun: float | None = None
        self._full: float | None = None
        self._answers: list[tuple[int, list[float]]] = []
        self._seen = 0
        self._is_over = False

    def add(self, time: float, seen: int, probabilities: Probabilities) -> None:
        """Take an answer at `time` (seconds) after `seen` steps; None where it was not finite."""
        if self._is_over:
            return
        if self._begun is None:
            self._begun = time
        if seen >= self._window and self._full is None:
            self._full = time
        too_long = self._full is not None and time - self._full > self._longest + HAIR
        if probabilities is None or too_long:
            self.discard()
            return
        if self._full is None:
            self._answers.clear()  # of what is shorter than the window only the last one counts
        self._answers.append((seen, probabilities.tolist()))
        self._seen = seen

    def discard(self) -> None:
        """Judge by events alone: the file is too long, has a gap, or gave an event."""
        self._is_over = True
        self._answers.clear()

    def event(self, end: float) -> Event | None:
        """Return the event of the whole file, which ends at `end`; None where it has none."""
        if self._is_over or not self._answers or self._begun is None:
            return None
        # As `seqvision_edge.clip.window` centres it.
        centre = round(max(0, self._seen - self._window) / 2) + self._window
        values = next((own for seen, own in self._answers if seen >= centre), self._answers[-1][1])
        share = max(values)
        label = self._labels[values.index(share)]
        least = max(self._decision.on_threshold, self._decision.min_confidence)
        if label == self._decision.background or share < least - HAIR:
            return None
        fill = min(1.0, self._seen / self._window)
        return Event(label, self._begun, end, (self._begun + end) / 2, share, end, fill)
