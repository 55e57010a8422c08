# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A small cloud without Neutron: transactions that record workflows, and who claims them."""

import collections
import collections.abc
import contextlib
import functools
import typing
import uuid

import sqlalchemy as sa

from lab.databases import pool
from networking_workflow.journal import engine, steps, tables
from networking_workflow.journal import journal as journals
from networking_workflow.journal import record as records
from networking_workflow.model import failures, workflows
from networking_workflow.model import keys as model_keys
from networking_workflow.model.states import Operation

LEASE_S = 60.0
FAILURE = failures.Failure(code=failures.FailureCode.BACKEND_REFUSED, detail="the backend says no")
MISSING = failures.Failure(code=failures.FailureCode.REFERENCE_MISSING, detail="not there")


def key(resource: str) -> str:
    """Return the key of ``type/id``."""
    return f"{model_keys.DEFAULT_LANE}:{resource}"


def keys(
    *, exclusive: collections.abc.Iterable[str] = (), shared: collections.abc.Iterable[str] = ()
) -> dict[str, model_keys.Mode]:
    """Return the keys of resources given as ``type/id``."""
    takes = [(key(name), model_keys.Mode.SHARED) for name in shared]
    takes += [(key(name), model_keys.Mode.EXCLUSIVE) for name in exclusive]
    return model_keys.strongest(takes)


def change(
    resource: str,
    operation: Operation = Operation.UPDATE,
    *,
    shared: collections.abc.Iterable[str] = (),
    exclusive: collections.abc.Iterable[str] = (),
    **more: typing.Any,
) -> workflows.NewWorkflow:
    """Return a change of ``type/id``, which it takes exclusively, like ``exclusive``."""
    resource_type, _, resource_id = resource.partition("/")
    return workflows.NewWorkflow(
        id=str(uuid.uuid4()),
        resource_type=resource_type,
        resource_id=resource_id,
        operation=operation,
        keys=keys(exclusive=[resource, *exclusive], shared=shared),
        **{"project_id": "project", **more},
    )


class World:
    """One database, written to at each of its nodes as Neutron and as conductors do."""

    def __init__(self, database: pool.Database) -> None:
        self.database = database
        self.kind = database.kind
        urls = (database.urls[0], database.urls[-1])
        self.journals = [journals.Journal(engine.make_engine(url)) for url in urls]
        self.ballast = ""  #: a large table, where a test asks for one
        self._apis: dict[int, sa.Engine] = {}

    @property
    def journal(self) -> journals.Journal:
        """Return the journal at the first node."""
        return self.journals[0]

    @property
    def other(self) -> journals.Journal:
        """Return another one, with connections of its own; on Galera at the other node."""
        return self.journals[-1]

    def api(self, node: int = 0) -> sa.Engine:
        """Return an engine as Neutron has it: REPEATABLE READ on MariaDB."""
        if node not in self._apis:
            url = self.database.urls[node]
            if self.kind in ("sqlite", "postgresql"):
                self._apis[node] = engine.make_engine(url)
            else:
                self._apis[node] = sa.create_engine(url, isolation_level="REPEATABLE READ")
        return self._apis[node]

    @functools.cached_property
    def observer(self) -> sa.Engine:
        """Return an engine of nobody: for what only a test looks at or changes."""
        return engine.make_engine(self.database.urls[0])

    def observe(self, statement: sa.Select[typing.Any]) -> list[sa.Row[typing.Any]]:
        """Return what the first node shows now; from any thread."""
        with self.observer.connect() as connection:
            return list(connection.execute(statement))

    def record(self, *new: workflows.NewWorkflow, node: int = 0) -> list[str]:
        """Commit one transaction that records ``new``; return the ids."""
        with self.api(node).begin() as connection:
            records.record(connection, new)
        self.sync()
        return [workflow.id for workflow in new]

    def applied(self, claim: workflows.Claim) -> dict[str, typing.Any]:
        """Return what drivers returned for the claim's resource, by driver."""
        self.sync()
        with self.observer.connect() as connection:
            return steps.applied(connection, claim)

    def conductor(self, name: str = "c1", lease_s: float = LEASE_S) -> str:
        """Register a conductor; return its id."""
        self.journal.register(name, host="host", pid=1, lease_s=lease_s)
        self.sync()
        return name

    def claim(self, owner: str = "c1", after_project: str = "") -> workflows.Claim | None:
        """Claim the next one that may run, parking what must wait on the way."""
        self.sync()
        while True:
            found = self.journal.claim(owner, after_project=after_project)
            if not isinstance(found, workflows.Parked):
                return found

    def claim_all(self, owner: str = "c1") -> dict[str, workflows.Claim]:
        """Claim all that may run now, by id."""
        claims: dict[str, workflows.Claim] = {}
        while (claim := self.claim(owner)) is not None:
            claims[claim.id] = claim
        return claims

    def sync(self) -> None:
        """Return when every node shows what any node has committed."""
        if len(self.database.urls) > 1:
            for number in range(len(self.database.urls)):
                with self._reading(number) as connection:
                    connection.exec_driver_sql("SELECT 1 FROM workflow_keys LIMIT 1")

    @contextlib.contextmanager
    def _reading(self, node: int = 0) -> collections.abc.Iterator[sa.Connection]:
        with self._readers[node].connect() as connection:
            yield connection

    @functools.cached_property
    def _readers(self) -> list[sa.Engine]:
        made = []
        for url in self.database.urls:
            reader = sa.create_engine(url, isolation_level="AUTOCOMMIT", pool_size=1)
            if self.kind == "galera":
                sa.event.listen(reader, "connect", _wait_for_the_cluster)
            made.append(reader)
        return made

    def query(self, statement: sa.Select[typing.Any]) -> list[sa.Row[typing.Any]]:
        """Return the committed rows, at every node's latest."""
        with self._reading() as connection:
            return list(connection.execute(statement))

    def row(self, workflow_id: str) -> sa.Row[typing.Any]:
        """Return one workflow's row."""
        table = tables.workflows
        return self.query(sa.select(table).where(table.c.id == workflow_id))[0]

    def state(self, workflow_id: str) -> str:
        """Return one workflow's state."""
        return str(self.row(workflow_id).state)

    def states(self) -> dict[str, int]:
        """Return how many workflows are in each state."""
        return dict(
            collections.Counter(
                row.state for row in self.query(sa.select(tables.workflows.c.state))
            )
        )

    def holds(self, workflow_id: str | None = None) -> list[tuple[str, str, int]]:
        """Return ``(key, mode, gen)`` of the holds there are, sorted."""
        table = tables.holds.c
        statement = sa.select(table.k, table.mode, table.gen)
        if workflow_id is not None:
            statement = statement.where(table.workflow_id == workflow_id)
        return sorted(tuple(row) for row in self.query(statement))

    def sync_state(self, resource: str) -> tuple[str, str | None]:
        """Return what ``type/id`` shows: sync state and error."""
        table = tables.resource_sync.c
        resource_type, _, resource_id = resource.partition("/")
        (row,) = self.query(
            sa.select(table.sync_state, table.sync_error).where(
                table.resource_type == resource_type, table.resource_id == resource_id
            )
        )
        return row.sync_state, row.sync_error

    def close(self) -> None:
        """Close all connections."""
        for made in [*self._apis.values(), *self._readers, self.observer]:
            made.dispose()
        for journal in self.journals:
            journal.close()


def _wait_for_the_cluster(connection: typing.Any, _record: typing.Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION wsrep_sync_wait = 1")
