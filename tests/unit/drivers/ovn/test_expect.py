# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is expected, from API dicts alone."""

import typing

import pytest

from networking_workflow.drivers.ovn import compare, facts, settings
from networking_workflow.drivers.ovn.expect import (
    address_groups,
    networks,
    ports,
    security_groups,
    subnets,
)

OPTIONS = settings.OvnSettings(dns_servers=("9.9.9.9", "2001:db8::53"))
NETWORK = {
    "id": "net",
    "name": "n",
    "mtu": 1442,
    "revision_number": 3,
    "provider:network_type": "geneve",
}
SUBNET = {
    "id": "sub",
    "ip_version": 4,
    "enable_dhcp": True,
    "cidr": "10.0.0.0/24",
    "gateway_ip": "10.0.0.1",
    "dns_nameservers": [],
    "host_routes": [],
    "revision_number": 0,
}
PORT = {
    "id": "port",
    "name": "p",
    "network_id": "net",
    "device_id": "",
    "device_owner": "",
    "project_id": "project",
    "mac_address": "fa:16:3e:00:00:01",
    "fixed_ips": [{"subnet_id": "sub", "ip_address": "10.0.0.5"}],
    "security_groups": ["11-22"],
    "port_security_enabled": True,
    "allowed_address_pairs": [],
    "admin_state_up": True,
    "revision_number": 1,
    "binding:vif_type": "unbound",
    "binding:vnic_type": "normal",
    "binding:profile": {},
    "binding:host_id": "",
}
RULE = {
    "id": "rule",
    "security_group_id": "11-22",
    "direction": "ingress",
    "ethertype": "IPv4",
    "protocol": None,
    "port_range_min": None,
    "port_range_max": None,
    "remote_ip_prefix": None,
    "remote_group_id": None,
    "remote_address_group_id": None,
}


def port_columns(options: settings.OvnSettings = OPTIONS, **values: typing.Any) -> typing.Any:
    known = facts.Port(port={**PORT, **values}, network=NETWORK, subnets={"sub": SUBNET})
    return ports.rows(known, options)[0].columns


def dhcp(metadata_ip: str = "", **values: typing.Any) -> dict[str, typing.Any]:
    return subnets.dhcp_options({**SUBNET, **values}, NETWORK, metadata_ip, OPTIONS)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({}, "outport == @pg_11_22 && ip4"),
        (
            {"direction": "egress", "ethertype": "IPv6", "remote_ip_prefix": "2001:db8::7/64"},
            "inport == @pg_11_22 && ip6 && ip6.dst == 2001:db8::/64",
        ),
        (
            {"remote_group_id": "33-44"},
            "outport == @pg_11_22 && ip4 && ip4.src == $pg_33_44_ip4",
        ),
        (
            {"remote_address_group_id": "33-44"},
            "outport == @pg_11_22 && ip4 && ip4.src == $ag_33_44_ip4",
        ),
        (
            {"protocol": "tcp", "port_range_min": 80, "port_range_max": 80},
            "outport == @pg_11_22 && ip4 && tcp && tcp.dst == 80",
        ),
        (
            {"protocol": "17", "port_range_min": 5, "port_range_max": 9},
            "outport == @pg_11_22 && ip4 && udp && udp.dst >= 5 && udp.dst <= 9",
        ),
        (
            {"protocol": "icmp", "port_range_min": 8, "port_range_max": 0},
            "outport == @pg_11_22 && ip4 && icmp4 && icmp4.type == 8 && icmp4.code == 0",
        ),
        (
            {"protocol": "icmpv6", "ethertype": "IPv6"},
            "outport == @pg_11_22 && ip6 && icmp6",
        ),
        ({"protocol": "vrrp"}, "outport == @pg_11_22 && ip4 && ip.proto == 112"),
    ],
)
def test_match_of_a_rule(values: dict[str, typing.Any], match: str) -> None:
    assert security_groups.match({**RULE, **values}) == match


def test_equal_rules_share_an_acl() -> None:
    rules = [
        {**RULE, "id": "a", "remote_ip_prefix": "10.0.0.1/24"},
        {**RULE, "id": "b", "remote_ip_prefix": "10.0.0.2/24"},
    ]
    group = {"id": "11-22", "security_group_rules": rules, "stateful": False}
    group_row, acl = security_groups.rows(facts.SecurityGroup(group=group), OPTIONS)
    assert group_row.columns["rules' acls"] == {acl.name}
    assert acl.columns["action"] == "allow-stateless"
    owner = acl.columns["external_ids"].wanted["neutron:security_group_rule_id"]
    assert owner == "a"
    assert owner == "b"


def test_dhcp_with_gateway() -> None:
    assert dhcp() == {
        "server_id": "10.0.0.1",
        "router": "10.0.0.1",
        "lease_time": "43200",
        "mtu": "1442",
        "server_mac": compare.AnyMac(),
        "dns_server": "{9.9.9.9}",
    }


