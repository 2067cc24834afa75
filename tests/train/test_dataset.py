import numpy as np
import torch

from seqvision.data.augment import Augmenter
from seqvision.data.dataset import ClipDataset, EpochSampler, collate
from seqvision.data.decode import Decoded
from seqvision_edge.card import ImageSpec, VideoSequence
from seqvision_edge.sampling import window

IMAGE = ImageSpec(height=4, width=4, channels=3, fit="stretch")
VIDEO = VideoSequence(kind="video", fps=10.0, frames=8)


def numbered(frames: int, fps: float, key: str = "0") -> Decoded:
    """Return a clip whose pixels are the frame's number."""
    pixels = np.arange(frames, dtype=np.uint8)[:, None, None, None]
    return Decoded(np.broadcast_to(pixels, (frames, 4, 4, 3)), np.arange(frames) / fps, key)


def numbers(frames: np.ndarray) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in frames]


def test_a_window_keeps_the_speed_of_the_clip_not_its_frame_count() -> None:
    thirds = [0, *range(2, 23, 3)]  # the first frame begins the grid; a third of a tick is near
    assert numbers(window(numbered(30, 30), fps=10, frames=8, start=0)) == thirds[:8]
    assert numbers(window(numbered(10, 10), fps=10, frames=8, start=0)) == list(range(8))
    assert numbers(window(numbered(5, 5), fps=10, frames=8, start=0)) == [0, 1, 1, 2, 2, 3, 3, 4]


def test_a_long_clip_is_windowed_and_a_short_one_read_whole() -> None:
    clip = numbered(20, 10)
    assert numbers(window(clip, 10, 8, start=0)) == list(range(8))
    assert numbers(window(clip, 10, 8)) == list(range(6, 14))
    assert numbers(window(clip, 10, 8, start=1)) == list(range(12, 20))
    assert numbers(window(numbered(3, 10), 10, 8)) == [0, 1, 2]
    assert numbers(window(numbered(1, 10), 10, 8)) == [0]


def test_a_batch_is_padded_at_the_end_and_has_the_lengths() -> None:
    data = ClipDataset([numbered(3, 10), numbered(9, 10)], [1, 0], IMAGE, VIDEO)
    batch = collate([data[0, 0], data[0, 1]])
    assert batch.inputs.shape == (2, 8, 4, 4, 3)
    assert batch.inputs.dtype == torch.uint8
    assert batch.lengths.tolist() == [3, 8]
    assert batch.labels.tolist() == [1, 0]
    assert not batch.inputs[0, 3:].any()
    assert batch.padded is batch.lengths
    assert collate([data[0, 1], data[0, 1]]).padded is None, "then the network has less to do"


def test_an_item_depends_only_on_seed_epoch_and_clip() -> None:
    clips = [numbered(60, 10, key) for key in ("a", "b", "c")]
    first, second = (
        ClipDataset(clips, [0, 0, 0], IMAGE, VIDEO, Augmenter("strong"), seed=4) for _ in range(2)
    )
    second[0, 2]
    assert torch.equal(first[7, 1][0], second[7, 1][0])
    assert not torch.equal(first[7, 1][0], first[8, 1][0])
    assert not torch.equal(first[7, 1][0], first[7, 0][0])
    other = ClipDataset(clips[1:], [0, 0], IMAGE, VIDEO, Augmenter("strong"), seed=4)
    assert torch.equal(first[7, 1][0], other[7, 0][0]), "whatever the order of the list"


def test_the_order_of_an_epoch_depends_only_on_seed_and_epoch() -> None:
    order = EpochSampler(range(20), seed=1, shuffle=True)
    order.set_epoch(5)
    fifth = list(order)
    assert sorted(index for _, index in fifth) == list(range(20))
    assert {epoch for epoch, _ in fifth} == {5}
    order.set_epoch(6)
    assert [i for _, i in order] != [i for _, i in fifth]
    order.set_epoch(5)
    assert list(order) == fifth
    assert list(EpochSampler(range(3), seed=1, shuffle=False)) == [(0, 0), (0, 1), (0, 2)]
