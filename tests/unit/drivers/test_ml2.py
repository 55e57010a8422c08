# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Which workflows have a task for a mechanism driver, and how its probe is understood."""

import collections.abc
import contextvars
import typing

import pytest
import requests
from neutron_lib.plugins.ml2 import api
from oslo_config import cfg

from networking_workflow.drivers import ml2, protocol
from networking_workflow.drivers.fabric import driver as fabric_driver
from networking_workflow.model import errors, running, states, workflows

CREATE, UPDATE, DELETE = states.Operation.CREATE, states.Operation.UPDATE, states.Operation.DELETE


@pytest.fixture(autouse=True)
def configured() -> collections.abc.Iterator[None]:
    """An admin context asks the policy for the role that services have."""
    cfg.CONF([], default_config_files=[], default_config_dirs=[])
    yield
    cfg.CONF.reset()


class Nothing(api.MechanismDriver):
    def initialize(self) -> None:
        """Nothing to set up."""


class OnlyBinds(Nothing):
    def update_port_postcommit(self, context: object) -> None:
        """All its work is here."""


class Inherits(OnlyBinds):
    pass


class Slow(OnlyBinds):
    """Its backend takes connections and answers nobody."""

    def __init__(self, health: Exception | None) -> None:
        self._health = health

    def delete_port_postcommit(self, context: object) -> None:
        raise requests.ReadTimeout("no answer")

    def probe(self) -> None:
        if self._health:
            raise self._health


def adapter(driver: api.MechanismDriver) -> ml2.Ml2Driver:
    return ml2.Ml2Driver("example", driver, plugin=None)


def test_driver_without_hooks_has_no_tasks() -> None:
    for kind in ml2.RESOURCE_TYPES:
        assert not any(adapter(Nothing()).handles(kind, each) for each in states.Operation)


@pytest.mark.parametrize("driver", [OnlyBinds(), Inherits()])
def test_driver_that_only_binds_has_tasks_for_creates_of_ports_too(
    driver: api.MechanismDriver,
) -> None:
    assert adapter(driver).handles("port", CREATE)
    assert adapter(driver).handles("port", UPDATE)
    assert not adapter(driver).handles("port", DELETE)
    assert not adapter(driver).handles("network", CREATE)


def test_types_without_ml2_hooks_have_no_tasks() -> None:
    fabric = adapter(fabric_driver.FabricMechanismDriver())
    assert not any(fabric.handles("security_group", each) for each in states.Operation)


def test_fabrics_driver_offers_the_extras_and_a_plain_one_none() -> None:
    fabric = fabric_driver.FabricMechanismDriver()
    assert isinstance(fabric, protocol.Probing)
    assert isinstance(fabric, protocol.Observing)
    assert not isinstance(OnlyBinds(), protocol.Probing | protocol.Observing)


def test_driver_without_probe_is_taken_to_be_reachable() -> None:
    adapter(OnlyBinds()).probe()


@pytest.mark.parametrize("health", [requests.ReadTimeout("frozen"), ConnectionError("refused")])
def test_any_known_error_of_a_probe_means_unreachable(health: Exception) -> None:
    with pytest.raises(errors.BackendUnreachable):
        adapter(Slow(health)).probe()


class DeletesSubnets(Nothing):
    def __init__(self) -> None:
        self.seen: list[object] = []

    def delete_subnet_postcommit(self, context: api.SubnetContext) -> None:
        self.seen.append(context.current)


def test_row_that_is_gone_without_a_captured_delete_is_no_work_if_nothing_was_applied() -> None:
    driver = DeletesSubnets()
    target = protocol.Target(resource_type="subnet", resource_id="s1", operation=DELETE)
    adapter(driver).delete(target)
    assert driver.seen == []


def test_row_that_is_gone_without_a_captured_delete_is_deleted_as_it_was_applied() -> None:
    driver = DeletesSubnets()
    target = protocol.Target(
        resource_type="subnet",
        resource_id="s1",
        operation=DELETE,
        applied={"current": {"id": "s1", "network_id": "n1"}},
    )
    adapter(driver).delete(target)
    assert driver.seen == [{"id": "s1", "network_id": "n1"}]


