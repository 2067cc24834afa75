"""Intervals and tests against values that were computed by hand or are in the literature."""

import numpy as np
import pytest

from seqvision.statistics import (
    Interval,
    bootstrap_f1,
    bootstrap_mean,
    certainty,
    effective_clips,
    mcnemar,
    over_folds,
    over_groups,
    t_quantile,
    wilson,
)


def test_wilsons_interval_is_that_of_the_textbook() -> None:
    # Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for hits, clips, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = wilson(hits, clips)
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_wilsons_interval_stays_in_0_to_1_and_is_undefined_without_clips() -> None:
    assert wilson(0, 3).low == 0
    assert wilson(3, 3).high == 1
    assert wilson(0, 0) == Interval(0, 1)
    with pytest.raises(ValueError, match="4 of 3"):
        wilson(4, 3)


def test_the_bootstrap_of_a_mean_is_near_the_normal_interval_and_repeats() -> None:
    values = np.random.default_rng(3).normal(5, 2, 400)
    found = bootstrap_mean(values)
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)
    assert bootstrap_mean(values) == found
    assert bootstrap_mean(np.array([2.0])) == Interval(2, 2)


def test_the_f1_bootstrap_contains_f1_and_ends_at_1_for_a_perfect_model() -> None:
    truth = np.arange(60) % 3
    assert bootstrap_f1(truth, truth, 4) == Interval(1, 1)
    answers = np.where(np.arange(60) < 15, 0, truth)
    found = bootstrap_f1(truth, answers, 4)
    # 20 clips each; 10 clips of the labels 1 and 2 are answered 0: F1 0.8, 6/7, 6/7.
    figure = (0.8 + 6 / 7 + 6 / 7) / 3
    assert found.low < figure < found.high
    assert 0.1 < found.high - found.low < 0.3


def test_mcnemar_counts_only_where_the_models_differ() -> None:
    def test(only_first: int, only_second: int, both: int = 5) -> float:
        first = np.array([True] * only_first + [False] * only_second + [True] * both)
        second = np.array([False] * only_first + [True] * only_second + [True] * both)
        found = mcnemar(first, second)
        assert (found.only_first, found.only_second) == (only_first, only_second)
        return found.p

    # Two-sided tails of a fair coin: 2 · 1/32, 2 · (1 + 10) / 1024, 2 · (1 + 6 + 15) / 64.
    assert test(5, 0) == pytest.approx(2 / 32)
    assert test(1, 9) == test(9, 1) == pytest.approx(22 / 1024)
    assert test(2, 4) == pytest.approx(44 / 64)
    assert test(0, 0) == 1
    assert test(3, 3) == 1
    assert test(2000, 1000) < 1e-70, "and large counts do not overflow"


def test_students_t_is_that_of_the_table() -> None:
    for freedom, quantile in ((1, 12.7062), (2, 4.30265), (4, 2.77645), (30, 2.04227)):
        assert t_quantile(freedom) == pytest.approx(quantile, abs=1e-4)


def test_the_interval_over_folds_is_that_of_a_mean_of_few_values() -> None:
    # Mean 0.7, deviation 0.1, three folds: 4.30265 · 0.1 / sqrt(3).
    found = over_folds([0.6, 0.7, 0.8])
    assert (found.low, found.high) == pytest.approx((0.7 - 0.24841, 0.7 + 0.24841), abs=1e-4)


def test_clips_of_groups_that_are_all_right_or_all_wrong_count_as_one_each() -> None:
    # Ten groups of 20 clips, each of one mind: ten draws, less for the few degrees of freedom.
    sure = effective_clips([20] * 5 + [0] * 5, [20] * 10)
    assert sure == pytest.approx(9 * (1.95996 / 2.26216) ** 2, rel=1e-3)
    # Where the groups do not differ more than clips do, hardly anything is lost but for that.
    assert effective_clips([10] * 10, [20] * 10) == pytest.approx(150.134, abs=2e-3)
    assert over_groups([3], [4]) is None, "one group says nothing about a second"
    wide, narrow = over_groups([8, 8], [8, 8]), over_groups([1] * 16, [1] * 16)
    assert wide is not None
    assert narrow is not None
    assert wide.low < 0.15 < 0.75 < narrow.low, "two people who are all right are two people"


def test_the_interval_over_groups_holds_the_true_share_where_that_over_clips_does_not() -> None:
    generator = np.random.default_rng(0)
    groups = clips = 0
    for _ in range(400):
        sizes = generator.integers(10, 31, 8)
        hits = generator.binomial(sizes, generator.beta(1.4, 0.6, 8))  # mean 0.7, groups differ
        between = over_groups(hits.tolist(), sizes.tolist())
        assert between is not None
        groups += between.low <= 0.7 <= between.high
        within = wilson(int(hits.sum()), int(sizes.sum()))
        clips += within.low <= 0.7 <= within.high
    assert groups / 400 > 0.92
    assert clips / 400 < 0.65


def test_certainty_knows_clips_without_groups_and_the_least_difference() -> None:
    plain = certainty([None] * 40, [True] * 12 + [False] * 28)
    assert (plain.right, plain.clips, plain.groups, plain.over_groups) == (12, 40, 0, None)
    assert plain.line() == "95 % interval of the accuracy: 18 to 45 % over clips"
    # 1.96 · sqrt(2 · 0.3175 · 0.6825 / 40), the share drawn a little to the middle (Wilson's).
    assert plain.difference == pytest.approx(0.2041, abs=1e-3)
    grouped = certainty(["a"] * 20 + ["b"] * 10 + [None] * 10, [True] * 12 + [False] * 28)
    assert grouped.groups == 12, "a clip without a group is one of its own"
    assert grouped.over_groups is not None
    assert grouped.difference > plain.difference
    assert grouped.line().endswith("% over 12 groups")
