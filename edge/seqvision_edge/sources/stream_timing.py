"""When frames of a stream count: old ones are dropped, playlists keep their own speed."""

# Of a frame's period: one that had to be waited for so long was not lying there.
_WAITED = 0.25
_SHORTEST, _LONGEST = 0.003, 0.015
# So many in a row, or so long together: on a busy machine a frame that lay there may take long too.
_IN_A_ROW = 3
_TOGETHER = 0.25
# A stream that is never waited for is read as it comes after this long.
_MOST = 2.0
_SILENCES = 3.0

# Further apart from its clock, a stream has begun a new one.
_AHEAD, _BEHIND = 10.0, 1.0


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


class Pace:
    """Tell when each frame is due, by its own time and the clock here."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def hold(self, stamp: float, waited: float, now: float) -> float:
        """Return how many seconds to wait before a frame is given.

        Args:
            stamp: the frame's own time, in seconds.
            waited: the seconds that the frame was waited for.
            now: seconds by the monotonic clock.
        """
        if self._offset is not None:
            early = self._offset + stamp - now
            if -_BEHIND <= early <= _AHEAD:
                return max(early, 0.0)
        self._offset = now - stamp
        return 0.0
