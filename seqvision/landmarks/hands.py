"""One picture → palms → up to two hands → their landmarks as features, all of fixed shapes.

No operator's shape depends on what is seen, and nothing is sorted or looped over.  Choices are
smooth (a ramp around each threshold), so that a rounding error stays one: only which palm is the
best is a choice by itself, and with two hands the slots undo it.

Constants are those of MediaPipe's hand tracking (anchors, thresholds, the crop of a hand).
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from seqvision.landmarks.fetch import load_network
from seqvision.landmarks.network import LandmarkNetwork, keep_constant, ramp
from seqvision_edge.landmarks import HAND_POINTS, PER_HAND

# The grids of the detector's anchors: cells of a side, anchors in a cell.
_GRIDS = ((24, 2), (12, 6))
# Box (x, y, width, height) and seven points (x, y).
_BOX = 18
_WRIST, _MIDDLE = 4, 8
# A hand's crop: so many times the palm, moved by half a palm towards the fingers.
_CROP, _MOVE = 2.6, 0.5
# From nothing to all: each ramp is around MediaPipe's threshold.
_FOUND, _PRESENT, _COUNTED, _OVERLAP = (0.4, 0.6), (0.3, 0.7), (0.45, 0.55), (0.25, 0.35)
# Two finds of one hand: their middles are this near, in sizes of a hand.
_TWICE = (0.4, 0.6)
_SHARP = 1e6


class Hands(nn.Module):
    """Pictures `(pictures, 3, height, width)`, 0 to 1 → features `(pictures, hands × 67)`.

    `seqvision_edge.landmarks` describes each feature.
    """

    def __init__(self, height: int, width: int, hands: int, kind: str) -> None:
        """Load the networks.

        Args:
            height, width: of a picture.
            hands: how many slots: 1 (the clearest hand), or 2 (left, right).
            kind: lite or full.

        Raises:
            WeightsError: the weights cannot be had.
        """
        super().__init__()
        self.anchors: Tensor
        self.crop: Tensor
        self.stretch: Tensor
        self.hands = hands
        self.palm = LandmarkNetwork(load_network(f"palm_{kind}"))
        self.net = LandmarkNetwork(load_network(f"hand_{kind}"))
        self.size = self.palm.size
        longest = max(height, width)
        keep_constant(self, "anchors", _anchors())
        keep_constant(self, "crop", _crop_points(self.net.size))
        # Half a pixel inside the border: there GridSample need not look outside, half its time.
        self.edge = 1 - 1 / min(width, height)
        keep_constant(self, "stretch", np.array([2 * longest / width, 2 * longest / height]))

    def forward(self, pictures: Tensor, small: Tensor) -> Tensor:
        """Return the features of each picture; `small` are the same fitted into the detector's."""
        boxes, scores = self._candidates(small)
        found, certain = [], []
        for _ in range(self.hands):
            box, best, scores = _best(boxes, scores)
            found.append(box)
            certain.append(best)
        roi = _region(torch.stack(found, 1).flatten(0, 1))
        marks, presence, right = self.net(self._crops(pictures, roi))
        points = self._points(marks, roi)
        points = points.reshape(-1, self.hands, HAND_POINTS, 3)
        present = presence.reshape(-1, self.hands)
        there = ramp(present, _PRESENT) * ramp(torch.stack(certain, 1), _FOUND)
        if self.hands == 2:
            left = 1 - right.reshape(-1, self.hands)
            points, there = _into_slots(points, there, left)
        return _features(points, there)

    def _candidates(self, small: Tensor) -> tuple[Tensor, Tensor]:
        """Return boxes `(pictures, anchors, 18)`, in units of the longer side, and their scores."""
        boxes, logits = self.palm(small)
        scores = torch.sigmoid(logits[..., 0].clamp(-100, 100))
        return boxes / self.palm.size + self.anchors, scores

    def _crops(self, pictures: Tensor, roi: Tensor) -> Tensor:
        """`(pictures, 3, height, width)`, `(pictures × hands, 5)` → turned crops of each hand."""
        side = self.net.size
        # From a crop's pixels to the grid's −1 to 1 in one product: there are fifty thousand.
        turn, side_length, centre = _affine(roi)
        affine = torch.cat((turn * side_length, centre - 0.5), 1) * self.stretch
        grid = (self.crop @ affine).clamp(-self.edge, self.edge)
        grid = grid.reshape(-1, self.hands * side, side, 2)
        crops = F.grid_sample(pictures, grid, "bilinear", "zeros", align_corners=False)
        crops = crops.reshape(-1, 3, self.hands, side, side).transpose(1, 2)
        return crops.reshape(-1, 3, side, side)

    def _points(self, marks: Tensor, roi: Tensor) -> Tensor:
        """Return points `(crops, 21, 3)` in units of the longer side, z too."""
        points = marks.reshape(-1, HAND_POINTS, 3) / self.net.size
        flat = _placed(roi, points[..., :2] - 0.5)
        return torch.cat((flat, points[..., 2:] * roi[:, None, 2:3]), 2)


