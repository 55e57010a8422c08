# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Whether a claim costs more when more is queued: claim + finish at 100, 10,000 and 100,000."""

import contextlib
import functools
import itertools
import time
import typing
import uuid

from benchmarks import figures, pairs, plans
from lab.databases import pool
from networking_workflow.journal import engine as journal_engine
from networking_workflow.journal import journal, record, schema
from networking_workflow.model import states, workflows
from networking_workflow.plan import keys

GOAL = 1.3
SIZES = (100, 10_000, 100_000)
QUICK_SIZES = (20, 100)
KINDS = ("sqlite", "mariadb", "postgresql")

PROJECTS = 20
PORTS_A_NETWORK = 50

#: Workflows recorded in one transaction while the queue is filled.
_BATCH = 500

_ANALYZE = {
    "sqlite": "ANALYZE",
    "postgresql": "VACUUM ANALYZE",
    "mysql": "ANALYZE TABLE workflow_workflows, workflow_holds, workflow_keys, "
    "workflow_resource_sync, workflow_tasks",
}

_SNAPSHOT = {
    "version": workflows.SNAPSHOT_VERSION,
    "original": None,
    "deleted": None,
    "edge": {"network": {"id": str(uuid.UUID(int=0)), "name": "bench", "mtu": 1442}},
}


class Queue:
    """A journal with ``size`` workflows queued: creates of ports of 20 projects.

    Each port has a network and a subnet with 49 others, and the security group of its project, so
    that shared holds of one key are as many as a real backlog has.
    """

    def __init__(self, url: str, size: int) -> None:
        self.size = size
        self.engine = journal_engine.make_engine(url, pool_size=2)
        schema.create_all(self.engine)
        self._journal = journal.Journal(self.engine)
        self._owner = "bench"
        self._journal.register(self._owner, host="bench", pid=1, lease_s=86400)
        self._numbers = itertools.count()
        self._last_project, self._busy = "", False
        for done in range(0, size, _BATCH):
            self._record(min(_BATCH, size - done))
        self.analyze()

    def analyze(self) -> None:
        """Let the planner see how much there is."""
        with self.engine.connect() as connection:
            own = connection.execution_options(isolation_level="AUTOCOMMIT")
            own.exec_driver_sql(_ANALYZE.get(self.engine.dialect.name, _ANALYZE["mysql"])).close()

    def turn(self) -> float:
        """Claim one workflow and finish it; return the milliseconds. Then queue another one."""
        started = time.perf_counter()
        self._claim_and_finish()
        took_ms = (time.perf_counter() - started) * 1000
        self._record(1)
        return took_ms

    def scans(self) -> tuple[int, list[str]]:
        """Return how many statements one claim + finish has, and which of them scan."""
        with plans.recorded(self.engine) as statements:
            self._claim_and_finish()
        self._record(1)
        return len(statements), plans.scans(self.engine, statements)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _claim_and_finish(self) -> None:
        claim = self._journal.claim(self._owner, after_project=self._last_project, busy=self._busy)
        if not isinstance(claim, workflows.Claim):
            raise RuntimeError(f"{self.size} are queued, but a claim returned {claim}")
        self._last_project, self._busy = claim.project_id, claim.more
        self._journal.succeed(claim)

    def _record(self, number: int) -> None:
        new = [self._port(next(self._numbers)) for _ in range(number)]
        with self.engine.begin() as connection:
            record.record(connection, new)

    @staticmethod
    def _port(number: int) -> workflows.NewWorkflow:
        project = number % PROJECTS
        network = (project, number // PROJECTS // PORTS_A_NETWORK)
        references = [
            ("network", _id("network", network)),
            ("subnet", _id("subnet", network)),
            ("security_group", _id("security_group", project)),
        ]
        port_id = _id("port", number)
        return workflows.NewWorkflow(
            id=str(uuid.uuid4()),
            resource_type="port",
            resource_id=port_id,
            operation=states.Operation.CREATE,
            keys=keys.keys_for("default", "port", port_id, references),
            project_id=f"project-{project:02}",
            operation_id=f"req-{number}",
            request_id=f"req-{number}",
            snapshot=_SNAPSHOT,
            standard_attr_id=number,
        )


def _id(kind: str, of: object) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}/{of}"))


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure on each database, the sizes in turns."""
    return [figure for kind in KINDS for figure in _on(kind, scale, databases)]


def _on(kind: str, scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    sizes = QUICK_SIZES if scale.quick else SIZES
    with contextlib.ExitStack() as stack:
        queues = {
            size: stack.enter_context(
                contextlib.closing(Queue(stack.enter_context(databases.blank(kind)).url, size))
            )
            for size in sizes
        }
        sides: dict[str, typing.Callable[[], float]] = {
            str(size): functools.partial(queue.turn) for size, queue in queues.items()
        }
        results = pairs.alternate(sides, turns=scale.turns_of(400), warm_up=10 * scale.warm_up)
        queues[sizes[-1]].analyze()
        statements, scans = queues[sizes[-1]].scans()
    smallest = results[str(sizes[0])]
    return [
        *(_figure(kind, size, results[str(size)], smallest, sizes[0]) for size in sizes[1:]),
        figures.Figure(
            figure=f"scans of holds or workflows in claim + finish, {kind}, {sizes[-1]:,} queued",
            interval=pairs.Interval(len(scans), len(scans), len(scans)),
            goal=0,
            n=statements,
            fewest=1,
            unit="scans",
            beside={"statements": statements},
            note="; ".join(scans),
        ),
    ]


def _figure(
    kind: str, size: int, ours: list[float], smallest: list[float], size_of_smallest: int
) -> figures.Figure:
    return figures.Figure(
        figure=f"claim + finish, {kind}: {size:,} queued ÷ {size_of_smallest:,} queued",
        interval=pairs.median_ratio(ours, smallest),
        goal=GOAL,
        n=len(ours),
        beside={
            "p50_ms": round(pairs.quantile(ours, 0.5), 2),
            "p50_ms_of_smallest": round(pairs.quantile(smallest, 0.5), 2),
        },
    )
