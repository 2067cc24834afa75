"""Where to compute."""

import torch

from seqvision_edge.errors import DeviceError


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse what a processor cannot do.

    Raises:
        DeviceError: half precision was asked for on a CPU.
    """
    if precision == "16" and device.type == "cpu":
        raise DeviceError("--precision 16: needs CUDA; a CPU has bf16")


def pick_device(asked: str) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda`.

    Raises:
        DeviceError: CUDA was asked for and this torch has none.
    """
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    if asked == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "--device cuda: this torch finds no CUDA device; use --device cpu, or install a CUDA "
            "build of torch"
        )
    return torch.device(asked)
