"""Named sources in a YAML file: `--sources cameras.yaml`.

    front door: rtsp://viewer:${CAM_PASSWORD}@192.168.1.20/stream1
    yard: env:YARD_URL
    desk:
      camera: 0

A value is what `--source` takes; a file's path begins at the folder of the list.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from seqvision_edge.capture.address import Address
from seqvision_edge.errors import SourceError
from seqvision_edge.names import source_name
from seqvision_edge.sources.parse import parse_camera, parse_source
from seqvision_edge.yaml_file import YamlError, read_yaml

_EXAMPLE = "give lines such as: front door: rtsp://192.168.1.20/stream1"


def read_listing(path: Path, environ: Mapping[str, str]) -> list[Address]:
    """Return the sources of a list, in its order and under its names.

    Raises:
        SourceError: no such file, not such a list, or a source that cannot be one.
    """
    try:
        entries = read_yaml(path)
    except YamlError as error:
        raise SourceError(f"--sources {path}: {error}; {_EXAMPLE}") from None
    if not isinstance(entries, dict) or not entries:
        raise SourceError(f"--sources {path}: not a list of names and sources; {_EXAMPLE}")
    return [_address(path, name, entry, environ) for name, entry in entries.items()]


def _address(path: Path, name: str, entry: object, environ: Mapping[str, str]) -> Address:
    who = f"--sources {path}: {source_name(name)}"
    try:
        match entry:
            case str():
                found = parse_source(entry, environ)
            case {"url": str(url), **more} if not more:
                found = parse_source(url, environ)
            case {"path": str(where), **more} if not more:
                found = Address("path", source_name(where), where)
            case {"camera": int() | str() as number, **more} if not more:
                found = parse_camera(str(number))
            case _:
                raise SourceError("give one address, or one of url, path, camera")
    except SourceError as error:
        raise SourceError(f"{who}: {error}") from None
    if found.kind == "path":
        found = replace(found, where=str(path.parent / str(found.where)))
    return replace(found, name=source_name(name))
