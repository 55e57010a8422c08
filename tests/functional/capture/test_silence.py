# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A real API process on a real OVN, without a conductor: nothing it answers reaches OVN."""

import collections.abc
import typing

import pytest
import requests
import sqlalchemy as sa

from lab import neutron as lab_neutron
from lab import ovn as lab_ovn
from lab.databases import pool
from lab.neutron import schema
from networking_workflow.journal import tables

PROJECT = "11111111111111111111111111111111"

#: Every northbound table that the covered kinds are made of.
TABLES = (
    *("ACL", "Address_Set", "DHCP_Options", "DNS", "HA_Chassis_Group"),
    *("Logical_Switch", "Logical_Switch_Port", "Port_Group"),
    *("Load_Balancer", "Logical_Router", "Logical_Router_Port", "NAT", "QoS"),
)


@pytest.fixture(scope="module")
def ovn() -> collections.abc.Iterator[lab_ovn.OvnCentral]:
    with lab_ovn.OvnCentral() as central:
        central.add_chassis("chassis1", host="host1")
        yield central


@pytest.fixture(scope="module")
def database(database_pool: pool.Pool) -> pool.Database:
    made = database_pool.create("sqlite", "silence")
    schema.create(made)
    return made


@pytest.fixture(scope="module")
def api(ovn, database) -> collections.abc.Iterator[lab_neutron.NeutronApi]:
    profile = lab_neutron.Profile(
        database_url=database.url,
        core_plugin="ml2_workflow",
        mechanism_drivers=("ovn",),
        service_plugins=("ovn-router", "port_forwarding", "qos"),
        extension_drivers=("port_security", "qos"),
        tenants=True,
        ovn=ovn,
        workflow={"conductor": "separate"},
    )
    with (
        lab_neutron.Deployment(profile) as deployment,
        lab_neutron.NeutronApi(deployment) as running,
    ):
        yield running


def call(api, method: str, path: str, body: typing.Any = None) -> typing.Any:
    headers = {"X-User-Id": "u", "X-Project-Id": PROJECT, "X-Roles": "admin,member,reader"}
    url = f"{api.url}/v2.0/{path}"
    answer = requests.request(method, url, json=body, headers=headers, timeout=120)
    assert answer.ok, f"{method} {path}: {answer.text}"
    return answer.json() if answer.content else None


def create(api, kind: str, **values: typing.Any) -> dict[str, typing.Any]:
    path = f"{kind.replace('_', '-')}s"
    return call(api, "POST", path, {kind: {"project_id": PROJECT, **values}})[kind]


def northbound(ovn: lab_ovn.OvnCentral) -> dict[str, str]:
    """Return all rows of each table, as text."""
    return {table: ovn.nbctl("--format=csv", "list", table) for table in TABLES}


