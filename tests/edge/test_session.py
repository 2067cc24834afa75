"""One graph for clips and live input: the same results, however the frames arrive."""

import json
from pathlib import Path

import numpy as np
import pytest
from colour_model import LABELS, WINDOW, card_data, make_card, model_bytes
from numpy.typing import NDArray

from seqvision_edge.card import METADATA_KEY
from seqvision_edge.errors import CardError, DeviceError, ModelError
from seqvision_edge.session import Session


def noise(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(1, 255, (count, 12, 16, 3), np.uint8)


def test_live_answers_are_the_answers_for_the_last_window_at_every_frame(session: Session) -> None:
    frames = noise(3 * WINDOW)
    stream = session.stream()
    for end in range(1, len(frames) + 1):
        live = stream.push(frames[end - 1 : end])
        clip, _ = session.run(frames[None, max(0, end - WINDOW) : end])
        assert live is not None
        np.testing.assert_allclose(live, clip[0], atol=1e-6)
        assert stream.window_full == (end >= WINDOW)


@pytest.mark.parametrize("sizes", [[20], [1] * 20, [3] * 6 + [2], [7, 1, 12], [19, 1]])
def test_the_size_of_the_chunks_does_not_change_the_answer(
    session: Session, sizes: list[int]
) -> None:
    frames = noise(20)
    expected, _ = session.run(frames[None])
    stream = session.stream()
    for chunk in np.split(frames, np.cumsum(sizes)[:-1]):
        answer = stream.push(chunk)
    assert answer is not None
    np.testing.assert_allclose(answer, expected[0], atol=1e-6)


def test_the_order_of_the_frames_matters_to_the_answer(session: Session) -> None:
    frames = np.sort(noise(WINDOW), axis=0)
    forwards, _ = session.run(frames[None])
    backwards, _ = session.run(frames[None, ::-1])
    assert np.abs(forwards - backwards).max() > 0.01


def test_clips_in_a_batch_do_not_touch_each_other(session: Session) -> None:
    batch = np.stack([noise(WINDOW, seed) for seed in range(3)])
    together, _ = session.run(batch)
    for clip, answer in zip(batch, together, strict=True):
        np.testing.assert_allclose(session.run(clip[None])[0][0], answer, atol=1e-6)


def test_streams_do_not_touch_each_other(session: Session) -> None:
    one, other = session.stream(), session.stream()
    frames = noise(WINDOW)
    for frame in frames:
        answer = one.push(frame[None])
        other.push(255 - frame[None])
    assert answer is not None
    np.testing.assert_allclose(answer, session.run(frames[None])[0][0], atol=1e-6)


def test_a_reset_clears_the_state(session: Session) -> None:
    stream = session.stream()
    fresh = stream.push(noise(1))
    stream.push(noise(WINDOW, 5))
    stream.reset()
    assert not stream.window_full
    np.testing.assert_array_equal(stream.push(noise(1)), fresh)


def test_a_non_finite_value_gives_no_prediction_and_is_reset() -> None:
    stream = Session(model_bytes(nan_on_black=True), "cpu").stream()
    stream.push(noise(WINDOW))
    assert stream.push(np.zeros((1, 12, 16, 3), np.uint8)) is None
    assert stream.nonfinite == 1
    assert stream.seen == 0
    assert stream.push(noise(1)) is not None


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((1, 1, 12, 16, 3), np.float32),
        np.zeros((1, 1, 12, 17, 3), np.uint8),
        np.zeros((1, 12, 16, 3), np.uint8),
        np.zeros((1, 0, 12, 16, 3), np.uint8),
    ],
    ids=["float", "wide", "flat", "empty"],
)
def test_frames_of_another_shape_or_type_are_refused(
    session: Session, frames: NDArray[np.uint8]
) -> None:
    with pytest.raises(ValueError, match="frames are"):
        session.run(frames)


def test_a_session_names_what_runs_it(session: Session) -> None:
    assert session.device == "cpu"
    assert session.card.labels == LABELS


def test_a_missing_model_error_names_the_export_command(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"no such file; make one with: seqvision export model\.pt"
    ):
        Session(tmp_path / "model.onnx")


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(range(256)) * 40])
def test_a_file_that_is_not_a_model_is_one_error_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError) as error:
        Session(path)
    assert str(error.value).startswith(f"{path}: not a usable ONNX model")
    assert "\n" not in str(error.value)


def test_a_model_cut_in_half_is_refused(tmp_path: Path) -> None:
    whole = model_bytes()
    with pytest.raises((ModelError, CardError)):
        Session(whole[: len(whole) // 2])


def test_a_missing_device_is_an_error_without_cpu_fallback(session: Session) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(DeviceError, match="onnxruntime-gpu"):
        Session(model_bytes(), "cuda")
    assert Session(model_bytes(), "auto").device == "cpu"


def with_card(text: str | None) -> bytes:
    """Return the model with other text for its card."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(model_bytes())
    del model.metadata_props[:]
    if text is not None:
        onnx.helper.set_model_props(model, {METADATA_KEY: text})
    return bytes(model.SerializeToString())


def test_a_model_without_a_card_error_names_the_export() -> None:
    with pytest.raises(
        CardError, match=r"no model card in it; make the file with: seqvision export"
    ):
        Session(with_card(None))


def test_a_card_of_a_newer_spec_is_refused_at_loading() -> None:
    with pytest.raises(CardError, match="spec 99"):
        Session(with_card(json.dumps(card_data(spec=99))))


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": ["red", "green", "none"]},
        {"image": {**card_data()["image"], "width": 12}},
        {"state": {"kind": "window", "tensors": []}},
        {"state": {"kind": "window", "tensors": [{"name": "other", "axes": ["batch", "k", 3]}]}},
        {"state": {"kind": "window", "tensors": [{"name": "past", "axes": ["batch", "k", 4]}]}},
    ],
    ids=["labels", "size", "no state", "name", "features"],
)
def test_a_graph_that_contradicts_its_card_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="its card"):
        Session(with_card(make_card(**changes).to_json()))
