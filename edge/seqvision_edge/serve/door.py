"""Who may come in: what a server must know of its address, its names and its token."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec

from seqvision_edge.errors import SeqvisionError
from seqvision_edge.serve.key import SHORTEST, Key, new_token
from seqvision_edge.serve.names import LOCAL, Names, is_address, is_local

_NEEDED = ("fastapi", "uvicorn", "websockets", "python_multipart")


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """The names by which a server may be called, and the token that it demands, if any.

    `made` is a token that was made here, which somebody must be told.
    """

    names: Names
    key: Key | None
    made: str | None = None


def refuse_without_server(program: str) -> None:
    """Refuse where the packages of the extra `serve` are not installed.

    Raises:
        SeqvisionError: they are not.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise SeqvisionError(
            f"{program}: {', '.join(missing)} is missing, of the extra seqvision-edge[serve]; "
            "in the repository's folder: pip install -c constraints.txt './edge[serve]'"
        )


def read_token(token: str | None, flag: str) -> str | None:
    """Return the token that an option gives, or names as `env:NAME`.

    Raises:
        SeqvisionError: the variable is not set, or the token is too short.
    """
    where = flag
    if token is not None and token.startswith("env:"):
        name = token.removeprefix("env:")
        token, where = os.environ.get(name), f"{flag} env:{name}"
        if token is None:
            raise SeqvisionError(f"{where}: that variable is not set")
    if token is not None and not re.fullmatch(rf"[!-~]{{{SHORTEST},}}", token):
        raise SeqvisionError(
            f"{where}: a token has at least {SHORTEST} plain characters, no spaces"
        )
    return token


def access_policy(host: str, token: str | None, further_names: Iterable[str] = ()) -> AccessPolicy:
    """Return who may come in at an address: any but this machine's own demands a token."""
    own = {host.lower(), *(name.lower() for name in further_names)}
    everywhere = is_address(host) and not is_local(host)
    names = Names(frozenset(LOCAL | own), addresses=everywhere)
    made = new_token() if token is None and not is_local(host) else None
    token = token or made
    return AccessPolicy(names, Key(token) if token else None, made)


def shown(host: str, port: int) -> str:
    """Return the URL of a server."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
