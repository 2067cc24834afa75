"""Drop queued (old) frames of a stream, and play playlists at their own speed."""

# Fraction of a frame's period: a frame that took so long to arrive was not queued.
_WAITED = 0.25
_SHORTEST, _LONGEST = 0.003, 0.015
# So many in a row, or so long in all: on a busy machine a queued frame may take long too.
_IN_A_ROW = 3
_MAX_WAIT_SUM = 0.25
# A stream that never makes its reader wait is used as it comes after this time.
_MAX_DRAIN_SECONDS = 2.0
_SILENCES = 3.0

# A larger difference from its clock means that the stream has restarted it.
_AHEAD, _BEHIND = 10.0, 1.0


class Backlog:
    """Tell queued frames from new ones, by the time each was waited for."""

    def __init__(self, fps: float, read_timeout: float, now: float) -> None:
        """Begin with a stream that was just opened, and may have queued frames since.

        Args:
            fps: nominal frames per second.
            read_timeout: seconds that one read may take.
            now: seconds by the monotonic clock.
        """
        self._waits = min(max(_WAITED / fps, _SHORTEST), _LONGEST)
        self._silent = read_timeout / 2
        self._draining: float | None = now
        self._row: list[float] = []
        self._usual: float | None = None

    def hold(self, stamp: float, waited: float, now: float) -> float | None:
        """Return None for an old frame, 0 for a new one.

        The frame that ends a silence is old too: it was queued somewhere.

        Args:
            stamp: the frame's own time; unreliable for many streams.
            waited: the seconds that the frame was waited for.
            now: seconds by the monotonic clock.
        """
        usual = self._usual
        if waited > self._silent and usual is not None and waited > _SILENCES * usual:
            self._draining, self._row = now, []
            # A stream that is so slow by nature is recognised at its next frame.
            self._usual = waited
            return None
        if self._draining is not None and now - self._draining < _MAX_DRAIN_SECONDS:
            self._row = [*self._row, waited] if waited >= self._waits else []
            if len(self._row) < _IN_A_ROW and sum(self._row) < _MAX_WAIT_SUM:
                return None
        self._draining = None
        self._usual = waited if usual is None else 0.9 * usual + 0.1 * waited
        return 0.0


class Pace:
    """Compute when each frame is due, by its own time and the local clock."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def hold(self, stamp: float, waited: float, now: float) -> float:
        """Return how many seconds to wait before passing on a frame.

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
