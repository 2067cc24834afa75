"""Several processes that train one model, started by torchrun; batch norm over all of them.

    torchrun --nproc-per-node 4 -m seqvision train …

Every process takes its share of each batch; the first one writes the files and talks.  In a process
by itself every function here does the obvious thing at once.

torch's own SyncBatchNorm works on GPUs only.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from typing import Any, TypeVar, cast

import torch
import torch.distributed
import torch.distributed as dist
from torch import Tensor, nn

from seqvision import rank
from seqvision.errors import DataError

T = TypeVar("T")

# One process decodes a large data set while the others wait.
_PATIENCE = timedelta(days=7)


@contextmanager
def process_group(batch_size: int, device: torch.device) -> Iterator[None]:
    """Connect the processes that torchrun started, if it did.

    Raises:
        DataError: there are more processes than clips in a batch.
    """
    if rank.count() == 1:
        yield
        return
    if batch_size < rank.count():
        raise DataError(
            f"--batch-size {batch_size}: {rank.count()} processes share each batch; "
            "give every one at least one clip"
        )
    # Tensors of the CPU go by gloo, also where gradients go by nccl: no wait for the GPU.
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE
    )
    yield
    # Not after an error: torchrun then ends the others, which may wait in a call.
    dist.destroy_process_group()


def rank0_first(work: Callable[[], T]) -> T:
    """Call `work` in one process of each machine, then in the others: they find its cache."""
    if rank.count() == 1:
        return work()
    result: list[T] = []
    failure: BaseException | None = None
    if rank.local_rank() == 0:
        try:
            result.append(work())
        except BaseException as error:  # Ctrl-C too: the others wait
            failure = error
    _fail_together(failure)
    return result[0] if result else work()


def rank0_only(work: Callable[[], T]) -> T:
    """Call `work` in the first process only, and return its result in all of them."""
    if rank.count() == 1:
        return work()
    result: list[Any] = [None]
    failure: BaseException | None = None
    if rank.is_first():
        try:
            result = [work()]
        except BaseException as error:
            failure = error
    _fail_together(failure)
    dist.broadcast_object_list(result)
    return result[0]


def total(values: Tensor) -> Tensor:
    """Return the sum of a tensor over the processes."""
    if rank.count() > 1:
        dist.all_reduce(values)
    return values


def gather(value: T) -> list[T]:
    """Return what each process has, in their order."""
    if rank.count() == 1:
        return [value]
    values: list[Any] = [None] * rank.count()
    dist.all_gather_object(values, value)
    return values


def gather_rows(rows: Tensor, clips: int) -> Tensor:
    """Put the rows of all processes together, process by process.

    Args:
        rows: `(rows, …)`, what this process has of each clip of its share.
        clips: how many there are in all; fewer than processes: every process has them all.
    """
    return rows if clips < rank.count() else torch.cat(gather(rows))


def any_of(flag: bool) -> bool:
    """Return in every process whether the condition holds in any of them."""
    return bool(total(torch.tensor(int(flag))))


def _fail_together(failure: BaseException | None) -> None:
    """End every process where one failed; the one that failed prints why."""
    failed = any(gather(failure is not None))
    if failure is not None:
        raise failure
    if failed:
        rank.yield_to_rank0()
        raise SystemExit(2)


def share_statistics(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network with batch norms that see the whole batch; weights stay as they are."""
    if device.type == "cuda":
        convert: Callable[[nn.Module], nn.Module] = nn.SyncBatchNorm.convert_sync_batchnorm
        if "timm" in sys.modules:  # torch's own would lose an activation within a norm of timm
            convert = import_module("timm.layers").convert_sync_batchnorm
        return convert(network)
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.BatchNorm2d):
            network.set_submodule(name, SharedBatchNorm.like(layer))
    return network


class SharedBatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose mean and variance are those of all processes' images together."""

    drop: nn.Module
    act: nn.Module

    @classmethod
    def like(cls, layer: nn.BatchNorm2d) -> "SharedBatchNorm":
        """Return one with the parameters and statistics of `layer`, the very same tensors."""
        shared = cls(layer.num_features, layer.eps, layer.momentum, layer.affine)
        shared._parameters = layer._parameters
        shared._buffers = layer._buffers
        # A norm of timm may have an activation within it.
        shared.drop = getattr(layer, "drop", nn.Identity())
        shared.act = getattr(layer, "act", nn.Identity())
        return shared.train(layer.training)

    def forward(self, images: Tensor) -> Tensor:
        """`(images, channels, height, width)` → the same."""
        normalized = self._normalize(images) if self.training else super().forward(images)
        activated: Tensor = self.act(self.drop(normalized))
        return activated

    def _normalize(self, images: Tensor) -> Tensor:
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
