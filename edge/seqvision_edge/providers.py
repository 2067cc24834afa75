"""Map `--device` to onnxruntime's execution providers and their options.

No onnxruntime here: the options of the commands are built from this table before it is imported.
"""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from seqvision_edge.errors import DeviceError

Device = Literal["auto", "cpu", "cuda", "tensorrt", "openvino", "coreml", "directml"]
# A provider and its options, as onnxruntime takes them.
Provider = tuple[str, dict[str, str]]

# The devices that `auto` tries before the CPU.  TensorRT builds an engine for every new length,
# which takes minutes; the others are no faster on this project's small networks than the plain CPU,
# or have not been measured.
AUTO: Final = ("cuda",)


@dataclass(frozen=True)
class DeviceInfo:
    """One value of `--device`.

    Attributes:
        provider: its name in onnxruntime.
        options: the provider's options, for a number of CPU threads.
        install: how to install an onnxruntime that has it.
        rest: the provider for operators that this one does not support, before the CPU.
    """

    provider: str
    install: str
    options: Callable[[int], dict[str, str]] = lambda threads: {}
    rest: tuple[str, ...] = ()


def _openvino(threads: int) -> dict[str, str]:
    # With bf16 support OpenVINO computes in it by default: two digits of precision.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": str(threads)}
    return {"device_type": "CPU", "load_config": json.dumps({"CPU": settings})}


def _instead(package: str) -> str:
    """Return the install command: onnxruntime builds overwrite each other, so remove the first."""
    return f"pip uninstall -y onnxruntime && pip install {package}"


DEVICES: Final[dict[str, DeviceInfo]] = {
    "cpu": DeviceInfo("CPUExecutionProvider", "pip install onnxruntime"),
    "cuda": DeviceInfo("CUDAExecutionProvider", _instead("onnxruntime-gpu")),
    "tensorrt": DeviceInfo(
        "TensorrtExecutionProvider",
        _instead("onnxruntime-gpu tensorrt"),
        rest=("CUDAExecutionProvider",),
    ),
    "openvino": DeviceInfo(
        "OpenVINOExecutionProvider", _instead("onnxruntime-openvino"), _openvino
    ),
    "coreml": DeviceInfo("CoreMLExecutionProvider", "pip install onnxruntime (on macOS)"),
    "directml": DeviceInfo(
        "DmlExecutionProvider", f"{_instead('onnxruntime-directml')} (on Windows)"
    ),
}
assert set(get_args(Device)) == {"auto", *DEVICES}


def candidates(device: Device, available: Collection[str], threads: int) -> list[list[Provider]]:
    """Return lists of providers in the order in which to try them; the last is the CPU alone.

    Args:
        device: the requested device.
        available: the providers of this onnxruntime.
        threads: CPU threads of one call.

    Raises:
        DeviceError: this onnxruntime does not support the device.
    """
    if device == "auto":
        names = [name for name in AUTO if DEVICES[name].provider in available]
    elif DEVICES[device].provider in available:
        names = [device]
    else:
        raise device_error(device, "this onnxruntime does not have it")
    return [_chain(DEVICES[name], available, threads) for name in dict.fromkeys((*names, "cpu"))]


def device_error(device: str, reason: str) -> DeviceError:
    """Return the error for an unavailable device, with how to install it."""
    return DeviceError(
        f"--device {device}: {reason}; get it with: {DEVICES[device].install}; or use --device cpu"
    )


def device_name(provider: str) -> str:
    """Return the `--device` name of a provider."""
    return next((name for name, way in DEVICES.items() if way.provider == provider), provider)


def _chain(way: DeviceInfo, available: Collection[str], threads: int) -> list[Provider]:
    names: dict[str, dict[str, Any]] = {way.provider: way.options(threads)}
    names |= {name: {} for name in way.rest if name in available}
    names.setdefault(DEVICES["cpu"].provider, {})
    return list(names.items())
