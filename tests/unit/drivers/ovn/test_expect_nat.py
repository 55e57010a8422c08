# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is expected of floating IPs, port forwardings and QoS policies, from API dicts alone."""

import dataclasses
import typing

import pytest

from networking_workflow.drivers.ovn import compare, facts_nat, settings
from networking_workflow.drivers.ovn.expect import floatingips, port_forwardings, qos

CENTRAL = settings.OvnSettings()
DISTRIBUTED = settings.OvnSettings(distributed_floating_ips=True)
MAC = "fa:16:3e:00:00:01"
KNOWN = facts_nat.FloatingIp(
    floatingip={
        "id": "fip",
        "router_id": "router",
        "port_id": "port",
        "fixed_ip_address": "10.0.0.5",
        "floating_ip_address": "203.0.113.5",
        "floating_network_id": "external",
        "revision_number": 4,
    },
    router={"id": "router", "gw_port_id": "gateway"},
    mac=MAC,
    inner_networks=frozenset({"inner"}),
)
LIMIT = {"type": "bandwidth_limit", "direction": "egress", "max_kbps": 100, "max_burst_kbps": 0}
MARK = {"type": "dscp_marking", "dscp_mark": 0}
GUARANTEED = {"type": "minimum_bandwidth", "direction": "egress", "min_kbps": 50}
PORT = {"id": "port", "network_id": "net", "device_owner": "compute:nova", "binding:profile": {}}
VLAN, TUNNEL = {"provider:network_type": "vlan"}, {"provider:network_type": "geneve"}


def nat(options: settings.OvnSettings = CENTRAL, **known: typing.Any) -> compare.Row:
    return floatingips.rows(dataclasses.replace(KNOWN, **known), options)[0]


def balancers(*forwardings: dict[str, typing.Any]) -> dict[str, compare.Row]:
    known = dataclasses.replace(
        KNOWN,
        forwardings=tuple({"internal_ip_address": "10.0.0.5", **one} for one in forwardings),
    )
    return {row.name: row for row in port_forwardings.rows(known)}


def policy(*rules: dict[str, typing.Any]) -> dict[str, typing.Any]:
    return {"id": "policy", "rules": list(rules)}


def test_no_nat_rule_without_a_router_or_with_port_forwardings() -> None:
    assert not nat().absent
    assert nat(router=None).absent
    assert nat(floatingip={**KNOWN.floatingip, "fixed_ip_address": None}).absent


def test_a_central_rule_has_neither_mac_nor_gateway() -> None:
    columns = nat(port_up=True, gateway_scheduled=True).columns
    assert (columns["external_mac"], columns["gateway_port"]) == ("", "")
    assert columns["logical_port"] == "port"


def test_a_distributed_rule_has_the_mac_once_the_port_is_up() -> None:
    assert nat(DISTRIBUTED, port_up=True).columns["external_mac"] == MAC
    down = nat(DISTRIBUTED).columns["external_mac"]
    assert down == MAC
    assert down == ""
    assert down != "fa:16:3e:00:00:02"


def test_a_distributed_rule_names_a_gateway_that_is_on_a_chassis() -> None:
    assert nat(DISTRIBUTED, gateway_scheduled=True).columns["gateway_port"] == "lrp-gateway"
    assert nat(DISTRIBUTED).columns["gateway_port"] == ""


def test_members_of_load_balancers_are_reached_centrally() -> None:
    columns = nat(DISTRIBUTED, balanced=True, port_up=True).columns
    assert (columns["logical_port"], columns["external_mac"]) == ("", "")
    assert nat(balanced=True).columns["logical_port"] == "port"


def test_a_port_names_one_of_its_addresses_and_only_as_long_as_it_has_any() -> None:
    two, none = floatingips.ports(
        {"a": frozenset({"203.0.113.5", "203.0.113.6"}), "b": frozenset()}
    )
    (wanted,) = two.columns["external_ids"].wanted.values()
    assert wanted == "203.0.113.5"
    assert wanted == "203.0.113.6"
    assert wanted != "203.0.113.7"
    assert none.columns["external_ids"].unwanted == {"neutron:port_fip"}


