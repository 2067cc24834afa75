"""Create an onnxruntime session from a graph's bytes: options, devices, and errors in one line.

Imports only onnxruntime: the process of a trial load starts through this module too.
"""

import contextlib
import io

import onnxruntime as ort

from seqvision_edge.errors import ModelError
from seqvision_edge.providers import (
    DEVICES,
    Device,
    Provider,
    candidates,
    device_error,
    device_name,
)

CPU: list[Provider] = [(DEVICES["cpu"].provider, {})]


def load_graph(data: bytes, device: Device, threads: int, where: str) -> ort.InferenceSession:
    """Load a graph on a device; only `auto` may fall back to the CPU.

    Raises:
        ModelError: onnxruntime refuses it; `where` names it.
        DeviceError: the device is not available, or does not start.
    """
    failed: Exception | None = None
    for providers in candidates(device, ort.get_available_providers(), threads):
        try:
            session = create_session(data, providers, threads)
        except Exception as error:  # onnxruntime raises a dozen unrelated types here
            failed = error
            continue
        # onnxruntime itself falls back to the CPU silently.
        if device in ("auto", device_name(session.get_providers()[0])):
            return session
        raise device_error(device, "onnxruntime lists it but could not start it")
    assert failed is not None
    raise ModelError(f"{where}: {refusal(str(failed), type(failed).__name__)}")


def create_session(data: bytes, providers: list[Provider], threads: int) -> ort.InferenceSession:
    """Return a session with the options of this project."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    # Before 1.19 its memory planning let one tensor overwrite another, from the second call of a
    # shape on: features were silently off by 0.002.
    options.enable_mem_pattern = _version() >= (1, 19)
    # Spinning threads use a whole core between the frames of one camera.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if len(providers) == 1:
        return ort.InferenceSession(data, options, providers=providers)
    # onnxruntime prints why a provider cannot start, on stderr and stdout; our error is one line.
    ort.set_default_logger_severity(4)
    with contextlib.redirect_stdout(io.StringIO()):
        return ort.InferenceSession(data, options, providers=providers)


def refusal(message: str, kind: str) -> str:
    """Return in one line why onnxruntime refuses a file, from its error's message and type."""
    message = " ".join(message.split())
    if "IR version" in message or "opset" in message:
        return (
            f"made for a newer onnxruntime than {ort.__version__}; update it with: "
            "pip install -U onnxruntime, or export the model with --opset 18"
        )
    return f"not a usable ONNX model ({(message.partition(' : ')[2] or kind)[:160]})"


def _version() -> tuple[int, ...]:
    return tuple(int(part) for part in ort.__version__.split(".")[:2])