def _best(boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the best box, its score, and the scores without those that overlap it.

    Boxes that overlap the best one are averaged, weighted by their scores, as MediaPipe does.
    """
    best = scores.amax(1, keepdim=True)
    first = ((scores - best) * _SHARP + 1).clamp(0, 1)
    first = first / first.sum(1, keepdim=True)
    top = first[:, None] @ boxes[..., :4]
    centre, half = boxes[..., :2], boxes[..., 2:4] * 0.5
    low = torch.maximum(centre - half, top[..., :2] - top[..., 2:] * 0.5)
    high = torch.minimum(centre + half, top[..., :2] + top[..., 2:] * 0.5)
    shared = (high - low).clamp(min=0)
    common = shared[..., 0] * shared[..., 1]
    union = 4 * half[..., 0] * half[..., 1] + top[..., 2] * top[..., 3] - common
    near = ramp(common / union.clamp(min=1e-6), _OVERLAP)
    weight = near * scores * ramp(scores, _COUNTED) + 1e-6 * first
    box = (weight / weight.sum(1, keepdim=True))[:, None] @ boxes
    return box[:, 0], best[:, 0], scores * (1 - near)


def _region(box: Tensor) -> Tensor:
    """`(hands, 18)` → crops `(hands, 5)`: x, y of the centre, side, cosine, sine.

    Turned so that the middle finger's root is above the wrist.
    """
    x, y, width, height = (box[:, index] for index in range(4))
    across = box[:, _MIDDLE] - box[:, _WRIST]
    along = box[:, _MIDDLE + 1] - box[:, _WRIST + 1]
    length = torch.sqrt(across * across + along * along).clamp(min=1e-6)
    cosine, sine = -1 * along / length, across / length
    side = _CROP * torch.maximum(width, height)
    move = _MOVE * height
    return torch.stack((x + move * sine, y - move * cosine, side, cosine, sine), 1)


def _placed(roi: Tensor, points: Tensor) -> Tensor:
    """Points −0.5 to 0.5 of crops `(…, points, 2)` → `(crops, points, 2)` of the picture."""
    turn, side, centre = _affine(roi)
    return (points @ turn) * side + centre


def _affine(roi: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the turn `(crops, 2, 2)`, side `(crops, 1, 1)` and centre `(crops, 1, 2)` of crops."""
    cosine, sine = roi[:, 3:4], roi[:, 4:5]
    right, down = torch.cat((cosine, sine), 1), torch.cat((-1 * sine, cosine), 1)
    return torch.stack((right, down), 1), roi[:, None, 2:3], roi[:, None, :2]


def _hand_size(points: Tensor) -> Tensor:
    """Return `(…, 1)`: wrist to the middle finger's root, or across the palm if that is longer."""
    lengths = []
    for begin, end in ((0, 9), (5, 17)):
        difference = points[..., begin, :] - points[..., end, :]
        lengths.append(torch.sqrt((difference * difference).sum(-1, keepdim=True)))
    return torch.maximum(*lengths).clamp(min=1e-4)


def _into_slots(points: Tensor, there: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
    """Drop a second find of one hand; put the left hand first.

    Where both are reported on one side, the one further right in the picture is the left hand, as
    of a person who faces the camera.
    """
    middles = points[..., :2].mean(2)
    apart = middles[:, 0] - middles[:, 1]
    distance = torch.sqrt((apart * apart).sum(1))
    size = _hand_size(points)[..., 0].amax(1)
    again = there[:, 0] * (1 - ramp(distance / size, _TWICE))
    there = torch.stack((there[:, 0], there[:, 1] * (1 - again)), 1)
    order = there * (2 * left - 1 + 0.2 * (2 * points[..., 0, 0] - 1))
    keep = ((order[:, 0] - order[:, 1]) * _SHARP + 0.5).clamp(0, 1)[:, None]
    return _exchanged(points, keep[..., None, None]), _exchanged(there, keep)


def _exchanged(pairs: Tensor, keep: Tensor) -> Tensor:
    """Exchange the two of axis 1 where `keep` is 0."""
    return keep * pairs + (1 - keep) * torch.stack((pairs[:, 1], pairs[:, 0]), 1)


def _features(points: Tensor, there: Tensor) -> Tensor:
    """`(pictures, hands, 21, 3)`, `(pictures, hands)` → `(pictures, hands × 67)`."""
    size = _hand_size(points)
    shape = ((points - points[..., :1, :]) / size[..., None]).flatten(2)
    wrist = (points[..., 0, :2] - 0.5) * 2
    each = torch.cat((shape, wrist, 4 * size), 2) * there[..., None]
    return torch.cat((each, there[..., None]), 2).reshape(-1, points.shape[1] * PER_HAND)


def _anchors() -> NDArray[np.float32]:
    """Return what is added to each box of the detector: its anchor, to each of its x and y."""
    rows = []
    for cells, count in _GRIDS:
        for index in range(cells * cells * count):
            row, column = divmod(index // count, cells)
            at = [(column + 0.5) / cells, (row + 0.5) / cells]
            rows.append([*at, 0.0, 0.0, *at * ((_BOX - 4) // 2)])
    return np.array(rows, np.float32)


def _crop_points(side: int) -> NDArray[np.float32]:
    """Return the centres of a crop's pixels, `(1, side × side, 3)`: −0.5 to 0.5, and 1."""
    at = (np.arange(side) + 0.5) / side - 0.5
    x, y = np.meshgrid(at, at)
    return np.stack((x, y, np.ones_like(x)), -1).reshape(1, -1, 3).astype(np.float32)
