"""Give the frames of a playlist at their own speed: they come many at once, a file at a time."""

# Further apart from its clock, a stream has begun a new one.
_AHEAD, _BEHIND = 10.0, 1.0


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
