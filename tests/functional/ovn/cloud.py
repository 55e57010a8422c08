# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A Neutron in the test's process with a real OVN, and a conductor's loop without the conductor."""

import collections.abc
import contextlib
import json
import threading
import typing

import sqlalchemy as sa
from neutron import service
from neutron_lib.callbacks import events, registry, resources

from lab import ovn as lab_ovn
from lab.databases import pool
from lab.neutron import config as lab_config
from networking_workflow.drivers import protocol
from networking_workflow.drivers.ovn import driver as ovn_driver
from networking_workflow.journal import tables
from networking_workflow.model import states
from tests.functional.capture import inprocess

TIMEOUT_S = 4.0


class Neutron(inprocess.Neutron):
    """Capturing: nothing but :meth:`Conductor.drain` writes to OVN."""

    core_plugin = f"{inprocess.__name__}.Ml2Plugin"

    def __init__(self, database: pool.Database, ovn: lab_ovn.OvnCentral) -> None:
        self.ovn = ovn
        super().__init__(database)
        registry.publish(resources.PROCESS, events.BEFORE_SPAWN, service.RpcWorker)
        registry.publish(resources.PROCESS, events.AFTER_INIT, service.RpcWorker)
        # Without the events of an API process nobody tells the driver which chassis there are.
        self.mech_driver._agent_cache.driver = self.mech_driver
        self.mech_driver._agent_cache.populate()

    def profile(self) -> lab_config.Profile:
        return lab_config.Profile(
            database_url=self.database.url,
            core_plugin=self.core_plugin,
            mechanism_drivers=("ovn",),
            extension_drivers=("port_security",),
            ovn=self.ovn,
            policy={"create_port:binding:profile": "", "update_port:binding:profile": ""},
            options={"ovn": {"dns_servers": "9.9.9.9"}},
        )

    @property
    def mech_driver(self) -> typing.Any:
        return self.plugin.mechanism_manager.mech_drivers["ovn"].obj


class StockNeutron(Neutron):
    """ML2/OVN as it is: every call writes to OVN itself."""

    core_plugin = "ml2"


_Neutron = typing.TypeVar("_Neutron", bound=Neutron)
_Conductor = typing.TypeVar("_Conductor", bound="Conductor")


@contextlib.contextmanager
def driven(
    neutron: type[_Neutron],
    conductor: "type[_Conductor]",
    databases: pool.Pool,
    ovn: lab_ovn.OvnCentral,
) -> collections.abc.Iterator[tuple[_Neutron, _Conductor]]:
    """Lend a Neutron on an empty SQLite database, and its conductor."""
    made = neutron(databases.empty("sqlite", "capture", inprocess.tables_of), ovn)
    with contextlib.closing(made), contextlib.closing(conductor(made)) as drives:
        yield made, drives


class Conductor:
    """Applies workflows one after the other, as they were recorded."""

    def __init__(self, neutron: Neutron) -> None:
        self.neutron = neutron
        self.driver = ovn_driver.OvnDriver(
            neutron.mech_driver, plugin=neutron.plugin, timeout_s=TIMEOUT_S
        )
        self.applied: dict[str, typing.Any] = {}
        self.done: set[str] = set()

    def close(self) -> None:
        self.driver.close()

    def waiting(self) -> list[typing.Any]:
        query = sa.select(tables.workflows).order_by(sa.text("rowid"))
        with self.neutron.engine.connect() as connection:
            rows = connection.execute(query).all()
        return [row for row in rows if row.id not in self.done]

    def drain(self) -> list[tuple[str, str]]:
        """Apply whatever is recorded, and what that records; return what was applied."""
        order = []
        while rows := self.waiting():
            for row in rows:
                self.run(row)
                order.append((row.operation, row.resource_type))
        return order

    def run(self, row: typing.Any) -> None:
        snapshot = row.snapshot
        if isinstance(snapshot, str):
            snapshot = json.loads(snapshot)
        self.apply(row.resource_type, row.resource_id, row.operation, snapshot)
        self.done.add(row.id)

    def apply(
        self,
        resource_type: str,
        resource_id: str,
        operation: str = "update",
        snapshot: typing.Any = None,
    ) -> None:
        target = protocol.Target(
            resource_type=resource_type,
            resource_id=resource_id,
            operation=states.Operation(operation),
            snapshot=snapshot,
            applied=self.applied.get(resource_id),
            fan_out=self._apply_all,
        )
        if target.operation is states.Operation.DELETE:
            self.driver.delete(target)
            self.applied.pop(resource_id, None)
        else:
            self.applied[resource_id] = self.driver.apply(target)

    def _apply_all(self, reached: typing.Iterable[tuple[str, str]]) -> None:
        for resource_type, resource_id in list(reached):
            self.apply(resource_type, resource_id)

    def in_thread(self, call: typing.Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        return thread
