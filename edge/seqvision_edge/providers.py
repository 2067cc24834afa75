"""`--device` → the execution provider of onnxruntime that it means, and what is told to it.

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

# What `auto` tries before the CPU.  TensorRT builds an engine for every new length, which takes
# minutes; the others answer on this project's small networks no sooner than the plain CPU does, or
# nobody has measured them.
AUTO: Final = ("cuda",)


@dataclass(frozen=True)
class Way:
    """One value of `--device`.

    Attributes:
        provider: its name in onnxruntime.
        install: how to get an onnxruntime that has it.
        options: what the provider is told, for a number of CPU threads.
        rest: who runs what this provider does not know, before the CPU.
    """

    provider: str
    install: str
    options: Callable[[int], dict[str, str]] = lambda threads: {}
    rest: tuple[str, ...] = ()


def _openvino(threads: int) -> dict[str, str]:
    # Where the processor has bf16 OpenVINO computes in it by default: two digits of an answer.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": str(threads)}
    return {"device_type": "CPU", "load_config": json.dumps({"CPU": settings})}


def _instead(package: str) -> str:
    """Two builds of onnxruntime overwrite each other's files, so the first one has to go."""
    return f"pip uninstall -y onnxruntime && pip install {package}"


WAYS: Final[dict[str, Way]] = {
    "cpu": Way("CPUExecutionProvider", "pip install onnxruntime"),
    "cuda": Way("CUDAExecutionProvider", _instead("onnxruntime-gpu")),
    "tensorrt": Way(
        "TensorrtExecutionProvider",
        _instead("onnxruntime-gpu tensorrt"),
        rest=("CUDAExecutionProvider",),
    ),
    "openvino": Way("OpenVINOExecutionProvider", _instead("onnxruntime-openvino"), _openvino),
    "coreml": Way("CoreMLExecutionProvider", "pip install onnxruntime (on macOS)"),
    "directml": Way("DmlExecutionProvider", f"{_instead('onnxruntime-directml')} (on Windows)"),
}
assert set(get_args(Device)) == {"auto", *WAYS}


def candidates(device: Device, available: Collection[str], threads: int) -> list[list[Provider]]:
    """Return lists of providers in the order in which to try them; the last is the CPU alone.

    Args:
        device: what was asked for.
        available: the providers that this onnxruntime has.
        threads: CPU threads of one call.

    Raises:
        DeviceError: this onnxruntime does not have the device.
    """
    if device == "auto":
        names = [name for name in AUTO if WAYS[name].provider in available]
    elif WAYS[device].provider in available:
        names = [device]
    else:
        raise missing(device, "this onnxruntime does not have it")
    return [_chain(WAYS[name], available, threads) for name in dict.fromkeys((*names, "cpu"))]


def missing(device: str, reason: str) -> DeviceError:
    """Return the error that says why a device cannot be used, and what would bring it."""
    return DeviceError(
        f"--device {device}: {reason}; get it with: {WAYS[device].install}; or use --device cpu"
    )


def device_name(provider: str) -> str:
    """Return how `--device` names a provider."""
    return next((name for name, way in WAYS.items() if way.provider == provider), provider)


def _chain(way: Way, available: Collection[str], threads: int) -> list[Provider]:
    names: dict[str, dict[str, Any]] = {way.provider: way.options(threads)}
    names |= {name: {} for name in way.rest if name in available}
    names.setdefault(WAYS["cpu"].provider, {})
    return list(names.items())
