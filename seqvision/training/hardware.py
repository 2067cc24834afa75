"""Device, threads and memory allocator of a training.

A head computes one small product after the other.  Threads that wait for each other at each of them
make a step of it 2 to 4 × slower than one thread alone does (they sleep while they wait, because
threads that spin would take the cores from the processes that make clips).

By default blocks above 32 MB at most are mapped anew for every tensor and given back after it, and
the kernel clears each page again: up to half of the time of a step on a processor.
"""

import ctypes
import os
import platform

import torch
from torch import Tensor, nn

# It sets smaller thresholds, once, when it is imported: before ours.
import seqvision_edge.sources.video_decoding  # noqa: F401
from seqvision.models.classifier import Classifier
from seqvision.models.heads import RecurrentHead
from seqvision.rank import count, local_count, local_rank
from seqvision_edge.errors import DeviceError

# Products of one step of time, from which on two threads were faster than one: between 14 and 36
# million on the processors that were tried.
_WORTH_SHARING = 16_000_000

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # malloc.h


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse what a processor cannot do.

    Raises:
        DeviceError: half precision on a CPU.
    """
    if precision == "16" and device.type == "cpu":
        raise DeviceError("--precision 16: needs CUDA; a CPU has bf16")


def pick_device(requested: str) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda`; each process of a machine has its own GPU.

    Raises:
        DeviceError: torch has no such device, CUDA is required and this torch has none, or fewer
            GPUs than processes.
    """
    if requested not in ("auto", "cpu", "cuda"):
        raise DeviceError(
            f"--device {requested}: torch computes on cpu or cuda; "
            f"{requested} runs a model.onnx, made with: seqvision export"
        )
    if requested == "auto":
        requested = "cuda" if torch.cuda.is_available() else "cpu"
    if requested == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "--device cuda: this torch finds no CUDA device; use --device cpu, or install a CUDA "
            "build of torch"
        )
    if requested == "cpu":
        return torch.device("cpu")
    device = torch.device("cuda", local_rank())
    if local_rank() >= torch.cuda.device_count():
        raise DeviceError(
            f"{local_count()} processes on a machine with {torch.cuda.device_count()} GPUs; "
            "start one for each: torchrun --nproc-per-node gpu"
        )
    torch.cuda.set_device(device)
    return device


def idle_gpus(device: torch.device) -> tuple[str, ...]:
    """Return a note where one process trains on a machine of several GPUs."""
    there = torch.cuda.device_count() if device.type == "cuda" else 1
    if count() > 1 or there == 1:
        return ()
    return (f"1 of {there} GPUs is used; all: torchrun --nproc-per-node gpu -m seqvision train …",)


def limit_head_threads(model: Classifier, clips: int) -> bool:
    """Let a small recurrent head work on one thread, whenever the model is called from now on.

    Args:
        model: on a processor; a model on another device is left as it is.
        clips: of one step of the training.

    Returns:
        Whether its head is small enough.
    """
    threads = torch.get_num_threads()
    on_cpu = next(model.parameters()).device.type == "cpu"
    heads = [part for part in model.modules() if isinstance(part, RecurrentHead)]
    if threads == 1 or not on_cpu or not heads:
        return False
    if products(heads[0].rnn) * clips >= _WORTH_SHARING:
        return False

    def share(*_: object) -> None:
        torch.set_num_threads(threads)

    def alone(*_: object) -> None:
        torch.set_num_threads(1)

    def share_on_the_way_back(_: nn.Module, __: object, features: Tensor) -> None:
        if features.requires_grad:
            features.register_hook(share)  # type: ignore[no-untyped-call]

    for head in heads:
        head.register_forward_pre_hook(alone)
    # The loss and the head's way back follow on the same thread; then comes the encoder's.
    for network in (model, *((model.rival.network,) if model.rival else ())):
        network.encoder.register_forward_pre_hook(share)
        network.encoder.register_forward_hook(share_on_the_way_back)
    return True


def products(rnn: nn.LSTM | nn.GRU) -> int:
    """Return how many products a layer computes for one step of one clip, all directions."""
    gates = 4 if isinstance(rnn, nn.LSTM) else 3
    directions = 2 if rnn.bidirectional else 1
    return directions * gates * rnn.hidden_size * (rnn.input_size + rnn.hidden_size)


def tune_malloc() -> bool:
    """Set the thresholds of `malloc`; return whether this system's C library has them.

    What the user set by `MALLOC_…_` or `GLIBC_TUNABLES` stays.  Processes forked later inherit it.
    """
    own = {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES"}
    if platform.libc_ver()[0] != "glibc" or own & os.environ.keys():
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
    mallopt(_TOP_PAD, 64 << 20)
    # Older ones refuse more than 32 MB.
    return any(mallopt(_MMAP_THRESHOLD, 1 << shift) == 1 for shift in (30, 25))
