"""Where to compute."""

import torch

from seqvision.rank import count, local_count, local_rank
from seqvision_edge.errors import DeviceError


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse what a processor cannot do.

    Raises:
        DeviceError: half precision was asked for on a CPU.
    """
    if precision == "16" and device.type == "cpu":
        raise DeviceError("--precision 16: needs CUDA; a CPU has bf16")


def pick_device(requested: str) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda`; each process of a machine has its own GPU.

    Raises:
        DeviceError: torch has no such device, CUDA was asked for and this torch has none, or fewer
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
