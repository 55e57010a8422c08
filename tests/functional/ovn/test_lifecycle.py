# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Create, change, apply again and delete, for every kind of resource."""

import typing

import pytest
import sqlalchemy as sa

from networking_workflow.model import errors
from tests.functional.capture import inprocess
from tests.functional.ovn import cloud, northbound, script
from tests.waiting import wait_until


@pytest.fixture
def net(neutron: cloud.Neutron, conductor: cloud.Conductor) -> typing.Any:
    made = neutron.create("network", name=inprocess.unique("net"))
    conductor.drain()
    return made


@pytest.fixture
def subnet(neutron: cloud.Neutron, conductor: cloud.Conductor, net: typing.Any) -> typing.Any:
    made = neutron.create("subnet", network_id=net["id"], cidr="10.1.0.0/24", ip_version=4)
    conductor.drain()
    return made


@pytest.fixture
def group(neutron: cloud.Neutron, conductor: cloud.Conductor) -> typing.Any:
    made = neutron.create("security_group", name=inprocess.unique("group"))
    conductor.drain()
    return made


@pytest.fixture
def port(
    neutron: cloud.Neutron, conductor: cloud.Conductor, subnet: typing.Any, group: typing.Any
) -> typing.Any:
    made = neutron.create(
        "port", network_id=subnet["network_id"], security_groups=[group["id"]], name="port"
    )
    conductor.drain()
    return made


def row(neutron: cloud.Neutron, table: str, name: str) -> typing.Any:
    return next((one for one in northbound.rows(neutron.ovn)[table] if one["name"] == name), None)


def pg(group: typing.Any) -> str:
    return f"pg_{group['id']}".replace("-", "_")


def acls(neutron: cloud.Neutron, group: typing.Any) -> list[typing.Any]:
    inside = row(neutron, "Port_Group", pg(group))["acls"]
    inside = [inside] if isinstance(inside, str) else inside
    return [one for one in northbound.rows(neutron.ovn)["ACL"] if one["_uuid"] in inside]


def dhcp(neutron: cloud.Neutron, subnet: typing.Any) -> list[typing.Any]:
    return [
        one
        for one in northbound.rows(neutron.ovn)["DHCP_Options"]
        if one["external_ids"].get("subnet_id") == subnet["id"]
    ]


def settled(neutron: cloud.Neutron) -> typing.Any:
    """Return all rows once northd, which says what it made of them, has nothing left to write."""
    neutron.ovn.nbctl("--wait=sb", "sync")
    return northbound.rows(neutron.ovn)


def revision(neutron: cloud.Neutron, resource_id: str) -> int | None:
    """Return what stock's tools believe OVN to have."""
    query = sa.text("SELECT revision_number FROM ovn_revision_numbers WHERE resource_uuid = :id")
    with neutron.engine.connect() as connection:
        return connection.execute(query, {"id": resource_id}).scalar()


def test_network(neutron: cloud.Neutron, conductor: cloud.Conductor, net: typing.Any) -> None:
    name = f"neutron-{net['id']}"
    assert row(neutron, "Logical_Switch", name)
    before = settled(neutron)
    conductor.apply("network", net["id"], "create")
    assert northbound.rows(neutron.ovn) == before

    neutron.update("network", net["id"], name="renamed")
    conductor.drain()
    found = row(neutron, "Logical_Switch", name)["external_ids"]
    assert found["neutron:network_name"] == "renamed"
    current = neutron.show("network", net["id"])["revision_number"]
    assert found["neutron:revision_number"] == str(current)
    assert revision(neutron, net["id"]) == current

    neutron.delete("network", net["id"])
    conductor.drain()
    assert row(neutron, "Logical_Switch", name) is None
    assert revision(neutron, net["id"]) is None
    conductor.apply("network", net["id"], "delete")


