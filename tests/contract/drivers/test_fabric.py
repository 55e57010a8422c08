# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The fabric's unmodified mechanism driver behind the ML2 adapter keeps the driver contract."""

import collections.abc
import contextlib
import typing

import pytest

from networking_workflow.drivers import ml2, protocol
from networking_workflow.drivers.fabric import behaviour, server
from networking_workflow.model import states
from tests.contract.drivers import suite
from tests.functional.fabric import cloud, neutron_process

Json = dict[str, typing.Any]

_CHANGES: dict[str, Json] = {
    "network": {"name": "renamed"},
    "subnet": {"dns_nameservers": ["192.0.2.1"]},
    "port": {"binding:host_id": "one"},
}


def _adapter(plugin: typing.Any) -> ml2.Ml2Driver:
    driver = plugin.mechanism_manager.mech_drivers["fabric"].obj
    return ml2.Ml2Driver("fabric", driver, plugin)


def _silenced(plugin: typing.Any) -> None:
    """Take the driver's own calls away from ML2, so that only the adapter calls it."""
    plugin.mechanism_manager._call_on_drivers = lambda *arguments, **more: None


def _handles(plugin: typing.Any, kind: str, operation: states.Operation) -> bool:
    return _adapter(plugin).handles(kind, operation)


def _apply(plugin: typing.Any, target: protocol.Target) -> typing.Any:
    return _adapter(plugin).apply(target)


def _delete(plugin: typing.Any, target: protocol.Target) -> None:
    _adapter(plugin).delete(target)


def _probe(plugin: typing.Any) -> None:
    _adapter(plugin).probe()


class _Adapter:
    """The adapter in Neutron's process."""

    name = "fabric"

    def __init__(self, neutron: neutron_process.Neutron) -> None:
        self._neutron = neutron

    def handles(self, resource_type: str, operation: states.Operation) -> bool:
        return typing.cast(bool, self._neutron.call(_handles, resource_type, operation))

    def apply(self, target: protocol.Target) -> suite.Applied:
        return typing.cast(suite.Applied, self._neutron.call(_apply, target))

    def delete(self, target: protocol.Target) -> None:
        self._neutron.call(_delete, target)

    def probe(self) -> None:
        self._neutron.call(_probe)


class _World:
    def __init__(
        self, neutron: neutron_process.Neutron, driver: _Adapter, fabric: server.FabricServer
    ) -> None:
        self._neutron, self._driver, self._fabric = neutron, driver, fabric

    def make(self, kind: str) -> protocol.Target:
        network = self._neutron.call(cloud.create_network)
        if kind == "network":
            return self._target(kind, network, states.Operation.CREATE)
        self._driver.apply(self._target("network", network, states.Operation.CREATE))
        create = {"subnet": cloud.create_subnet, "port": cloud.create_port}[kind]
        made = self._neutron.call(create, network["id"])
        return self._target(kind, made, states.Operation.CREATE)

    def change(self, target: protocol.Target, applied: suite.Applied) -> protocol.Target:
        kind, resource_id = target.resource_type, target.resource_id
        original = self._neutron.call(cloud.get, kind, resource_id)
        changed = self._neutron.call(cloud.update, kind, resource_id, _CHANGES[kind])
        snapshot = {"version": 1, "original": original, "deleted": None, "edge": {}}
        return self._target(kind, changed, states.Operation.UPDATE, snapshot, applied)

    def remove(self, target: protocol.Target, applied: suite.Applied) -> protocol.Target:
        kind, resource_id = target.resource_type, target.resource_id
        deleted = self._neutron.call(cloud.get, kind, resource_id)
        self._neutron.call(cloud.delete, kind, resource_id)
        snapshot = {"version": 1, "original": None, "deleted": deleted, "edge": {}}
        return self._target(kind, deleted, states.Operation.DELETE, snapshot, applied)

    def observe(self, target: protocol.Target) -> typing.Any:
        return self._fabric.store.get(target.resource_type, target.resource_id)

    @contextlib.contextmanager
    def unreachable(self) -> collections.abc.Iterator[None]:
        with self._behaving(outage=True):
            yield

    @contextlib.contextmanager
    def lost_answer(self) -> collections.abc.Iterator[None]:
        with self._behaving(drop_answers=1):
            yield

    @contextlib.contextmanager
    def _behaving(self, **wanted: typing.Any) -> collections.abc.Iterator[None]:
        self._fabric.gate.set(behaviour.Behaviour(**wanted))
        try:
            yield
        finally:
            self._fabric.gate.set(behaviour.Behaviour())

    def _target(
        self,
        kind: str,
        resource: Json,
        operation: states.Operation,
        snapshot: Json | None = None,
        applied: suite.Applied = None,
    ) -> protocol.Target:
        return protocol.Target(
            resource_type=kind,
            resource_id=resource["id"],
            operation=operation,
            snapshot=snapshot,
            applied=applied,
        )


@pytest.fixture(scope="module")
def fabric() -> collections.abc.Iterator[server.FabricServer]:
    with server.FabricServer(("127.0.0.1", 0)).running() as running:
        yield running


@pytest.fixture(scope="module")
def neutron(
    tmp_path_factory: pytest.TempPathFactory, fabric: server.FabricServer
) -> collections.abc.Iterator[neutron_process.Neutron]:
    folder = tmp_path_factory.mktemp("fabric")
    with neutron_process.running(
        folder, mechanism_drivers="fabric", fabric_url=fabric.url
    ) as process:
        process.call(_silenced)
        yield process


class TestFabric(suite.DriverContract):
    @pytest.fixture
    def driver(self, neutron: neutron_process.Neutron) -> _Adapter:
        return _Adapter(neutron)

    @pytest.fixture
    def world(
        self, neutron: neutron_process.Neutron, driver: _Adapter, fabric: server.FabricServer
    ) -> _World:
        return _World(neutron, driver, fabric)
