"""Sections of the page on the data and the training setup."""

from collections.abc import Mapping, Sequence
from typing import Any

from seqvision.config import flattened
from seqvision.report.contents import Report
from seqvision.report.markup import Markup, element, note, number, table, together

_MOST_LINES = 50


def data(report: Report) -> Markup:
    """Return the clips of each label and part, what the model sees of one, and what is missing."""
    card = report.card
    parts = list(report.counts)
    rows = [
        [element("th", label, scope="row"),
         *(number(str(report.counts[part].get(label, 0))) for part in parts)]
        for label in card.labels
    ]  # fmt: skip
    rows.append(
        [element("th", "all", scope="row"),
         *(number(str(sum(report.counts[part].values()))) for part in parts)]
    )  # fmt: skip
    window = (
        f"The model reads: {card.sequence}; each step {card.image.width} × {card.image.height} "
        f"pixels, {'grey' if card.image.channels == 1 else 'in colour'}."
    )
    lists = together(
        (
            _lines("Notes of the training", card.origin.notes if report.logs is None else ()),
            _lines("Left out, because they cannot be read", report.left_out),
            _lines("Read in part", report.incomplete),
        )
    )
    boxes = [element("div", table(("clips", *parts), rows), class_="box")]
    if lists:
        boxes.append(element("div", lists, class_="box"))
    return together((note(window), element("div", *boxes, class_="side")))


def _lines(title: str, lines: Sequence[str]) -> Markup:
    if not lines:
        return Markup("")
    shown = [element("li", line, class_="path") for line in lines[:_MOST_LINES]]
    if len(lines) > _MOST_LINES:
        shown.append(element("li", f"and {len(lines) - _MOST_LINES} more"))
    return together((element("h3", f"{title} ({len(lines)})"), element("ul", *shown)))


def remark_list(report: Report) -> Markup:
    """Return the warnings, then the notes, each once."""
    ordered = sorted(dict.fromkeys(report.remarks), key=lambda remark: remark.kind != "warning")
    items = (
        element("li", element("strong", f"{remark.kind}: "), remark.text, class_=remark.kind)
        for remark in ordered
    )
    return element("ul", *items, class_="remarks")


def making(report: Report) -> Markup:
    """Return what ran, and with which options."""
    facts = _pairs(report.facts)
    options = _pairs(dict(flattened(report.card.origin.options)))
    return element(
        "div",
        element("div", facts, class_="box"),
        element("details", element("summary", "Options of the training"), options, class_="box"),
        class_="side",
    )


def _pairs(values: Mapping[str, Any]) -> Markup:
    rows = (
        [element("th", name, scope="row"), element("td", _said(value), class_="path")]
        for name, value in values.items()
    )
    return element("table", *(element("tr", *row) for row in rows), class_="pairs")


def _said(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None else str(value)
