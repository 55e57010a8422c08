# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A port: its logical switch port, its port groups, and DHCP options of its own."""

import dataclasses
import typing

from neutron.common.ovn import constants as ovn_const
from neutron.common.ovn import utils as ovn_utils
from neutron_lib import constants

from networking_workflow import releases
from networking_workflow.drivers.ovn import compare, facts, settings
from networking_workflow.drivers.ovn.expect import (
    binding,
    dhcp,
    dns,
    networks,
    qos,
    security_groups,
    subnets,
)

DROP_GROUP = ovn_const.OVN_DROP_PORT_GROUP_NAME
#: Set by QoS policies; somebody else's without the extension.
QOS_OPTIONS = frozenset({"qos_max_rate", "qos_burst", "qos_min_rate"})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Links:
    """Which DHCP options the port refers to, by the names of their rows; "" for none."""

    v4: str
    v6: str
    own: tuple[compare.Row, ...]  #: rows that exist for this port only


def ignored(port: facts.Dict) -> bool:
    """Return whether the port has no logical switch port at all: floating IPs' ports."""
    return bool(port.get("device_owner") == constants.DEVICE_OWNER_FLOATINGIP)


def rows(known: facts.Port, options: settings.OvnSettings) -> tuple[compare.Row, ...]:
    """Return the port's row, then others that it answers for; none for ignored ports."""
    if ignored(known.port):
        return ()
    links = dhcp_links(known, options)
    row = compare.Row(
        table="Logical_Switch_Port",
        name=known.port["id"],
        columns={
            **_common_columns(known, links, options.written),
            **({} if is_router_port(known.port) else _plain_columns(known, links, options)),
        },
    )
    return (
        row,
        *links.own,
        *_virtual_children(known),
        *_qos_rows(known),
        *dns.rows(known),
    )


def has_qos(port: facts.Dict) -> bool:
    """Return whether QoS policies are in use at all."""
    return "qos_policy_id" in port


def _qos_rows(known: facts.Port) -> tuple[compare.Row, ...]:
    return qos.port_rows(known.port, known.network, known.policy) if has_qos(known.port) else ()


def port_groups(port: facts.Dict) -> frozenset[str]:
    """Return the port groups that the port is in."""
    if _trusted(port):
        return frozenset()
    groups = {security_groups.group_name(one) for one in port.get("security_groups") or ()}
    if port.get("port_security_enabled"):
        groups.add(DROP_GROUP)
    return frozenset(groups)


def dhcp_links(known: facts.Port, options: settings.OvnSettings) -> Links:
    """Return which rows of DHCP options belong to the port."""
    names = {4: "", 6: ""}
    own_rows = []
    for version in names:
        if dhcp.disabled(known.port, version, baremetal_dhcp=options.baremetal_dhcp):
            continue
        subnet = subnets.port_subnet(known.port, known.subnets, version)
        if subnet is None:
            continue
        names[version] = subnet["id"]
        own = dhcp.port_options(known.port, version, baremetal_dhcp=options.baremetal_dhcp)
        if own:
            address = known.metadata_ips.get(subnet["id"], "")
            base = subnets.dhcp_options(subnet, known.network, address, options)
            own_rows.append(subnets.port_row(known.port, subnet, base, own))
            names[version] = own_rows[-1].name
    return Links(v4=names[4], v6=names[6], own=tuple(own_rows))


def _common_columns(
    known: facts.Port, links: Links, written: releases.Northbound
) -> dict[str, typing.Any]:
    port = known.port
    profile = binding.parse(port)
    return {
        "switch": networks.switch_name(port["network_id"]),
        "enabled": port["admin_state_up"],
        "parent_name": profile.parent_name,
        "tag_request": profile.tag,
        "port_security": port_security(port, written) if not profile.vtep else frozenset(),
        "dhcpv4_options": links.v4,
        "dhcpv6_options": links.v6,
        "own dhcp options": frozenset(row.name for row in links.own),
        "port groups": port_groups(port),
        "external_ids": compare.Keys(wanted=_external_ids(known, profile, written)),
    }


def _plain_columns(
    known: facts.Port, links: Links, options: settings.OvnSettings
) -> dict[str, typing.Any]:
    kind = _type(known)
    wanted = binding.options(known.port, known.network, kind, options)
    if known.virtual_ip:
        wanted["virtual-ip"] = known.virtual_ip
        wanted["virtual-parents"] = ",".join(sorted(known.virtual_parents))
    if options.mcast_flood_broken and kind not in ("vtep", "localport", "router"):
        wanted["mcast_flood_reports"] = "true"
    foreign = QOS_OPTIONS
    if has_qos(known.port):
        wanted |= qos.port_options(known.port, known.network, known.policy)
        foreign = frozenset()
    return {
        "type": kind,
        "addresses": _addresses(known.port, kind, dhcp_linked=bool(links.v4 or links.v6)),
        "options": compare.Keys(wanted=wanted, closed=True, foreign=foreign),
    }


def _type(known: facts.Port) -> str:
    if binding.parse(known.port).vtep:
        return "vtep"
    if ovn_utils.is_port_external(known.port):
        return "external"
    if _is_metadata(known.port) or _is_health_monitor(known.port):
        return "localport"
    return "virtual" if known.virtual_ip else ""


