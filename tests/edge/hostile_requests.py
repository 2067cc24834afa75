"""Malformed requests and WebSocket messages for a server, one for each seed."""

import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from served import jpeg, message

BOUNDARY = "x"
NUMBERS = [
    "nan", "inf", "-inf", "1e400", "-1", "0", "", "1e-320", "1e-7", "0x10", "1_0", "١", "1,5",
    "true", "null", "[]", "9" * 400, "%00", "%ff", "+1", " 1", "1e3", "1000", "0.001",
]  # fmt: skip
LENGTHS = [
    "-1", "0", "1", "5", "99999999999999999999", "0x5", "5, 5", "5, 6", "+5", "", "abc", "1e3",
]  # fmt: skip
ODD = [
    b"\0", b"\r", b"\n", b"\r\n\r\n", b"\x7f", b"\xff\xfe", b"\xc3\x28", "ü😀".encode(), b"%",
    b'"', b"\\", b";", b",", b":", b" ", b"\t", b"A" * 5000, b"../", b"%2e%2e%2f", b"\x1b[2J",
]  # fmt: skip
HEADER_NAMES = [
    "Content-Length", "Transfer-Encoding", "Content-Type", "Host", "Expect", "Connection",
    "Upgrade", "Cookie", "Authorization", "Origin", "Range", "If-None-Match", "TE",
    "Content-Encoding", "X-Timestamp", "Sec-Fetch-Site", "X Bad", "", "Accept",
    "Sec-WebSocket-Key", "Sec-WebSocket-Version", "X-Forwarded-For",
]  # fmt: skip
HEADER_VALUES = [
    "chunked", "identity", "gzip, chunked", "100-continue", "close", "keep-alive, Upgrade",
    "websocket", "h2c", "multipart/form-data", 'multipart/form-data; boundary=""',
    "multipart/form-data; boundary=" + "b" * 300, "multipart/form-data; boundary=\"a\\\"",
    "multipart/form-data; boundary=x; charset=utf-16", "application/json; charset=x",
    "application/x-www-form-urlencoded", "text/html", "bytes=0-", "bytes=9-1,-5,a", "null",
    "http://evil.example", "evil.example", "127.0.0.1:99999", "[::1", "@", "*",
    "Bearer " + "x" * 300, "Basic eDp5", "seqvision=" + ";" * 500, "gzip", "dGhl", "13", "nan",
    "1e300", "a, b, c", "x" * 9000, "\x80\xff",
]  # fmt: skip
PATHS = [
    "/", "/docs", "/healthz", "/metrics", "/openapi.json", "/v1/model", "/v1/model/file",
    "/v1/predict", "/v1/streams", "/v1/streams/x", "/v1/streams/x/frames", "/v1/streams/x/events",
    "/v1/live", "/v1/record", "/record", "/v1/takes", "/v1/takes?path=x",
    "/v1/takes/film?path=../x", "/v1/login", "/v1/sources", "/v1/sources/a%2fb/picture",
    "/v1/sources/x/events", "/page/main.mjs", "/page/../main.mjs", "/page/%2e%2e/served.py",
    "//etc/passwd", "/%00", "/" + "a" * 4000, "*", "http://127.0.0.1/healthz", "/v1/predict/",
    "/?" + "a=b&" * 500, "/%", "/%zz", "/ü", "?", "/page/" + "%2f" * 200, "127.0.0.1:80",
    "/v1/takes/film",
]  # fmt: skip
METHODS = [
    "GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "PRI",
    "G" * 300, "", "GE T", "POST\0",
]  # fmt: skip
QUERY = [
    "fps", "top", "probabilities", "timeline", "every_window", "timestamp", "path", "answers",
    "x",
]  # fmt: skip
PIXELS = [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]]