def test_network_mtu_reaches_dhcp(
    neutron: cloud.Neutron, conductor: cloud.Conductor, subnet: typing.Any
) -> None:
    neutron.create("port", network_id=subnet["network_id"], extra_dhcp_opts=script.DHCP_OPTIONS)
    neutron.update("network", subnet["network_id"], mtu=1300)
    conductor.drain()
    assert [one["options"]["mtu"] for one in dhcp(neutron, subnet)] == ["1300", "1300"]


def test_subnet(
    neutron: cloud.Neutron, conductor: cloud.Conductor, subnet: typing.Any, port: typing.Any
) -> None:
    before = settled(neutron)
    conductor.apply("subnet", subnet["id"], "create")
    assert northbound.rows(neutron.ovn) == before
    assert revision(neutron, subnet["id"]) == subnet["revision_number"]

    neutron.update("subnet", subnet["id"], enable_dhcp=False)
    conductor.drain()
    assert dhcp(neutron, subnet) == []
    neutron.update("subnet", subnet["id"], enable_dhcp=True, dns_nameservers=["10.1.0.53"])
    conductor.drain()
    (found,) = dhcp(neutron, subnet)
    assert found["options"]["dns_server"] == "{10.1.0.53}"
    assert row(neutron, "Logical_Switch_Port", port["id"])["dhcpv4_options"] == found["_uuid"]

    neutron.delete("port", port["id"])
    neutron.delete("subnet", subnet["id"])
    conductor.drain()
    assert dhcp(neutron, subnet) == []
    assert revision(neutron, subnet["id"]) is None
    conductor.apply("subnet", subnet["id"], "delete")


def test_subnet_keeps_its_dhcp_if_the_network_comes_late(
    neutron: cloud.Neutron, conductor: cloud.Conductor
) -> None:
    net = neutron.create("network", name="late")
    made = [
        neutron.create("subnet", network_id=net["id"], cidr=cidr, ip_version=4)
        for cidr in ("10.1.0.0/24", "10.2.0.0/24")
    ]
    port = neutron.create("port", network_id=net["id"])
    conductor.drain()
    metadata = [
        one
        for one in neutron.call("GET", f"ports?network_id={net['id']}")["ports"]
        if one["device_owner"] == "network:distributed"
    ]
    assert len(metadata) == 1
    addresses = {ip["subnet_id"]: ip["ip_address"] for ip in metadata[0]["fixed_ips"]}
    for subnet in made:
        (found,) = dhcp(neutron, subnet)
        route = f"169.254.169.254/32,{addresses[subnet['id']]}"
        assert route in found["options"]["classless_static_route"]
    lsp = row(neutron, "Logical_Switch_Port", metadata[0]["id"])
    assert all(address in lsp["addresses"] for address in addresses.values())
    assert row(neutron, "Logical_Switch_Port", port["id"])["dhcpv4_options"]


def test_port(
    neutron: cloud.Neutron, conductor: cloud.Conductor, port: typing.Any, group: typing.Any
) -> None:
    before = settled(neutron)
    conductor.apply("port", port["id"], "create")
    assert northbound.rows(neutron.ovn) == before

    neutron.update("port", port["id"], name="renamed", security_groups=[])
    conductor.drain()
    lsp = row(neutron, "Logical_Switch_Port", port["id"])
    assert lsp["external_ids"]["neutron:port_name"] == "renamed"
    assert row(neutron, "Port_Group", pg(group))["ports"] == []
    assert lsp["_uuid"] in row(neutron, "Port_Group", "neutron_pg_drop")["ports"]
    assert revision(neutron, port["id"]) == neutron.show("port", port["id"])["revision_number"]

    neutron.delete("port", port["id"])
    conductor.drain()
    assert row(neutron, "Logical_Switch_Port", port["id"]) is None
    assert revision(neutron, port["id"]) is None
    conductor.apply("port", port["id"], "delete")


def test_port_of_a_floating_ip_is_left_out(
    neutron: cloud.Neutron, conductor: cloud.Conductor, net: typing.Any
) -> None:
    port = neutron.create("port", network_id=net["id"], device_owner="network:floatingip")
    conductor.drain()
    assert row(neutron, "Logical_Switch_Port", port["id"]) is None


