"""What `seqvision tune` measures before it trains: a live frame of the exported network."""

from pathlib import Path

import pytest
from export_models import Exported, exported, forward

from seqvision_edge.card import StripSequence
from seqvision_export import export
from seqvision_export.export import live_latency_ms


def latency_ms(monkeypatch: pytest.MonkeyPatch, network: Exported) -> float:
    """Time a network whose file is there already."""
    monkeypatch.setattr(export, "convert", lambda *_: network.content)
    return live_latency_ms(network.model, network.card)


def test_a_larger_network_takes_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    ms = latency_ms(monkeypatch, exported(forward()))
    assert 0 < ms < 50
    assert latency_ms(monkeypatch, exported(forward(encoder="resnet18"))) > 2 * ms


def test_live_frames_are_timed_with_a_full_window_and_images_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So the calls that are timed are looked at, not how long they take."""
    calls = []

    def look(work: dict[int, object], _: float) -> dict[int, object]:
        for call in work.values():
            calls.append(call())  # type: ignore[operator]
        raise InterruptedError

    monkeypatch.setattr(export, "interleaved_timing", look)
    model, card, content = exported(forward())[1:]
    monkeypatch.setattr(export, "convert", lambda *_: content)
    with pytest.raises(InterruptedError):
        live_latency_ms(model, card)
    (probabilities,) = calls
    assert probabilities.shape[-1] == len(card.labels)
    rows = StripSequence(kind="rows", steps=5, longer="crop")
    with pytest.raises(InterruptedError):
        live_latency_ms(model, card.model_copy(update={"sequence": rows}))
    answers, _ = calls[-1]
    assert answers.shape == (1, len(card.labels))
