"""Vectors as a source: a file or folder of them, or lines and raw floats on standard input.

    python landmarks.py | edge-run --source -            # lines of CSV or JSON
    edge-run --source clip.npy
    program | edge-run --source - --stdin-floats          # float32, little-endian

Lines with a time are placed by it; others come at the rate of the training clips, or as
`--image-fps` sets.  A wrong line is lost, as a damaged picture is: it is counted, and leaves a gap.
"""

import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
from typing_extensions import Self

from seqvision_edge.card import VectorSequence
from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame, Image
from seqvision_edge.sampling import GAP_PERIODS
from seqvision_edge.sources.stdin import Input, Rate
from seqvision_edge.vector_files import read_vectors
from seqvision_edge.vector_text import LineReader, Values, VectorLine

# What a frame shows where there is no picture.
NO_PICTURE: Final[Image] = np.zeros((0, 0, 3), np.uint8)
# A line of 4096 numbers of 25 characters.
_LONGEST: Final = 1 << 20
_INTERVALS: Final = 30
_TIMED: Final = '{"time": 0.1, "values": [1.5, 2]}'


class VectorFile:
    """A source: a recorded clip of vectors."""

    live = False
    deep = False

    def __init__(self, path: Path, vectors: VectorSequence, rate: float | None) -> None:
        """Read the clip; `rate` is that of one without times, by default that of the training.

        Raises:
            SourceError: it cannot be read, or has other features than the model reads.
        """
        self.name = str(path)
        clip = read_vectors(path, rate or vectors.rate, vectors.names)
        count = clip.values.shape[1]
        if count != vectors.features:
            hint = ""
            if len(clip.values) == vectors.features:
                hint = "; it looks transposed: a clip is (time, features)"
            raise SourceError(f"{path}: {count} features, the model reads {vectors.features}{hint}")
        self._clip = clip
        self.fps = clip.fps
        self.note = clip.note
        if not clip.timed and rate is None and len(clip.values) > 1:
            self.note = f"no times in it; {clip.fps:g} vectors/s assumed (--image-fps)"
        self.claimed: int | None = len(clip.values)
        self.decoded = 0
        self.damaged = 0

    @property
    def incomplete(self) -> str | None:
        """None: a file is read whole, or refused."""
        return None

    def stop(self) -> None:
        """Do nothing: it is read already."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: no file is open."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield the vectors as frames without a picture."""
        for index, (at, values) in enumerate(zip(self._clip.times, self._clip.values, strict=True)):
            self.decoded += 1
            yield Frame(NO_PICTURE, float(at), index, image=values, duration=1 / self.fps)


