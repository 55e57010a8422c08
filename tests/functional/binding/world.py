# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Neutron's API in this process with three switches, the second one deferred, and conductors."""

import dataclasses
import typing

import sqlalchemy as sa
from stevedore import extension

from lab.databases import pool
from networking_workflow.conductor import loop, settings
from networking_workflow.drivers import registry
from networking_workflow.journal import engine as journal_engine
from networking_workflow.journal import journal, tables
from networking_workflow.model import graph as graphs
from networking_workflow.model import states
from networking_workflow.plan import keys
from tests.functional.binding.switches import PATIENCE_S, Switch
from tests.functional.capture import inprocess
from tests.functional.conductor.conftest import QUICK
from tests.waiting import wait_until

Json = dict[str, typing.Any]

DEFERRED = "slow"


class Neutron(inprocess.Neutron):
    """With the core plugin as it is configured."""

    def profile(self) -> typing.Any:
        return dataclasses.replace(
            super().profile(),
            core_plugin="ml2_workflow",
            mechanism_drivers=(),
            workflow={"conductor": "separate"},
        )


class World:
    """One Neutron, its switches in ML2's order, and what happened to its ports."""

    def __init__(self, database: pool.Database) -> None:
        self.neutron = Neutron(database)
        self.early, self.slow, self.late = (Switch(name) for name in ("early", DEFERRED, "late"))
        self.switches = (self.early, self.slow, self.late)
        manager = self.neutron.plugin.mechanism_manager
        for switch in self.switches:
            entry = extension.Extension(switch.name, None, None, switch)
            manager.ordered_mech_drivers.append(entry)
            manager.mech_drivers[switch.name] = entry
        self.engine = journal_engine.make_engine(database.url)
        self._conductors: list[loop.Conductor] = []

    def close(self) -> None:
        """Stop everything."""
        self.engine.dispose()
        self.neutron.close()

    def reset(self) -> None:
        """Let every switch refuse again, the middle one deferred."""
        self.neutron.plugin.deferred_binding = frozenset({DEFERRED})
        for switch in self.switches:
            switch.reset()
        self.network = self.neutron.create("network")["id"]

    # -- conductors ------------------------------------------------------------------------------

    def start(
        self,
        on: journal.Journal | None = None,
        graph: graphs.DriverGraph | None = None,
        **how: typing.Any,
    ) -> loop.Conductor:
        """Start a conductor; without a graph of its drivers they are one lane."""
        graph = graph or graphs.single(switch.name for switch in self.switches)
        conductor = loop.Conductor(
            on or journal.Journal(self.engine),
            registry.build(self.neutron.plugin, registry.DriverSettings()),
            settings.ConductorSettings(**{**QUICK, **how}),
            keys.keys_for,
            graph,
        )
        conductor.start()
        self._conductors.append(conductor)
        return conductor

    def stop(self) -> None:
        """Stop every conductor."""
        while self._conductors:
            self._conductors.pop().stop()

    # -- ports -----------------------------------------------------------------------------------

    def port(self, host: str = "one", **values: typing.Any) -> Json:
        """Create a port on a host."""
        made: Json = self.neutron.create(
            "port", network_id=self.network, **{"binding:host_id": host, **values}
        )
        return made

    def unbind(self, port: Json) -> None:
        """Let a port be unbound, past all that would notice."""
        bindings = sa.table("ml2_port_bindings", sa.column("port_id"), sa.column("vif_type"))
        of_port = sa.update(bindings).where(bindings.c.port_id == port["id"])
        with self.engine.begin() as connection:
            connection.execute(of_port.values(vif_type="unbound"))

    def vif(self, port: Json) -> tuple[str, str, str]:
        """Return vif type, host and sync_state of a port."""
        said = self.neutron.show("port", port["id"])
        return said["binding:vif_type"], said["binding:host_id"], said["sync_state"]

    def workflows(self, port: Json) -> list[typing.Any]:
        """Return the workflows of a port, in their order."""
        table = tables.workflows
        found = sa.select(table).where(table.c.resource_id == port["id"]).order_by(table.c.gen)
        return self._rows(found)

    def tasks(self, port: Json) -> list[tuple[str, str]]:
        """Return driver and state of a port's tasks, in order."""
        table = tables.tasks
        found = sa.select(table).where(table.c.resource_id == port["id"])
        rows = self._rows(found.order_by(table.c.created_at, table.c.position))
        return [(row.driver, row.task_state) for row in rows]

    def of_task(self, name: str) -> set[str]:
        """Return the workflows that have a task of this name."""
        table = tables.tasks.c
        return set(self._rows(sa.select(table.workflow_id).where(table.name == name), scalars=True))

    def failures(self, port: Json) -> list[typing.Any]:
        """Return the tasks of a port that carry a failure."""
        table = tables.tasks
        failed = table.c.failure_code.is_not(None)
        return self._rows(sa.select(table).where(table.c.resource_id == port["id"], failed))

    def settles(self, port: Json) -> str:
        """Wait until every workflow of a port is over; return its sync_state."""

        def over() -> bool:
            return all(row.state in states.TERMINAL for row in self.workflows(port))

        wait_until(over, PATIENCE_S, lambda: f"{self.workflows(port)} to be over")
        return self.vif(port)[2] if self._exists(port) else "gone"

    def _exists(self, port: Json) -> bool:
        return bool(self.neutron.call("GET", f"ports?id={port['id']}")["ports"])

    def _rows(self, query: sa.Select[typing.Any], *, scalars: bool = False) -> list[typing.Any]:
        with journal_engine.polling(self.engine).connect() as connection:
            found = connection.execute(query)
            return list(found.scalars() if scalars else found.all())