@dataclass
class Request:
    """The parts of a request, before they are written."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    query: list[tuple[str, str]] = field(default_factory=list)

    def head(self) -> bytes:
        query = "&".join(f"{name}={value}" for name, value in self.query)
        target = f"{self.path}{'?' if query else ''}{query}"
        lines = [f"{self.method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in self.headers)]
        return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n"


def form(parts: list[tuple[str, bytes]]) -> bytes:
    """Return the parts of a form, each its headers and its content."""
    pieces = [
        f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n" for head, content in parts
    ]
    return b"".join(pieces) + f"--{BOUNDARY}--\r\n".encode()


def _request(rng: random.Random) -> Request:
    """Return a request that is right, or nearly."""
    headers = [("Host", "127.0.0.1"), ("Connection", "close")]
    kind = rng.randrange(6)
    if kind == 0:
        return Request(rng.choice(METHODS[:7]), rng.choice(PATHS), headers)
    picture = jpeg(rng.choice(("red", "blue")), (16, 12))
    if kind == 1:
        body = json.dumps(
            {"instances": [[PIXELS] * rng.randint(1, 3)] * rng.randint(1, 3)}
        ).encode()
        kind_header, path = "application/json", "/v1/predict"
    elif kind == 2:
        body, kind_header, path = picture, "image/jpeg", "/v1/streams/x/frames"
    elif kind == 3:
        body, kind_header, path = b'{"label": "wave"}', "application/json", "/v1/takes"
    elif kind == 4:
        body, kind_header, path = b"token=abc", "application/x-www-form-urlencoded", "/v1/login"
    else:
        head = 'Content-Disposition: form-data; name="file"; filename="a.jpg"'
        body = form([(head, picture)] * rng.randint(1, 4))
        kind_header, path = f"multipart/form-data; boundary={BOUNDARY}", "/v1/predict"
    method = "PATCH" if kind == 3 else "POST"
    return Request(method, path, [*headers, ("Content-Type", kind_header)], body)


def _spoilt_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return bytes with some flipped, cut out, doubled or put in."""
    content = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(len(content) + 1)
        act = rng.randrange(5)
        if act == 0 and content:
            content[at % len(content)] = rng.randrange(256)
        elif act == 1:
            del content[at : at + rng.choice((1, 2, 10, 100))]
        elif act == 2:
            content[at:at] = rng.choice(ODD)
        elif act == 3:
            content[at:at] = content[at : at + rng.choice((1, 10, 100))]
        elif content:
            content[at % len(content)] ^= 1 << rng.randrange(8)
    return bytes(content)


def _spoil_headers(request: Request, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 4))):
        act = rng.randrange(4)
        if act == 0 and request.headers:
            del request.headers[rng.randrange(len(request.headers))]
        elif act == 1 and request.headers:
            request.headers.append(rng.choice(request.headers))
        elif act == 2:
            request.headers.append((rng.choice(HEADER_NAMES), rng.choice(HEADER_VALUES)))
        else:
            count = rng.choice((1, 50, 150, 500))
            request.headers += [(f"X-{number}", "1") for number in range(count)]


def _spoil_query(request: Request, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 4)):
        value = rng.choice([*NUMBERS, "true", "x" * 3000])
        request.query.append((rng.choice(QUERY), value))


def _spoil_form(request: Request, rng: random.Random) -> None:
    heads = [
        'Content-Disposition: form-data; name="file"; filename="a.jpg"',
        'Content-Disposition: form-data; name="file"',
        'Content-Disposition: form-data; filename="a"',
        'Content-Disposition: form-data; name="' + "n" * 3000 + '"; filename="a"',
        "Content-Disposition: form-data; name*=utf-8''%ff; filename*=utf-16''%zz",
        'Content-Disposition: attachment; name="file"; filename="../../x"',
        'Content-Disposition: form-data; name="file"; filename="\x1b[2J\\"',
        "Content-Type: multipart/mixed; boundary=x", "No colon at all", "", ": empty",
        "A: b\r\n C: d", "X-Timestamp: nan\r\nContent-Disposition: form-data; name=f; filename=g",
        "\r\n".join(f"X-{number}: 1" for number in range(30)),
    ]  # fmt: skip
    contents = [
        b"", b"abc", jpeg("red", (16, 12)), b"--x", b"\r\n--x\r\n", b"\xff\xd8\xff\xd9",
        b"\x89PNG\r\n\x1a\n" + bytes(30), b"RIFF\0\0\0\0AVI LIST", bytes(3000),
    ]  # fmt: skip
    count = rng.choice((0, 1, 2, 5, 20, 600))
    request.body = form([(rng.choice(heads), rng.choice(contents)) for _ in range(count)])
    if rng.random() < 0.3:
        request.body = request.body[: rng.randrange(len(request.body) + 1)]
    request.method, request.path = "POST", rng.choice(("/v1/predict", "/v1/streams/x/frames"))
    content_type = rng.choice((f"multipart/form-data; boundary={BOUNDARY}", *HEADER_VALUES[8:14]))
    request.headers = [
        ("Host", "127.0.0.1"),
        ("Content-Type", content_type),
        ("Connection", "close"),
    ]


