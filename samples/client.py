"""A client of edge-serve that needs nothing but Python.

client = Client("http://127.0.0.1:8000", token=None)
print(client.predict("clip.mp4")["label"])
"""

import json
import queue
import threading
import urllib.request
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

Json = dict[str, Any]


class Client:
    """Client of a server; a refused request is raised as urllib.error.HTTPError.

    An answer that is not whole after so many seconds is a TimeoutError, also of one that drips.
    """

    def __init__(self, url: str, token: str | None = None, seconds: float = 120.0) -> None:
        self._url, self._seconds = url.rstrip("/"), seconds
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def model(self) -> Json:
        """Return what the model is: labels, sizes, thresholds."""
        return self._request("GET", "/v1/model")

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
        answer: Json = self._request("POST", f"/v1/predict?{urlencode(query)}", body, kind)
        return answer["predictions"][0]

    def predict_pixels(self, instances: Sequence[Any]) -> list[Json]:
        """Return the answers for clips or pictures as nested lists of 0 to 255."""
        body = json.dumps({"instances": instances}).encode()
        return self._request("POST", "/v1/predict", body, "application/json")["predictions"]

    def open_stream(self) -> str:
        """Return the name of a new stream, which remembers what it is shown."""
        return self._request("POST", "/v1/streams")["id"]

    def push(self, stream: str, seconds: float, jpeg: bytes) -> list[Json]:
        """Show a stream its next picture; return answers, events and states."""
        path = f"/v1/streams/{stream}/frames?timestamp={seconds!r}"
        return self._request("POST", path, jpeg, "image/jpeg")["records"]

    def _request(self, method: str, path: str, body: bytes = b"", kind: str = "") -> Json:
        headers = self._headers | ({"Content-Type": kind} if kind else {})
        request = urllib.request.Request(self._url + path, body or None, headers, method=method)
        answers: queue.Queue[Any] = queue.Queue()

        def wait() -> None:
            try:
                with urllib.request.urlopen(request, timeout=self._seconds) as answer:
                    answers.put(json.load(answer))
            except Exception as error:
                answers.put(error)

        threading.Thread(target=wait, daemon=True).start()
        try:
            answer = answers.get(timeout=self._seconds)
        except queue.Empty:
            raise TimeoutError(f"{self._url}{path}: no answer in {self._seconds:g} s") from None
        if isinstance(answer, Exception):
            raise answer
        return answer
