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
    "groups": "split-by",
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
# A former switch that is a value of an option now: what `--no-…` is, and what saved values are.
SWITCHES: Final[Mapping[str, str]] = {"groups": "none"}
_SAVED: Final[Mapping[str, Mapping[bool, str]]] = {"groups": {True: "auto", False: "none"}}
# Of the query of a request.
QUERY: Final[Mapping[str, str]] = {"answers": "predictions"}


def new_name(old: str, known: Collection[str]) -> str | None:
    """Return the option in `known` that replaces `old`; None if there is none.

    `old` and the names in `known` may have `_` or `-`, and a `no-` prefix.  Where a switch became
    a value of another option, the value follows it.
    """
    plain = old.replace("_", "-")
    prefix = "no-" if plain.startswith("no-") else ""
    bare = plain.removeprefix("no-")
    new = OPTIONS.get(bare)
    there = {name.replace("_", "-") for name in known}
    if new is None or new not in there:
        return None
    return f"{new} {SWITCHES[bare]}" if prefix and bare in SWITCHES else f"{prefix}{new}"


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
        now = _SAVED[last][value] if last in _SAVED and isinstance(value, bool) else value
        content[name if new in saved else new] = translated(now)
    return content
