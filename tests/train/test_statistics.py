"""Intervals and tests against values that were computed by hand or are in the literature."""

import numpy as np
import pytest

from seqvision.statistics import Interval, bootstrap_f1, bootstrap_mean, mcnemar, wilson


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
