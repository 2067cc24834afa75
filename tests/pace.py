"""How fast this machine is at the moment: a limit in seconds is one of a machine of our own."""

import time


def quiet_seconds(began: float) -> float:
    """Return the seconds since `began`, of `time.monotonic`, as if nothing else ran here now."""
    return (time.monotonic() - began) / slowdown()


def slowdown() -> float:
    """Return how many times longer than its processor time work takes now; at least 1."""
    most = 1.0
    for _ in range(3):
        wall, processor = time.monotonic(), time.thread_time()
        while (used := time.thread_time() - processor) < 0.02:
            pass
        most = max(most, (time.monotonic() - wall) / used)
    return most
