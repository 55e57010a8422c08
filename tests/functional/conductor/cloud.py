# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Neutron's rows and the journal's, written as the API writes them: both in one transaction."""

import datetime
import typing
import uuid

import sqlalchemy as sa
from neutron.db.migration.models import head

from networking_workflow.journal import engine as journal_engine
from networking_workflow.journal import journal, record, references, schema, tables
from networking_workflow.model import states, workflows
from networking_workflow.plan import keys
from tests.waiting import wait_until

_NEUTRON = head.get_metadata().tables

#: What "when did it happen" needs at least; generous, since the machine may be loaded.
PATIENCE_S = 20


def create_tables(engine: sa.Engine) -> None:
    """Make Neutron's tables and the journal's."""
    head.get_metadata().create_all(engine)
    schema.create_all(engine)


class Cloud:
    """One cloud's database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = journal_engine.make_engine(url)
        self.journal = journal.Journal(self.engine)
        self._polling = journal_engine.polling(self.engine)

    def close(self) -> None:
        """Let the database go."""
        self._polling.dispose()
        self.engine.dispose()

    # -- as an API call --------------------------------------------------------------------------

    def network(self, **how: typing.Any) -> str:
        """Create a network; return its workflow's id."""
        with self.engine.begin() as connection:
            network = self.add_network(connection)
            return self.note(connection, "network", network, **how)

    def port(self, network: str, **how: typing.Any) -> str:
        """Create a port on a network; return its workflow's id."""
        with self.engine.begin() as connection:
            port = str(uuid.uuid4())
            self._insert(
                connection,
                "ports",
                id=port,
                network_id=network,
                mac_address=port[:17],
                admin_state_up=True,
                status="DOWN",
                device_id="",
                device_owner="",
                project_id="p",
            )
            return self.note(connection, "port", port, **how)

    def update(self, workflow: str, **how: typing.Any) -> str:
        """Change the resource of a workflow again."""
        return self.again(workflow, operation=states.Operation.UPDATE, **how)

    def again(self, workflow: str, **how: typing.Any) -> str:
        """Record what a workflow is for once more, for another lane for example."""
        row = self.row(workflow)
        operation = states.Operation(row.operation)
        with self.engine.begin() as connection:
            return self.note(
                connection,
                row.resource_type,
                row.resource_id,
                **{"operation": operation, **how},
            )

    def delete(self, workflow: str, **how: typing.Any) -> str:
        """Delete the resource of a workflow."""
        row = self.row(workflow)
        table = _NEUTRON[f"{row.resource_type}s"]
        with self.engine.begin() as connection:
            found = references.read(connection, row.resource_type, [row.resource_id])
            connection.execute(sa.delete(table).where(table.c.id == row.resource_id))
            return self.note(
                connection,
                row.resource_type,
                row.resource_id,
                operation=states.Operation.DELETE,
                found=found[row.resource_id],
                **how,
            )

    def add_network(self, connection: sa.Connection) -> str:
        """Add a network's row without a workflow."""
        network = str(uuid.uuid4())
        self._insert(
            connection,
            "networks",
            id=network,
            status="ACTIVE",
            admin_state_up=True,
            mtu=1500,
            project_id="p",
        )
        return network

    @staticmethod
    def note(
        connection: sa.Connection,
        resource_type: str,
        resource_id: str,
        *,
        operation: states.Operation = states.Operation.CREATE,
        project_id: str = "p",
        operation_id: str = "req-call",
        found: references.Row | None = None,
        lane: str = "default",
    ) -> str:
        """Record a workflow with the keys of today's references, or of ``found``."""
        found = found or references.read(connection, resource_type, [resource_id])[resource_id]
        new = workflows.NewWorkflow(
            id=str(uuid.uuid4()),
            resource_type=resource_type,
            resource_id=resource_id,
            operation=operation,
            keys=keys.keys_for(lane, resource_type, resource_id, found.references),
            project_id=project_id,
            operation_id=operation_id,
            lane=lane,
            snapshot={"version": 1, "original": None, "deleted": {"id": resource_id}, "edge": {}},
            standard_attr_id=found.standard_attr_id,
        )
        record.record(connection, [new])
        return new.id

    @staticmethod
    def _insert(connection: sa.Connection, table: str, **values: typing.Any) -> None:
        attributes = {
            "resource_type": table,
            "revision_number": 0,
            "created_at": datetime.datetime.now(datetime.UTC).replace(tzinfo=None),
        }
        inserted = connection.execute(sa.insert(_NEUTRON["standardattributes"]).values(attributes))
        (standard_attr_id,) = inserted.inserted_primary_key
        values["standard_attr_id"] = standard_attr_id
        connection.execute(sa.insert(_NEUTRON[table]).values(values))

    # -- as an operator --------------------------------------------------------------------------

    def row(self, workflow: str) -> typing.Any:
        """Return a workflow's row."""
        with self._reads() as connection:
            found = sa.select(tables.workflows).where(tables.workflows.c.id == workflow)
            return connection.execute(found).one()

    def latest(self, resource_id: str) -> typing.Any:
        """Return the newest workflow's row of a resource."""
        with self._reads() as connection:
            table = tables.workflows
            found = sa.select(table).where(table.c.resource_id == resource_id)
            return connection.execute(found.order_by(table.c.gen.desc()).limit(1)).one()

    def count(self, resource_type: str) -> int:
        """Return how many workflows there are of resources of a type."""
        with self._reads() as connection:
            table = tables.workflows
            found = sa.select(sa.func.count()).where(table.c.resource_type == resource_type)
            return int(connection.execute(found).scalar_one())

    def state(self, workflow: str) -> str:
        """Return a workflow's state."""
        return str(self.row(workflow).state)

    def resource(self, workflow: str) -> str:
        """Return the id of a workflow's resource."""
        return str(self.row(workflow).resource_id)

    def tasks(self, workflow: str) -> list[typing.Any]:
        """Return a workflow's tasks in order."""
        with self._reads() as connection:
            table = tables.tasks
            found = sa.select(table).where(table.c.workflow_id == workflow)
            return list(connection.execute(found.order_by(table.c.position)))

    def sync(self, workflow: str) -> tuple[str, str | None]:
        """Return sync state and error of a workflow's resource."""
        with self._reads() as connection:
            table = tables.resource_sync
            found = sa.select(table.c.sync_state, table.c.sync_error)
            row = connection.execute(
                found.where(table.c.resource_id == self.resource(workflow))
            ).one()
            return str(row.sync_state), row.sync_error

    def age_s(self, workflow: str) -> float:
        """Return the seconds since a workflow's first claim."""
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        return (now - self.row(workflow).started_at).total_seconds()

    def conductor_states(self) -> list[str]:
        """Return the states of all conductors, the first that registered first."""
        with self._reads() as connection:
            table = tables.conductors
            found = sa.select(table.c.state).order_by(table.c.started_at)
            return [str(state) for state in connection.execute(found).scalars()]

    def holds(self) -> int:
        """Return how many keys are held."""
        with self._reads() as connection:
            return int(
                connection.execute(
                    sa.select(sa.func.count()).select_from(tables.holds)
                ).scalar_one()
            )

    def applied(self) -> list[tuple[str, str]]:
        """Return driver and resource of what is kept for the drivers' next tasks."""
        with self._reads() as connection:
            table = tables.applied.c
            return [
                tuple(row) for row in connection.execute(sa.select(table.driver, table.resource_id))
            ]

    def comes_to(self, workflow: str, state: str, within_s: float = PATIENCE_S) -> None:
        """Wait until a workflow is in ``state``."""
        wait_until(
            lambda: self.state(workflow) == state,
            within_s,
            lambda: f"{workflow} to become {state}; it is {self.row(workflow)}",
        )

    def _reads(self) -> sa.Connection:
        return self._polling.connect()
