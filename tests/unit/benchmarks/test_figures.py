# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""When a goal is met, and what is written down."""

import json
import pathlib

import pytest

from benchmarks import figures, pairs


def figure(low: float, high: float, *, goal: float | None = 1.1, n: int = 30) -> figures.Figure:
    interval = pairs.Interval((low + high) / 2, low, high)
    return figures.Figure(figure="ours ÷ stock", interval=interval, goal=goal, n=n)


@pytest.mark.parametrize(
    ("low", "high", "holds"),
    [(1.00, 1.05, True), (1.00, 1.10, True), (1.05, 1.11, False), (1.2, 1.3, False)],
)
def test_an_interval_that_straddles_the_goal_does_not_meet_it(
    low: float, high: float, holds: bool
) -> None:
    assert figure(low, high).holds is holds


def test_fewer_than_30_pairs_meet_no_goal() -> None:
    assert figure(0.5, 0.6, n=29).holds is False


def test_without_a_goal_nothing_holds_or_fails() -> None:
    assert figure(0.5, 0.6, goal=None).holds is None


def test_a_goal_that_must_be_passed_is_not_met_by_reaching_it() -> None:
    interval = pairs.Interval(0.9, 0.8, 1.0)
    below = figures.Figure(figure="ours ÷ stock", interval=interval, goal=1.0, below=True, n=30)

    assert below.holds is False


def test_files_are_lists_with_the_names_that_programs_read(tmp_path: pathlib.Path) -> None:
    found = figures.measured(lambda: [figure(1.0, 1.05)])

    path = figures.write(tmp_path / "bench", "create", found)

    (written,) = json.loads(path.read_text())
    wanted = {"figure", "value", "low", "high", "goal", "n", "holds"}
    assert wanted <= written.keys()
    assert path.name == "create.json"
    assert (written["goal"], written["n"], written["holds"]) == (1.1, 30, True)
    assert len(written["load"]) == 2


def test_table_says_which_goals_are_missed() -> None:
    lines = figures.table([figure(1.0, 1.05), figure(1.0, 1.2)]).splitlines()

    assert lines[2].endswith("yes")
    assert lines[3].endswith("NO")
