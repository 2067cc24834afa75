"""Former names of options and keys: refused with a message that has the new name."""

from collections.abc import Collection, Mapping
from typing import Any, Final

# Old name → new name, as options are written, without the dashes.
OPTIONS: Final[Mapping[str, str]] = {
    "backgrounds": "background-clips",
    "clients": "max-clients",
    "collect": "save-uncertain",
    "collect-mb": "save-uncertain-mb",
    "enter": "on-threshold",
    "fetch-web": "fetch-web-runtime",
    "grey": "grayscale",
    "idle-seconds": "idle-timeout",
    "layout": "memory-format",
    "leave": "off-threshold",
    "max-drop": "max-accuracy-drop",
    "max-ms": "max-latency-ms",
    "official": "official-split",
    "project": "projection",
    "reject": "min-confidence",
    "wait": "patience",
}
# Of the query of a request.
QUERY: Final[Mapping[str, str]] = {"answers": "predictions"}


def new_name(old: str, known: Collection[str]) -> str | None:
    """Return the option in `known` that replaces `old`; None if there is none.

    `old` and the names in `known` may have `_` or `-`, and a `no-` prefix.
    """
    plain = old.replace("_", "-")
    prefix = "no-" if plain.startswith("no-") else ""
    new = OPTIONS.get(plain.removeprefix("no-"))
    there = {name.replace("_", "-") for name in known}
    return f"{prefix}{new}" if new is not None and new in there else None


def is_now(old: str, new: str) -> str:
    """Return the sentence that refuses an old name."""
    return f"{old} is now {new}"


def translated(saved: Any) -> Any:
    """Return saved options under their current names.

    For files written by a program, such as the options of a run folder.  Sections are translated
    too; a value that is not a mapping is unchanged.
    """
    if not isinstance(saved, Mapping):
        return saved
    content: dict[str, Any] = {}
    for name, value in saved.items():
        above, dot, last = name.rpartition(".")
        new = above + dot + OPTIONS.get(last.replace("_", "-"), last).replace("-", "_")
        content[name if new in saved else new] = translated(value)
    return content
