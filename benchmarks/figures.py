# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A figure: what is said about one comparison, as JSON for programs and as a table for readers."""

import collections.abc
import dataclasses
import json
import os
import pathlib
import typing

from benchmarks import pairs

#: A figure from fewer pairs proves nothing, whatever its interval.
FEWEST_PAIRS = 30


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How much is run; ``--quick`` only shows that it runs."""

    turns: int | None = None  #: pairs; None: as many as each figure asks for
    block: int = 4  #: requests of one side before the other has its turn
    warm_up: int = 3  #: turns of each side that are not counted
    quick: bool = False

    def turns_of(self, wanted: int) -> int:
        """Return ``wanted``, the number of pairs a figure asks for, unless another was given."""
        return wanted if self.turns is None else self.turns


QUICK = Scale(turns=2, block=1, warm_up=1, quick=True)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One value with its interval and, perhaps, an upper (or lower) limit as its goal."""

    figure: str
    interval: pairs.Interval
    n: int  #: pairs
    fewest: int = FEWEST_PAIRS  #: with fewer, the goal counts as not met
    unit: str = "ratio"
    goal: float | None = None
    below: bool = False  #: the goal itself is not good enough
    above: bool = False  #: the goal is a lower limit
    beside: collections.abc.Mapping[str, typing.Any] = dataclasses.field(default_factory=dict)
    note: str = ""
    load: tuple[float, float] = (0.0, 0.0)  #: load average before and after

    @property
    def holds(self) -> bool | None:
        """Return whether all of the interval keeps the goal; None if there is none."""
        if self.goal is None:
            return None
        low, high = self.interval.low, self.interval.high
        kept = high < self.goal if self.below else high <= self.goal
        if self.above:
            kept = low >= self.goal
        return kept and self.n >= self.fewest

    def as_json(self) -> dict[str, typing.Any]:
        """Return what is written to the file."""
        return {
            "figure": self.figure,
            "value": round(self.interval.value, 4),
            "low": round(self.interval.low, 4),
            "high": round(self.interval.high, 4),
            "goal": self.goal,
            "n": self.n,
            "holds": self.holds,
            "unit": self.unit,
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "load": [round(load, 2) for load in self.load],
            "beside": dict(self.beside),
            "note": self.note,
        }


def measured(
    run: collections.abc.Callable[[], list[Figure]],
) -> list[Figure]:
    """Return what ``run`` finds, with the load average before and after it."""
    before = os.getloadavg()[0]
    found = run()
    load = (before, os.getloadavg()[0])
    return [dataclasses.replace(figure, load=load) for figure in found]


def write(folder: pathlib.Path, name: str, found: collections.abc.Sequence[Figure]) -> pathlib.Path:
    """Write the figures of one run to ``<folder>/<name>.json``; return the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps([figure.as_json() for figure in found], indent=1) + "\n")
    return path


def table(found: collections.abc.Sequence[Figure]) -> str:
    """Return all figures for a terminal, one a line, what is beside them below."""
    width = max((len(figure.figure) for figure in found), default=0)
    heading = (
        f"{'figure':<{width}}  {'value':>9}  {'95 % interval':>19}  {'goal':>7}  "
        f"{'n':>4}  {'load':>9}  holds"
    )
    lines = [heading, "-" * len(heading)]
    for figure in found:
        lines += _lines(figure, width)
    return "\n".join(lines)


def _lines(figure: Figure, width: int) -> collections.abc.Iterator[str]:
    interval = figure.interval
    sign = ">=" if figure.above else "<" if figure.below else "<="
    goal = "" if figure.goal is None else f"{sign} {figure.goal:g}"
    holds = {None: "-", True: "yes", False: "NO"}[figure.holds]
    load = f"{figure.load[0]:.1f}-{figure.load[1]:.1f}"
    unit = "" if figure.unit == "ratio" else f" {figure.unit}"
    yield (
        f"{figure.figure:<{width}}  {interval.value:>9.3f}  "
        f"{interval.low:>9.3f} {interval.high:>9.3f}  {goal:>7}  {figure.n:>4}  {load:>9}  "
        f"{holds}{unit}"
    )
    if figure.beside:
        beside = ", ".join(f"{name} {_text(value)}" for name, value in figure.beside.items())
        yield f"{'':<{width}}    {beside}"
    if figure.note:
        yield f"{'':<{width}}    {figure.note}"


def _text(value: typing.Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
