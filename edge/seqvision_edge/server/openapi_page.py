"""`/docs`: the OpenAPI document as a page in the design of the others, without external files."""

import re
from collections.abc import Iterator, Mapping
from html import escape
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

LIVE: Final = (
    "WebSocket",
    "/v1/live",
    "Binary messages of 8 bytes of time (seconds, float64, little endian) and a JPEG; the newest "
    "is answered in JSON: `prediction` or `waiting`, then `event` and `source`.\n\n"
    'A first message, the text `{"frames": "prepared"}`, selects pixels instead of JPEGs, '
    "as the model reads them.",
)
_TEMPLATE: Final = Path(__file__).parent / "static" / "docs.html"
# The first part of a path → the heading of its routes, in the order of the page.
_GROUPS: Final = {
    "/v1/predict": "Clips and pictures",
    "/v1/streams": "Streams",
    "/v1/live": "Streams",
    "/v1/sources": "Sources of the device",
    "/v1/takes": "Takes",
    "": "Model and server",
}
# Every route may respond with these; they are explained once.
_EVERYWHERE: Final = {
    "400": "not an HTTP request",
    "401": "the token is missing or wrong",
    "403": "cross-origin request",
    "408": "the request was sent too slowly",
    "413": "the body is too large",
    "421": "the Host header is not allowed",
    "429": "too many requests: try again",
}
_SAMPLES: Final = {
    "multipart/form-data": "-F {field}=@{file}",
    "application/json": "-H 'Content-Type: application/json' -d '{json}'",
    "image/jpeg": "-H 'Content-Type: image/jpeg' --data-binary @1.jpg",
}
_JSON: Final = {
    "/v1/predict": '{"instances": [[[[255, 0, 0], [255, 0, 0]]]]}',
    "/v1/takes": '{"label": "wave"}',
    "/v1/login": '{"token": "…"}',
}


def api_page(document: Mapping[str, Any], host: str) -> str:
    """Return the OpenAPI document as HTML; `host` is the server's name in the examples."""
    groups: dict[str, list[str]] = {heading: [] for heading in _GROUPS.values()}
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            groups[_group(path)].append(_route(method.upper(), path, route, host))
    groups[_group(LIVE[1])].append(_route(*LIVE[:2], {"description": LIVE[2]}, ""))
    filled = {heading: routes for heading, routes in groups.items() if routes}
    links = "".join(
        f'<li><a href="#{_anchor(heading)}">{escape(heading)}</a></li>'
        for heading in (*filled, "Shapes")
    )
    sections = "".join(
        f'<section aria-labelledby="{_anchor(heading)}">'
        f'<h2 id="{_anchor(heading)}">{escape(heading)}</h2>{"".join(routes)}</section>'
        for heading, routes in filled.items()
    )
    errors = _table(
        "Error", "Why", ((f"<code>{code}</code>", escape(why)) for code, why in _EVERYWHERE.items())
    )
    page = _TEMPLATE.read_text(encoding="utf-8")
    parts = {
        "title": document["info"]["title"],
        "version": document["info"]["version"],
        "host": host,
    }
    for name, text in parts.items():
        page = page.replace(f"{{{{{name}}}}}", escape(text))
    for name, html in {
        "links": links,
        "errors": errors,
        "sections": sections,
        "shapes": "".join(_shapes(document.get("components", {}).get("schemas", {}))),
    }.items():
        page = page.replace(f"{{{{{name}}}}}", html)
    return page


def _group(path: str) -> str:
    return next(heading for start, heading in _GROUPS.items() if path.startswith(start))


