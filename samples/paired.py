"""Two ways, measured on the same seeds: their difference, and whether it may be luck."""

from collections.abc import Sequence

import numpy as np
from scipy import stats


def paired(before: Sequence[float], after: Sequence[float]) -> str:
    """Return the mean difference of accuracies in one line: 95 % interval (t), Wilcoxon's p.

    Both are by seed, in the same order; of fewer than two, or of equal ones, only the mean.
    """
    first, second = np.array(before), np.array(after)
    gain = second - first
    text = f"{first.mean():.2%} → {second.mean():.2%}: {100 * gain.mean():+.2f} points"
    if len(gain) < 2 or not gain.any():
        return text
    test = stats.ttest_rel(second, first)
    low, high = test.confidence_interval(0.95)
    return (
        f"{text}, 95 % interval {100 * low:+.2f} to {100 * high:+.2f}, paired t p = "
        f"{test.pvalue:.4f}, Wilcoxon p = {stats.wilcoxon(second, first).pvalue:.4f}"
    )
