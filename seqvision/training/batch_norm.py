"""Batch normalisation over the batch of all processes, on processors.

torch's own SyncBatchNorm works on GPUs only.
"""

from typing import Any, cast

import torch
import torch.distributed
from torch import Tensor, nn


def share_statistics(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network with batch norms that see the whole batch; weights stay as they are."""
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return converted
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.BatchNorm2d):
            network.set_submodule(name, SharedBatchNorm.like(layer))
    return network


class SharedBatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose mean and variance are those of all processes' images together."""

    @classmethod
    def like(cls, layer: nn.BatchNorm2d) -> "SharedBatchNorm":
        """Return one with the parameters and statistics of `layer`, the very same tensors."""
        shared = cls(layer.num_features, layer.eps, layer.momentum, layer.affine)
        shared._parameters = layer._parameters
        shared._buffers = layer._buffers
        return shared.train(layer.training)

    def forward(self, images: Tensor) -> Tensor:
        """`(images, channels, height, width)` → the same."""
        if not self.training:
            return super().forward(images)
        values = images.float()
        count = values.new_tensor([values.numel() / values.shape[1]])
        sums = _summed(torch.cat((values.sum(dim=(0, 2, 3)), count)))
        mean, pixels = sums[:-1] / sums[-1], sums[-1].detach()
        # Around the common mean: the difference of two large sums would lose digits.
        centred = values - mean[:, None, None]
        variance = _summed(centred.square().sum(dim=(0, 2, 3))) / pixels
        self._remember(mean.detach(), variance.detach() * pixels / (pixels - 1))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return torch.addcmul(
            self.bias[:, None, None], centred, scale[:, None, None]
        ).to(images.dtype)  # fmt: skip

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = self.momentum
        if share is None:
            share = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _Sum(torch.autograd.Function):
    """The sum over the processes; each of them adds to the gradient of all."""

    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        torch.distributed.all_reduce(total)
        return total


def _summed(values: Tensor) -> Tensor:
    """Return the sum over the processes, through which gradients flow."""
    return cast("Tensor", _Sum.apply(values))  # type: ignore[no-untyped-call]