def _anchor(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _route(method: str, path: str, route: Mapping[str, Any], host: str) -> str:
    """Return one route as HTML: description, parameters, responses, and an example with curl."""
    parts = [
        f'<h3><span class="method" data-method="{method.lower()}">{method}</span> '
        f"<code>{escape(path)}</code></h3>",
        _prose(route.get("description", "")),
    ]
    if parameters := route.get("parameters"):
        rows = (
            (f"<code>{escape(each['name'])}</code> <small>{_where(each)}</small>", _about(each))
            for each in parameters
        )
        parts.append(_table("Parameter", "Meaning", rows))
    kinds = route.get("requestBody", {}).get("content", {})
    if kinds:
        named = " or ".join(f"<code>{escape(kind)}</code>" for kind in kinds)
        parts.append(f"<p><b>Body</b> {named}</p>")
    if responses := route.get("responses"):
        rows = (
            (f"<code>{code}</code>", _answer(code, answer))
            for code, answer in responses.items()
            if code not in _EVERYWHERE
        )
        parts.append(_table("Answer", "Content", rows))
    if host:
        parts.append(f'<pre tabindex="0">{escape(_curl(method, path, kinds, host))}</pre>')
    return f'<article class="card route">{"".join(parts)}</article>'


def _where(parameter: Mapping[str, Any]) -> str:
    needed = ", required" if parameter.get("required") else ""
    return f"{escape(parameter['in'])}{needed}"


def _about(parameter: Mapping[str, Any]) -> str:
    schema = parameter["schema"]
    default = schema.get("default")
    words = [_type(schema)]
    if parameter.get("description"):
        words.append(_marked(parameter["description"]))
    if default is not None:
        words.append(f"default <code>{escape(str(default).lower())}</code>")
    return " · ".join(words)


def _answer(code: str, answer: Mapping[str, Any]) -> str:
    if int(code) >= 400:
        return HTTPStatus(int(code)).phrase
    for content in answer.get("content", {}).values():
        if schema := content.get("schema"):
            return _type(schema)
    description = answer.get("description", "")
    if description in ("", "Successful Response"):
        description = HTTPStatus(int(code)).phrase
    return escape(description)


def _curl(method: str, path: str, kinds: Mapping[str, Any], host: str) -> str:
    command = ["curl"] + ([] if method == "GET" else [f"-X {method}"])
    if method == "POST" and kinds:
        command = ["curl"]  # a body implies POST
    command.append(f"{host}{re.sub(r'{(.*?)}', lambda name: f'${name[1].upper()}', path)}")
    for kind, sample in _SAMPLES.items():
        if kind not in kinds or (kind == "application/json" and path not in _JSON):
            continue
        form = kinds[kind].get("schema", {}).get("properties", {})
        file = "clip.mp4" if path == "/v1/predict" else "1.jpg"
        for name, text in (
            ("field", next(iter(form), "file")),
            ("file", file),
            ("json", _JSON.get(path, "")),
        ):
            sample = sample.replace(f"{{{name}}}", text)
        command.append(sample)
        break
    return " ".join(command)


def _shapes(schemas: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields of each object that a route returns."""
    for name, schema in sorted(schemas.items()):
        fields = schema.get("properties")
        if not fields or name.startswith(("HTTPValidation", "Validation", "Body_")):
            continue
        needed = schema.get("required", ())
        rows = (
            (
                f"<code>{escape(field)}</code>",
                _type(each) + ("" if field in needed else " · optional"),
            )
            for field, each in fields.items()
        )
        yield (
            f'<article class="card route" id="shape-{escape(name)}"><h3>{escape(name)}</h3>'
            f"{_prose(schema.get('description', ''))}{_table('Field', 'Type', rows)}</article>"
        )


def _type(schema: Mapping[str, Any]) -> str:
    """Return a schema as text, with links to the schemas it names."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#shape-{name}">{name}</a>'
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_type(each) for each in options if each.get("type") != "null")
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    least, most = schema.get("minimum"), schema.get("maximum")
    limits = f", {least:g} to {most:g}" if least is not None and most is not None else ""
    return escape(kind) + limits


def _table(left: str, right: str, rows: Iterator[tuple[str, str]]) -> str:
    body = "".join(f"<tr><td>{one}</td><td>{other}</td></tr>" for one, other in rows)
    head = f'<tr><th scope="col">{left}</th><th scope="col">{right}</th></tr>'
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{left}">'
        f"<table><thead>{head}</thead><tbody>{body}</tbody></table></div>"
        if body
        else ""
    )


def _prose(text: str) -> str:
    """Return paragraphs as HTML; text between backticks is code."""
    paragraphs = (" ".join(part.split()) for part in text.split("\n\n"))
    return "".join(f"<p>{_marked(part)}</p>" for part in paragraphs if part)


def _marked(text: str) -> str:
    return re.sub(r"`(.+?)`", r"<code>\1</code>", escape(text, quote=False))