def test_security_group(
    neutron: cloud.Neutron, conductor: cloud.Conductor, group: typing.Any
) -> None:
    assert len(acls(neutron, group)) == len(group["security_group_rules"]) == 2
    before = settled(neutron)
    conductor.apply("security_group", group["id"], "create")
    assert northbound.rows(neutron.ovn) == before
    for one in (group, *group["security_group_rules"]):
        assert revision(neutron, one["id"]) == one["revision_number"]

    neutron.update("security_group", group["id"], stateful=False)
    conductor.drain()
    assert {one["action"] for one in acls(neutron, group)} == {"allow-stateless"}

    neutron.delete("security_group", group["id"])
    conductor.drain()
    assert row(neutron, "Port_Group", pg(group)) is None
    for one in (group, *group["security_group_rules"]):
        assert revision(neutron, one["id"]) is None
    conductor.apply("security_group", group["id"], "delete")


def test_no_half_of_a_group_that_becomes_stateless_is_stateful(
    neutron: cloud.Neutron, conductor: cloud.Conductor, group: typing.Any
) -> None:
    neutron.update("security_group", group["id"], stateful=False)
    with neutron.ovn.watched("ACL", "action") as watched:
        conductor.drain()

        def stateless() -> list[int]:
            changed = [[one[1:] for one in rows] for rows in watched.transactions]
            return [counted for one in changed if (counted := one.count(_STATELESS))]

        wait_until(lambda: sum(stateless()) == 2, 20.0, "both ACLs to be stateless")
        assert stateless() == [2]


_STATELESS = ["new", "allow-stateless"]


def test_rule(neutron: cloud.Neutron, conductor: cloud.Conductor, group: typing.Any) -> None:
    rule = neutron.create(
        "security_group_rule", security_group_id=group["id"], direction="ingress", protocol="tcp"
    )
    conductor.drain()
    before = settled(neutron)
    assert len(acls(neutron, group)) == 3
    conductor.apply("security_group_rule", rule["id"], "create")
    assert northbound.rows(neutron.ovn) == before
    assert revision(neutron, rule["id"]) == rule["revision_number"]

    neutron.delete("security_group_rule", rule["id"])
    conductor.drain()
    assert len(acls(neutron, group)) == 2
    assert revision(neutron, rule["id"]) is None
    conductor.apply("security_group_rule", rule["id"], "delete", {"deleted": rule})
    assert len(acls(neutron, group)) == 2


def test_equal_rules_share_an_acl_until_the_last_one_goes(
    neutron: cloud.Neutron, conductor: cloud.Conductor, group: typing.Any
) -> None:
    base = {"security_group_id": group["id"], "direction": "ingress"}
    first, second = (
        neutron.create("security_group_rule", **base, remote_ip_prefix=prefix)
        for prefix in ("192.0.2.1/24", "192.0.2.2/24")
    )
    conductor.drain()
    assert len(acls(neutron, group)) == 3
    neutron.delete("security_group_rule", first["id"])
    conductor.drain()
    owners = {one["external_ids"]["neutron:security_group_rule_id"] for one in acls(neutron, group)}
    assert second["id"] in owners
    assert first["id"] not in owners
    neutron.delete("security_group_rule", second["id"])
    conductor.drain()
    assert len(acls(neutron, group)) == 2


def test_rules_that_refer_to_a_deleted_group_go_with_it(
    neutron: cloud.Neutron, conductor: cloud.Conductor, group: typing.Any
) -> None:
    remote = neutron.create("security_group", name="remote")
    neutron.create(
        "security_group_rule",
        security_group_id=group["id"],
        direction="ingress",
        remote_group_id=remote["id"],
    )
    conductor.drain()
    assert len(acls(neutron, group)) == 3
    neutron.delete("security_group", remote["id"])
    conductor.drain()
    assert len(acls(neutron, group)) == 2