def test_metadata_route_brings_the_default_route_along() -> None:
    routes = dhcp("10.0.0.2")["classless_static_route"]
    assert routes == "{169.254.169.254/32,10.0.0.2, 0.0.0.0/0,10.0.0.1}"


def test_without_gateway_metadata_serves() -> None:
    assert dhcp("10.0.0.2", gateway_ip=None)["server_id"] == "10.0.0.2"
    assert dhcp(gateway_ip=None) == {}


def test_no_name_server_can_be_asked_for() -> None:
    assert "dns_server" not in dhcp(dns_nameservers=["0.0.0.0"])


def test_global_options_set_and_remove_what_they_may() -> None:
    options = settings.OvnSettings(
        dhcp4_options={"ntp_server": "1.1.1.1;2.2.2.2", "domain_name": "", "mtu": "9"},
        dns_domain="example.org",
    )
    wanted = subnets.dhcp_options(SUBNET, NETWORK, "", options)
    assert wanted["ntp_server"] == "{1.1.1.1, 2.2.2.2}"
    assert "domain_name" not in wanted
    assert wanted["mtu"] == "1442"


def test_stateless_v6() -> None:
    values = {"ip_version": 6, "ipv6_address_mode": "dhcpv6-stateless", "gateway_ip": None}
    assert dhcp(**values) == {
        "server_id": compare.AnyMac(),
        "dns_server": "{2001:db8::53}",
        "dhcpv6_stateless": "true",
    }


@pytest.mark.parametrize(
    "values",
    [{"enable_dhcp": False}, {"ip_version": 6, "ipv6_address_mode": "slaac"}],
)
def test_no_row_without_dhcp(values: dict[str, typing.Any]) -> None:
    known = facts.Subnet(subnet={**SUBNET, **values}, network=NETWORK)
    (row,) = subnets.rows(known, OPTIONS)
    assert row.absent


def test_secured_port() -> None:
    columns = port_columns()
    assert columns["addresses"] == {"fa:16:3e:00:00:01 10.0.0.5"}
    assert columns["port_security"] == {"fa:16:3e:00:00:01 10.0.0.5"}
    assert columns["port groups"] == {"pg_11_22", "neutron_pg_drop"}
    assert columns["dhcpv4_options"] == "sub"
    assert columns["type"] == ""


def test_open_port_hears_everything() -> None:
    columns = port_columns(port_security_enabled=False, security_groups=[])
    assert columns["addresses"] == {"fa:16:3e:00:00:01 10.0.0.5", "unknown"}
    assert columns["port_security"] == frozenset()
    assert columns["port groups"] == frozenset()


def test_neutrons_own_ports_are_trusted_and_get_no_dhcp() -> None:
    columns = port_columns(device_owner="network:dhcp", device_id="x")
    assert columns["port groups"] == frozenset()
    assert columns["dhcpv4_options"] == ""
    assert columns["addresses"] == {"unknown"}


def test_metadata_port_is_local_and_knows_the_mtu() -> None:
    columns = port_columns(device_owner="network:distributed", device_id="ovnmeta-net")
    assert columns["type"] == "localport"
    assert columns["external_ids"].wanted["neutron:mtu"] == "1442"


def test_bound_port_requests_its_chassis_and_a_migrating_one_both() -> None:
    bound = {"binding:host_id": "cmp1", "binding:vif_type": "ovs"}
    assert port_columns(**bound)["options"].wanted == {"requested-chassis": "cmp1"}
    moving = {**bound, "binding:profile": {"migrating_to": "cmp2"}}
    options = settings.OvnSettings(activation_strategy="rarp")
    assert port_columns(options, **moving)["options"].wanted == {
        "requested-chassis": "cmp1,cmp2",
        "activation-strategy": "rarp",
    }


def test_router_ports_own_columns_are_left_out() -> None:
    columns = port_columns(device_owner="network:router_interface", device_id="r")
    assert not {"type", "addresses", "options"} & columns.keys()


def test_child_port() -> None:
    columns = port_columns(**{"binding:profile": {"parent_name": "parent", "tag": 7}})
    assert (columns["parent_name"], columns["tag_request"]) == ("parent", 7)


def test_virtual_port_and_its_parent() -> None:
    child = facts.Port(
        port=PORT,
        network=NETWORK,
        virtual_ip="10.0.0.5",
        virtual_parents=frozenset({"b", "a"}),
    )
    columns = ports.rows(child, OPTIONS)[0].columns
    assert columns["type"] == "virtual"
    assert columns["options"].wanted == {"virtual-ip": "10.0.0.5", "virtual-parents": "a,b"}
    parent = facts.Port(port=PORT, network=NETWORK, virtual_children={"vip": "10.0.0.9"})
    (_own, row) = ports.rows(parent, OPTIONS)
    assert row.optional
    assert row.name == "vip"


