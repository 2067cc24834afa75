"""`POST /v1/predict` gives the same predictions as every other way to run the model."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from colour_model import (
    FPS,
    LABELS,
    WINDOW,
    card_data,
    make_card,
    model_bytes,
    picture,
    write_video,
)
from numpy.typing import NDArray
from served import Running, encoded, files, jpeg, serving, until

from seqvision_edge.frame import Step
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import prepare
from seqvision_edge.runner import run
from seqvision_edge.sampling import centre, windows
from seqvision_edge.server.limits import Limits
from seqvision_edge.server.upload_decoding import DecodedUpload
from seqvision_edge.session import Session
from seqvision_edge.sources.factory import open_path
from seqvision_edge.still_images import image_steps

ROWS = {"kind": "rows", "steps": 6, "longer": "crop"}


def moving(seed: int, frames: int, size: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    """Return `(frames, height, width, 3)` whose colours wander, so that order matters."""
    generator = np.random.default_rng(seed)
    ends = generator.integers(0, 256, (2, 1, 1, 3))
    share = np.linspace(0, 1, frames)[:, None, None, None]
    clip = ends[0] * (1 - share) + ends[1] * share
    noise = generator.integers(-20, 20, (frames, *size, 3))
    return np.clip(clip + noise, 0, 255).astype(np.uint8)


def shares(prediction: dict[str, Any]) -> list[float]:
    return [prediction["probabilities"][label] for label in LABELS]


def predictions_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    predictions: list[dict[str, Any]] = answer.json()["predictions"]
    return predictions


def direct(session: Session, path: Path, every_window: bool) -> NDArray[np.float64]:
    """Return the session's prediction for a file's frames, sampled as usual."""
    card = session.card
    with open_path(path) as source:
        frames = list(source)
    images = np.stack([prepare(frame.bgr, card.image) for frame in frames])
    clip = DecodedUpload(images, np.array([frame.time for frame in frames]))
    seen = [centre(clip, card.image, card.sequence)]
    if every_window:
        seen = list(windows(clip, card.image, card.sequence))
        assert len(seen) > 2
    mean: NDArray[np.float64] = np.mean([session.run(steps[None])[0][0] for steps in seen], axis=0)
    return mean


@pytest.mark.parametrize("every_window", [False, True])
def test_a_video_has_the_answer_of_the_session(
    client: httpx.Client, session: Session, tmp_path: Path, every_window: bool
) -> None:
    scenes = [("red", 0.7), ("blue", 0.9), ("green", 0.8)]
    path = write_video(tmp_path / "a.mp4", scenes, 25.0)
    query = {"probabilities": True, "every_window": every_window}
    with path.open("rb") as file:
        (output,) = predictions_of(client.post("/v1/predict", files={"file": file}, params=query))
    np.testing.assert_allclose(shares(output), direct(session, path, every_window), atol=2e-6)
    assert output["label"] == max(LABELS, key=output["probabilities"].__getitem__)
    assert output["probability"] == max(shares(output))
    assert [each["label"] for each in output["top"]] == sorted(
        LABELS, key=lambda label: -output["probabilities"][label]
    )[:3]
    assert "windows" not in output


def test_the_timeline_of_a_video_is_that_of_a_run(
    client: httpx.Client, session: Session, video: Path
) -> None:
    steps: list[Step] = []

    class Keep:
        def __enter__(self) -> Any:
            return self

        def write(self, step: Step) -> None:
            steps.append(step)

        def __exit__(self, *_: object) -> None: ...

    run([open_path(video)], session, [Keep()])
    answers = [step.prediction.to_json() for step in steps if step.answered and step.prediction]
    events = [event.to_json() for step in steps for event in step.events]
    assert len(answers) > 40
    assert [event["label"] for event in events] == ["red", "blue"]
    with video.open("rb") as file:
        query = {"timeline": True, "probabilities": True}
        (output,) = predictions_of(client.post("/v1/predict", files={"file": file}, params=query))
    assert output["events"] == events
    for window, answer in zip(output["windows"], answers, strict=True):
        for key in ("time", "frame", "window_full", "label"):
            assert window[key] == answer[key]
        truth = list(answer["probabilities"].values())
        assert list(window["probabilities"].values()) == pytest.approx(truth, abs=2e-6)


def test_a_short_clip_has_a_window_fill_and_is_an_event(
    client: httpx.Client, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "short.mp4", [("red", 0.4)])
    for query in ({"timeline": True}, {}):
        with path.open("rb") as file:
            (output,) = predictions_of(
                client.post("/v1/predict", files={"file": file}, params=query)
            )
        assert output["label"] == "red"
        assert output["window_fill"] == pytest.approx(4 / WINDOW, abs=1e-5)
        if query:
            (event,) = output["events"]
            assert (event["label"], event["window_fill"]) == ("red", 0.667)


def test_pictures_are_one_clip_in_their_order(client: httpx.Client, session: Session) -> None:
    clip = moving(1, 8)
    pictures = [encoded(".png", frame) for frame in clip]
    query = {"probabilities": True, "fps": FPS}
    (output,) = predictions_of(client.post("/v1/predict", files=files(pictures), params=query))
    (back,) = predictions_of(client.post("/v1/predict", files=files(pictures[::-1]), params=query))
    steps = np.stack([prepare(frame, session.card.image) for frame in clip])
    middle = steps[1 : 1 + WINDOW]
    np.testing.assert_allclose(shares(output), session.run(middle[None])[0][0], atol=2e-6)
    assert max(abs(np.subtract(shares(output), shares(back)))) > 0.01


def test_nested_lists_are_clips_and_pictures(client: httpx.Client, session: Session) -> None:
    clip = moving(2, WINDOW, (12, 16))
    still = moving(3, 1, (12, 16))[0]
    grey = still[:, :, 0]
    body = {"instances": [clip.tolist(), still.tolist(), grey.tolist(), grey[..., None].tolist()]}
    output = predictions_of(client.post("/v1/predict", json=body, params={"probabilities": True}))
    three = np.repeat(grey[None, :, :, None], 3, axis=-1)
    for given, steps in zip(output, [clip, still[None], three, three], strict=True):
        np.testing.assert_allclose(shares(given), session.run(steps[None])[0][0], atol=2e-6)


def test_a_strip_is_answered_as_a_still_image(tmp_path: Path) -> None:
    session = Session(model_bytes(make_card(sequence=ROWS)), "cpu")
    strip = moving(4, 1, (70, 16))[0]
    sequence = session.card.sequence
    assert sequence.kind == "rows"
    truth = session.run(image_steps(strip, session.card.image, sequence)[None])[0][0]
    data = encoded(".png", strip)
    with serving(session) as running, running.client() as client:
        query = {"probabilities": True}
        (output,) = predictions_of(client.post("/v1/predict", files=files([data]), params=query))
        np.testing.assert_allclose(shares(output), truth, atol=2e-6)
        body = {"instances": [strip[..., ::-1].tolist()]}
        (output,) = predictions_of(client.post("/v1/predict", json=body, params=query))
        np.testing.assert_allclose(shares(output), truth, atol=2e-6)
        two = client.post("/v1/predict", files=files([data, data]))
        assert two.status_code == 422
        assert "not a still image" in two.json()["detail"]


def test_a_damaged_video_is_answered_with_what_is_missing(
    client: httpx.Client, tmp_path: Path
) -> None:
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (64, 48))
    for frame in moving(5, 80):
        writer.write(frame)
    writer.release()
    (output,) = predictions_of(client.post("/v1/predict", files={"file": path.read_bytes()}))
    assert "incomplete" not in output
    torn = path.read_bytes()[: path.stat().st_size * 2 // 3]
    (output,) = predictions_of(client.post("/v1/predict", files={"file": torn}))
    assert "of 80 frames" in output["incomplete"]


BAD_JSON: list[tuple[str, str]] = [
    ("{", "not valid JSON"),
    ("[1]", '"instances"'),
    ('{"instances": [], "signature": 1}', "without other keys"),
    ('{"instances": []}', "at least one"),
    ('{"instances": [5]}', "fewer than 2 axes"),
    ('{"instances": [[]]}', "an axis is empty"),
    ('{"instances": [[[1, 2], [3]]]}', "equally long"),
    ('{"instances": [[[1, 2], 3]]}', "equally long"),
    ('{"instances": [[[1, 256], [3, 4]]]}', "from 0 to 255"),
    ('{"instances": [[[1, -1], [3, 4]]]}', "from 0 to 255"),
    ('{"instances": [[[1, 1.5], [3, 4]]]}', "from 0 to 255"),
    ('{"instances": [[[1, "2"], [3, 4]]]}', "from 0 to 255"),
    ('{"instances": [[[1, null], [3, 4]]]}', "from 0 to 255"),
    ('{"instances": [[[1, NaN], [3, 4]]]}', "not valid JSON"),
    ('{"instances": [[[[1, 2], [3, 4]]]]}', "channels 1 or 3"),
    ('{"instances": [[[[[[1]]]]]]}', "more than 4 axes"),
    ('{"instances": ' + "[" * 500 + "]" * 500 + "}", "not valid JSON"),
]


@pytest.mark.parametrize(("body", "output"), BAD_JSON)
def test_an_invalid_picture_is_refused_with_a_reason(
    client: httpx.Client, body: str, output: str
) -> None:
    headers = {"content-type": "application/json"}
    answer = client.post("/v1/predict", content=body, headers=headers)
    assert answer.status_code == 422
    assert output in answer.json()["detail"]


def test_files_that_are_neither_video_nor_pictures_are_refused(
    client: httpx.Client, tmp_path: Path
) -> None:
    for content, output in (
        (b"", "not a video"),
        (b"shopping list\n" * 50, "it is text"),
        (bytes(range(256)) * 9, "not a video"),
        (jpeg("red")[:200], "damaged"),
    ):
        answer = client.post("/v1/predict", files={"file": content})
        assert answer.status_code == 422, answer.text
        assert output in answer.json()["detail"]
        assert "/tmp" not in answer.text
    mixed = files([jpeg("red"), b"RIFF"])
    assert client.post("/v1/predict", files=mixed).status_code == 422
    assert client.post("/v1/predict", data={"file": "http://x"}).status_code in (415, 422)
    assert client.post("/v1/predict", content=b"x").status_code == 415


def test_a_playlist_is_not_followed(client: httpx.Client, video: Path) -> None:
    for text in (f"ffconcat version 1.0\nfile {video}\n", f"#EXTM3U\n#EXTINF:4,\n{video}\n"):
        answer = client.post("/v1/predict", files={"file": text.encode()})
        assert answer.status_code == 422


def test_nothing_of_an_upload_stays(
    client: httpx.Client, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    for content in (video.read_bytes(), b"shopping list", video.read_bytes()[:5000]):
        client.post("/v1/predict", files={"file": ("../../x.mp4", content)})
        assert not list(folder.iterdir())


def test_requests_at_the_same_time_are_one_call_of_the_model(
    session: Session, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    plain = Session.run

    def counting(self: Session, frames: Any, *rest: Any, **more: Any) -> Any:
        if not sizes:
            until(lambda: server.served.service.batcher.reserved == 24)
        sizes.append(frames.shape[0])
        return plain(self, frames, *rest, **more)

    monkeypatch.setattr(Session, "run", counting)
    clips = [moving(seed, WINDOW, (12, 16)) for seed in range(24)]
    with server.client(limits=httpx.Limits(max_connections=24)) as client:

        def send_query(clip: NDArray[np.uint8]) -> list[float]:
            body = {"instances": [clip.tolist()]}
            answer = client.post("/v1/predict", json=body, params={"probabilities": True})
            return shares(predictions_of(answer)[0])

        with ThreadPoolExecutor(24) as threads:
            answers = list(threads.map(send_query, clips))
    assert sum(sizes) == 24
    assert len(sizes) < 16
    assert max(sizes) > 1
    monkeypatch.undo()
    for answer, clip in zip(answers, clips, strict=True):
        np.testing.assert_allclose(answer, session.run(clip[None])[0][0], atol=2e-6)


def test_more_than_the_model_can_do_is_refused_and_not_queued(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    plain = Session.run

    def blocked(self: Session, *given: Any, **more: Any) -> Any:
        assert go.wait(30)
        return plain(self, *given, **more)

    body = {"instances": [moving(1, WINDOW, (12, 16)).tolist()] * 2}
    with serving(session, limits=Limits(room=4)) as running, running.client() as client:
        monkeypatch.setattr(Session, "run", blocked)
        with ThreadPoolExecutor(6) as threads:
            queries = [threads.submit(client.post, "/v1/predict", json=body) for _ in range(6)]
            refused = []
            while len(refused) < 4:
                refused = [send_query.result() for send_query in queries if send_query.done()]
                time.sleep(0.01)
            assert {answer.status_code for answer in refused} == {429}
            assert all(answer.headers["retry-after"] == "1" for answer in refused)
            go.set()
            codes = sorted(send_query.result().status_code for send_query in queries)
        assert codes == [200, 200, 429, 429, 429, 429]
        assert client.post("/v1/predict", json=body).status_code == 200


def test_a_non_finite_prediction_is_reported() -> None:
    session = Session(model_bytes(nan_on_black=True), "cpu")
    with serving(session) as running, running.client() as client:
        answer = client.post("/v1/predict", files=files([jpeg("black")]))
        assert answer.status_code == 422
        assert "not finite" in answer.json()["detail"]


def test_the_model_route_omits_the_origin() -> None:
    origin = card_data()["origin"] | {
        "options": {"data": "/home/somebody/clips"},
        "data": {"file": "/home/somebody/list.csv"},
        "notes": ["somebody"],
    }
    session = Session(model_bytes(make_card(origin=origin)), "cpu")
    with serving(session) as running, running.client() as client:
        output = client.get("/v1/model")
    assert output.json()["labels"] == list(LABELS)
    assert output.json()["sequence"] == {"kind": "video", "fps": FPS, "frames": WINDOW}
    assert output.json()["limits"]["pixels"] == Limits.pixels
    assert "somebody" not in output.text


def test_class_names_are_only_ever_json() -> None:
    name = "<img src=x onerror=alert(1)>"
    card = make_card(labels=[name, "green", "blue", "none"])
    with serving(Session(model_bytes(card), "cpu")) as running, running.client() as client:
        body = {"instances": [[[[255, 0, 0]]]]}
        for answer in (client.post("/v1/predict", json=body), client.get("/v1/model")):
            assert answer.headers["content-type"] == "application/json"
            assert name in json.dumps(answer.json())
        for path in ("/", "/docs", "/metrics"):
            assert "onerror" not in client.get(path).text


def test_jpeg_orientation_is_applied_as_for_files(client: httpx.Client, tmp_path: Path) -> None:
    data = jpeg("red", (33, 21))
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    path = tmp_path / "a.jpg"
    path.write_bytes(turned)
    assert cv2.imread(str(path)).shape == (33, 21, 3)
    assert predictions_of(client.post("/v1/predict", files=files([turned])))[0]["label"] == "red"
    assert picture("red").shape == (48, 64, 3)


@pytest.mark.parametrize("query", [{"fps": "1_0"}, {"top": "1_0"}, {"fps": "１０"}])
def test_number_like_text_is_refused(client: httpx.Client, query: dict[str, str]) -> None:
    answer = client.post("/v1/predict", files=files([jpeg("red")]), params=query)
    assert answer.status_code == 422
    assert "must be a number" in answer.text
