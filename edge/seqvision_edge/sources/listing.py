"""Named sources in a YAML file: `--sources cameras.yaml`.

    front door: rtsp://viewer:${CAM_PASSWORD}@192.168.1.20/stream1
    yard: env:YARD_URL
    desk:
      camera: 0

A value is what `--source` takes; a file's path begins at the folder of the list.
"""

from collections.abc import Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from seqvision_edge.capture.address import Address
from seqvision_edge.errors import SourceError
from seqvision_edge.files import read_at_most
from seqvision_edge.names import source_name
from seqvision_edge.sources.parse import parse_camera, parse_source

_MOST_BYTES = 1 << 20
_EXAMPLE = "give lines such as: front door: rtsp://192.168.1.20/stream1"


def read_listing(path: Path, environ: Mapping[str, str]) -> list[Address]:
    """Return the sources of a list, in its order and under its names.

    Raises:
        SourceError: no such file, not such a list, or a source that cannot be one.
    """
    try:
        content = read_at_most(path, _MOST_BYTES)
    except OSError as error:
        raise SourceError(f"--sources {path}: cannot be read ({error.strerror})") from None
    if content is None:
        raise SourceError(f"--sources {path}: too large for a list of sources")
    entries = _load(path, content)
    return [_address(path, str(name), entry, environ) for name, entry in entries.items()]


def _load(path: Path, content: bytes) -> dict[Hashable, Any]:
    try:
        entries = yaml.load(content, _Loader)
    except _TwiceError as error:
        raise SourceError(f"--sources {path}: {source_name(str(error))} is there twice") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        # What is wrong would be told with the line itself, and a password may be in it.
        raise SourceError(f"--sources {path}: {line}not YAML; {_EXAMPLE}") from None
    if not isinstance(entries, dict) or not entries:
        raise SourceError(f"--sources {path}: not a list of names and sources; {_EXAMPLE}")
    return entries


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


class _TwiceError(Exception):
    """A name is there twice; YAML itself would take the last one without a word."""


class _Loader(yaml.SafeLoader):
    """Plain data, each name once."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise _TwiceError(key.value)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)
