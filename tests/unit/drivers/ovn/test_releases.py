# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is expected in OVN with an older release of Neutron; functional tests compare with stock."""

import types
import typing

import pytest

from networking_workflow import releases
from networking_workflow.drivers.ovn import facts, facts_l3, settings
from networking_workflow.drivers.ovn.expect import networks, routers
from tests.unit.drivers.ovn.test_expect import NETWORK, SUBNET, port_columns
from tests.unit.drivers.ovn.test_expect_nat import nat

OLD = releases.northbound(28)
OPTIONS = settings.OvnSettings(written=OLD, metadata_enabled=True)
NEW = settings.OvnSettings(metadata_enabled=True)
PAIR = {"mac_address": "00:00:5e:00:01:07", "ip_address": "10.0.0.9"}


def test_metadata_port_has_no_mtu() -> None:
    columns = port_columns(OPTIONS, device_owner="network:distributed", device_id="ovnmeta-net")
    assert columns["external_ids"].wanted["neutron:mtu"] == ""


@pytest.mark.parametrize(("options", "plain"), [(OPTIONS, False), (NEW, True)])
def test_address_pair_sends_vrrp_and_with_29_plain_traffic_too(
    options: settings.OvnSettings, plain: bool
) -> None:
    allowed = port_columns(options, allowed_address_pairs=[PAIR])["port_security"]
    assert "VRRPv3 fa:16:3e:00:00:01 00:00:5e:00:01:07 10.0.0.9" in allowed
    assert ("00:00:5e:00:01:07 10.0.0.9" in allowed) == plain


@pytest.mark.parametrize(("options", "named"), [(OPTIONS, {}), (NEW, {"physnet1"})])
def test_localnet_port_names_its_network_with_29(
    options: settings.OvnSettings, named: typing.Any
) -> None:
    segment = {"id": "segment", "physical_network": "physnet1", "segmentation_id": 7}
    known = facts.Network(network=NETWORK, segments=(segment,))
    localnet = networks.rows(known, options)[1]
    assert set(localnet.columns["external_ids"].wanted.values()) == set(named)


@pytest.mark.parametrize(("options", "told"), [(OPTIONS, False), (NEW, True)])
def test_router_tells_the_way_to_metadata_with_29(
    options: settings.OvnSettings, told: bool
) -> None:
    port = {"device_owner": "network:router_interface", "fixed_ips": [{"subnet_id": "sub"}]}
    subnet = {**SUBNET, "ip_version": 6, "ipv6_address_mode": "slaac"}
    one = facts_l3.RouterPort(port=port, network=NETWORK, subnets={"sub": subnet})
    assert ("route_info" in routers._router_advertisements(one, options)) == told


def test_central_rule_names_a_gateway_that_brings_traffic_to_its_chassis() -> None:
    assert nat(OPTIONS, gateway_scheduled=True).columns["gateway_port"] == "lrp-gateway"
    assert nat(OPTIONS).columns["gateway_port"] == ""


@pytest.mark.parametrize(
    ("written", "group", "option", "named"),
    [
        (OLD, ["group"], "false", False),
        (OLD, [], "true", True),
        (releases.NEWEST, ["group"], "false", True),
        (releases.NEWEST, [], "true", False),
    ],
)
def test_which_gateway_a_rule_names(
    written: releases.Northbound, group: list[str], option: str, named: bool
) -> None:
    port = types.SimpleNamespace(
        ha_chassis_group=group, options={"reside-on-redirect-chassis": option}
    )
    assert releases.may_name_gateway(written, port) == named
    assert not releases.may_name_gateway(written, None)


def test_nat_row_has_the_floating_ips_uuid_with_29() -> None:
    assert releases.nat_columns(OLD, "fip") == {}
    assert releases.nat_columns(releases.NEWEST, "fip") == {"nat_uuid": "fip"}


@pytest.mark.parametrize("answer", [True, False])
def test_handler_of_trunks_is_asked_for_subports_where_it_can_say(answer: bool) -> None:
    asked = types.SimpleNamespace(_parent_port_handled_by_ovn=lambda _port: answer)
    assert releases.gives_subports(asked, "port") == answer
    assert releases.gives_subports(object(), "port")