def test_floating_ips_port_has_no_row() -> None:
    known = facts.Port(port={**PORT, "device_owner": "network:floatingip"}, network=NETWORK)
    assert ports.rows(known, OPTIONS) == ()


def test_port_with_options_of_its_own_has_a_row_of_its_own() -> None:
    opts = [
        {"opt_name": "domain-name", "opt_value": "x.org", "ip_version": 4},
        {
            "opt_name": "classless-static-route",
            "opt_value": "10.9.0.0/16,10.0.0.9",
            "ip_version": 4,
        },
        {"opt_name": "unknown-to-ovn", "opt_value": "1", "ip_version": 4},
    ]
    known = facts.Port(
        port={**PORT, "extra_dhcp_opts": opts},
        network=NETWORK,
        subnets={"sub": SUBNET},
        metadata_ips={"sub": "10.0.0.2"},
    )
    row, own = ports.rows(known, OPTIONS)
    assert row.columns["dhcpv4_options"] == own.name == "sub/port"
    wanted = own.columns["options"].wanted
    assert wanted["domain_name"] == '"x.org"'
    assert wanted["classless_static_route"] == (
        "{169.254.169.254/32,10.0.0.2, 0.0.0.0/0,10.0.0.1, 10.9.0.0/16,10.0.0.9}"
    )


def test_first_stateful_subnet_gives_v6_options() -> None:
    six = {**SUBNET, "ip_version": 6, "cidr": "2001:db8::/64"}
    known = {
        "stateless": {**six, "id": "stateless", "ipv6_address_mode": "dhcpv6-stateless"},
        "stateful": {**six, "id": "stateful", "ipv6_address_mode": "dhcpv6-stateful"},
    }
    ips = [{"subnet_id": one, "ip_address": "2001:db8::1"} for one in known]
    chosen = subnets.port_subnet({**PORT, "fixed_ips": ips}, known, 6)
    assert chosen is not None
    assert chosen["id"] == "stateful"


def test_provider_network_has_a_localnet_port_for_each_physical_segment() -> None:
    segments = (
        {"id": "s1", "physical_network": "physnet1", "segmentation_id": 7},
        {"id": "s2", "physical_network": None, "segmentation_id": 8},
    )
    switch, localnet = networks.rows(facts.Network(network=NETWORK, segments=segments), OPTIONS)
    assert switch.columns["localnet ports"] == {"provnet-s1"}
    assert localnet.columns["tag_request"] == 7


def switch_keys(network: facts.Dict, *physical_networks: str | None) -> dict[str, typing.Any]:
    """Return what a switch must say of its type and physical network; None: nothing."""
    segments = tuple(
        {"id": f"s{number}", "physical_network": one, "segmentation_id": number}
        for number, one in enumerate(physical_networks)
    )
    columns = networks.rows(facts.Network(network=network, segments=segments), OPTIONS)[0].columns
    said: dict[str, typing.Any] = {}
    for keys in (columns["external_ids"], columns["other_config"]):
        said |= dict.fromkeys(keys.unwanted, None) | dict(keys.wanted)
    asked = ("neutron:provnet-network-type", "neutron:provnet-physical-network")
    return {key: said[key] for key in (*asked, "fdb_age_threshold") if key in said}


def test_network_of_one_segment_says_its_type_and_physical_network() -> None:
    vlan = {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}
    assert switch_keys({**NETWORK, **vlan}, "physnet1") == {
        "neutron:provnet-network-type": "vlan",
        "neutron:provnet-physical-network": "physnet1",
        "fdb_age_threshold": OPTIONS.fdb_age_threshold,
    }
    assert switch_keys(NETWORK, None) == {
        "neutron:provnet-network-type": "geneve",
        "neutron:provnet-physical-network": None,
        "fdb_age_threshold": None,
    }


def test_network_of_several_segments_has_no_type_and_any_physical_network() -> None:
    plain = {key: one for key, one in NETWORK.items() if not key.startswith("provider:")}
    assert switch_keys(plain, "physnet1", "physnet2") == {"neutron:provnet-network-type": ""}
    assert switch_keys(plain, "physnet1", None) == {"neutron:provnet-network-type": ""}
    nothing = {"neutron:provnet-physical-network": None, "fdb_age_threshold": None}
    assert switch_keys(plain, None, None) == {"neutron:provnet-network-type": "", **nothing}


def test_address_group_has_a_set_for_each_version() -> None:
    group = {"id": "a-b", "addresses": ["10.0.0.1/24", "2001:db8::1/128"], "revision_number": 1}
    four, six = address_groups.rows(group)
    assert (four.name, four.columns["addresses"]) == ("ag_a_b_ip4", {"10.0.0.0/24"})
    assert (six.name, six.columns["addresses"]) == ("ag_a_b_ip6", {"2001:db8::1/128"})
