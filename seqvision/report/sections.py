"""Sections of the report: metrics, confusion, calibration, the data, the training, mistakes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from seqvision.config import flattened
from seqvision.metrics import before_temperature, by_group, calibration
from seqvision.report.contents import ReportContents, SplitResult
from seqvision.report.filmstrip import attention, filmstrip, seen
from seqvision.report.html import concatenate, element, note, number, table
from seqvision.report.svg_charts import reliability, whisker
from seqvision.statistics import RESAMPLES, Interval, bootstrap_f1, bootstrap_mean, shares, wilson

_MOST_GROUPS = 40
_MOST_PAIRS = 6

_MOST_LINES = 50

_MOST_MISTAKES = 6
_MOST_UNSURE = 4
_MOST_ATTENTION = 16


def headline(report: ReportContents) -> Markup:
    """Return the main figures of each part, with how sure they are."""
    between = any(part.certainty.over_groups is not None for part in report.parts)
    rows = [_headline_row(part, between) for part in report.parts]
    over = ["over groups"] if between else []
    names = ("", "accuracy", "", *over, "F1, mean", "precision", "recall", "loss", "ECE", "clips")
    caution = (
        " They take the clips for independent, which clips of one group are not; over groups is "
        "the accuracy's 95 % interval for groups that are not among these, by the effective number "
        "of clips (Kish 1965; Korn and Graubard 1998)."
        if between
        else ""
    )
    return element(
        "div",
        table(names, rows, class_="figures"),
        note(
            "In brackets: 95 % confidence intervals; of shares by the score method (Wilson 1927), "
            f"of F1 and loss by the bootstrap (Efron 1979, {RESAMPLES} resamples of the clips)."
            f"{caution} Precision, recall and F1 are means over the labels that occur. Loss is "
            "the cross-entropy in nats; guessing all labels alike gives "
            f"{np.log(len(report.card.labels)):.2f}."
        ),
    )


def _headline_row(part: SplitResult, between: bool) -> list[Markup]:
    metrics, labels = part.metrics, part.probabilities.shape[1]
    sure = part.certainty
    accuracy, groups = sure.over_clips, sure.over_groups
    over = [number("–" if groups is None else shares(groups))] if between else []
    f1 = bootstrap_f1(part.truth.numpy(), part.answers.numpy(), labels)
    losses = -part.probabilities.gather(1, part.truth[:, None]).double().clamp_min(1e-12).log()
    loss = bootstrap_mean(losses[:, 0].numpy())
    return [
        element("th", part.name, scope="row"),
        _with_interval(f"{metrics.accuracy:.1%}", accuracy, "{:.0%}"),
        element("td", whisker(metrics.accuracy, accuracy)),
        *over,
        _with_interval(f"{metrics.f1:.3f}", f1, "{:.2f}"),
        number(f"{metrics.precision:.3f}"),
        number(f"{metrics.recall:.3f}"),
        _with_interval(f"{metrics.loss:.3f}", loss, "{:.2f}"),
        number(f"{calibration(part.probabilities, part.truth).error:.3f}"),
        number(str(metrics.clips)),
    ]


def per_label(part: SplitResult) -> Markup:
    """Return precision, recall and F1 of each label."""
    rows = []
    for index, (label, figures) in enumerate(part.metrics.labels.items()):
        recall = wilson(part.metrics.confusion[index][index], figures.clips)
        there = figures.clips > 0
        rows.append(
            [
                element("th", label, scope="row"),
                number(f"{figures.precision:.3f}"),
                _with_interval(f"{figures.recall:.3f}", recall, "{:.2f}") if there else number("–"),
                element("td", whisker(figures.recall, recall) if there else ""),
                number(f"{figures.f1:.3f}" if there else "–"),
                number(str(figures.clips)),
            ]
        )
    return table(("label", "precision", "recall", "", "F1", "clips"), rows)


def per_group(part: SplitResult) -> Markup | None:
    """Return the accuracy of each group, the worst first; None where no clip has a group."""
    groups = by_group([clip.group for clip in part.clips], part.right.tolist())
    if not groups:
        return None
    rows = [
        [
            element("th", group.group, scope="row", class_="path"),
            _with_interval(f"{group.accuracy:.1%}", group.interval, "{:.0%}"),
            element("td", whisker(group.accuracy, group.interval)),
            number(f"{group.right} of {group.clips}"),
        ]
        for group in groups[:_MOST_GROUPS]
    ]
    more = len(groups) - len(rows)
    rest = note(f"{more} more groups are better than these.") if more else ""
    return element("div", table(("group", "accuracy", "", "right"), rows), rest)


def confusion_width(labels: Sequence[str]) -> int:
    """Return about how many pixels a confusion matrix needs."""
    longest = min(16, max(map(len, labels)))  # longer ones are wrapped
    return 40 + 8 * max(longest, 12) + 34 * len(labels)


def confusion(part: SplitResult) -> Markup:
    """Return the confusion matrix, and the pairs that are confused most."""
    labels = list(part.metrics.labels)
    head = [
        element("th", "truth ↓ answer →", class_="corner"),
        *(element("th", element("span", label), scope="col", class_="turned") for label in labels),
    ]
    rows = [
        [element("th", label, scope="row"), *_confusion_cells(row, index, labels)]
        for index, (label, row) in enumerate(zip(labels, part.metrics.confusion, strict=True))
    ]
    return element("div", table(head, rows, class_="confusion"), _confused_pairs(part))


def _confusion_cells(row: list[int], index: int, labels: list[str]) -> list[Markup]:
    cells = []
    for answer, clips in enumerate(row):
        share = clips / max(1, sum(row))
        kind = ("right" if answer == index else "wrong") + (" deep" if share > 0.55 else "")
        cells.append(
            element(
                "td",
                str(clips) if clips else "",
                class_=kind,
                style=f"--share:{share:.3f}",
                title=f"{labels[index]} answered as {labels[answer]}: {clips} of {sum(row)}",
            )
        )
    return cells


def _confused_pairs(part: SplitResult) -> Markup:
    labels = list(part.metrics.labels)
    pairs = sorted(
        (
            (clips, sum(row), labels[truth], labels[answer])
            for truth, row in enumerate(part.metrics.confusion)
            for answer, clips in enumerate(row)
            if clips and truth != answer
        ),
        key=lambda pair: (-pair[0], -pair[0] / pair[1]),
    )
    items = [
        element("li", element("b", truth), " answered as ", element("b", answer),
                f": {clips} of {total}")
        for clips, total, truth, answer in pairs[:_MOST_PAIRS]
    ]  # fmt: skip
    rest = pairs[_MOST_PAIRS:]
    if rest:
        clips = sum(pair[0] for pair in rest)
        items.append(element("li", f"and {len(rest)} other pairs, {clips} clips in all"))
    return element("ul", *items, class_="pairs")


def calibrated(report: ReportContents, part: SplitResult) -> Markup:
    """Return the calibration plot, and the figures before the temperature."""
    temperature = report.card.decision.temperature
    after = calibration(part.probabilities, part.truth)
    sentences = [f"ECE {after.error:.3f}."]
    if abs(temperature - 1) > 1e-6:
        raw = before_temperature(part.probabilities, temperature)
        loss = -raw.gather(1, part.truth[:, None]).clamp_min(1e-12).log().mean()
        sentences.append(
            f"Before the temperature of {temperature:.3g}: ECE "
            f"{calibration(raw, part.truth).error:.3f}, loss {float(loss):.3f} "
            f"(with it {part.metrics.loss:.3f})."
        )
    else:
        sentences.append("These are the model's own probabilities: its temperature is 1.")
    mean = float(part.probabilities.max(dim=1).values.mean())
    direction = "over" if mean > part.metrics.accuracy else "under"
    sentences.append(
        f"Mean probability {mean:.1%}, accuracy {part.metrics.accuracy:.1%}: {direction}confident."
    )
    return element("div", reliability(after), note(" ".join(sentences)))


def _with_interval(figure: str, interval: Interval, form: str) -> Markup:
    low, high = form.format(interval.low), form.format(interval.high)
    reach = element("small", f" ({low.removesuffix('%')}–{high})")
    return element("td", element("b", figure), reach, class_="n")


def data_section(report: ReportContents) -> Markup:
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
        f"The model reads: {card.sequence}."
        if card.vectors is not None
        else (
            f"The model reads: {card.sequence}; each step {card.image.width} × {card.image.height} "
            f"pixels, {'grey' if card.image.channels == 1 else 'in colour'}."
        )
    )
    lists = concatenate(
        (
            _lines("Notes of the training", card.origin.notes if report.logs is None else ()),
            _lines("Left out, because they cannot be read", report.left_out),
            _lines("Read in part", report.incomplete),
        )
    )
    boxes = [element("div", table(("clips", *parts), rows), class_="box")]
    if lists:
        boxes.append(element("div", lists, class_="box"))
    return concatenate((note(window), element("div", *boxes, class_="side")))


def _lines(title: str, lines: Sequence[str]) -> Markup:
    if not lines:
        return Markup("")
    shown = [element("li", line, class_="path") for line in lines[:_MOST_LINES]]
    if len(lines) > _MOST_LINES:
        shown.append(element("li", f"and {len(lines) - _MOST_LINES} more"))
    return concatenate((element("h3", f"{title} ({len(lines)})"), element("ul", *shown)))


def remark_list(report: ReportContents) -> Markup:
    """Return the warnings, then the notes, each once."""
    ordered = sorted(dict.fromkeys(report.remarks), key=lambda remark: remark.kind != "warning")
    items = (
        element("li", element("strong", f"{remark.kind}: "), remark.text, class_=remark.kind)
        for remark in ordered
    )
    return element("ul", *items, class_="remarks")


def making(report: ReportContents) -> Markup:
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
        [element("th", name, scope="row"), element("td", _format(value), class_="path")]
        for name, value in values.items()
    )
    return element("table", *(element("tr", *row) for row in rows), class_="pairs")


def _format(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None else str(value)


def mistakes(report: ReportContents, part: SplitResult) -> Markup:
    """Return the most confident mistakes, then the clips whose own label got the least."""
    confidence = part.probabilities.max(dim=1).values
    wrong = [index for index, right in enumerate(part.right.tolist()) if not right]
    surest = sorted(wrong, key=lambda index: -float(confidence[index]))[:_MOST_MISTAKES]
    own = part.probabilities.gather(1, part.truth[:, None])[:, 0]
    rest = [index for index in range(len(part.clips)) if index not in surest]
    worst = sorted(rest, key=lambda index: float(own[index]))[:_MOST_UNSURE]
    if not wrong:
        first = note(f"No mistake in {len(part.clips)} clips.")
    else:
        first = _strips(
            f"{part.name}: the most confident of {len(wrong)} mistakes", report, part, surest
        )
    others = f"{part.name}: where else the true label got the least"
    return concatenate((first, _strips(others, report, part, worst) if worst else ""))


def _strips(
    title: str, report: ReportContents, part: SplitResult, indices: list[int], **how: bool
) -> Markup:
    strips = (filmstrip(report, part, index, **how) for index in indices)
    return concatenate((element("h3", title), element("div", *strips, class_="strips")))


def has_attention(report: ReportContents) -> bool:
    """Return whether the head weighs its steps."""
    steps = seen(report.parts[-1].decoded[0], report.card)
    return attention(report.model, steps) is not None


def attention_section(report: ReportContents) -> Markup:
    """Return clips of each label with the weights of their steps: the surest right answers."""
    part = report.parts[-1]
    labels = part.metrics.labels
    each = 2 if 2 * len(labels) <= _MOST_ATTENTION else 1
    chosen: list[int] = []
    for position in range(len(labels)):
        own = [index for index, truth in enumerate(part.truth.tolist()) if truth == position]
        own.sort(key=lambda index: -float(part.probabilities[index, int(part.truth[index])]))
        chosen += own[:each]
    return _strips(part.name, report, part, chosen[:_MOST_ATTENTION], with_attention=True)