def test_forwardings_of_one_protocol_share_a_load_balancer() -> None:
    found = balancers(
        {"protocol": "tcp", "external_port": 80, "internal_port": 8080},
        {"protocol": "tcp", "external_port": 81, "internal_port": 8081},
        {"protocol": "udp", "external_port": 80, "internal_port": 8080},
    )
    assert found.keys() == {"pf-floatingip-fip-tcp", "pf-floatingip-fip-udp"}
    columns = found["pf-floatingip-fip-tcp"].columns
    assert columns["vips"].wanted == {
        "203.0.113.5:80": "10.0.0.5:8080",
        "203.0.113.5:81": "10.0.0.5:8081",
    }
    assert columns["switches"] == {"neutron-inner"}
    assert columns["routers"] == {"neutron-router"}


@pytest.mark.parametrize(
    ("internal", "targets"),
    [("90:91", ["10.0.0.5:90", "10.0.0.5:91"]), ("90", ["10.0.0.5:90"] * 2)],
)
def test_a_range_is_a_load_balancer_for_each_port(internal: str, targets: list[str]) -> None:
    ranges = {"external_port_range": "80:81", "internal_port_range": internal}
    found = balancers({"protocol": "tcp", **ranges})
    assert list(found) == ["pf-floatingip-fip-tcp-80", "pf-floatingip-fip-tcp-81"]
    assert [one for row in found.values() for one in row.columns["vips"].wanted.values()] == targets
    ids = found["pf-floatingip-fip-tcp-80"].columns["external_ids"].wanted
    assert "neutron:revision_number" not in ids


def test_a_rule_without_burst_says_none_and_mark_zero_is_a_mark() -> None:
    egress, ingress = qos.port_rows(PORT, TUNNEL, policy(LIMIT, MARK))
    assert egress.columns["bandwidth"].wanted == {"rate": 100}
    assert egress.columns["action"].wanted == {"dscp": 0}
    assert egress.columns["match"] == 'inport == "port"'
    assert ingress.absent


def test_a_guaranteed_rate_of_a_physical_port_moves_its_limit_to_options() -> None:
    shaped = policy(LIMIT, GUARANTEED, MARK)
    assert qos.port_options(PORT, VLAN, shaped) == {
        "qos_max_rate": "100000",
        "qos_min_rate": "50000",
    }
    egress, _ingress = qos.port_rows(PORT, VLAN, shaped)
    assert egress.columns["bandwidth"].wanted == {}
    assert not egress.absent
    assert qos.port_options(PORT, TUNNEL, shaped) == {}
    assert qos.port_options(PORT, VLAN, policy(LIMIT)) == {}


def test_ports_of_routers_have_no_policy_and_their_routers_rows_are_not_theirs() -> None:
    router_port = {**PORT, "device_owner": "network:router_gateway"}
    rows = qos.port_rows(router_port, VLAN, policy(LIMIT, GUARANTEED))
    assert all(row.absent and "match" not in row.columns for row in rows)
    assert qos.port_options(router_port, VLAN, policy(LIMIT, GUARANTEED)) == {}


def test_external_ports_are_shaped_by_others() -> None:
    external = {**PORT, "binding:vnic_type": "direct"}
    assert qos.port_rows(external, VLAN, policy(LIMIT)) == ()
    assert qos.port_options(external, VLAN, policy(GUARANTEED)) == {}


@pytest.mark.parametrize(
    ("options", "resident"), [(CENTRAL, "cr-lrp-gateway"), (DISTRIBUTED, "port")]
)
def test_a_floating_ip_is_shaped_where_its_traffic_is_translated(
    options: settings.OvnSettings, resident: str
) -> None:
    known = dataclasses.replace(KNOWN, policy=policy(LIMIT))
    egress, _ingress = qos.floatingip_rows(known, options)
    assert egress.columns["match"] == (
        f'inport == "gateway" && ip4.src == 203.0.113.5 && is_chassis_resident("{resident}")'
    )
    assert egress.columns["switch"] == "neutron-external"
    assert egress.columns["priority"] == 2003


def test_a_floating_ip_without_a_router_is_not_shaped() -> None:
    known = dataclasses.replace(KNOWN, policy=policy(LIMIT), router=None)
    assert all(row.absent for row in qos.floatingip_rows(known, CENTRAL))