def test_deleted_network_needs_nothing_but_its_snapshot() -> None:
    seen: list[object] = []

    class Deletes(Nothing):
        def delete_network_postcommit(self, context: api.NetworkContext) -> None:
            seen.extend([context.current, context.network_segments])

    segments = [{"id": "s1", "network_type": "vlan"}]
    snapshot = {"version": 1, "deleted": {"id": "n1"}, "edge": {"segments": segments}}
    target = protocol.Target(
        resource_type="network", resource_id="n1", operation=DELETE, snapshot=snapshot
    )
    adapter(Deletes()).delete(target)
    assert seen == [{"id": "n1"}, segments]


CLAIM = workflows.Claim(
    id="w1",
    lane="default",
    resource_type="port",
    resource_id="p1",
    operation=DELETE,
    project_id="",
    operation_id="",
    request_id="",
    initiator=states.Initiator.API,
    snapshot=None,
    keys={},
    gen=1,
    attempts=0,
    owner="c1",
    fence=1,
)

PORT = {
    "version": 1,
    "deleted": {"id": "p1", "network_id": "n1", "device_owner": "", "status": "DOWN"},
    "edge": {"network": {"id": "n1"}, "segments": []},
}


@pytest.mark.parametrize(
    ("health", "meant"),
    [(None, errors.TransientFailure), (requests.ReadTimeout("too"), errors.BackendUnreachable)],
)
def test_no_answer_spends_an_attempt_unless_the_probe_gets_none_either(
    health: Exception | None, meant: type[errors.DriverError]
) -> None:
    target = protocol.Target(
        resource_type="port", resource_id="p1", operation=DELETE, snapshot=PORT
    )
    with pytest.raises(meant):
        adapter(Slow(health)).delete(target)


class DeletesPorts(Nothing):
    def __init__(self) -> None:
        self.hosts: list[str] = []

    def delete_port_postcommit(self, context: api.PortContext) -> None:
        self.hosts.append(context.host)


def deleted_on(*hosts: str) -> protocol.Target:
    """Return the delete of a distributed port that was on these hosts."""
    places = [
        {
            "binding": {
                "port_id": "p1",
                "host": host,
                "router_id": "r1",
                "vif_type": "ovs",
                "vif_details": "",
                "vnic_type": "normal",
                "profile": "",
                "status": "ACTIVE",
            },
            "binding_levels": [],
        }
        for host in hosts
    ]
    deleted = PORT["deleted"] | {"device_owner": "network:router_interface_distributed"}
    snapshot = PORT | {"deleted": deleted, "edge": {"segments": [], "distributed": places}}
    return protocol.Target(
        resource_type="port", resource_id="p1", operation=DELETE, snapshot=snapshot
    )


def test_distributed_port_is_deleted_once_a_host() -> None:
    driver = DeletesPorts()
    adapter(driver).delete(deleted_on("one", "two"))
    assert driver.hosts == ["one", "two"]


def applied_at(host: str) -> dict[str, typing.Any]:
    """Return what is kept of a port that was bound there."""
    place = deleted_on(host).snapshot["edge"]["distributed"][0]
    binding = {name: value for name, value in place["binding"].items() if name != "router_id"}
    current = PORT["deleted"] | {"binding:host_id": host}
    return {"current": current, "places": [{"binding": binding, "levels": []}]}


@pytest.mark.parametrize(
    ("applied", "hosts"),
    [(None, ["two"]), ("two", ["two"]), ("one", ["one", "two"])],
    ids=["never applied", "applied there", "applied elsewhere"],
)
def test_deleted_port_is_deleted_where_it_was_applied_last_too(
    applied: str | None, hosts: list[str]
) -> None:
    driver, there = DeletesPorts(), applied_at("two")
    edge = {"segments": [], "binding": there["places"][0]["binding"]}
    target = protocol.Target(
        resource_type="port",
        resource_id="p1",
        operation=DELETE,
        snapshot=PORT | {"deleted": there["current"], "edge": edge},
        applied=applied_at(applied) if applied else None,
    )
    adapter(driver).delete(target)
    assert driver.hosts == hosts


def test_no_hook_is_called_once_the_lease_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = DeletesPorts()
    held = iter([True, False])

    def require() -> None:
        if not next(held):
            raise errors.LeaseLost("w1")

    task = running.RunningTask(claim=CLAIM, task_id="t1", task_name="example", require=require)
    monkeypatch.setattr(running, "RUNNING", contextvars.ContextVar("running", default=task))
    with pytest.raises(errors.LeaseLost):
        adapter(driver).delete(deleted_on("one", "two"))
    assert driver.hosts == ["one"]
