"""How a client of HTTP proves who it is: Basic (RFC 7617) and Digest (RFC 7616)."""

import base64
import hashlib
import secrets
from collections.abc import Sequence
from urllib.request import parse_http_list, parse_keqv_list

# What a server may ask for, the stronger first.
_HASHES = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
_SESSION = "-SESS"


def authorization(
    demands: Sequence[str], method: str, target: str, user: str, password: str
) -> str | None:
    """Return the Authorization header that answers the strongest known WWW-Authenticate header.

    None where no way is known, or where none is named.
    """
    challenges = [each.strip().partition(" ") for each in demands]
    digests = [_parameters(rest) for scheme, _, rest in challenges if scheme.lower() == "digest"]
    for name in _HASHES:
        for given in digests:
            algorithm = given.get("algorithm", "MD5").upper()
            if algorithm.removesuffix(_SESSION) == name and "nonce" in given:
                return _digest(given, algorithm, method, target, user, password)
    if any(scheme.lower() == "basic" for scheme, _, _ in challenges):
        return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    return None


def _parameters(text: str) -> dict[str, str]:
    pairs = [each for each in parse_http_list(text) if "=" in each]
    return {name.strip().lower(): value for name, value in parse_keqv_list(pairs).items()}


def _digest(
    given: dict[str, str], algorithm: str, method: str, target: str, user: str, password: str
) -> str:
    def digest(*parts: str) -> str:
        make = _HASHES[algorithm.removesuffix(_SESSION)]
        return make(":".join(parts).encode()).hexdigest()

    realm, nonce = given.get("realm", ""), given["nonce"]
    own, count = secrets.token_hex(8), "00000001"
    account = digest(user, realm, password)
    if algorithm.endswith(_SESSION):
        account = digest(account, nonce, own)
    request = digest(method, target)
    fields = {"username": user, "realm": realm, "nonce": nonce, "uri": target}
    # A server that names no quality of protection is of RFC 2069.
    if "qop" in given:
        proof = digest(account, nonce, count, own, "auth", request)
        bare = f", qop=auth, nc={count}"
        fields["cnonce"] = own
    else:
        proof, bare = digest(account, nonce, request), ""
    fields["response"] = proof
    if "opaque" in given:
        fields["opaque"] = given["opaque"]
    quoted = ", ".join(f'{name}="{value}"' for name, value in fields.items())
    return f"Digest {quoted}, algorithm={given.get('algorithm', 'MD5')}{bare}"
