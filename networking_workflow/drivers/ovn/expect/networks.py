# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A network: its logical switch, and a localnet port for each segment on a physical network.

Neutron says the type and the physical network of a network that has one segment. With several, the
switch has no type, and what it says of a physical network is left as it is: stock names the one
that the network had when it had one segment, and ages addresses if the maintenance process came by.
"""

import typing

from neutron.common.ovn import constants as ovn_const
from neutron.common.ovn import utils as ovn_utils

from networking_workflow.drivers.ovn import compare, facts, settings

#: Keys that Neutron sets or leaves out by the network's kind.
_PHYSICAL_NETWORK = "neutron:provnet-physical-network"
_AGE_THRESHOLD, _BROADCAST_ARPS = "fdb_age_threshold", "broadcast-arps-to-all-routers"


def rows(known: facts.Network, options: settings.OvnSettings) -> tuple[compare.Row, ...]:
    """Return the switch, then its localnet ports."""
    physical = [segment for segment in known.segments if segment.get("physical_network")]
    passthru = bool(known.network.get("vlan_transparent") or known.network.get("qinq"))
    localnets = tuple(_localnet(known.network, one, options, passthru) for one in physical)
    return (_switch(known.network, options, localnets, passthru), *localnets)


def switch_name(network_id: str) -> str:
    """Return the logical switch's name."""
    return str(ovn_utils.ovn_name(network_id))


def _switch(
    network: facts.Dict,
    options: settings.OvnSettings,
    localnets: tuple[compare.Row, ...],
    passthru: bool,
) -> compare.Row:
    physical_network = network.get("provider:physical_network")
    zones = sorted(network.get("availability_zone_hints") or ()) or options.default_zones
    external_ids: dict[str, typing.Any] = {
        "neutron:network_name": network["name"],
        "neutron:mtu": str(network["mtu"]),
        "neutron:revision_number": str(network["revision_number"]),
        "neutron:availability_zone_hints": ",".join(zones),
        "neutron:provnet-network-type": network.get("provider:network_type") or "",
    }
    if physical_network:
        external_ids[_PHYSICAL_NETWORK] = physical_network
    other_config = {
        "mcast_snoop": options.igmp_snooping,
        "mcast_flood_unregistered": options.igmp_flood_unregistered,
        "vlan-passthru": str(passthru).lower(),
    }
    if physical_network:
        other_config[_AGE_THRESHOLD] = options.fdb_age_threshold
    if network.get("router:external"):
        other_config[_BROADCAST_ARPS] = options.broadcast_arps
    unwanted = frozenset() if localnets else frozenset({_PHYSICAL_NETWORK, _AGE_THRESHOLD})
    return compare.Row(
        table="Logical_Switch",
        name=switch_name(network["id"]),
        columns={
            "external_ids": compare.Keys(wanted=external_ids, unwanted=unwanted),
            "other_config": compare.Keys(
                wanted=other_config, unwanted=unwanted | {_BROADCAST_ARPS}
            ),
            "localnet ports": frozenset(row.name for row in localnets),
        },
    )


def _localnet(
    network: facts.Dict, segment: facts.Dict, options: settings.OvnSettings, passthru: bool
) -> compare.Row:
    port_options = {
        "network_name": segment["physical_network"],
        "mcast_flood_reports": options.igmp_flood_reports,
        "mcast_flood": options.igmp_flood,
        "localnet_learn_fdb": options.learn_fdb,
    }
    named = {_PHYSICAL_NETWORK: segment["physical_network"]}
    if not options.written.localnets_name_network:
        named = {}
    if passthru and network.get("qinq"):
        port_options["ethtype"] = ovn_const.ETHTYPE_8021ad
    return compare.Row(
        table="Logical_Switch_Port",
        name=ovn_utils.ovn_provnet_port_name(segment["id"]),
        columns={
            "switch": switch_name(network["id"]),
            "type": "localnet",
            "addresses": frozenset({"unknown"}),
            "tag_request": segment.get("segmentation_id"),
            "options": compare.Keys(
                wanted=port_options,
                closed=True,
                foreign=frozenset({"qos_max_rate", "qos_burst", "qos_min_rate"}),
            ),
            "external_ids": compare.Keys(wanted=named),
        },
    )
