"""A compromised child process: it sends the replies of its task, whatever the request."""

import os
import signal
import sys
import time

from seqvision_edge import child_process


def main() -> None:
    """Reply with `lines`, after `seconds` also `late`; then read on, or as given by `then`."""
    task = child_process.task()
    child_process.begin(1 << 28)
    os.write(1, task["lines"].encode("latin-1"))
    if task["late"]:
        time.sleep(task["seconds"])
        os.write(1, task["late"].encode("latin-1"))
    if task["then"] == "reads nothing":
        signal.pause()
    while task["then"] == "floods":
        os.write(1, b'["frame", 1, 1, 0.0, 0.0, 0]\n' * 100)
    sys.stdin.buffer.read()


# What no child answers to anything: JSON of another kind, or none.
NONSENSE = {
    "empty": "[]", "object": "{}", "text": "good morning", "latin": "\xff\xfe", "null": "[null]",
    "list": "[[]]", "deep": "[" * 30_000, "digits": "1" * 10_000, "endless": " " * 100_000,
}  # fmt: skip


def task(
    lines: str, then: str = "reads on", late: str = "", seconds: float = 0
) -> dict[str, object]:
    """Return the task of such a child."""
    return {"lines": lines, "then": then, "late": late, "seconds": seconds}
