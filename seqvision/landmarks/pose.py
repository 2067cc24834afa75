"""One picture → the body of the person who is nearest to its middle, as features.

The network answers once for the whole picture: where a person's middle is, from there where each
point is roughly, and maps of each kind of point.  Choices are weighted means over all cells that
are nearly the best, so that a rounding error stays one.

Constants are those of MoveNet (cells, how much less is worth what is far from the middle).
"""

import numpy as np
import torch
from torch import Tensor, nn

from seqvision.landmarks.fetch import load_network
from seqvision.landmarks.network import LandmarkNetwork, keep_constant, ramp
from seqvision_edge.landmarks import BODY_POINTS, PER_BODY

_CELLS = 48
# A cell is worth the less the further it is from where it is expected, in cells.
_FAR = 1.8
# From nothing to all, as shares of the best cell: the person's middle, a point.
_MIDDLE, _POINT = (0.98, 1.0), (0.9, 1.0)
# From nothing to all: a point is seen, around MoveNet's threshold.
_SEEN = (0.2, 0.4)
_SHOULDERS, _HIPS = (5, 6), (11, 12)
# A torso is so many times as long as the shoulders are wide.
_TORSO = 1.4


class Pose(nn.Module):
    """Pictures `(pictures, 3, 192, 192)`, 0 to 1 → features `(pictures, 55)`.

    `seqvision_edge.landmarks` describes each feature.
    """

    def __init__(self) -> None:
        """Load the network.

        Raises:
            WeightsError: the weights cannot be had.
        """
        super().__init__()
        self.near: Tensor
        self.cells: Tensor
        self.net = LandmarkNetwork(load_network("pose"))
        self.size = self.net.size
        at = np.arange(_CELLS, dtype=np.float32)
        rows, columns = (each.reshape(-1) for each in np.meshgrid(at, at, indexing="ij"))
        distance = np.hypot(rows - _CELLS / 2, columns - _CELLS / 2)
        keep_constant(self, "near", 1 / (distance + _FAR))
        keep_constant(self, "cells", np.stack((rows, columns)))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the features of each picture."""
        middle, coarse, maps, offsets = (each.flatten(2) for each in self.net(pictures * 2 - 1))
        middle = torch.sigmoid(middle) * self.near
        weight = ramp(middle / middle.amax(2, keepdim=True), _MIDDLE)
        weight = weight / weight.sum(2, keepdim=True)
        count = -1, BODY_POINTS, 2, _CELLS * _CELLS
        # (pictures, points, 2): where each point of this person is roughly, in cells.
        expected = ((coarse.reshape(count) + self.cells) * weight[:, None]).sum(3)
        apart = self.cells - expected[..., None]
        distance = torch.sqrt((apart * apart).sum(2))
        scores = torch.sigmoid(maps)
        likely = scores / (distance + _FAR)
        weight = ramp(likely / likely.amax(2, keepdim=True), _POINT)
        weight = weight / weight.sum(2, keepdim=True)
        points = ((offsets.reshape(count) + self.cells) * weight[:, :, None]).sum(3) / _CELLS
        across = torch.stack((points[..., 1], points[..., 0]), 2)
        return _features(across, ramp((scores * weight).sum(2), _SEEN))


def _features(points: Tensor, seen: Tensor) -> Tensor:
    """Points `(pictures, 17, 2)`, x and y from 0 to 1, and how far seen → `(pictures, 55)`."""
    shoulders, shoulders_seen, width = _pair(points, seen, _SHOULDERS)
    hips, hips_seen, _ = _pair(points, seen, _HIPS)
    root = hips_seen * hips + (1 - hips_seen) * shoulders
    torso = _length(shoulders - hips) * hips_seen
    size = torch.maximum(torso, _TORSO * width * shoulders_seen).clamp(min=1e-2)
    there = torch.maximum(hips_seen, shoulders_seen)
    shape = (points - root[:, None]) / size[:, None] * seen[..., None]
    each = torch.cat((shape, seen[..., None]), 2).flatten(1)
    place = torch.cat((2 * root - 1, 4 * size), 1)
    found = torch.cat((torch.cat((each, place), 1) * there, there), 1)
    return found.reshape(-1, PER_BODY)


def _pair(points: Tensor, seen: Tensor, pair: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the middle of a left and a right point, how far both are seen, and their distance."""
    left, right = pair
    first, second = points[:, left], points[:, right]
    both = seen[:, left : left + 1] * seen[:, right : right + 1]
    return (first + second) * 0.5, both, _length(first - second)


def _length(difference: Tensor) -> Tensor:
    return torch.sqrt((difference * difference).sum(1, keepdim=True))
