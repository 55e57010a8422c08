# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Whether a page of tasks costs more than a page of ports when there are a million tasks."""

import collections.abc
import dataclasses
import datetime
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

#: Rows that the database may read for a page. A project's page in the order of ids is found among
#: those of all projects; the rows are 20 for one there.
MOST_ROWS = 2 * PAGE * _PROJECTS

#: Who asks: a tenant, whose lists are cut to its project; or an administrator.
_PROJECT = "bench"
_CALLER = neutron.Identity(user="bench", project=_PROJECT, roles="member,reader")
_ADMIN = {"X-User-Id": "admin", "X-Project-Id": "admin", "X-Roles": "admin,member,reader"}

#: Seconds before the newest row: what has changed since is more than a page, and little of all.
_SINCE_S = 2 * PAGE / _TASKS_A_WORKFLOW

#: A UUID in place of a text: rows get into an index in no order, as real ones do.
_UUID = "INSERT(INSERT(INSERT(INSERT(MD5({}), 21, 0, '-'), 17, 0, '-'), 13, 0, '-'), 9, 0, '-')"

_MADE = "NOW(6) - INTERVAL seq SECOND"

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
        :keys, 'FAILED', 0, 0, 1, 0, 1, 0, 1, {_MADE}, {_MADE}, {_MADE}, {_MADE}
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


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Seeded:
    """What there is to ask for."""

    resources: list[str]  #: of the tenant's project
    since: str  #: a time


def seed(engine: sa.Engine, tasks: int) -> Seeded:
    """Make tasks of 20 projects, a workflow a second until now.

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
        newest = connection.execute(sa.select(sa.func.max(tables.tasks.c.updated_at))).scalar_one()
        since = newest - datetime.timedelta(seconds=_SINCE_S)
        return Seeded(
            resources=sorted(connection.execute(own.distinct()).scalars()),
            since=since.isoformat(timespec="microseconds") + "Z",
        )


class Pages:
    """The lists of one API."""

    def __init__(self, cloud: clouds.OurCloud, seeded: Seeded) -> None:
        self._cloud, self._since = cloud, seeded.since
        self._resources = itertools.cycle(seeded.resources)
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
        return self._next("tasks", _NEWEST_FIRST)

    def newest_of_all(self) -> float:
        """Return the milliseconds of the next page of all projects' tasks, the newest first."""
        return self._next("tasks", _NEWEST_FIRST, **_ADMIN)

    def changed(self) -> float:
        """Return the milliseconds of a page of all projects' tasks that changed since a time."""
        return self._page("tasks", {"changed_since": self._since}, **_ADMIN)

    def rows_read(self, page: collections.abc.Callable[[], float]) -> list[int]:
        """Return how many rows the database has read for each of some pages."""
        with self._cloud.engine.connect() as connection:
            counted = [_rows_read(connection)]
            for _ in range(5):
                page()
                counted.append(_rows_read(connection))
        return [after - before for before, after in itertools.pairwise(counted)]

    def _next(self, collection: str, asked: dict[str, str], **headers: str) -> float:
        key = urllib.parse.urlencode({**asked, **headers})
        after = {"marker": self._last[key]} if key in self._last else {}
        took_ms, rows = self._ask(collection, asked | after, **headers)
        self._last[key] = rows[-1]["id"]
        return took_ms

    def _page(self, collection: str, asked: dict[str, str], **headers: str) -> float:
        return self._ask(collection, asked, **headers)[0]

    def _ask(
        self, collection: str, asked: dict[str, str], **headers: str
    ) -> tuple[float, list[dict[str, typing.Any]]]:
        query = urllib.parse.urlencode(asked | {"limit": str(PAGE)})
        answer = self._cloud.client.get(f"{collection}?{query}", **headers)
        rows: list[dict[str, typing.Any]] = answer.body[collection]
        if len(rows) != PAGE:
            raise clouds.Unsettled(f"{collection}?{query}: {len(rows)} rows, not {PAGE}")
        return answer.took_ms, rows


_NEWEST_FIRST = {"sort_key": "created_at", "sort_dir": "desc"}


def _rows_read(connection: sa.Connection) -> int:
    found = connection.exec_driver_sql("SHOW GLOBAL STATUS LIKE 'Rows_read'").one()
    return int(found[1])


#: What is asked for, in words -> the method that asks.
_ASKED = {
    "failed tasks of one resource": Pages.failed,
    "tasks of a project": Pages.following,
    "newest tasks of a project": Pages.newest,
    "newest tasks, as an administrator": Pages.newest_of_all,
    "tasks changed since a time, as an administrator": Pages.changed,
}


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure beside a separate conductor that has nothing to do."""
    tasks, ports = (QUICK_TASKS, QUICK_PORTS) if scale.quick else (TASKS, PORTS)
    caller = {"tenants": True, "identity": _CALLER}
    with clouds.ours(databases, caller, conductor="separate") as cloud:
        cloud.fill(ports)
        pages = Pages(cloud, seed(cloud.engine, tasks))
        sides: dict[str, typing.Callable[[], float]] = {
            name: functools.partial(ask, pages) for name, ask in _ASKED.items()
        }
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
            note=f"a tenant is one of {_PROJECTS} projects, and has all ports; MariaDB",
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
