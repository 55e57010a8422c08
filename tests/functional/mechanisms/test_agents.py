# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Neutron's own drivers for agents: these are told in the call, as with stock, by no task.

The agents here are rows of the database and listeners on the message bus of this one process.
"""

import collections.abc
import pathlib
import typing

import pytest

from tests.functional.mechanisms import cloud as clouds
from tests.functional.mechanisms import test_genericswitch as genericswitch
from tests.waiting import wait_until

Json = dict[str, typing.Any]

HOST = "compute-1"

_RPC = "[DEFAULT]\nrpc_workers = 1\n"

AGENTS: dict[str, Json] = {
    "neutron-openvswitch-agent": {
        "agent_type": "Open vSwitch agent",
        "configurations": {
            "bridge_mappings": {"physnet1": "br-physnet1"},
            "tunneling_ip": "192.0.2.11",
            "l2pop_network_types": ["vlan"],
        },
    },
    "neutron-sriov-nic-agent": {
        "agent_type": "NIC Switch agent",
        "configurations": {"device_mappings": {"physnet1": ["eth3"]}},
    },
}


# -- in Neutron's process --------------------------------------------------------------------------


class Listener:
    """What agents are told of ports and networks."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.entries: list[tuple[str, Json]] = []  #: of their forwarding tables

    def port_update(self, _context: typing.Any, port: Json, **_more: typing.Any) -> None:
        self.told.append(("port_update", port["id"]))

    def port_delete(self, _context: typing.Any, port_id: str, **_more: typing.Any) -> None:
        self.told.append(("port_delete", port_id))

    def network_delete(self, _context: typing.Any, network_id: str, **_more: typing.Any) -> None:
        self.told.append(("network_delete", network_id))

    def add_fdb_entries(self, _context: typing.Any, fdb_entries: Json) -> None:
        self.entries.append(("add", fdb_entries))

    def remove_fdb_entries(self, _context: typing.Any, fdb_entries: Json) -> None:
        self.entries.append(("remove", fdb_entries))

    def update_fdb_entries(self, _context: typing.Any, fdb_entries: Json) -> None:
        self.entries.append(("update", fdb_entries["chg_ip"]))


LISTENER = Listener()


def listen(_plugin: typing.Any) -> None:
    """Listen as an L2 agent does."""
    from neutron_lib import rpc
    from neutron_lib.agent import topics

    connection = rpc.Connection()
    for resource, change in (
        *(("port", "update"), ("port", "delete"), ("network", "delete")),
        (topics.L2POPULATION, topics.UPDATE),
    ):
        topic = topics.get_topic_name(topics.AGENT, resource, change)
        connection.create_consumer(topic, [LISTENER], fanout=True)
    connection.consume_in_threads()


def told(_plugin: typing.Any) -> list[tuple[str, str]]:
    return LISTENER.told


def forwarded(_plugin: typing.Any, network_id: str) -> list[tuple[str, Json]]:
    """Return how the agents were told to change the entries of a network: by the host's address."""
    return [
        (how, {host: _plain(ports) for host, ports in _by_host(entries[network_id]).items()})
        for how, entries in LISTENER.entries
        if network_id in entries
    ]


def _by_host(entries: Json) -> Json:
    return typing.cast(Json, entries.get("ports", entries))


def _plain(entries: typing.Any) -> typing.Any:
    if isinstance(entries, dict):
        return {name: _plain(each) for name, each in entries.items()}
    return [tuple(entry) for entry in entries]


def register_agents(plugin: typing.Any) -> None:
    from neutron_lib import context
    from oslo_utils import timeutils

    for binary, agent in AGENTS.items():
        state = {"binary": binary, "host": HOST, "topic": "N/A", **agent}
        plugin.create_or_update_agent(context.get_admin_context(), state, timeutils.utcnow())


def report_up(plugin: typing.Any, port_id: str) -> None:
    """Say what the agent of the host says when it has wired a port."""
    from neutron.plugins.ml2 import rpc
    from neutron_lib import context

    callbacks = rpc.RpcCallbacks(plugin.notifier, plugin.type_manager)
    callbacks.update_device_up(
        context.get_admin_context(), agent_id="agent", device=port_id, host=HOST
    )


# -- the tests -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[clouds.Cloud]:
    with clouds.running(
        tmp_path_factory.mktemp("agents"),
        mechanism_drivers="openvswitch,sriovnicswitch,l2population,genericswitch",
        configuration=_RPC + genericswitch.CONFIGURATION,
    ) as running:
        running.call(genericswitch.watch)
        running.call(register_agents)
        running.call(listen)
        yield running


def agents_hear(cloud: clouds.Cloud, *message: str) -> None:
    wait_until(
        lambda: message in cloud.call(told),
        clouds.PATIENCE_S,
        lambda: f"{message} to be told; it is {cloud.call(told)}",
    )


