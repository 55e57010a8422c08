# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is promised with OVN as the backend, with two API processes on MariaDB."""

import collections.abc
import functools
import typing

import pytest

from lab import ovn as lab_ovn
from lab.databases import pool
from lab.neutron import schema
from tests.functional.promises import cloud as clouds
from tests.waiting import wait_until

METADATA = "network:distributed"


@pytest.fixture(scope="module")
def running(database_pool: pool.Pool) -> collections.abc.Iterator[clouds.Cloud]:
    with lab_ovn.OvnCentral() as ovn, schema.installed(database_pool, "mariadb") as database:
        ovn.add_chassis("chassis-1", "compute-1")
        with clouds.running(database, on=ovn, ovsdb_timeout_s=5) as cloud:
            cloud.add_api()
            cloud.add_api()
            yield cloud


@pytest.fixture
def cloud(running: clouds.Cloud) -> collections.abc.Iterator[clouds.Cloud]:
    """The module's cloud; whatever a test did, OVN holds what Neutron says in the end."""
    yield running
    assert running.troubles() == []


def addresses_of_metadata(cloud: clouds.Cloud, network_id: str) -> dict[str, str]:
    """Return {subnet: address} of a network's metadata port."""
    (port,) = cloud.client().list("ports", network_id=network_id, device_owner=METADATA)
    return {one["subnet_id"]: one["ip_address"] for one in port["fixed_ips"]}


def dhcp_options(cloud: clouds.Cloud, subnet_id: str) -> str:
    return cloud.ovn.nbctl("--bare", "--columns=options", *find_options(subnet_id))


def find_options(subnet_id: str) -> list[str]:
    return ["find", "DHCP_Options", f"external_ids:subnet_id={subnet_id}"]


def subnet_on(network: clouds.Json, number: int) -> clouds.Json:
    return {
        "network_id": network["id"],
        "name": f"subnet-{number}",
        "ip_version": 4,
        "cidr": f"10.0.{number}.0/24",
        "dns_nameservers": ["9.9.9.9"],  # without, OVN's own resolver stands in
    }


def test_two_subnets_made_at_once_keep_both_metadata_addresses(cloud: clouds.Cloud) -> None:
    for turn in range(3):
        network = cloud.client().create("networks", name=f"twins-{turn}")
        clouds.at_once(
            *(
                functools.partial(cloud.client(api).create, "subnets", **subnet_on(network, api))
                for api in range(2)
            )
        )
        cloud.settles()
        addresses = addresses_of_metadata(cloud, network["id"])
        assert len(addresses) == 2
        for subnet, address in addresses.items():
            assert f"169.254.169.254/32,{address}" in dhcp_options(cloud, subnet)


def test_who_waits_for_what_ovn_cannot_hold_has_neutron_and_ovn_as_before(
    cloud: clouds.Cloud,
) -> None:
    tenant = cloud.client()
    network = tenant.create("networks", name="waited for")
    tenant.create("subnets", **subnet_on(network, 77))
    port = tenant.create("ports", network_id=network["id"], name="before")
    cloud.settles()
    odd = {"device_id": "vm\x007"}  # OVSDB cannot carry NUL
    wanted = {"network_id": network["id"], "project_id": tenant.project_id, **odd}
    address = {"fixed_ips": [{"ip_address": "10.0.77.200"}], "name": "after"}
    waits = {"headers": {"Prefer": "wait=60"}}
    for answer in (
        tenant.call("POST", "/ports", {"port": wanted}, **waits),
        tenant.call("PUT", f"/ports/{port['id']}", {"port": {**odd, **address}}, **waits),
    ):
        assert (answer.status, answer.body["restored"]) == (502, True), answer
        assert answer.body["workflow"]["failure"]["code"] == "BACKEND_REFUSED"
    names = ("name", "device_id", "fixed_ips", "mac_address", "security_groups")
    shown = tenant.show("ports", port["id"])
    assert {name: shown[name] for name in names} == {name: port[name] for name in names}
    cloud.settles()
    made = tenant.list("ports", network_id=network["id"], device_owner="")
    assert [one["id"] for one in made] == [port["id"]]
    assert cloud.states(port["id"])[-2:] == ["REVERTED", "SUCCESS"]


def test_subnets_made_and_changed_at_once_all_have_their_dhcp_options(cloud: clouds.Cloud) -> None:
    network = cloud.client().create("networks", name="crowded")

    def make_and_change(api: int, numbers: collections.abc.Iterable[int]) -> None:
        tenant = cloud.client(api)
        for number in numbers:
            made = tenant.create("subnets", **subnet_on(network, number))
            tenant.update("subnets", made["id"], dns_nameservers=[f"1.1.1.{number}"])
            if number % 2:
                tenant.update("subnets", made["id"], enable_dhcp=False)
                tenant.update("subnets", made["id"], enable_dhcp=True)

    clouds.at_once(
        *(
            functools.partial(make_and_change, each % 2, range(2 * each, 2 * each + 2))
            for each in range(4)
        )
    )
    cloud.settles()
    subnets = cloud.client().list("subnets", network_id=network["id"])
    assert len(subnets) == 8
    for subnet in subnets:
        (server,) = subnet["dns_nameservers"]
        assert server in dhcp_options(cloud, subnet["id"])
    assert cloud.differences_from_ovn() == []


