"""A picture fitted whole into a square between black bars, as what finds landmarks wants it."""

from math import gcd

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from seqvision.landmarks.network import keep_constant

# A convolution with more outputs for each block of pixels costs more than two products.
_MOST = 4


class Letterbox(nn.Module):
    """Pictures `(pictures, 3, height, width)` → `(pictures, 3, size, size)`, linear.

    Where blocks of pixels become whole blocks of pixels (5 become 3 of 320×240 in 192), each block
    is one position of a convolution: less time than two products with matrices.
    """

    def __init__(self, height: int, width: int, size: int) -> None:
        """Compute the weights."""
        super().__init__()
        self.weight: Tensor
        self.rows: Tensor
        self.columns: Tensor
        self.size, longest = size, max(height, width)
        share = gcd(longest, size)
        self.block, self.made = longest // share, size // share
        bars = [(longest - side) // 2 for side in (height, width)]
        even = (longest - min(height, width)) % 2 == 0
        whole = all(side % self.block == 0 for side in (height, width, *bars))
        self.by_blocks = even and whole and self.made <= _MOST
        scale = size / longest
        if self.by_blocks:
            taps, before = _taps(self.block, self.made)
            self.padding = bars[0] + before, bars[1] + before
            keep_constant(self, "weight", _kernel(taps))
        else:
            edges = [(longest - side) / 2 * scale for side in (height, width)]
            keep_constant(self, "rows", shrinking(height, size, scale, edges[0]))
            keep_constant(self, "columns", shrinking(width, size, scale, edges[1]).T)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the small pictures."""
        if not self.by_blocks:
            return self.rows @ (pictures @ self.columns)
        blocks = F.conv2d(pictures, self.weight, None, self.block, self.padding)
        count, made = self.size // self.made, self.made
        # Row by row, and then within each row: one permutation of six axes is twice as slow.
        rows = blocks.reshape(-1, 3, made, made, count, count).permute(0, 1, 4, 2, 3, 5)
        pixels = rows.reshape(-1, made, count).transpose(1, 2)
        return pixels.reshape(-1, 3, self.size, self.size)


def shrinking(before: int, after: int, scale: float, bar: float) -> NDArray[np.float32]:
    """Return the matrix `(after, before)` that resizes one side and puts bars around it."""
    matrix = np.zeros((after, before), np.float32)
    reach = max(1.0, 1 / scale)
    for row in range(after):
        centre = (row + 0.5 - bar) / scale
        if 0 <= centre <= before:
            weights = (1 - np.abs(np.arange(before) + 0.5 - centre) / reach).clip(0)
            matrix[row] = weights / weights.sum()
    return matrix


def _taps(block: int, made: int) -> tuple[NDArray[np.float64], int]:
    """Return how a block of pixels becomes `made`: weights `(made, taps)`, and taps before it."""
    reach = max(1.0, block / made)
    at = np.arange(-block, 2 * block) + 0.5
    centres = (np.arange(made) + 0.5) * block / made
    weights = (1 - np.abs(at - centres[:, None]) / reach).clip(0)
    weights /= weights.sum(axis=1, keepdims=True)
    used = np.flatnonzero(weights.any(axis=0))
    before = block - int(used[0])
    # As many taps before a block as after it: the weights are the same from both ends.
    return weights[:, block - before : 2 * block + before], before


def _kernel(taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the kernels `(3 × made × made, 3, taps, taps)` of a convolution, colour by colour."""
    made, width = taps.shape
    both = (taps[:, None, :, None] * taps[None, :, None, :]).reshape(made * made, width, width)
    kernel = np.zeros((3, made * made, 3, width, width))
    for colour in range(3):
        kernel[colour, :, colour] = both
    return kernel.reshape(-1, 3, width, width)
