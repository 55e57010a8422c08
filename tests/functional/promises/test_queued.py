# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is changed again, crosswise or half way while it is queued ends as the database says.

On MariaDB and OVN; every test ends with a comparison of the whole cloud with the northbound rows.
"""

import collections.abc
import contextlib
import functools

import pytest
import requests

from lab import client
from lab.databases import pool
from networking_workflow.journal import failpoints
from tests.functional.promises import cloud as clouds
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def running(database_pool: pool.Pool) -> collections.abc.Iterator[clouds.Cloud]:
    with clouds.routed(database_pool) as cloud:
        yield cloud


@pytest.fixture
def cloud(running: clouds.Cloud) -> collections.abc.Iterator[clouds.Cloud]:
    """A cloud in which all has come to OVN and equals it, after the test too."""
    yield running
    assert running.troubles() == []


@pytest.fixture
def api(cloud: clouds.Cloud) -> clouds.Caller:
    return clouds.Caller(cloud)


@contextlib.contextmanager
def outage(cloud: clouds.Cloud) -> collections.abc.Iterator[None]:
    """Queue what is done in the block: the northbound server is away, from a settled cloud on."""
    cloud.settles()
    cloud.ovn.stop_nb()
    try:
        yield
        assert cloud.unfinished() != []
    finally:
        cloud.ovn.start_nb()
    cloud.settles()


class Tenant:
    """A router with a gateway and an interface, two ports behind it, and a floating IP."""

    def __init__(self, cloud: clouds.Cloud) -> None:
        self.admin, self.api = cloud.client(), clouds.Caller(cloud)
        self.external = self.outside("203.0.113.0/24")
        self.network, self.subnet = self.inside("10.1.0.0/24")
        self.ports = [self.port() for _ in range(2)]
        gateway = {"network_id": self.external}
        self.router = self.admin.create("routers", external_gateway_info=gateway)["id"]
        self.api.call("PUT", f"routers/{self.router}/add_router_interface", subnet_id=self.subnet)
        at_port = {"floating_network_id": self.external, "port_id": self.ports[0]}
        self.address = self.admin.create("floatingips", **at_port)["id"]

    def outside(self, cidr: str) -> str:
        made = self.admin.create("networks", **{"router:external": True})["id"]
        self.admin.create("subnets", network_id=made, ip_version=4, cidr=cidr, enable_dhcp=False)
        return str(made)

    def inside(self, cidr: str) -> tuple[str, str]:
        made = self.admin.create("networks")["id"]
        values = {"ip_version": 4, "cidr": cidr, "dns_nameservers": ["9.9.9.9"]}
        return made, self.admin.create("subnets", network_id=made, **values)["id"]

    def port(self, network: str = "") -> str:
        return str(self.admin.create("ports", network_id=network or self.network)["id"])

    def associate(self, port: str | None) -> None:
        self.api.change(f"floatingips/{self.address}", "floatingip", port_id=port)

    def gateway(self, router: str, network: str | None) -> None:
        info = {} if network is None else {"network_id": network}
        self.api.change(f"routers/{router}", "router", external_gateway_info=info)


@pytest.fixture(scope="module")
def tenant(running: clouds.Cloud) -> Tenant:
    return Tenant(running)


def nat(cloud: clouds.Cloud, tenant: Tenant) -> list[str]:
    """Return the ports that the floating IP's NAT rows are for."""
    rows = ("--bare", "--columns=logical_port", "find", "NAT", "type=dnat_and_snat")
    return cloud.ovn.nbctl(*rows).split()


def test_floating_ip_taken_off_and_put_back_while_queued_keeps_its_nat(
    cloud: clouds.Cloud, tenant: Tenant
) -> None:
    with outage(cloud):
        tenant.associate(None)
        tenant.associate(tenant.ports[0])
    assert nat(cloud, tenant) == [tenant.ports[0]]


def test_floating_ip_moved_while_its_old_port_is_being_deleted(
    cloud: clouds.Cloud, tenant: Tenant
) -> None:
    first, second = tenant.ports
    with outage(cloud):
        tenant.associate(second)
        tenant.api.call("DELETE", f"ports/{first}")
    assert nat(cloud, tenant) == [second]
    third = tenant.port()
    with outage(cloud):
        tenant.api.call("DELETE", f"ports/{second}")
        tenant.associate(third)
    assert nat(cloud, tenant) == [third]


