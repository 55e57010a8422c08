# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Alternating sides, and what may be said about them: a median or quantile with its interval.

The machine is never quiet. So the sides take turns in one run (A B A B ...), what is compared are
turns that were next to each other, and a value is only as good as its 95 % interval.
"""

import dataclasses
import math
import random
import statistics
import typing

T = typing.TypeVar("T")

CONFIDENCE = 0.95
RESAMPLES = 4000

#: The same resamples in every run: two readers of one data set get one interval.
_SEED = 20240


@dataclasses.dataclass(frozen=True, slots=True)
class Interval:
    """A value and the 95 % interval around it."""

    value: float
    low: float
    high: float


def alternate(
    sides: typing.Mapping[str, typing.Callable[[], T]], *, turns: int, warm_up: int = 0
) -> dict[str, list[T]]:
    """Let every side have ``turns`` turns, one after the other; return what they returned.

    The n-th results of all sides belong together. Results of ``warm_up`` turns before are dropped.
    """
    results: dict[str, list[T]] = {name: [] for name in sides}
    for turn in range(-warm_up, turns):
        for name, side in sides.items():
            result = side()
            if turn >= 0:
                results[name].append(result)
    return results


def quantile(values: typing.Sequence[float], share: float) -> float:
    """Return the value below which ``share`` (0 to 1) of ``values`` lie, interpolated.

    :raises ValueError: if there are no values.
    """
    if not values:
        raise ValueError("no values, no quantile")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below, part = math.floor(place), place % 1
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * part


def median_interval(values: typing.Sequence[float]) -> Interval:
    """Return the median and its interval from order statistics: no assumption on the distribution.

    The true median lies between the k-th smallest and the k-th largest value, unless fewer than k
    of n fair coins show heads; k is the largest number for which both tails together stay within
    5 %. With fewer than six values no such k exists, and the interval is all of them.
    """
    ordered = sorted(values)
    number = len(ordered)
    k, tail = 0, 0.0
    while True:
        tail += math.comb(number, k) / 2**number
        if 2 * tail > 1 - CONFIDENCE:
            break
        k += 1
    k = max(k, 1)
    return Interval(statistics.median(ordered), ordered[k - 1], ordered[number - k])


def median_ratio(ours: typing.Sequence[float], theirs: typing.Sequence[float]) -> Interval:
    """Return the median over all pairs of ours ÷ theirs.

    :raises ValueError: if the sides had different numbers of turns.
    """
    return median_interval([one / other for one, other in zip(ours, theirs, strict=True)])


def median_difference(ours: typing.Sequence[float], theirs: typing.Sequence[float]) -> Interval:
    """Return the median over all pairs of ours − theirs.

    :raises ValueError: if the sides had different numbers of turns.
    """
    return median_interval([one - other for one, other in zip(ours, theirs, strict=True)])


def quantile_ratio(
    ours: typing.Sequence[float],
    theirs: typing.Sequence[float],
    share: float,
    *,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return quantile ÷ quantile; its interval is that of a bootstrap that draws whole pairs.

    :raises ValueError: if the sides had different numbers of turns.
    """
    pairs = list(zip(ours, theirs, strict=True))

    def ratio(drawn: typing.Sequence[tuple[float, float]]) -> float:
        return quantile([one for one, _ in drawn], share) / quantile(
            [other for _, other in drawn], share
        )

    rng = random.Random(_SEED)
    ratios = [ratio(rng.choices(pairs, k=len(pairs))) for _ in range(resamples)]
    rest = (1 - CONFIDENCE) / 2
    return Interval(ratio(pairs), quantile(ratios, rest), quantile(ratios, 1 - rest))
