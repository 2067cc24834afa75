"""A small recurrent head works on one thread, the encoder on all of them."""

from collections.abc import Iterator

import pytest
import torch

from seqvision.config import ModelOptions
from seqvision.models.classifier import Classifier
from seqvision.training.hardware import limit_head_threads
from seqvision_edge.card import ImageSpec

IMAGE = ImageSpec(height=32, width=32, channels=3, fit="stretch")


pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def threads_of_a_step(model: Classifier) -> dict[str, int]:
    """Return how many threads each part of a training step had."""
    found: dict[str, int] = {}

    def note(name: str) -> None:
        found[name] = torch.get_num_threads()

    model.encoder[0].register_forward_hook(lambda *_: note("encoder"))
    model.encoder[-1].register_full_backward_hook(lambda *_: note("encoder, back"))
    model.head.rnn.register_forward_hook(lambda *_: note("head"))
    model.head.classify.register_full_backward_hook(lambda *_: note("head, back"))
    frames = torch.randint(0, 256, (2, 3, 32, 32, 3), dtype=torch.uint8)
    model(frames).square().sum().backward()
    return found


def test_the_head_runs_on_one_thread_and_the_encoder_on_all() -> None:
    model = Classifier(ModelOptions(hidden=16), IMAGE, 3)
    assert limit_head_threads(model, 2)
    assert threads_of_a_step(model) == {
        "encoder": 2, "head": 1, "head, back": 1, "encoder, back": 2
    }  # fmt: skip


def test_a_large_head_runs_on_all_threads() -> None:
    model = Classifier(ModelOptions(hidden=1024), IMAGE, 3)
    assert not limit_head_threads(model, 16)
    assert set(threads_of_a_step(model).values()) == {2}


def test_a_head_without_recurrence_keeps_all_threads() -> None:
    assert not limit_head_threads(Classifier(ModelOptions(head="mean"), IMAGE, 3), 2)


def test_thread_limits_change_no_prediction() -> None:
    model = Classifier(ModelOptions(hidden=16), IMAGE, 3).eval()
    frames = torch.randint(0, 256, (2, 3, 32, 32, 3), dtype=torch.uint8)
    before = model(frames)
    limit_head_threads(model, 2)
    assert torch.allclose(model(frames), before, atol=1e-6)