def test_gateway_set_changed_and_cleared_while_queued(cloud: clouds.Cloud, tenant: Tenant) -> None:
    router = tenant.admin.create("routers")["id"]
    second = tenant.outside("198.51.100.0/24")
    with outage(cloud):
        tenant.gateway(router, tenant.external)
        tenant.gateway(router, second)
        tenant.gateway(router, None)
    assert cloud.ovn.nbctl("lrp-list", f"neutron-{router}").strip() == ""
    with outage(cloud):
        tenant.gateway(router, tenant.external)
        tenant.gateway(router, second)
    (port,) = cloud.ovn.nbctl("lrp-list", f"neutron-{router}").splitlines()
    (row,) = [one for one in tenant.admin.list("ports", device_id=router)]
    assert row["id"] in port
    assert row["fixed_ips"][0]["ip_address"].startswith("198.51.100.")


def test_two_routers_that_share_subnets_get_their_interfaces_crosswise(
    cloud: clouds.Cloud, tenant: Tenant
) -> None:
    network, subnet = tenant.inside("10.2.0.0/24")
    router = tenant.admin.create("routers")["id"]
    tenant.api.call("PUT", f"routers/{router}/add_router_interface", subnet_id=subnet)
    pairs = ((tenant.router, network), (router, tenant.network))

    def change(one: str, how: str, port: str) -> None:
        path = f"routers/{one}/{how}_router_interface"
        clouds.Caller(cloud).call("PUT", path, port_id=port)

    for _ in range(2):
        ports = [(one, tenant.port(at)) for one, at in pairs]
        for how in ("add", "remove"):
            clouds.at_once(*(functools.partial(change, one, how, port) for one, port in ports))


def test_trunk_deleted_with_subports_in_flight(cloud: clouds.Cloud, api: clouds.Caller) -> None:
    admin = cloud.client()
    network = admin.create("networks")["id"]
    parent, first, second = (admin.create("ports", network_id=network)["id"] for _ in range(3))

    def sub(port: str, tag: int) -> clouds.Json:
        return {"port_id": port, "segmentation_type": "vlan", "segmentation_id": tag}

    kept = api.make("trunks", "trunk", port_id=parent, sub_ports=[sub(first, 11)])["id"]
    with outage(cloud):
        api.call("PUT", f"trunks/{kept}/add_subports", sub_ports=[sub(second, 12)])
        api.call("DELETE", f"trunks/{kept}")
        made = api.make("trunks", "trunk", port_id=parent, sub_ports=[sub(second, 13)])["id"]
        api.call("PUT", f"trunks/{made}/add_subports", sub_ports=[sub(first, 14)])
        api.call("DELETE", f"trunks/{made}")
    columns = cloud.ovn.nbctl("--bare", "--columns=parent_name", "list", "Logical_Switch_Port")
    assert columns.strip() == ""
    for port in (parent, first, second):  # northd leaves a former subport its tag
        api.call("DELETE", f"ports/{port}")


def test_rule_deleted_and_made_again_while_queued(cloud: clouds.Cloud, api: clouds.Caller) -> None:
    admin = cloud.client()
    group = admin.create("security-groups", name="again")["id"]
    ssh = {"direction": "ingress", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22}
    first = admin.create("security-group-rules", security_group_id=group, **ssh)["id"]
    with outage(cloud):
        api.call("DELETE", f"security-group-rules/{first}")
        admin.create("security-group-rules", security_group_id=group, **ssh)
    acls = cloud.ovn.nbctl("acl-list", f"pg_{group.replace('-', '_')}")
    assert acls.count("tcp.dst == 22") == 1


def test_rule_for_a_remote_group_that_is_deleted_leaves_no_acl(
    cloud: clouds.Cloud, api: clouds.Caller
) -> None:
    admin = cloud.client()
    group, remote = (admin.create("security-groups", name=name)["id"] for name in ("a", "b"))
    rule = {"security_group_id": group, "remote_group_id": remote, "direction": "ingress"}
    admin.create("security-group-rules", **rule)
    cloud.settles()
    name = f"pg_{group.replace('-', '_')}"
    assert f"pg_{remote.replace('-', '_')}" in cloud.ovn.nbctl("acl-list", name)
    with outage(cloud):
        admin.create("security-group-rules", **rule, protocol="tcp")
        api.call("DELETE", f"security-groups/{remote}")
    assert f"pg_{remote.replace('-', '_')}" not in cloud.ovn.nbctl("acl-list", name)
    assert api.call("GET", f"security-groups/{group}")["security_group"]["sync_state"] == "SYNCED"


