import os
from pathlib import Path

import numpy as np
import pytest
from conftest import square_clip, write_frames, write_video

from seqvision.data.cache import Cache
from seqvision.data.clips import Clip
from seqvision.data.decode import Store, StoredClip, decode_all
from seqvision.errors import DataError
from seqvision_edge.card import ImageSpec
from seqvision_edge.errors import SourceError
from seqvision_edge.preprocess import prepare
from seqvision_edge.sources.factory import open_path

SPEC = ImageSpec(height=12, width=20, channels=3, fit="stretch")


def test_a_decoded_clip_equals_the_frames_of_a_live_run(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", square_clip(1, 0, 9, 64), fps=12.0)
    clip = Store(Cache(tmp_path / "cache"), SPEC, 30.0).load(Clip(path, "a"))
    with open_path(path) as source:
        live = [(prepare(frame.bgr, SPEC), frame.time) for frame in source]
    assert np.array_equal(clip.frames, [frame for frame, _ in live])
    assert clip.times.tolist() == [time for _, time in live]
    assert clip.seconds == pytest.approx(9 / 12, abs=0.01)


def test_the_second_load_reads_the_cache_and_not_the_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = Clip(write_frames(tmp_path / "a", square_clip(1, 0)), "a", fps=8.0)
    store = Store(Cache(tmp_path / "cache"), SPEC, 30.0)
    first = store.load(clip)
    monkeypatch.setattr("seqvision.data.decode.open_path", lambda *_: pytest.fail("decoded again"))
    second = store.load(clip)
    assert np.array_equal(first.frames, second.frames)
    assert second.times[1] == pytest.approx(1 / 8)


def test_a_changed_clip_size_or_rate_is_decoded_again(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "a", square_clip(1, 0))
    cache = tmp_path / "cache"
    before = Store(Cache(cache), SPEC, 30.0).load(Clip(folder, "a"))
    (folder / "9.png").unlink()
    assert (
        len(Store(Cache(cache), SPEC, 30.0).load(Clip(folder, "a")).times) == len(before.times) - 1
    )
    assert Store(Cache(cache), SPEC, 10.0).load(Clip(folder, "a")).times[1] == pytest.approx(0.1)
    grey = SPEC.model_copy(update={"channels": 1})
    assert Store(Cache(cache), grey, 30.0).load(Clip(folder, "a")).frames.shape[1:] == (12, 20, 1)


def test_a_truncated_cache_file_is_rebuilt(tmp_path: Path) -> None:
    clip = Clip(write_frames(tmp_path / "a", square_clip(1, 0)), "a")
    store = Store(Cache(tmp_path / "cache"), SPEC, 30.0)
    whole = np.array(store.load(clip).frames)
    (torn,) = (tmp_path / "cache").rglob("*.u8")
    torn.write_bytes(torn.read_bytes()[:100])
    assert np.array_equal(store.load(clip).frames, whole)


def test_the_cache_keeps_its_size_and_drops_the_least_recently_used(
    tmp_path: Path,
) -> None:
    cache = Cache(
        tmp_path / "cache", gigabytes=2.5 * 10 * 12 * 20 * 3 / 1e9
    )  # two and a half clips
    store = Store(cache, SPEC, 30.0)
    clips = [Clip(write_frames(tmp_path / str(n), square_clip(1, n)), "a") for n in range(3)]
    held = [store.load(clip) for clip in clips]
    kept = np.array(held[1].frames)
    for age, clip in ((3, held[0]), (2, held[1]), (1, held[2])):
        assert isinstance(clip.frames, StoredClip)
        for path in clip.frames.path.parent.glob(f"{clip.frames.path.stem}.*"):
            os.utime(path, (1e9 - age, 1e9 - age))
    store.load(clips[0])  # used just now
    killed = tmp_path / "cache" / "00" / ".left.by.a.kill"
    killed.parent.mkdir(exist_ok=True)
    killed.touch()
    os.utime(killed, (1e9, 1e9))
    cache.trim()
    assert not killed.exists()
    left = set((tmp_path / "cache").glob("??/*.u8"))
    assert left == {held[index].frames.path for index in (0, 2)}  # type: ignore[union-attr]
    assert np.array_equal(held[1].frames, kept), "a clip in use stays readable"
    assert np.array_equal(store.load(clips[1]).frames, kept), "and is made anew when asked for"


def test_a_clip_that_cannot_be_read_leaves_nothing_in_the_cache(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(SourceError, match=r"a\.mp4"):
        Store(Cache(tmp_path / "cache"), SPEC, 30.0).load(Clip(tmp_path / "a.mp4", "a"))
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_an_unwritable_cache_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    clip = Clip(write_frames(tmp_path / "a", square_clip(1, 0)), "a")
    with pytest.raises(DataError, match=r"choose another folder with --cache"):
        decode_all(Store(Cache(tmp_path / "file" / "cache"), SPEC, 30.0), [clip], lambda *_: None)