def test_address_group(neutron: cloud.Neutron, conductor: cloud.Conductor) -> None:
    made = neutron.create("address_group", name="hosts", addresses=["192.0.2.0/28"])
    conductor.drain()
    four, six = (f"ag_{made['id']}_ip{version}".replace("-", "_") for version in (4, 6))
    assert row(neutron, "Address_Set", four)["addresses"] == "192.0.2.0/28"
    before = settled(neutron)
    conductor.apply("address_group", made["id"], "create")
    assert northbound.rows(neutron.ovn) == before

    path = f"address-groups/{made['id']}"
    neutron.call("PUT", f"{path}/add_addresses", {"addresses": ["2001:db8::/48"]})
    neutron.call("PUT", f"{path}/remove_addresses", {"addresses": ["192.0.2.0/28"]})
    conductor.drain()
    assert row(neutron, "Address_Set", four)["addresses"] == []
    assert row(neutron, "Address_Set", six)["addresses"] == "2001:db8::/48"
    current = neutron.show("address_group", made["id"])["revision_number"]
    assert revision(neutron, made["id"]) == current

    neutron.delete("address_group", made["id"])
    conductor.drain()
    assert row(neutron, "Address_Set", four) is None
    assert revision(neutron, made["id"]) is None
    conductor.apply("address_group", made["id"], "delete")


def test_missing_references_are_named(neutron: cloud.Neutron, conductor: cloud.Conductor) -> None:
    net = neutron.create("network", name="unknown to OVN")
    subnet = neutron.create("subnet", network_id=net["id"], cidr="10.1.0.0/24", ip_version=4)
    group = neutron.create("security_group", name="unknown to OVN")
    rule = neutron.create(
        "security_group_rule", security_group_id=group["id"], direction="ingress", protocol="tcp"
    )
    port = neutron.create("port", network_id=net["id"], security_groups=[group["id"]])

    def missing(kind: str, one: typing.Any) -> tuple[str, str]:
        with pytest.raises(errors.MissingReference) as caught:
            conductor.apply(kind, one["id"], "create")
        return caught.value.resource_type, caught.value.resource_id

    assert missing("subnet", subnet) == ("network", net["id"])
    assert missing("security_group_rule", rule) == ("security_group", group["id"])
    assert missing("port", port) == ("network", net["id"])
    conductor.apply("network", net["id"], "create")
    assert missing("port", port) == ("security_group", group["id"])
    conductor.apply("security_group", group["id"], "create")
    assert missing("port", port) == ("subnet", subnet["id"])
    conductor.apply("subnet", subnet["id"], "create")
    conductor.apply("port", port["id"], "create")
    conductor.drain()
    assert row(neutron, "Logical_Switch_Port", port["id"])["dhcpv4_options"]


@pytest.mark.parametrize(
    "kind",
    ["network", "subnet", "port", "security_group", "security_group_rule", "address_group"],
)
def test_apply_of_what_is_gone_makes_nothing(
    neutron: cloud.Neutron, conductor: cloud.Conductor, kind: str
) -> None:
    before = settled(neutron)
    conductor.apply(kind, "11111111-2222-3333-4444-555555555555", "create")
    assert northbound.rows(neutron.ovn) == before


def test_apply_of_a_port_that_is_gone_removes_what_is_left(
    neutron: cloud.Neutron, conductor: cloud.Conductor, port: typing.Any
) -> None:
    neutron.delete("port", port["id"])
    conductor.apply("port", port["id"], "update")
    assert row(neutron, "Logical_Switch_Port", port["id"]) is None
    conductor.drain()


def test_older_revision_in_the_database_is_written_all_the_same(
    neutron: cloud.Neutron, conductor: cloud.Conductor, port: typing.Any
) -> None:
    key = "external_ids:neutron\\:revision_number=99"
    neutron.ovn.nbctl("set", "Logical_Switch_Port", port["id"], key, "enabled=false")
    conductor.apply("port", port["id"])
    lsp = row(neutron, "Logical_Switch_Port", port["id"])
    assert lsp["enabled"] is True
    current = neutron.show("port", port["id"])["revision_number"]
    assert lsp["external_ids"]["neutron:revision_number"] == str(current)
