"""Cameras of this machine's own: JPEG pictures over HTTP at a steady rate, as network cameras send.

`python -m bench.cameras PORT FPS WIDTH HEIGHT [still]` serves `/0`, `/1`, … until it is ended; of a
still scene only the noise of the camera changes.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from seqvision_edge.opencv import cv2

_SECONDS = 4


@contextlib.contextmanager
def cameras(
    count: int, fps: int, size: tuple[int, int], still: bool = False
) -> Iterator[list[str]]:
    """Serve `count` cameras from a process of its own; give their addresses."""
    command = [sys.executable, "-m", "bench.cameras", "0", str(fps), *map(str, size)]
    command += ["still"] if still else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        try:
            yield [f"http://127.0.0.1:{port}/{number}" for number in range(count)]
        finally:
            server.kill()


def pictures(frames: int, size: tuple[int, int], still: bool = False) -> list[bytes]:
    """Return JPEG pictures of a room in which something moves; `still`: only the noise."""
    width, height = size
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (height // 16, 2 * width // 16, 3), np.uint8)
    room = cv2.resize(coarse, (2 * width, height), interpolation=cv2.INTER_CUBIC)
    found = []
    for number in range(frames):
        left = 0 if still else round(width * number / frames)
        bgr = room[:, left : left + width].copy()
        if still:
            noise = generator.integers(-6, 7, bgr.shape, np.int16)
            bgr = (bgr + noise).clip(0, 255).astype(np.uint8)
        else:
            cv2.circle(bgr, (width // 2, (37 * number) % height), height // 6, (90, 120, 200), -1)
        good, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 85])
        assert good
        found.append(data.tobytes())
    return found


def main() -> None:
    """Serve for ever; the port is the first line of stdout."""
    port, fps, width, height = map(int, sys.argv[1:5])
    shown = pictures(_SECONDS * fps, (width, height), still="still" in sys.argv[5:])

    class Camera(BaseHTTPRequestHandler):
        """One camera: the same scene for every client."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            began = time.monotonic()
            with contextlib.suppress(ConnectionError):
                for number in range(1 << 40):
                    time.sleep(max(0.0, began + number / fps - time.monotonic()))
                    data = shown[number % len(shown)]
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}"
                    self.wfile.write(head.encode() + b"\r\n\r\n" + data + b"\r\n")

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Camera)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