def _spoil_json(request: Request, rng: random.Random) -> None:
    values = [
        "NaN", "1e999", "-0", "1.5", "256", "-1", "null", "true", '"1"', "{}", "[]", "[[]]",
        "[" * 300, '"\\ud83d"', "1" * 5000, "[1,]", "\ufeff[1]", '{"a": 1, "a": 2}', "1_0",
    ]  # fmt: skip
    text = json.dumps({"instances": [PIXELS]})
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(values) + text[at + rng.randint(0, 5) :]
    request.method, request.path, request.body = "POST", "/v1/predict", text.encode()
    request.headers = [
        ("Host", "127.0.0.1"),
        ("Content-Type", "application/json"),
        ("Connection", "close"),
    ]


def _chunked(body: bytes, rng: random.Random) -> bytes:
    """Return a body in chunks, most of them right."""
    sizes = [
        "-1", "0x5", "fffffffffffffffff", "5;a=b", "5 ", " 5", "5;" + "x" * 3000, "", "g",
        "00000005",
    ]  # fmt: skip
    pieces = []
    while body:
        size = rng.choice((1, 2, 7, 100, 1000))
        piece, body = body[:size], body[size:]
        head = f"{len(piece):x}" if rng.random() < 0.97 else rng.choice(sizes)
        pieces.append(f"{head}\r\n".encode() + piece + (b"\r\n" if rng.random() < 0.98 else b"\n"))
    ends = [b"0\r\n\r\n"] * 6 + [
        b"0\r\nX: 1\r\n\r\n",
        b"0\r\n" + b"X: 1\r\n" * 3000 + b"\r\n",
        b"",
        b"0\r\n",
    ]
    return b"".join(pieces) + rng.choice(ends)


def hostile_request(seed: int) -> list[bytes]:
    """Return the pieces in which a request of this seed is sent."""
    rng = random.Random(seed)
    request = _request(rng)
    spoils: list[Callable[[Request, random.Random], None]] = [
        _spoil_headers, _spoil_query, _spoil_form, _spoil_json,
    ]  # fmt: skip
    for _ in range(rng.choice((0, 1, 1, 2))):
        rng.choice(spoils)(request, rng)
    if rng.random() < 0.1:
        request.method = rng.choice(METHODS)
    if rng.random() < 0.1:
        request.path = rng.choice(PATHS)
    body = request.body
    if rng.random() < 0.25:
        body = _spoilt_bytes(body, rng)
    if rng.random() < 0.3:
        request.headers.append(("Transfer-Encoding", "chunked"))
        body = _chunked(body, rng)
    elif body or rng.random() < 0.5:
        length = str(len(body)) if rng.random() < 0.9 else rng.choice(LENGTHS)
        request.headers.append(("Content-Length", length))
    head = request.head()
    if rng.random() < 0.2:
        head = _spoilt_bytes(head, rng)
    data = head + body
    if rng.random() < 0.1:
        data += b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    if rng.random() < 0.03:
        data = rng.randbytes(rng.choice((1, 10, 1000, 30_000)))
    return _pieces(data, rng)


