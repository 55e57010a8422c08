# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Routers and what hangs on them, from the API through the conductor to OVN, on MariaDB."""

import collections.abc

import pytest

from lab import client
from lab.databases import pool
from networking_workflow.journal import readiness
from tests.functional.promises import cloud as clouds

#: Northbound tables that the service plugins' kinds are made of.
TABLES = ("Logical_Router", "Logical_Router_Port", "NAT", "Load_Balancer", "QoS")

#: Nothing looks as if an API server with stock's plugin had done it.
NOTHING = readiness.Unrecorded(made={}, last=None, deleted=0)


@pytest.fixture(scope="module")
def cloud(database_pool: pool.Pool) -> collections.abc.Iterator[clouds.Cloud]:
    with clouds.routed(database_pool) as running:
        yield running


def count(cloud: clouds.Cloud) -> dict[str, int]:
    """Return how many rows each of the tables has."""
    return {
        table: len(cloud.ovn.nbctl("--bare", "--columns=_uuid", "list", table).split())
        for table in TABLES
    }


def test_routed_cloud_comes_to_ovn_changes_there_and_goes(cloud: clouds.Cloud) -> None:
    admin, api = cloud.client(), clouds.Caller(cloud)
    external = admin.create("networks", name="external", **{"router:external": True})
    admin.create("subnets", network_id=external["id"], ip_version=4, cidr="203.0.113.0/24")
    network = admin.create("networks", name="inner")
    subnet = admin.create("subnets", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    policy = f"qos/policies/{api.make('qos/policies', 'policy', name='slow')['id']}"
    rules = f"{policy}/bandwidth_limit_rules"
    rule = f"{rules}/{api.make(rules, 'bandwidth_limit_rule', max_kbps=1000)['id']}"
    port = admin.create("ports", network_id=network["id"], qos_policy_id=policy.rpartition("/")[2])
    gateway = {"network_id": external["id"]}
    router = f"routers/{admin.create('routers', external_gateway_info=gateway)['id']}"
    api.call("PUT", f"{router}/add_router_interface", subnet_id=subnet["id"])
    at_port = {"floating_network_id": external["id"], "port_id": port["id"]}
    address = f"floatingips/{admin.create('floatingips', **at_port)['id']}"
    shared = admin.create("floatingips", floating_network_id=external["id"])["id"]
    forwardings = f"floatingips/{shared}/port_forwardings"
    second = admin.create("ports", network_id=network["id"])
    forwarding = api.make(
        forwardings,
        "port_forwarding",
        internal_port_id=second["id"],
        internal_ip_address=second["fixed_ips"][0]["ip_address"],
        internal_port=22,
        external_port=2222,
        protocol="tcp",
    )
    cloud.settles()
    assert cloud.failed() == []
    assert count(cloud) == {
        "Logical_Router": 1,
        "Logical_Router_Port": 2,
        "NAT": 2,  # the router's own, and the floating IP
        "Load_Balancer": 1,
        "QoS": 1,
    }
    for path, member in ((router, "router"), (address, "floatingip"), (policy, "policy")):
        assert api.call("GET", path)[member]["sync_state"] == "SYNCED"
    assert api.call("GET", address)["floatingip"]["status"] == "ACTIVE"
    assert cloud.unrecorded() == NOTHING

    api.change(rule, "bandwidth_limit_rule", max_kbps=2000)
    api.change(address, "floatingip", port_id=None)
    api.change(router, "router", external_gateway_info={**gateway, "enable_snat": False})
    cloud.settles()
    assert cloud.failed() == []
    assert count(cloud)["NAT"] == 0
    assert "rate=2000" in cloud.ovn.nbctl("--bare", "--columns=bandwidth", "list", "QoS")
    assert api.call("GET", address)["floatingip"]["status"] == "DOWN"

    for path in (f"{forwardings}/{forwarding['id']}", f"floatingips/{shared}", address):
        api.call("DELETE", path)
    api.call("PUT", f"{router}/remove_router_interface", subnet_id=subnet["id"])
    for path in (router, f"ports/{port['id']}", policy):
        api.call("DELETE", path)
    cloud.settles()
    assert cloud.failed() == []
    assert count(cloud) == dict.fromkeys(TABLES, 0)
    assert cloud.unrecorded() == NOTHING


def test_what_changes_beside_a_router_reaches_it(cloud: clouds.Cloud) -> None:
    admin, api = cloud.client(), clouds.Caller(cloud)
    external = admin.create("networks", name="external2", **{"router:external": True})["id"]
    subnet = admin.create(
        "subnets",
        network_id=external,
        ip_version=4,
        cidr="198.51.100.0/24",
        enable_dhcp=False,
        allocation_pools=[{"start": "198.51.100.10", "end": "198.51.100.99"}],
    )["id"]
    gateway = {"network_id": external, "external_fixed_ips": [{"ip_address": "198.51.100.50"}]}
    router = admin.create("routers", external_gateway_info=gateway)
    cloud.settles()
    name = f"neutron-{router['id']}"
    assert "198.51.100.1 " in cloud.ovn.nbctl("lr-route-list", name)

    api.change(f"subnets/{subnet}", "subnet", gateway_ip="198.51.100.2")
    gateway["external_fixed_ips"] = [{"ip_address": "198.51.100.60"}]
    api.change(f"routers/{router['id']}", "router", external_gateway_info=gateway)
    cloud.settles()
    assert cloud.failed() == []
    assert "198.51.100.2 " in cloud.ovn.nbctl("lr-route-list", name)
    (port,) = cloud.ovn.nbctl("--bare", "--columns=ports", "list", "Logical_Router", name).split()
    assert "198.51.100.60/24" in cloud.ovn.nbctl("get", "Logical_Router_Port", port, "networks")
    assert "198.51.100.60" in cloud.ovn.nbctl("lr-nat-list", name)

    watched = ("--bare", "--columns=logical_port,dst_ip", "list", "BFD")
    api.change(f"routers/{router['id']}", "router", enable_default_route_bfd=True)
    cloud.settles()
    lrp = cloud.ovn.nbctl("get", "Logical_Router_Port", port, "name").strip()
    assert cloud.ovn.nbctl(*watched).split() == [lrp, "198.51.100.2"]

    api.change(f"subnets/{subnet}", "subnet", gateway_ip=None)
    cloud.settles()
    assert cloud.ovn.nbctl("lr-route-list", name).strip() == ""
    assert cloud.ovn.nbctl(*watched).strip() == ""
    assert cloud.failed() == []
    api.call("DELETE", f"routers/{router['id']}")
    cloud.settles()


def test_rule_of_a_policy_reaches_its_ports_as_workflows_of_one_operation(
    cloud: clouds.Cloud,
) -> None:
    admin, api = cloud.client(), clouds.Caller(cloud)
    network = admin.create("networks")["id"]
    policy = api.make("qos/policies", "policy", name="p")["id"]
    rules = f"qos/policies/{policy}/bandwidth_limit_rules"
    rule = f"{rules}/{api.make(rules, 'bandwidth_limit_rule', max_kbps=1000)['id']}"
    new = {"network_id": network, "qos_policy_id": policy, "project_id": client.PROJECT_ID}
    ports = [one["id"] for one in api.call("POST", "ports", ports=[new] * 12)["ports"]]
    other = admin.create("ports", network_id=network)["id"]
    cloud.settles()
    before = {port: len(cloud.workflows(port)) for port in (*ports, other)}

    api.change(rule, "bandwidth_limit_rule", max_kbps=2000)
    cloud.settles()
    parent = cloud.workflows(policy)[-1]
    for port in ports:
        (child,) = cloud.workflows(port)[before[port] :]
        assert (child.operation_id, child.initiator) == (parent.operation_id, "driver")
    assert len(cloud.workflows(other)) == before[other]
    limits = cloud.ovn.nbctl("--bare", "--columns=bandwidth", "list", "QoS").split()
    assert limits == ["rate=2000"] * 12

    api.change(f"qos/policies/{policy}", "policy", name="another name")
    cloud.settles()
    assert [len(cloud.workflows(port)) for port in ports] == [before[port] + 1 for port in ports]
    for port in (*ports, other):
        api.call("DELETE", f"ports/{port}")
    api.call("DELETE", f"qos/policies/{policy}")
    cloud.settles()
    assert cloud.failed() == []


def test_mtu_of_a_network_reaches_its_routers(cloud: clouds.Cloud) -> None:
    admin, api = cloud.client(), clouds.Caller(cloud)
    external = admin.create("networks", **{"router:external": True})["id"]
    admin.create("subnets", network_id=external, ip_version=4, cidr="203.0.113.0/24")
    inner = admin.create("networks")["id"]
    modes = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    six = {"ip_version": 6, "cidr": "2001:db8::/64", **modes}
    subnet = admin.create("subnets", network_id=inner, **six)["id"]
    router = admin.create("routers", external_gateway_info={"network_id": external})["id"]
    api.call("PUT", f"routers/{router}/add_router_interface", subnet_id=subnet)
    cloud.settles()
    api.change(f"networks/{inner}", "network", mtu=1300)
    cloud.settles()
    options = cloud.ovn.nbctl(
        *("--bare", "--columns=options,ipv6_ra_configs", "list", "Logical_Router_Port")
    )
    assert "gateway_mtu=1300" in options
    assert "mtu=1300" in options.replace("gateway_mtu=1300", "")

    api.change(f"networks/{external}", "network", mtu=1290)
    cloud.settles()
    options = cloud.ovn.nbctl("--bare", "--columns=options", "list", "Logical_Router_Port")
    assert "gateway_mtu=1290" in options
    api.call("PUT", f"routers/{router}/remove_router_interface", subnet_id=subnet)
    api.call("DELETE", f"routers/{router}")
    cloud.settles()
    assert cloud.failed() == []


def subports(cloud: clouds.Cloud, parent: str) -> set[tuple[str, str]]:
    """Return the switch ports that are children of ``parent``, each with its tag."""
    found = cloud.ovn.nbctl(
        *("--bare", "--columns=name,tag_request", "find", "Logical_Switch_Port"),
        f"parent_name={parent}",
    )
    rows = [row.split() for row in found.split("\n\n") if row.strip()]
    return {(name, tag) for name, tag in rows}


def test_trunk_comes_to_ovn_changes_there_and_goes(cloud: clouds.Cloud) -> None:
    admin, api = cloud.client(), clouds.Caller(cloud)
    network = admin.create("networks", name="trunked")
    parent, first, second = (
        admin.create("ports", network_id=network["id"])["id"] for _ in range(3)
    )
    body = [{"port_id": first, "segmentation_type": "vlan", "segmentation_id": 11}]
    trunk = f"trunks/{api.make('trunks', 'trunk', port_id=parent, sub_ports=body)['id']}"
    cloud.settles()
    assert cloud.failed() == []
    assert subports(cloud, parent) == {(first, "11")}
    shown = api.call("GET", trunk)["trunk"]
    assert (shown["status"], shown["sync_state"]) == ("ACTIVE", "SYNCED")
    assert api.call("GET", f"ports/{first}")["port"]["device_owner"] == "trunk:subport"
    assert cloud.unrecorded() == NOTHING

    added = [{"port_id": second, "segmentation_type": "vlan", "segmentation_id": 12}]
    api.call("PUT", f"{trunk}/add_subports", sub_ports=added)
    api.call("PUT", f"{trunk}/remove_subports", sub_ports=[{"port_id": first}])
    cloud.settles()
    assert cloud.failed() == []
    assert subports(cloud, parent) == {(second, "12")}
    assert api.call("GET", f"ports/{first}")["port"]["device_owner"] == ""

    api.call("DELETE", trunk)
    cloud.settles()
    assert cloud.failed() == []
    assert subports(cloud, parent) == set()
    for port in (parent, first, second):
        api.call("DELETE", f"ports/{port}")
    cloud.settles()
    assert cloud.failed() == []