def test_port_that_refers_to_a_group_created_after_it(cloud: clouds.Cloud) -> None:
    """The create is claimed before the group exists, and applied when the row names the group."""
    admin, other = cloud.client(0), cloud.client(1)
    network = admin.create("networks", name="patient")
    cloud.settles()
    cloud.ovn.stop_nb()
    port = admin.create("ports", network_id=network["id"])
    cloud.comes_to(port["id"], "RETRYING")
    group = other.create("security-groups", name="late")
    other.update("ports", port["id"], security_groups=[group["id"]])
    cloud.ovn.start_nb()
    cloud.settles()
    members = cloud.ovn.nbctl("lsp-get-ls", port["id"]), cloud.client().show("ports", port["id"])
    assert network["id"] in members[0]
    assert members[1]["security_groups"] == [group["id"]]
    assert members[1]["sync_state"] == "SYNCED"


@pytest.fixture(params=["stopped", "hanging"])
def without_northbound(
    request: pytest.FixtureRequest, cloud: clouds.Cloud
) -> collections.abc.Iterator[clouds.Cloud]:
    """The cloud while its Northbound database is down, or answers nobody."""
    stopped = request.param == "stopped"
    go, come_back = (
        (cloud.ovn.stop_nb, cloud.ovn.start_nb)
        if stopped
        else (cloud.ovn.pause_nb, cloud.ovn.resume_nb)
    )
    go()
    yield cloud
    come_back()


def test_api_answers_reads_and_writes_while_northbound_is_away(
    without_northbound: clouds.Cloud,
) -> None:
    cloud = without_northbound
    for api in range(2):
        tenant = cloud.client(api)

        def call(
            method: str, path: str, body: typing.Any = None, *, tenant: typing.Any = tenant
        ) -> typing.Any:
            answer = tenant.call(method, path, body)
            assert answer.status in (200, 201, 204), answer
            assert answer.elapsed_s < clouds.ANSWER_S, (method, path)
            return answer.body

        mine = {"project_id": tenant.project_id}
        network = call("POST", "/networks", {"network": mine | {"name": "meanwhile"}})["network"]
        subnet = call("POST", "/subnets", {"subnet": mine | subnet_on(network, 1)})["subnet"]
        asked = {"network_id": network["id"], "binding:host_id": "compute-1"}
        port = call("POST", "/ports", {"port": mine | asked})["port"]
        assert port["binding:vif_type"] == "ovs"
        call("PUT", f"/ports/{port['id']}", {"port": {"name": "renamed"}})
        call("PUT", f"/subnets/{subnet['id']}", {"subnet": {"name": "renamed"}})
        agents = call("GET", "/agents")["agents"]
        assert "compute-1" in {agent["host"] for agent in agents}
        for path in ("networks", "subnets", "ports", "security-groups", "workflows", "tasks"):
            call("GET", f"/{path}")
        assert call("GET", f"/ports/{port['id']}")["port"]["sync_state"] == "PENDING"
        gone = call("POST", "/ports", {"port": mine | {"network_id": network["id"]}})["port"]
        call("DELETE", f"/ports/{gone['id']}")


def test_northbound_restarted_under_changes(cloud: clouds.Cloud) -> None:
    """It goes away and comes back twice, once killed, while two API processes change things."""
    ended: list[int] = []

    def change(api: int) -> None:
        tenant = cloud.client(api)
        turn = 0
        while not ended or turn < 4:
            turn += 1
            network = tenant.create("networks", name=f"restart-{api}-{turn}")
            subnet = tenant.create("subnets", **subnet_on(network, turn % 200))
            ports = [tenant.create("ports", network_id=network["id"]) for _ in range(2)]
            tenant.update("ports", ports[0]["id"], admin_state_up=False)
            tenant.update("subnets", subnet["id"], dns_nameservers=["1.1.1.1"])
            tenant.delete("ports", ports[1]["id"])
            if turn % 3 == 0:
                tenant.delete("ports", ports[0]["id"])
                tenant.delete("networks", network["id"])

    def restart() -> None:
        try:
            for kill in (False, True):
                made = len(cloud.client().list("networks"))
                wait_until(
                    lambda made=made: len(cloud.client().list("networks")) > made,
                    clouds.PATIENCE_S,
                    "another network",
                )
                cloud.ovn.kill_nb() if kill else cloud.ovn.stop_nb()
                wait_until(
                    lambda: any("driver:ovn" in map(str, row) for row in cloud.unfinished()),
                    clouds.PATIENCE_S,
                    "workflows to wait for OVN",
                )
                cloud.ovn.start_nb()
        finally:
            ended.append(1)

    clouds.at_once(functools.partial(change, 0), functools.partial(change, 1), restart)
    cloud.settles()
    assert cloud.differences_from_ovn() == []
