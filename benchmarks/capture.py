# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What capture adds to one change of the database: statements and milliseconds."""

import json
import subprocess
import sys
import tempfile
import typing

from benchmarks import clouds, figures, pairs
from lab import neutron, processes
from lab.databases import pool
from lab.neutron import running

CHANGES = ("create network", "create port", "update port", "delete port")

UNITS = (("milliseconds", "ms"), ("CPU milliseconds", "ms"), ("statements", "statements"))

#: Side -> change -> (milliseconds, milliseconds of CPU, statements) of each turn.
Results = dict[str, dict[str, list[tuple[float, float, int]]]]


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure in one process that is nothing but Neutron's core plugin, listeners on and off."""
    turns = scale.turns_of(200)
    with clouds.database(databases, "mariadb", workflow=True) as database:
        profile = neutron.Profile(
            database_url=database.url,
            core_plugin="ml2_workflow",
            workflow={"conductor": "separate"},
        )
        with neutron.Deployment(profile) as deployment:
            results = _in_process(deployment, turns, scale.warm_up)
    return [
        figure for change in CHANGES for figure in _figures(change, results["on"], results["off"])
    ]


def _in_process(deployment: neutron.Deployment, turns: int, warm_up: int) -> Results:
    """Return what ``benchmarks.plugin`` measured in a process of its own.

    :raises LabError: if it fails; the text has the end of its output.
    """
    with tempfile.NamedTemporaryFile("r", suffix=".json") as answer:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "benchmarks.plugin", answer.name, str(turns), str(warm_up)),
                *map(str, deployment.config_files("plugin")),
            ],
            env=processes.clean_environment({"PYTHONPATH": str(running.REPOSITORY)}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise processes.LabError(f"benchmarks.plugin failed:\n{done.stdout[-4000:]}")
        results: Results = json.load(answer)
    return results


def _figures(
    change: str,
    on: typing.Mapping[str, list[tuple[float, float, int]]],
    off: typing.Mapping[str, list[tuple[float, float, int]]],
) -> list[figures.Figure]:
    def side(
        results: typing.Mapping[str, list[tuple[float, float, int]]], place: int
    ) -> list[float]:
        return [float(turn[place]) for turn in results[change]]

    return [
        figures.Figure(
            figure=f"{unit} that capture adds to one {change}",
            interval=pairs.median_difference(side(on, place), side(off, place)),
            n=len(on[change]),
            unit=short,
            beside={
                f"with_{short}": round(pairs.quantile(side(on, place), 0.5), 2),
                f"without_{short}": round(pairs.quantile(side(off, place), 0.5), 2),
            },
        )
        for place, (unit, short) in enumerate(UNITS)
    ]