def logging(cloud: clouds.Cloud, group: str) -> set[str]:
    """Return the ids of the log objects that a group's ACLs log for, "[]" for ACLs of none."""
    name = f"pg_{group.replace('-', '_')}"
    acls = cloud.ovn.nbctl("--bare", "--columns=acls", "find", "Port_Group", f"name={name}")
    found = [cloud.ovn.nbctl("get", "ACL", acl, "name").strip() for acl in acls.split()]
    return {one.strip('"').removeprefix("neutron-") for one in found}


def test_log_object_deleted_and_another_made_while_their_groups_rules_are_queued(
    cloud: clouds.Cloud, api: clouds.Caller
) -> None:
    admin = cloud.client()
    group = admin.create("security-groups", name="logged")["id"]
    about = {"resource_type": "security_group", "resource_id": group, "event": "ALL"}
    about["project_id"] = client.PROJECT_ID
    first = api.make("log/logs", "log", **about)["id"]
    cloud.settles()
    assert logging(cloud, group) == {first}
    with outage(cloud):
        rule = {"security_group_id": group, "direction": "ingress"}
        admin.create("security-group-rules", **rule, protocol="tcp")
        api.call("DELETE", f"log/logs/{first}")
        admin.create("security-group-rules", **rule, protocol="udp")
    assert logging(cloud, group) == {"[]"}
    assert cloud.ovn.nbctl("meter-list").strip() == ""
    with outage(cloud):
        late = admin.create("security-groups", name="late")["id"]
        second = api.make("log/logs", "log", **{**about, "resource_id": late})["id"]
        third = api.make("log/logs", "log", **{**about, "resource_id": group})["id"]
        admin.create("security-group-rules", **rule, protocol="icmp")
    assert (logging(cloud, group), logging(cloud, late)) == ({third}, {second})
    with outage(cloud):
        api.call("DELETE", f"security-groups/{late}")
        api.call("DELETE", f"security-groups/{group}")
    assert api.call("GET", "log/logs")["logs"] == []
    assert cloud.ovn.nbctl("meter-list").strip() == ""


def test_port_moved_between_hosts_twice_while_queued(
    cloud: clouds.Cloud, api: clouds.Caller
) -> None:
    admin = cloud.client()
    network = admin.create("networks")["id"]
    bound = {"binding:host_id": "compute-1", "device_owner": "compute:nova"}
    port = admin.create("ports", network_id=network, **bound)["id"]
    with outage(cloud):
        for host in ("compute-2", "compute-3"):
            api.change(f"ports/{port}", "port", **{"binding:host_id": host})
    chassis = cloud.ovn.nbctl("get", "Logical_Switch_Port", port, "options:requested-chassis")
    assert chassis.strip().strip('"') == "compute-3"


@pytest.mark.parametrize("commits", [1, 2, 3])
def test_router_call_killed_between_its_transactions_converges(
    cloud: clouds.Cloud, tenant: Tenant, commits: int
) -> None:
    mortal = cloud.add_api(
        environment={failpoints.ENVIRONMENT: f"capture.committed=kill:{commits}"}
    )
    unlucky = cloud.client(-1)
    cloud.apis.remove(mortal)
    gateway = {"network_id": tenant.external}
    with pytest.raises(requests.ConnectionError):
        unlucky.create("routers", name="half", external_gateway_info=gateway)
    wait_until(lambda: not mortal.process.alive(), 60, "the API process to be gone")
    cloud.settles()
    (router,) = tenant.admin.list("routers", name="half")
    ports = tenant.admin.list("ports", device_id=router["id"])
    assert len(ports) == min(commits - 1, 1)
    assert {one["sync_state"] for one in (router, *ports)} == {"SYNCED"}
    tenant.api.call("DELETE", f"routers/{router['id']}")
    for port in tenant.admin.list("ports", device_id=router["id"]):
        # Its router did not know of it: with stock Neutron, too.
        tenant.api.call("DELETE", f"ports/{port['id']}")
