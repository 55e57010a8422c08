# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The fabric's driver is an ordinary mechanism driver: it works under stock ML2."""

import collections.abc
import pathlib
import typing

import pytest
from neutron.plugins.ml2.common import exceptions as ml2_exceptions

from networking_workflow.drivers.fabric import behaviour, server
from tests.functional.fabric import cloud, neutron_process


@pytest.fixture(scope="module")
def shared() -> collections.abc.Iterator[server.FabricServer]:
    with server.FabricServer(("127.0.0.1", 0)).running() as running:
        yield running


@pytest.fixture(scope="module")
def neutron(
    tmp_path_factory: pytest.TempPathFactory, shared: server.FabricServer
) -> collections.abc.Iterator[neutron_process.Neutron]:
    folder: pathlib.Path = tmp_path_factory.mktemp("stock")
    with neutron_process.running(
        folder, mechanism_drivers="fabric", fabric_url=shared.url
    ) as process:
        yield process


def holds(fabric: server.FabricServer, kind: str, resource: dict[str, typing.Any]) -> typing.Any:
    return fabric.store.get(kind, resource["id"])


def test_network_subnet_and_port_reach_the_fabric_and_leave_it(
    neutron: neutron_process.Neutron, shared: server.FabricServer
) -> None:
    network = neutron.call(cloud.create_network)
    subnet = neutron.call(cloud.create_subnet, network["id"])
    port = neutron.call(cloud.create_port, network["id"])
    assert holds(shared, "network", network)["segments"][0]["physical_network"] == "physnet1"
    assert holds(shared, "subnet", subnet)["cidr"] == "10.0.0.0/24"
    assert holds(shared, "port", port)["fixed_ips"] == port["fixed_ips"]

    neutron.call(cloud.update, "port", port["id"], {"name": "renamed"})
    assert holds(shared, "port", port)["name"] == "renamed"

    for kind, resource in (("port", port), ("subnet", subnet), ("network", network)):
        neutron.call(cloud.delete, kind, resource["id"])
        assert holds(shared, kind, resource) is None


def test_bound_port_goes_active_when_the_fabric_carries_it(
    neutron: neutron_process.Neutron, shared: server.FabricServer
) -> None:
    network = neutron.call(cloud.create_network)
    port = neutron.call(cloud.create_port, network["id"], {"binding:host_id": "one"})
    assert holds(shared, "port", port)["host"] == "one"
    assert holds(shared, "port", port)["segment"]["network_id"] == network["id"]
    assert neutron.call(cloud.get, "port", port["id"])["status"] == "ACTIVE"


def test_port_stays_down_when_the_fabric_refuses_the_binding(
    neutron: neutron_process.Neutron, shared: server.FabricServer
) -> None:
    network = neutron.call(cloud.create_network)
    port = neutron.call(cloud.create_port, network["id"])
    shared.gate.set(behaviour.Behaviour(fail={"port": {"status": 422}}))
    try:
        with pytest.raises(ml2_exceptions.MechanismDriverError):
            neutron.call(cloud.update, "port", port["id"], {"binding:host_id": "one"})
    finally:
        shared.gate.set(behaviour.Behaviour())
    assert neutron.call(cloud.get, "port", port["id"])["status"] == "DOWN"


def test_refused_create_is_undone_by_stock(
    neutron: neutron_process.Neutron, shared: server.FabricServer
) -> None:
    shared.gate.set(behaviour.Behaviour(fail={"network": {"status": 422, "method": "PUT"}}))
    try:
        with pytest.raises(ml2_exceptions.MechanismDriverError):
            neutron.call(cloud.create_network, {"name": "refused"})
    finally:
        shared.gate.set(behaviour.Behaviour())
    names = [network["name"] for network in neutron.call(cloud.every, "network")]
    assert "refused" not in names
