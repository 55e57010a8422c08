# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Whether a page of tasks costs more than a page of ports when there are a million tasks."""

import collections.abc
import functools
import itertools
import typing
import urllib.parse

import sqlalchemy as sa

from benchmarks import clouds, figures, pairs
from lab import neutron
from lab.databases import pool
from networking_workflow.journal import tables

GOAL = 1.0
PAGE = 100

TASKS = 1_000_000
QUICK_TASKS = 20_000

#: Tasks of one workflow, one of which has failed; workflows of one resource; projects.
_TASKS_A_WORKFLOW, _WORKFLOWS_A_RESOURCE, _PROJECTS = 5, 200, 20

PORTS = 1000
QUICK_PORTS = PAGE

#: Rows that the database may read for a page: a few for each that is shown.
MOST_ROWS = 10 * PAGE

#: Who asks: a tenant, whose lists are cut to its project.
_PROJECT = "bench"
_CALLER = neutron.Identity(user="bench", project=_PROJECT, roles="member,reader")

#: A UUID in place of a text: rows get into an index in no order, as real ones do.
_UUID = "INSERT(INSERT(INSERT(INSERT(MD5({}), 21, 0, '-'), 17, 0, '-'), 13, 0, '-'), 9, 0, '-')"

_WORKFLOWS = f"""
    SET STATEMENT unique_checks = 0 FOR INSERT INTO workflow_workflows
        (id, lane, operation_id, request_id, project_id, resource_type, resource_id, operation,
        initiator, priority, held_keys, state, holding, parked, fence, fence_checks, attempts,
        cancel_requested, gen, created_at, started_at, finished_at, updated_at)
    SELECT {_UUID.format("CONCAT('workflow', seq)")} AS id, 'default', CONCAT('req-', seq),
        CONCAT('req-', seq),
        IF(MOD(seq DIV :workflows, :projects) = 0, :project,
            CONCAT('project-', MOD(seq DIV :workflows, :projects))),
        'port', {_UUID.format("CONCAT('resource', seq DIV :workflows)")}, 'update', 'api', 50,
        :keys, 'FAILED', 0, 0, 1, 0, 1, 0, 1, NOW(6) - INTERVAL seq SECOND, NOW(6), NOW(6), NOW(6)
    FROM seq_0_to_{{last}} ORDER BY id
"""

_TASKS = f"""
    SET STATEMENT unique_checks = 0, foreign_key_checks = 0 FOR INSERT INTO workflow_tasks
        (id, workflow_id, project_id, resource_type, resource_id, name, driver, position,
        task_state, attempts, created_at, started_at, finished_at, updated_at)
    SELECT {_UUID.format("CONCAT(w.id, seq)")} AS id, w.id, w.project_id, w.resource_type,
        w.resource_id, CONCAT('driver-', seq), CONCAT('driver-', seq), seq,
        IF(seq = 1, 'FAILED', 'SUCCESS'), 1, w.created_at, w.created_at, w.created_at, w.created_at
    FROM workflow_workflows w CROSS JOIN seq_1_to_{{tasks}} WHERE w.state = 'FAILED' ORDER BY id
"""


def seed(engine: sa.Engine, tasks: int) -> list[str]:
    """Make tasks of 20 projects; return the resources of the one that asks.

    Indexes are made when the rows are there: in a tenth of the time.
    """
    workflows = tasks // _TASKS_A_WORKFLOW
    for index in tables.tasks.indexes:
        index.drop(engine)
    with engine.connect() as connection:
        connection.execute(
            sa.text(_WORKFLOWS.format(last=workflows - 1)),
            {
                "workflows": _WORKFLOWS_A_RESOURCE,
                "projects": _PROJECTS,
                "project": _PROJECT,
                "keys": "{}",
            },
        )
        connection.execute(sa.text(_TASKS.format(tasks=_TASKS_A_WORKFLOW)))
    for index in tables.tasks.indexes:
        index.create(engine)
    own = sa.select(tables.tasks.c.resource_id).where(tables.tasks.c.project_id == _PROJECT)
    with engine.connect() as connection:
        connection.execute(sa.text("ANALYZE TABLE workflow_workflows, workflow_tasks")).close()
        return sorted(connection.execute(own.distinct()).scalars())