def _pieces(data: bytes, rng: random.Random) -> list[bytes]:
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 0, 1, 3, 10))))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def handshake(path: str) -> bytes:
    """Return the request that opens a WebSocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


def frame(code: int, payload: bytes, rng: random.Random, odd: float = 0.1) -> bytes:
    """Return a frame as a client sends it, with something wrong in it for a share `odd`."""
    is_masked, fin, reserved = True, True, 0
    size = len(payload)
    form_of = 0 if size < 126 else 1 if size < 1 << 16 else 2
    claimed = size
    if rng.random() < odd:
        act = rng.randrange(6)
        if act == 0:
            is_masked = False
        elif act == 1:
            reserved = rng.choice((0x10, 0x20, 0x40, 0x70))
        elif act == 2:
            code = rng.randrange(16)
        elif act == 3:
            fin = False
        elif act == 4:
            form_of = rng.randrange(form_of, 3)  # longer than it must be
        else:
            claimed = rng.choice(
                (size + 1, max(0, size - 1), 125, 65_535, 1 << 31, (1 << 63) - 1, (1 << 64) - 1)
            )
            form_of = 0 if claimed < 126 else 1 if claimed < 1 << 16 else 2
    head = bytes((0x80 * fin | reserved | code,))
    mask_bit = 0x80 * is_masked
    if form_of == 0:
        head += bytes((mask_bit | claimed,))
    elif form_of == 1:
        head += bytes((mask_bit | 126,)) + struct.pack(">H", claimed)
    else:
        head += bytes((mask_bit | 127,)) + struct.pack(">Q", claimed)
    if not is_masked:
        return head + payload
    mask = rng.randbytes(4)
    return head + mask + bytes(value ^ mask[at % 4] for at, value in enumerate(payload))


def hostile_socket(seed: int) -> tuple[bytes, list[bytes]]:
    """Return the handshake of a WebSocket, and the pieces that come after it was answered."""
    rng = random.Random(seed)
    path = rng.choice(("/v1/live", "/v1/live", "/v1/record"))
    texts = [
        '{"frames": "jpeg"}', '{"frames": "prepared"}', '{"label": "wave"}', '{"keep": true}',
        "{", "[]", "", '{"label": 1}', '{"label": "\\ud83d"}', "[" * 500, '{"frames": "x"}',
        '{"label": "' + "a" * 200 + '"}', "\x00", "x" * 3000, '{"keep": false}', "ü😀",
    ]  # fmt: skip
    stamps = [
        0.0, 0.1, 1.0, -1.0, 1e9, 1e300, float("nan"), float("inf"), 5e-324,
    ]  # fmt: skip
    picture = jpeg("red", (16, 12))
    parts = []
    if path == "/v1/record" and rng.random() < 0.8:
        parts.append(frame(1, b'{"label": "wave", "person": "anna"}', rng, 0.05))
    for number in range(rng.choice((0, 1, 3, 8, 20))):
        act = rng.randrange(8)
        if act == 0:
            parts.append(frame(1, rng.choice(texts).encode(), rng))
        elif act == 1:
            content = message(rng.choice(stamps), picture[: rng.randrange(len(picture))])
            parts.append(frame(2, content, rng))
        elif act == 2:
            parts.append(
                frame(rng.choice((9, 10)), rng.randbytes(rng.choice((0, 4, 125, 126))), rng)
            )
        elif act == 3:
            code = rng.choice((0, 999, 1000, 1005, 1006, 1015, 3000, 4999, 65_535))
            content = rng.choice(
                (b"", b"\x03", struct.pack(">H", code) + rng.choice((b"", b"bye", b"\xff")))
            )
            parts.append(frame(8, content, rng))
        elif act == 4:
            whole = message(0.1 * number, picture)
            cuts = sorted(rng.randrange(len(whole)) for _ in range(rng.choice((1, 3, 300))))
            pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
            for at, piece in enumerate(pieces):
                sent = bytearray(frame(0 if at else 2, piece, rng, 0.005))
                if at < len(pieces) - 1 or rng.random() < 0.1:
                    sent[0] &= 0x7F
                parts.append(bytes(sent))
        elif act == 5:
            parts.append(frame(1, rng.choice((b"\xff", b"\xed\xa0\x80", b"\xc3")), rng))
        else:
            parts.append(frame(2, message(0.1 * number, picture), rng, 0.05))
    data = b"".join(parts)
    if rng.random() < 0.2:
        data = _spoilt_bytes(data, rng)
    if rng.random() < 0.03:
        data = rng.randbytes(rng.choice((1, 20, 3000)))
    return handshake(path), _pieces(data, rng)
