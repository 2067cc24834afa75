"""A client of edge-serve that needs nothing but Python.

client = Client("http://127.0.0.1:8000", token=None)
print(client.predict("clip.mp4")["label"])
"""

import json
import urllib.request
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

Json = dict[str, Any]


class Client:
    """Asks a server; what it refuses is raised as urllib.error.HTTPError."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def model(self) -> Json:
        """Return what the model is: labels, sizes, thresholds."""
        return self._ask("GET", "/v1/model")

    def predict(self, *paths: str | Path, **query: str | float) -> Json:
        """Return the answer for a video, or for pictures in order; `timeline="true"` for events."""
        edge = uuid.uuid4().hex
        parts = [
            f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{number}"\r\n\r\n'
            .encode() + Path(path).read_bytes() + b"\r\n"
            for number, path in enumerate(paths)
        ]  # fmt: skip
        body = b"".join(parts) + f"--{edge}--\r\n".encode()
        kind = f"multipart/form-data; boundary={edge}"
        answer: Json = self._ask("POST", f"/v1/predict?{urlencode(query)}", body, kind)
        return answer["predictions"][0]

    def predict_pixels(self, instances: Sequence[Any]) -> list[Json]:
        """Return the answers for clips or pictures as nested lists of 0 to 255."""
        body = json.dumps({"instances": instances}).encode()
        return self._ask("POST", "/v1/predict", body, "application/json")["predictions"]

    def open_stream(self) -> str:
        """Return the name of a new stream, which remembers what it is shown."""
        return self._ask("POST", "/v1/streams")["id"]

    def push(self, stream: str, seconds: float, jpeg: bytes) -> list[Json]:
        """Show a stream its next picture; return answers, events and states."""
        path = f"/v1/streams/{stream}/frames?timestamp={seconds!r}"
        return self._ask("POST", path, jpeg, "image/jpeg")["records"]

    def _ask(self, method: str, path: str, body: bytes = b"", kind: str = "") -> Json:
        headers = self._headers | ({"Content-Type": kind} if kind else {})
        request = urllib.request.Request(self._url + path, body or None, headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)
