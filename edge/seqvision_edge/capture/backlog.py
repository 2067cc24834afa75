"""Which frames of a stream are old: they lay somewhere on the way, and come without waiting."""

# Of a frame's period: one that had to be waited for so long was not lying there.
_WAITED = 0.25
_SHORTEST, _LONGEST = 0.003, 0.015
# So many in a row, or so long together: on a busy machine a frame that lay there may take long too.
_IN_A_ROW = 3
_TOGETHER = 0.25
# A stream that is never waited for is read as it comes after this long.
_MOST = 2.0
_SILENCES = 3.0


class Backlog:
    """Tell old frames from new ones, by how long each was waited for."""

    def __init__(self, fps: float, read_timeout: float, now: float) -> None:
        """Begin with a stream that was just opened: it may have queued frames since.

        Args:
            fps: nominal frames per second.
            read_timeout: seconds that one reading may take.
            now: seconds by the monotonic clock.
        """
        self._waits = min(max(_WAITED / fps, _SHORTEST), _LONGEST)
        self._silent = read_timeout / 2
        self._draining: float | None = now
        self._row: list[float] = []
        self._usual: float | None = None

    def hold(self, stamp: float, waited: float, now: float) -> float | None:
        """Return None for a frame that is old, 0 for another.

        After a silence the frame that ends it is old too: it lay somewhere on the way.

        Args:
            stamp: the frame's own time; many streams have none that can be believed.
            waited: the seconds that the frame was waited for.
            now: seconds by the monotonic clock.
        """
        usual = self._usual
        if waited > self._silent and usual is not None and waited > _SILENCES * usual:
            self._draining, self._row = now, []
            # A stream that is so slow by nature is believed from its next frame on.
            self._usual = waited
            return None
        if self._draining is not None and now - self._draining < _MOST:
            self._row = [*self._row, waited] if waited >= self._waits else []
            if len(self._row) < _IN_A_ROW and sum(self._row) < _TOGETHER:
                return None
        self._draining = None
        self._usual = waited if usual is None else 0.9 * usual + 0.1 * waited
        return 0.0
