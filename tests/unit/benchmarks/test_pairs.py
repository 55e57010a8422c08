# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What the benchmarks say of samples whose truth is known."""

import random

import pytest

from benchmarks import pairs


def test_sides_take_turns_and_warm_up_is_dropped() -> None:
    order: list[str] = []

    def side(name: str) -> int:
        order.append(name)
        return len(order)

    results = pairs.alternate({"a": lambda: side("a"), "b": lambda: side("b")}, turns=2, warm_up=1)

    assert order == ["a", "b"] * 3
    assert results == {"a": [3, 5], "b": [4, 6]}


def test_quantiles_are_interpolated() -> None:
    assert pairs.quantile([4.0, 1.0, 2.0, 3.0], 0.5) == 2.5
    assert pairs.quantile([1.0, 2.0, 3.0], 1.0) == 3.0
    assert pairs.quantile([7.0], 0.95) == 7.0


def test_no_values_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="no values"):
        pairs.quantile([], 0.5)


# Ranks as printed in tables of the sign test's confidence interval for the median.
@pytest.mark.parametrize(
    ("number", "low", "high"), [(6, 1, 6), (10, 2, 9), (30, 10, 21), (100, 40, 61)]
)
def test_interval_of_a_median_has_the_ranks_of_the_sign_test(
    number: int, low: int, high: int
) -> None:
    values = [float(rank) for rank in range(1, number + 1)]

    interval = pairs.median_interval(values)

    assert (interval.low, interval.high) == (low, high)


def test_few_values_have_all_of_them_as_interval() -> None:
    interval = pairs.median_interval([3.0, 1.0, 2.0])

    assert interval == pairs.Interval(2.0, 1.0, 3.0)


def test_median_ratio_compares_neighbours_however_the_load_drifts() -> None:
    theirs = [10.0 * (1 + turn) for turn in range(30)]
    ours = [1.2 * took for took in theirs]

    interval = pairs.median_ratio(ours, theirs)

    assert interval.low == pytest.approx(1.2)
    assert interval.high == pytest.approx(1.2)


def test_median_difference_is_of_neighbours_too() -> None:
    theirs = [float(turn) for turn in range(30)]
    ours = [took + 2 for took in theirs]

    assert pairs.median_difference(ours, theirs) == pairs.Interval(2.0, 2.0, 2.0)


def test_sides_with_different_numbers_of_turns_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        pairs.median_ratio([1.0, 2.0, 3.0], [1.0, 2.0])


def test_interval_of_a_median_covers_the_truth_in_about_95_of_100_samples() -> None:
    rng = random.Random(1)
    covered = 0
    for _ in range(400):
        interval = pairs.median_interval([rng.expovariate(1.0) for _ in range(40)])
        covered += interval.low <= 0.6931 <= interval.high  # ln 2

    assert 0.93 <= covered / 400 <= 1.0


def test_interval_of_a_p95_ratio_covers_the_truth() -> None:
    rng = random.Random(2)
    covered = 0
    for _ in range(20):
        ours = [3.0 * rng.expovariate(1.0) for _ in range(200)]
        theirs = [rng.expovariate(1.0) for _ in range(200)]
        interval = pairs.quantile_ratio(ours, theirs, 0.95, resamples=300)
        covered += interval.low <= 3.0 <= interval.high

    assert covered >= 17


def test_quantile_ratio_is_the_same_at_every_look_at_the_same_data() -> None:
    rng = random.Random(3)
    ours, theirs = ([rng.random() + 1 for _ in range(50)] for _ in range(2))

    first, second = (pairs.quantile_ratio(ours, theirs, 0.95, resamples=300) for _ in range(2))

    assert first == second
