"""HTML and SVG elements from plain text; what is not Markup is escaped.

Labels, paths and notes come from whoever made the data: none of them can become an element, an
attribute or a control character of the page.
"""

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup, escape


def element(name: str, *children: str, **attributes: Any) -> Markup:
    """Return `<name attributes>children</name>`.

    Children that are not Markup are escaped.  In attribute names a trailing underscore falls away
    and the others become hyphens; an attribute that is None is left out.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{plain(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{concatenate(children)}</{name}>")


def concatenate(children: Iterable[str]) -> Markup:
    """Return pieces one after the other, those that are not Markup escaped."""
    return Markup().join(child if isinstance(child, Markup) else plain(child) for child in children)


def plain(text: str) -> Markup:
    """Return text that stands for itself; what cannot be printed is written as its code."""
    seen = (
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
    return escape("".join(seen))


def table(head: Iterable[str], rows: Iterable[Iterable[str]], **attributes: Any) -> Markup:
    """Return a table that scrolls where it is too wide; cells may be elements `td` or `th`."""
    top = element("tr", *(_cell(cell, "th", scope="col") for cell in head))
    body = (element("tr", *(_cell(cell, "td") for cell in row)) for row in rows)
    inner = element("table", element("thead", top), element("tbody", *body), **attributes)
    return element("div", inner, class_="scroll", tabindex=0)


def number(text: str) -> Markup:
    """Return a cell with a number, set to the right."""
    return element("td", text, class_="n")


def note(text: str) -> Markup:
    """Return a paragraph that explains."""
    return element("p", text, class_="note")


def _cell(cell: str, name: str, **attributes: Any) -> Markup:
    if isinstance(cell, Markup) and cell.startswith(("<td", "<th")):
        return cell
    return element(name, cell, **attributes)


_VOID = frozenset(("img", "br", "meta"))
