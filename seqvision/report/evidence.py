"""Sections of the page that are clips: mistakes, doubts, and where the model looks."""

from seqvision.report.contents import Report, SplitResult
from seqvision.report.filmstrip import attention, filmstrip, seen
from seqvision.report.markup import Markup, element, note, together

_MOST_MISTAKES = 6
_MOST_UNSURE = 4
_MOST_ATTENTION = 16


def mistakes(report: Report, part: SplitResult) -> Markup:
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
    return together((first, _strips(others, report, part, worst) if worst else ""))


def _strips(
    title: str, report: Report, part: SplitResult, indices: list[int], **how: bool
) -> Markup:
    strips = (filmstrip(report, part, index, **how) for index in indices)
    return together((element("h3", title), element("div", *strips, class_="strips")))


def has_attention(report: Report) -> bool:
    """Return whether the head weighs its steps."""
    steps = seen(report.parts[-1].decoded[0], report.card)
    return attention(report.model, steps) is not None


def attention_section(report: Report) -> Markup:
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