class Pages:
    """The lists of one API."""

    def __init__(self, cloud: clouds.OurCloud, resources: list[str]) -> None:
        self._cloud, self._resources = cloud, itertools.cycle(resources)
        self._last: dict[str, str] = {}  #: path -> id of the last one seen

    def ports(self) -> float:
        """Return the milliseconds of a page of ports."""
        return self._page("ports", {})

    def failed(self) -> float:
        """Return the milliseconds of a page of failed tasks of a resource, another each time."""
        return self._page("tasks", {"resource_id": next(self._resources), "task_state": "FAILED"})

    def following(self) -> float:
        """Return the milliseconds of the next page of the project's tasks."""
        return self._next("tasks", {})

    def newest(self) -> float:
        """Return the milliseconds of the next page of the project's tasks, the newest first."""
        return self._next("tasks", {"sort_key": "created_at", "sort_dir": "desc"})

    def rows_read(self, page: collections.abc.Callable[[], float]) -> list[int]:
        """Return how many rows the database has read for each of some pages."""
        with self._cloud.engine.connect() as connection:
            counted = [_rows_read(connection)]
            for _ in range(5):
                page()
                counted.append(_rows_read(connection))
        return [after - before for before, after in itertools.pairwise(counted)]

    def _next(self, collection: str, asked: dict[str, str]) -> float:
        path = f"{collection}?{urllib.parse.urlencode(asked)}"
        after = {"marker": self._last[path]} if path in self._last else {}
        took_ms, rows = self._ask(collection, asked | after)
        self._last[path] = rows[-1]["id"]
        return took_ms

    def _page(self, collection: str, asked: dict[str, str]) -> float:
        return self._ask(collection, asked)[0]

    def _ask(
        self, collection: str, asked: dict[str, str]
    ) -> tuple[float, list[dict[str, typing.Any]]]:
        query = urllib.parse.urlencode(asked | {"limit": str(PAGE)})
        answer = self._cloud.client.get(f"{collection}?{query}")
        rows: list[dict[str, typing.Any]] = answer.body[collection]
        if len(rows) != PAGE:
            raise clouds.Unsettled(f"{collection}?{query}: {len(rows)} rows, not {PAGE}")
        return answer.took_ms, rows


def _rows_read(connection: sa.Connection) -> int:
    found = connection.exec_driver_sql("SHOW GLOBAL STATUS LIKE 'Rows_read'").one()
    return int(found[1])


#: What is asked for, in words -> the method that asks.
_ASKED = {
    "failed tasks of one resource": Pages.failed,
    "all tasks of a project": Pages.following,
    "all tasks of a project, the newest first": Pages.newest,
}


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure as a tenant, one of 20 projects; a separate conductor has nothing to do."""
    tasks, ports = (QUICK_TASKS, QUICK_PORTS) if scale.quick else (TASKS, PORTS)
    caller = {"tenants": True, "identity": _CALLER}
    with clouds.ours(databases, caller, conductor="separate") as cloud:
        cloud.fill(cloud.network(), ports)
        pages = Pages(cloud, seed(cloud.engine, tasks))
        sides = {name: functools.partial(ask, pages) for name, ask in _ASKED.items()}
        results = pairs.alternate(
            {"ports": pages.ports, **sides}, turns=scale.turns_of(60), warm_up=scale.warm_up
        )
        read = {name: pages.rows_read(side) for name, side in sides.items()}
    return [
        figure
        for name in sides
        for figure in _figures(name, tasks, results[name], results["ports"], read[name])
    ]


def _figures(
    name: str, tasks: int, ours: list[float], ports: list[float], read: list[int]
) -> list[figures.Figure]:
    return [
        figures.Figure(
            figure=f"p50 of a page of {PAGE} of {tasks:,} tasks, {name} ÷ of {PAGE} ports",
            interval=pairs.median_ratio(ours, ports),
            goal=GOAL,
            n=len(ours),
            beside={
                f"{side}_{quantile}_ms": round(pairs.quantile(values, share), 1)
                for side, values in (("tasks", ours), ("ports", ports))
                for quantile, share in (("p50", 0.5), ("p95", 0.95))
            },
            note=f"as a tenant, one of {_PROJECTS} projects; {PORTS:,} ports; MariaDB",
        ),
        figures.Figure(
            figure=f"rows that MariaDB reads for a page of {PAGE}, {name}",
            interval=pairs.median_interval(read),
            goal=MOST_ROWS,
            n=len(read),
            fewest=len(read),
            unit="rows",
        ),
    ]