def everything(api) -> collections.abc.Iterator[str]:
    """Make, change and delete one of each kind; yield after each phase."""
    network = create(api, "network", name="n")
    subnet = create(api, "subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    group, other = create(api, "security_group", name="g"), create(api, "security_group", name="o")
    addresses = create(api, "address_group", name="a", addresses=["10.1.0.0/16"])
    rule = create(
        api,
        "security_group_rule",
        security_group_id=group["id"],
        direction="ingress",
        ethertype="IPv4",
        remote_group_id=other["id"],
    )
    port = create(
        api,
        "port",
        network_id=network["id"],
        security_groups=[group["id"]],
        **{"binding:host_id": "host1"},
    )
    assert port["binding:vif_type"] == "ovs"  # bound in the call: Nova needs the answer
    provider = create(
        api,
        "network",
        name="provider",
        **{"provider:network_type": "flat", "provider:physical_network": "physnet1"},
    )
    yield "made"
    for kind, made in (("network", network), ("subnet", subnet), ("port", port)):
        call(api, "PUT", f"{kind}s/{made['id']}", {kind: {"name": "x"}})
    call(api, "PUT", f"security-groups/{group['id']}", {"security_group": {"name": "x"}})
    call(api, "PUT", f"address-groups/{addresses['id']}", {"address_group": {"name": "x"}})
    yield "changed"
    call(api, "DELETE", f"security-group-rules/{rule['id']}")
    call(api, "DELETE", f"ports/{port['id']}")
    for kind, made in (
        ("security-group", other),
        ("security-group", group),
        ("address-group", addresses),
        ("subnet", subnet),
        ("network", network),
        ("network", provider),
    ):
        call(api, "DELETE", f"{kind}s/{made['id']}")
    yield "deleted"


def routed(api) -> collections.abc.Iterator[str]:
    """Make, change and delete one of each kind of the service plugins; yield after each phase."""
    external = create(api, "network", **{"router:external": True})
    outside = {"network_id": external["id"], "ip_version": 4, "cidr": "203.0.113.0/24"}
    outside["allocation_pools"] = [{"start": "203.0.113.2", "end": "203.0.113.99"}]
    upstream = create(api, "subnet", **outside)["id"]
    network = create(api, "network")
    subnet = create(api, "subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    policy = call(api, "POST", "qos/policies", {"policy": {"name": "q"}})["policy"]["id"]
    rules = f"qos/policies/{policy}/bandwidth_limit_rules"
    rule = call(api, "POST", rules, {"bandwidth_limit_rule": {"max_kbps": 1000}})
    rule_id = rule["bandwidth_limit_rule"]["id"]
    ports = [create(api, "port", network_id=network["id"], qos_policy_id=policy) for _ in range(3)]
    gateway = {"network_id": external["id"], "qos_policy_id": policy}
    router = create(api, "router", external_gateway_info=gateway)["id"]
    interface = {"subnet_id": subnet["id"]}
    call(api, "PUT", f"routers/{router}/add_router_interface", interface)
    at_port = {"floating_network_id": external["id"], "port_id": ports[0]["id"]}
    address = create(api, "floatingip", qos_policy_id=policy, **at_port)["id"]
    shared = create(api, "floatingip", floating_network_id=external["id"])["id"]
    body = {
        "internal_port_id": ports[1]["id"],
        "internal_ip_address": ports[1]["fixed_ips"][0]["ip_address"],
        **{"internal_port": 22, "external_port": 2222, "protocol": "tcp"},
    }
    path = f"floatingips/{shared}/port_forwardings"
    forwarding = call(api, "POST", path, {"port_forwarding": body})["port_forwarding"]["id"]
    yield "made"
    call(api, "PUT", f"{rules}/{rule_id}", {"bandwidth_limit_rule": {"max_kbps": 2000}})
    call(api, "PUT", f"routers/{router}", {"router": {"name": "x"}})
    route = {"destination": "192.0.2.0/24", "nexthop": "10.0.0.77"}
    for verb in ("add", "remove"):
        call(api, "PUT", f"routers/{router}/{verb}_extraroutes", {"router": {"routes": [route]}})
    call(api, "PUT", f"floatingips/{address}", {"floatingip": {"port_id": None}})
    call(api, "PUT", f"floatingips/{address}", {"floatingip": {"port_id": ports[0]["id"]}})
    call(api, "PUT", f"{path}/{forwarding}", {"port_forwarding": {"external_port": 2223}})
    call(api, "PUT", f"subnets/{upstream}", {"subnet": {"gateway_ip": "203.0.113.254"}})
    yield "changed"
    call(api, "DELETE", f"{path}/{forwarding}")
    call(api, "DELETE", f"ports/{ports[0]['id']}")  # its floating IP loses it
    for one in (address, shared):
        call(api, "DELETE", f"floatingips/{one}")
    call(api, "PUT", f"routers/{router}/remove_router_interface", interface)
    call(api, "DELETE", f"routers/{router}")
    for port in ports[1:]:
        call(api, "DELETE", f"ports/{port['id']}")
    call(api, "DELETE", f"{rules}/{rule_id}")
    call(api, "DELETE", f"qos/policies/{policy}")
    yield "deleted"


def test_no_request_of_a_service_plugin_reaches_ovn(api, ovn, database):
    before = northbound(ovn)
    for phase in routed(api):
        assert (phase, northbound(ovn)) == (phase, before)
    with pool.engine(database.url) as engine, engine.connect() as connection:
        rows = connection.execute(sa.select(tables.workflows)).all()
    done = {(row.resource_type, row.operation) for row in rows}
    kinds = ("router", "floatingip", "port_forwarding", "qos_policy")
    assert done >= {(kind, op) for kind in kinds for op in ("create", "update", "delete")}
    assert done >= {("router_interface", "create"), ("router_interface", "delete")}


def test_no_request_reaches_ovn_and_each_leaves_its_workflow(api, ovn, database):
    before = northbound(ovn)
    for phase in everything(api):
        assert (phase, northbound(ovn)) == (phase, before)
    with pool.engine(database.url) as engine, engine.connect() as connection:
        rows = connection.execute(sa.select(tables.workflows)).all()
    done = {(row.resource_type, row.operation) for row in rows}
    kinds = ("network", "subnet", "port", "security_group", "address_group")
    assert done >= {(kind, op) for kind in kinds for op in ("create", "update", "delete")} | {
        ("security_group_rule", "create"),
        ("security_group_rule", "delete"),
    }
    assert {row.state for row in rows} == {"READY"}