@pytest.mark.parametrize(
    ("vnic_type", "vif_type"), [("normal", "ovs"), ("direct", "hw_veb")], ids=["ovs", "sriov"]
)
def test_agents_are_told_by_neutron_and_the_port_has_no_task(
    cloud: clouds.Cloud, vnic_type: str, vif_type: str
) -> None:
    network = cloud.create("network")
    cloud.comes_to(network["id"], "SUCCESS")
    where = {"binding:host_id": HOST, "binding:vnic_type": vnic_type}
    port = cloud.create("port", network_id=network["id"], **where)
    assert port["binding:vif_type"] == vif_type
    cloud.comes_to(port["id"], "SUCCESS")
    recorded = len(cloud.workflows(port["id"]))

    cloud.call(report_up, port["id"])
    shown = cloud.show("port", port["id"])
    assert (shown["status"], shown["sync_state"]) == ("ACTIVE", "SYNCED")
    assert {task.driver for task in cloud.tasks(port["id"])} <= {"genericswitch"}
    assert len(cloud.workflows(port["id"])) == recorded  # a status is the agent's answer

    cloud.update("port", port["id"], admin_state_up=False)
    agents_hear(cloud, "port_update", port["id"])
    cloud.delete("port", port["id"])
    agents_hear(cloud, "port_delete", port["id"])
    cloud.delete("network", network["id"])
    agents_hear(cloud, "network_delete", network["id"])
    cloud.settles()


def test_agents_are_told_in_the_call_who_has_which_address(cloud: clouds.Cloud) -> None:
    network = cloud.create("network")
    subnet = cloud.create("subnet", network_id=network["id"])
    port = cloud.create("port", network_id=network["id"], **{"binding:host_id": HOST})
    (first,) = (one["ip_address"] for one in port["fixed_ips"])
    mac, flooding, host = port["mac_address"], ("00:00:00:00:00:00", "0.0.0.0"), "192.0.2.11"

    def agents_have_heard(how: str, entries: typing.Any) -> None:
        wait_until(
            lambda: (how, {host: entries}) in cloud.call(forwarded, network["id"]),
            clouds.PATIENCE_S,
            lambda: f"{how} {entries} to be told; it is {cloud.call(forwarded, network['id'])}",
        )

    cloud.call(report_up, port["id"])
    agents_have_heard("add", [flooding, (mac, first)])
    second = {"subnet_id": subnet["id"], "ip_address": "10.0.0.200"}
    cloud.update("port", port["id"], fixed_ips=[second])
    agents_have_heard("update", {"before": [(mac, first)], "after": [(mac, "10.0.0.200")]})
    cloud.delete("port", port["id"])
    agents_have_heard("remove", [flooding, (mac, "10.0.0.200")])
    cloud.settles()
    assert {task.driver for task in cloud.tasks(port["id"])} == {"genericswitch"}


def test_switch_is_programmed_by_tasks_beside_them(cloud: clouds.Cloud) -> None:
    switch = genericswitch.Switch(cloud)
    network = cloud.create("network")
    port = cloud.create("port", network_id=network["id"], **genericswitch.plugged_at("eth1"))
    cloud.comes_to(port["id"], "SUCCESS")
    assert switch.ports["eth1"] == network["provider:segmentation_id"]
    assert cloud.show("port", port["id"])["status"] == "ACTIVE"
    cloud.delete("port", port["id"])
    cloud.comes_to(port["id"], "SUCCESS")
    assert "eth1" not in switch.ports


def test_with_agents_alone_nothing_is_managed(tmp_path: pathlib.Path) -> None:
    with clouds.running(
        tmp_path, mechanism_drivers="openvswitch,sriovnicswitch", configuration=_RPC
    ) as cloud:
        cloud.call(register_agents)
        network = cloud.create("network")
        port = cloud.create("port", network_id=network["id"], **{"binding:host_id": HOST})
        cloud.comes_to(port["id"], "SUCCESS")
        assert cloud.tasks(port["id"]) == []
        assert cloud.show("port", port["id"])["sync_state"] == "UNMANAGED"
        cloud.call(report_up, port["id"])
        shown = cloud.show("port", port["id"])
        assert (shown["status"], shown["sync_state"]) == ("ACTIVE", "UNMANAGED")


@pytest.mark.parametrize(("plugin", "named"), [("trunk", "trunk driver"), ("qos", "QoS driver")])
def test_what_it_registers_with_other_plugins_is_refused_with_them(
    tmp_path: pathlib.Path, plugin: str, named: str
) -> None:
    more = f"[DEFAULT]\nservice_plugins = {plugin}\n[ml2]\nextension_drivers = qos\n"
    with (
        pytest.raises(RuntimeError, match=f"does not cover {named} openvswitch"),
        clouds.running(tmp_path, mechanism_drivers="openvswitch", configuration=more),
    ):
        pass
