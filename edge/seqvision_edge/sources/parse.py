"""Parse the user's sources, from the command line or a YAML file, into addresses.

Secrets need not be written: `env:CAM_URL` is the value of that environment variable, and
`${CAM_PASSWORD}` inside a URL is replaced by the variable's value.

    front door: rtsp://viewer:${CAM_PASSWORD}@192.168.1.20/stream1
    yard: env:YARD_URL
    desk:
      camera: 0
      regions:
        door: [0.1, 0.2, 0.4, 0.9]
        window: [320, 0, 640, 240]

A value is as for `--source`; a relative path starts at the folder of the list.
"""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlsplit

from seqvision_edge.errors import SourceError
from seqvision_edge.option_fields import shortened
from seqvision_edge.sanitize import redact, source_name
from seqvision_edge.sources.address import Address, camera
from seqvision_edge.yaml_file import YamlError, read_yaml

STANDARD_INPUT = "-"
SCHEMES = ("rtsp", "rtsps", "http", "https")
_ENVIRONMENT = "env:"
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_DEVICE = re.compile(r"/dev/(video\d+|v4l/.+)")
# Linux's major number of Video4Linux devices.
_V4L_MAJOR = 81

# Keys of a source beside its address.
_MORE = {"regions"}
_EXAMPLE = "give lines such as: front door: rtsp://192.168.1.20/stream1"


def parse_source(text: str, environ: Mapping[str, str] = os.environ) -> Address:
    """Return the address of a source: a URL, a device, standard input, or else a path.

    Raises:
        SourceError: an unsupported or incomplete URL, or an environment variable is not set.
    """
    if text == STANDARD_INPUT:
        return Address("pipe", "standard input", STANDARD_INPUT)
    if text.startswith(_ENVIRONMENT):
        variable = text.removeprefix(_ENVIRONMENT)
        address = parse_source(_look_up(variable, environ), environ)
        # Unknown which part of its value is secret.
        return replace(address, name=source_name(variable))
    if found := _URL.match(text):
        return _parse_url(text, found[1].lower(), environ)
    if _DEVICE.fullmatch(text) or _is_camera(text):
        return Address("camera", source_name(text), text)
    return Address("path", source_name(text), text)


def parse_camera(text: str) -> Address:
    """Return the address of a camera: its number, from 0, or its device.

    Raises:
        SourceError: it is neither.
    """
    if text.isdecimal() and text.isascii():
        return camera(int(text))
    if text.startswith("/dev/"):
        return Address("camera", source_name(text), text)
    raise SourceError(
        f"--camera {redact(shortened(text))}: give a number from 0, or a device: /dev/video2"
    )


def _parse_url(template: str, scheme: str, environ: Mapping[str, str]) -> Address:
    # The name is made before secrets are filled in, anywhere in the URL.
    name = source_name(redact(template))
    if scheme not in SCHEMES:
        kinds = " ".join(f"{known}://" for known in SCHEMES)
        raise SourceError(f"{name}: unsupported URL; use one of {kinds}")
    url = scheme + _fill_in(template, environ)[len(scheme) :]
    # A line break would end a line of the request, and start another one.
    if not all(letter.isprintable() and not letter.isspace() for letter in url):
        raise SourceError(f"{name}: a space or control character in a URL; write it as %20")
    try:
        parts = urlsplit(url)
        # Reading the port validates it.
        is_complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_complete = False
    if not is_complete:
        raise SourceError(f"{name}: not a complete URL, such as {scheme}://192.168.1.20/path")
    return Address("stream", name, url)


def _fill_in(template: str, environ: Mapping[str, str]) -> str:
    """Fill in the variables; percent-encoded in the user info and the query, as required there."""
    account, query = template.rfind("@"), template.find("?")

    def value(found: re.Match[str]) -> str:
        text = _look_up(found[1], environ)
        is_part = found.start() < account or 0 <= query < found.start()
        return quote(text, safe="") if is_part else text

    return _VARIABLE.sub(value, template)


def _look_up(variable: str, environ: Mapping[str, str]) -> str:
    value = environ.get(variable)
    if not value:
        raise SourceError(f"{variable}: environment variable not set; set it: export {variable}=…")
    return value


def _is_camera(path: str) -> bool:
    """Return whether it is a camera under another name, as udev rules create them."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return False
    return stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) == _V4L_MAJOR


def read_listing(path: Path, environ: Mapping[str, str]) -> list[Address]:
    """Return the sources of a list, in its order and under its names.

    Raises:
        SourceError: no such file, not such a list, or an invalid source.
    """
    try:
        entries = read_yaml(path)
    except YamlError as error:
        raise SourceError(f"--sources {path}: {error}; {_EXAMPLE}") from None
    if not isinstance(entries, dict) or not entries:
        raise SourceError(f"--sources {path}: not a list of names and sources; {_EXAMPLE}")
    return [_address(path, name, entry, environ) for name, entry in entries.items()]


def _address(path: Path, name: str, entry: object, environ: Mapping[str, str]) -> Address:
    prefix = f"--sources {path}: {source_name(name)}"
    try:
        match entry:
            case str():
                found = parse_source(entry, environ)
            case {"url": str(url), **more} if more.keys() <= _MORE:
                found = parse_source(url, environ)
            case {"path": str(where), **more} if more.keys() <= _MORE:
                found = Address("path", source_name(where), where)
            case {"camera": int() | str() as number, **more} if more.keys() <= _MORE:
                found = parse_camera(str(number))
            case _:
                raise SourceError(
                    "give one address, or one of url, path, camera; regions may follow"
                )
    except SourceError as error:
        raise SourceError(f"{prefix}: {error}") from None
    if found.kind == "path":
        found = replace(found, where=str(path.parent / str(found.where)))
    if isinstance(entry, dict) and "regions" in entry:
        from seqvision_edge.regions import read_regions

        found = replace(found, regions=read_regions(entry["regions"], f"{prefix}: regions"))
    return replace(found, name=source_name(name))
