"""The report as one HTML file that needs nothing else.

No script, font or picture from elsewhere: the page's content security policy forbids them.
"""

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from seqvision.report.certainty import certainty_section
from seqvision.report.contents import ReportContents, SplitResult
from seqvision.report.filmstrip import FRAMES
from seqvision.report.folds import folds_section
from seqvision.report.html import concatenate, element, note, plain
from seqvision.report.run_folder import column
from seqvision.report.sections import (
    attention_section,
    calibrated,
    confusion,
    confusion_width,
    data_section,
    has_attention,
    headline,
    making,
    mistakes,
    per_group,
    per_label,
    remark_list,
)
from seqvision.report.svg_charts import curves
from seqvision_edge.files import atomic_write


def write_page(report: ReportContents, path: Path) -> None:
    """Write the page of a report; an older one stays until the new one is complete.

    Raises:
        OSError: the file cannot be written.
    """
    pages = Environment(
        loader=PackageLoader("seqvision.report", ""), autoescape=True, keep_trailing_newline=True
    )
    text = pages.get_template("page.html").render(
        title=plain(report.title),
        about=plain(report.about),
        style=Markup(files("seqvision.report").joinpath("page.css").read_text(encoding="utf-8")),
        body=concatenate(_sections(report)),
    )
    with atomic_write(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def _sections(report: ReportContents) -> Iterator[Markup]:
    """Yield the sections, the most important first; empty ones are left out."""
    if report.remarks:
        yield _section("remarks", "Warnings and notes", remark_list(report))
    yield _section("figures", "Metrics", headline(report))
    if report.folds:
        yield _section("folds", "Folds", folds_section(report.folds))
    yield _section("certainty", "What is known, and what is luck", certainty_section(report))
    if report.logs is not None:
        yield _section("curves", "Training curves", _curves(report.logs, report.epoch))
    room = confusion_width(list(report.card.labels))
    yield _section("confusion", "Confusion matrix", _each(report, confusion, room))
    yield _section("labels", "Per-class metrics", _each(report, per_label))
    groups = _each(report, per_group)
    if groups:
        yield _section("groups", "Per-group accuracy", note(_GROUPS), groups)
    plots = _each(report, lambda part: calibrated(report, part))
    yield _section("calibration", "Calibration", note(_CALIBRATION), plots)
    yield _section(
        "mistakes", "Misclassified clips", *(mistakes(report, part) for part in report.parts)
    )
    if not report.folds and has_attention(report):
        yield _section("attention", "Attention", note(_ATTENTION), attention_section(report))
    yield _section("data", "Data", data_section(report))
    yield _section("making", "Training setup", making(report))


def _section(name: str, title: str, *content: str) -> Markup:
    return element("section", element("h2", title), *content, id=name)


def _each(
    report: ReportContents, draw: Callable[[SplitResult], Markup | None], least: int | None = None
) -> Markup:
    """Return what `draw` makes of every part, side by side where each has `least` pixels."""
    drawn = [(part, draw(part)) for part in report.parts]
    boxes = [
        element("div", element("h3", part.name), content, class_="box")
        for part, content in drawn
        if content is not None
    ]
    style = None if least is None else f"--least:{least}px"
    return element("div", *boxes, class_="side", style=style) if boxes else Markup("")


def _curves(logs: Path, best: int | None) -> Markup:
    boxes = []
    for name, title, top in (("loss", "loss", None), ("accuracy", "accuracy", 1.0),
                             ("lr", "learning rate", None)):  # fmt: skip
        found = {part: column(logs, f"{part}/{name}") for part in ("train", "val")}
        series = {part: points for part, points in found.items() if points}
        if series:
            keys = [element("span", part, class_=f"key {part}") for part in series]
            heading = element("h3", title, *(keys if len(keys) > 1 else []))
            number = None if best is None else best + 1
            boxes.append(element("div", heading, curves(series, top, number), class_="box"))
    caption = (
        f"The dotted line is epoch {best + 1}, whose weights were kept: the best one, of a cosine "
        "the best of its last third (--keep last: the last one)."
        if best is not None
        else ""
    )
    return concatenate((element("div", *boxes, class_="side"), note(caption) if caption else ""))


_GROUPS = (
    "Sorted by accuracy, lowest first. Where a few performers or recordings are much worse than "
    "the others, add clips like theirs."
)
_CALIBRATION = (
    "Reliability diagram: predictions in 15 bins of equal width by their probability (Guo et al. "
    "2017). A blue bar is the accuracy of a bin, an orange mark its mean probability; a calibrated "
    "model has both on the dashed line. ECE, the expected calibration error, is their mean "
    "distance, weighted by the clips of each bin. Bins with few clips are unreliable."
)
_ATTENTION = (
    "Softmax weights of the attention pooling (Bahdanau et al. 2015), one bar per step, scaled to "
    f"the largest, over {FRAMES} frames of the clip, or over a still image whose steps follow in "
    "reading order. Shown are the most confident clips of each label."
)
