# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A floating IP: its NAT rule, its address at the port, its QoS rows and its load balancers."""

import typing

from neutron.common.ovn import constants as ovn_const
from neutron.common.ovn import utils as ovn_utils

from networking_workflow.drivers.ovn import compare, facts_nat, settings
from networking_workflow.drivers.ovn.expect import port_forwardings, qos

NAT = "NAT"
PORT_FIP = ovn_const.OVN_PORT_FIP_EXT_ID_KEY


def rows(known: facts_nat.FloatingIp, options: settings.OvnSettings) -> tuple[compare.Row, ...]:
    """Return the NAT rule, what ports say of it, QoS rows and load balancers."""
    return (
        _nat(known, options),
        *ports(known.addresses),
        *qos.floatingip_rows(known, options),
        *port_forwardings.rows(known),
    )


def translated(known: facts_nat.FloatingIp) -> bool:
    """Return whether there is a NAT rule: floating IPs with port forwardings have none."""
    return known.router is not None and known.floatingip["fixed_ip_address"] is not None


def _nat(known: facts_nat.FloatingIp, options: settings.OvnSettings) -> compare.Row:
    floatingip = known.floatingip
    if known.router is None or not translated(known):
        return compare.Row(table=NAT, name=floatingip["id"], columns={}, absent=True)
    distributed = options.distributed_floating_ips
    named = distributed or options.written.central_rules_name_gateway
    # OVN's load balancers reach members only through a central gateway.
    local = not (distributed and known.balanced)
    gateway = f"lrp-{known.router['gw_port_id']}"
    router = ovn_utils.ovn_name(known.router["id"])
    return compare.Row(
        table=NAT,
        name=floatingip["id"],
        columns={
            "router": router,
            "copies": 1,
            "type": "dnat_and_snat",
            "logical_ip": floatingip["fixed_ip_address"],
            "external_ip": floatingip["floating_ip_address"],
            "logical_port": floatingip["port_id"] if local else "",
            "external_mac": _external_mac(known, distributed=distributed and local),
            "gateway_port": gateway if named and known.gateway_scheduled else "",
            "options": compare.Keys(wanted={"stateless": options.stateless_nat}),
            "external_ids": compare.Keys(
                wanted={
                    ovn_const.OVN_FIP_EXT_ID_KEY: floatingip["id"],
                    ovn_const.OVN_REV_NUM_EXT_ID_KEY: str(floatingip["revision_number"]),
                    ovn_const.OVN_FIP_PORT_EXT_ID_KEY: floatingip["port_id"],
                    ovn_const.OVN_ROUTER_NAME_EXT_ID_KEY: router,
                    ovn_const.OVN_FIP_EXT_MAC_KEY: known.mac,
                    ovn_const.OVN_FIP_NET_ID: floatingip["floating_network_id"],
                }
            ),
        },
    )


def _external_mac(known: facts_nat.FloatingIp, *, distributed: bool) -> typing.Any:
    if not distributed:
        return ""
    # An API process sets it when the port comes up, and leaves it when the port goes down.
    return known.mac if known.port_up else compare.OneOf(frozenset({"", known.mac}))


def ports(
    addresses_of: typing.Mapping[str, frozenset[str]],
) -> typing.Iterator[compare.Row]:
    """Yield what ports say of their floating addresses: one, for the load balancers of Octavia."""
    for port_id, addresses in sorted(addresses_of.items()):
        columns = (
            compare.Keys(wanted={PORT_FIP: compare.OneOf(addresses)})
            if addresses
            else compare.Keys(wanted={}, unwanted=frozenset({PORT_FIP}))
        )
        yield compare.Row(
            table="Logical_Switch_Port",
            name=port_id,
            columns={"external_ids": columns},
            optional=True,
        )