class VectorPipe:
    """A source: vectors that come through a pipe, as lines or raw float32.

    Those with times of their own, or at a given rate, are all read.  With arrival times the source
    is live.
    """

    def __init__(
        self,
        name: str,
        source: Input,
        vectors: VectorSequence,
        rate: Rate | None,
        floats: bool = False,
    ) -> None:
        """Use the pipe.

        Args:
            name: the name of the source.
            source: the bytes.
            vectors: what the model reads.
            rate: vectors per second; `arrival`: live, with arrival times; None: their own times,
                or the rate of the training.
            floats: raw float32, little-endian, instead of lines.
        """
        self.name = name
        self.live = isinstance(rate, str)
        self.fps = vectors.rate if rate is None or isinstance(rate, str) else rate
        self.claimed: int | None = None
        self.decoded = 0
        self.damaged = 0
        self.deep = False
        self.note = ""
        if rate is None:
            usual = f"{self.fps:g} vectors/s assumed (--image-fps; or arrival)"
            kind = "raw floats have no times" if floats else "lines without a time"
            self.note = f"{kind}: {usual}"
        self._rate, self._floats = rate, floats
        self._source, self._vectors = source, vectors
        self._wrong: str | None = None
        self._intervals: deque[float] = deque(maxlen=_INTERVALS)
        self._before: float | None = None

    @property
    def incomplete(self) -> str | None:
        """After the last vector: how many lines were wrong, and the first; None if none was."""
        if not self.damaged:
            return None
        total = self.decoded + self.damaged
        return f"read {self.decoded} of {total} vectors; the first wrong one: {self._wrong}"

    def stop(self) -> None:
        """End an iteration that waits in another thread."""
        self._source.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the pipe open."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield the vectors as frames without a picture; the first one is at time 0.

        Raises:
            SourceError: the first line is wrong, or there is none.
        """
        first: float | None = None
        index = -1
        timed: bool | None = None
        for line in self._raw() if self._floats else self._lines():
            index += 1
            if line is None:
                self.damaged += 1
                continue
            if timed is None:
                timed = line.time is not None and self._rate is None
            now = time.monotonic()
            if self.live:
                at = now
            elif timed:
                if line.time is None or (self._before is not None and line.time < self._before):
                    self._lose("a line without a time, or with one before the last: left out")
                    continue
                at = line.time
                index += self._is_after_silence(at)
            else:
                at = index / self.fps
            first = at if first is None else first
            self.decoded += 1
            arrived = now if self.live else None
            yield Frame(NO_PICTURE, at - first, index, image=line.values, arrived=arrived)
        if not self.decoded and not self._source.was_left:
            raise SourceError(self._wrong or f"{self.name}: ended without a vector")

    def _is_after_silence(self, at: float) -> bool:
        """Return whether vectors were lost before this time, as a camera loses frames."""
        before, self._before = self._before, at
        if before is None:
            return False
        silence = at - before
        usual = median(self._intervals) if self._intervals else 1 / self.fps
        self._intervals.append(silence)
        return silence > GAP_PERIODS * max(usual, 1 / self._vectors.fps)

    def _lose(self, why: str) -> None:
        self.damaged += 1
        self._wrong = self._wrong or why

    def _lines(self) -> Iterator[VectorLine | None]:
        """Yield the vector of each line; None for a wrong one.

        Raises:
            SourceError: no line before it was right: the whole stream is of another kind.
        """
        reader = LineReader(self._vectors.features, self._vectors.names, self.name)
        good = 0
        for number, text in enumerate(self._texts(), 1):
            try:
                line = reader.read(text, number)
            except SourceError as error:
                if not good:
                    raise
                self._wrong = self._wrong or str(error)
                yield None
                continue
            if line is not None:
                good += 1
                yield line

    def _texts(self) -> Iterator[str]:
        data = bytearray()
        while chunk := self._source.read():
            data += chunk
            *lines, rest = data.split(b"\n")
            for line in lines:
                yield line.decode("utf-8", errors="replace")
            data = bytearray(rest)
            if len(data) > _LONGEST:
                raise SourceError(
                    f"{self.name}: a line of more than {_LONGEST >> 20} MB; give a vector a line, "
                    f"such as 1.5,2 or {_TIMED}, or --stdin-floats for raw float32"
                )
        if data:
            yield data.decode("utf-8", errors="replace")

    def _raw(self) -> Iterator[VectorLine | None]:
        """Yield each vector of raw floats; None for one with an infinite value, or cut off."""
        size = 4 * self._vectors.features
        data = bytearray()
        number = 0
        while chunk := self._source.read():
            data += chunk
            whole = len(data) // size * size
            found = np.frombuffer(bytes(data[:whole]), "<f4").reshape(-1, self._vectors.features)
            del data[:whole]
            for values in found:
                number += 1
                if np.isinf(values).any():
                    self._wrong = self._wrong or f"vector {number} has an infinite value"
                    yield None
                else:
                    yield VectorLine(values.astype(np.float32))
        if data:
            self._wrong = self._wrong or f"ended in the middle of vector {number + 1}"
            yield None


def open_vector_pipe(
    name: str, vectors: VectorSequence, rate: Rate | None, floats: bool
) -> VectorPipe:
    """Return standard input as a source of vectors.

    Raises:
        SourceError: nothing is piped in.
    """
    usage = f"pipe lines in, such as 1.5,2 or {_TIMED}: program | edge-run --source -"
    try:
        handle = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        raise SourceError(f"{name}: it is closed; {usage}") from None
    if os.isatty(handle):
        raise SourceError(f"{name}: it is a terminal; {usage}")
    return VectorPipe(name, Input(handle), vectors, rate, floats)


def checked_vector(given: Any, vectors: VectorSequence) -> Values:
    """Return numbers that a program gives as a vector `(features,)` float32.

    Raises:
        ValueError: another shape or type, or an infinite value.
    """
    try:
        array = np.asarray(given)
        wrong = array.dtype.kind not in "fiu"
    except ValueError:  # lists of different lengths
        raise ValueError("a vector is numbers, all in one list") from None
    if wrong or array.size != vectors.features:
        raise ValueError(
            f"a vector is {array.dtype} {array.shape}; give {vectors.features} numbers, "
            f"float32 ({vectors.features},)"
        )
    with np.errstate(over="ignore"):
        values = np.array(array, np.float32).ravel()
    if np.isinf(values).any():
        raise ValueError("a vector has an infinite value; give NaN for a missing one")
    return values