def _external_ids(
    known: facts.Port, profile: binding.Profile, written: releases.Northbound
) -> dict[str, typing.Any]:
    port = known.port
    prefixes = {one["id"]: one["cidr"].split("/")[1] for one in known.subnets.values()}
    cidrs = [
        f"{ip['ip_address']}/{prefixes[ip['subnet_id']]}"
        for ip in port["fixed_ips"]
        if ip["subnet_id"] in prefixes
    ]
    groups = () if _trusted(port) else port.get("security_groups") or ()
    return {
        "neutron:port_name": port["name"],
        "neutron:device_id": port["device_id"],
        "neutron:project_id": port["project_id"],
        "neutron:cidrs": compare.Words(frozenset(() if profile.vtep else cidrs)),
        "neutron:device_owner": port.get("device_owner", ""),
        "neutron:subnet_pool_addr_scope4": known.address_scopes.get(4, ""),
        "neutron:subnet_pool_addr_scope6": known.address_scopes.get(6, ""),
        "neutron:network_name": networks.switch_name(port["network_id"]),
        "neutron:security_group_ids": compare.Words(frozenset(groups)),
        "neutron:revision_number": str(port["revision_number"]),
        "neutron:vnic_type": port.get("binding:vnic_type", "normal"),
        "neutron:port_capabilities": ";".join(profile.capabilities),
        "neutron:mtu": _mtu(known, written),
    }


def _mtu(known: facts.Port, written: releases.Northbound) -> str:
    local = written.local_ports_have_mtu and (
        _is_metadata(known.port) or _is_health_monitor(known.port)
    )
    plugged = binding.is_plugged_by_ovn(known.port)
    return str(known.network["mtu"]) if local or plugged else ""


def port_security(
    port: facts.Dict, written: releases.Northbound = releases.NEWEST
) -> frozenset[str]:
    """Return what the port may send from; empty: anything."""
    if not port.get("port_security_enabled") or _trusted(port):
        return frozenset()
    mac = port["mac_address"]
    own = [ip["ip_address"] for ip in port.get("fixed_ips") or ()]
    entries = set()
    for pair in port.get("allowed_address_pairs") or ():
        if pair["mac_address"] == mac:
            own.append(pair["ip_address"])
        else:
            # RFC 9568: VRRP from the virtual address, and plain traffic from it.
            entries.add(f"VRRPv3 {mac} {pair['mac_address']} {pair['ip_address']}")
            if written.pairs_send_by_own_mac:
                entries.add(f"{pair['mac_address']} {pair['ip_address']}")
    entries.add(address(mac, own))
    return frozenset(entries)


def address(mac: str, ips: typing.Iterable[str]) -> str:
    """Return an Ethernet address and its IPs, these sorted: their order means nothing."""
    return " ".join([mac, *sorted(ips)])


def _addresses(port: facts.Dict, kind: str, *, dhcp_linked: bool) -> frozenset[str]:
    unowned_vip = port["name"].startswith(ovn_const.LB_VIP_PORT_PREFIX) and (
        not port["device_owner"] and port.get("binding:vif_type") == "unbound"
    )
    if unowned_vip:
        return frozenset()
    if kind == "vtep":
        return frozenset({"unknown"})
    secured = bool(port_security(port))
    result = set()
    is_vpn = port.get("device_owner") == constants.DEVICE_OWNER_VPN_ROUTER_GW
    if secured or kind or dhcp_linked or is_vpn:
        ips = [ip["ip_address"] for ip in port.get("fixed_ips") or ()]
        result.add(address(port["mac_address"], ips))
        pairs = port.get("allowed_address_pairs") or () if secured else ()
        result |= {one["mac_address"] for one in pairs} - {port["mac_address"]}
    if not secured and not kind:
        result.add("unknown")
    return frozenset(result)


def _virtual_children(known: facts.Port) -> typing.Iterator[compare.Row]:
    """Ports that take this one as a parent: made by their own workflows, changed by this one's."""
    parent = compare.Including(known.port["id"])
    for child, virtual_ip in sorted(known.virtual_children.items()):
        wanted = {"virtual-ip": virtual_ip, "virtual-parents": parent}
        yield compare.Row(
            table="Logical_Switch_Port",
            name=child,
            columns={"type": "virtual", "options": compare.Keys(wanted=wanted)},
            optional=True,
        )


def _trusted(port: facts.Dict) -> bool:
    return bool(ovn_utils.is_lsp_trusted(port))


def is_router_port(port: facts.Dict) -> bool:
    """Return whether a router's workflow answers for the most of the port's row."""
    return port.get("device_owner") in constants.ROUTER_PORT_OWNERS


def _is_metadata(port: facts.Dict) -> bool:
    owned = port["device_owner"] == constants.DEVICE_OWNER_DISTRIBUTED
    return bool(owned and port["device_id"].startswith(ovn_const.OVN_METADATA_PREFIX))


def _is_health_monitor(port: facts.Dict) -> bool:
    owned = port["device_owner"] == ovn_const.OVN_LB_HM_PORT_DISTRIBUTED
    return bool(owned and port["device_id"].startswith("ovn-lb-hm"))
