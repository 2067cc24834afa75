"""The drawn scene with two performers in two regions."""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "samples"))
import two_regions

from seqvision_edge.event_metrics import read_truth
from seqvision_edge.regions import crop
from seqvision_edge.sources.factory import open_path
from seqvision_edge.sources.parse import read_listing


def test_the_scene_has_each_performer_in_a_region_with_events_of_its_own(tmp_path: Path) -> None:
    listed, truth = two_regions.draw(tmp_path, 14.0)
    (address,) = read_listing(listed, {})
    assert [region.name for region in address.regions] == ["left", "right"]
    events = read_truth(truth)
    starts = {
        view: [event.start for event in events if event.view == view] for view in ("left", "right")
    }
    assert all(starts.values())
    assert not set(starts["left"]) & set(starts["right"]), "at different times"
    assert json.loads(truth.read_text())["video"] == "two.mp4"
    with open_path(str(address.where)) as video:
        frames = [frame.bgr for frame in video]
    assert len(frames) == 280
    for region in address.regions:
        parts = np.stack([crop(frame, region) for frame in frames[::10]])
        assert parts.shape[1:] == (120, 160, 3)
        assert parts.astype(float).std(axis=0).mean() > 1, "something moves in it"
    outside = np.stack([frame[:18, :200] for frame in frames[::40]]).astype(float)
    assert outside.std(axis=0).mean() < 1, "nothing moves beside them"
