# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A logical router with its gateway ports, routes and source NAT; and the port of an interface.

What depends on the interfaces (the smallest MTU, the source NAT, where traffic of provider networks
is routed) is part of the router's rows: an interface's workflow holds the router, and sees to both.

Left out, because others write it: the chassis of gateway ports (``gateway_chassis``,
``ha_chassis_group``, the router's ``options:chassis``), which are scheduled when the port is made
and moved by API event threads.
"""

import ipaddress
import typing

from neutron.common import utils as common_utils
from neutron.common.ovn import constants as ovn_const
from neutron.common.ovn import utils as ovn_utils
from neutron_lib import constants
from neutron_lib.api.definitions import external_net
from neutron_lib.api.definitions import provider_net as pnet

from networking_workflow.drivers.ovn import compare, facts, facts_l3, settings
from networking_workflow.drivers.ovn.expect import qos

ROUTER, PORT, LSP = "Logical_Router", "Logical_Router_Port", "Logical_Switch_Port"

#: Columns here that are no columns of OVN: sets of rows that the router refers to.
GATEWAYS, ROUTES, DEFAULTS, SNAT = "gateway ports", "routes", "default routes", "snat"
SESSIONS = "bfd sessions"

_PROVIDER_TYPES = frozenset({constants.TYPE_VLAN, constants.TYPE_FLAT})

#: Options of a router port that depend on the whole router: ``OVNClient._LRP_MANAGED_OPTIONS``.
_MANAGED = frozenset(
    {
        ovn_const.LRP_OPTIONS_RESIDE_REDIR_CH,
        ovn_const.OVN_ROUTER_PORT_GW_MTU_OPTION,
        ovn_const.LRP_OPTIONS_REDIRECT_TYPE,
    }
)


class Route(typing.NamedTuple):
    """A static route."""

    prefix: str
    nexthop: str
    subnet_id: str = ""  #: of a default route: the external subnet that it comes from
    output_port: str = ""  #: of a default route that BFD watches: the router's port
    watched: bool = False  #: BFD does, over that port

    def __str__(self) -> str:
        text = f"{self.prefix} via {self.nexthop}"
        if self.output_port:
            text += f" over {self.output_port}"
        return f"{text}, watched" if self.watched else text


class Session(typing.NamedTuple):
    """BFD with a gateway, over a port of the router."""

    logical_port: str
    dst_ip: str

    def __str__(self) -> str:
        return f"{self.dst_ip} over {self.logical_port}"


class Nat(typing.NamedTuple):
    """Addresses that leave the router under another one."""

    logical_ip: str
    external_ip: str

    def __str__(self) -> str:
        return f"{self.logical_ip} as {self.external_ip}"


def router_name(router_id: str) -> str:
    """Return the name of the logical router."""
    return str(ovn_utils.ovn_name(router_id))


def port_name(port_id: str) -> str:
    """Return the name of the logical router port of a Neutron port."""
    return str(ovn_utils.ovn_lrouter_port_name(port_id))


def rows(known: facts_l3.Router, options: settings.OvnSettings) -> tuple[compare.Row, ...]:
    """Return the router's row and those of its gateway ports."""
    router = compare.Row(
        table=ROUTER,
        name=router_name(known.id),
        columns={
            "enabled": bool(known.router.get("admin_state_up")),
            "external_ids": compare.Keys(
                wanted={
                    ovn_const.OVN_ROUTER_NAME_EXT_ID_KEY: known.router["name"],
                    ovn_const.OVN_REV_NUM_EXT_ID_KEY: str(known.router["revision_number"]),
                    ovn_const.OVN_AZ_HINTS_EXT_ID_KEY: ",".join(
                        common_utils.get_az_hints(known.router)
                    ),
                }
            ),
            "options": compare.Keys(
                wanted={
                    "always_learn_from_arp_request": "false",
                    "dynamic_neigh_routers": "true",
                    ovn_const.LR_OPTIONS_MAC_AGE_LIMIT: options.mac_age_threshold,
                }
            ),
            GATEWAYS: frozenset(port_name(one.port["id"]) for one in known.gateways),
            ROUTES: routes(known),
            DEFAULTS: default_routes(known),
            SESSIONS: sessions(known),
            SNAT: snat(known, options),
        },
    )
    ports = (row for one in known.gateways for row in port_rows(known, one, options))
    limits = qos.gateway_rows(known) if known.shaped else ()
    return (router, *ports, *limits)


def port_rows(
    known: facts_l3.Router, one: facts_l3.RouterPort, options: settings.OvnSettings
) -> tuple[compare.Row, ...]:
    """Return the rows of one port of the router: at its side, and at its network's."""
    port, name = one.port, port_name(one.port["id"])
    is_gateway = _is_gateway(port)
    managed = _managed_options(known, one, options)
    peer = {"router-port": name}
    if is_gateway:
        peer |= {
            ovn_const.OVN_GATEWAY_NAT_ADDRESSES_KEY: "router",
            ovn_const.OVN_ROUTER_PORT_EXCLUDE_LB_VIPS_GARP: "true",
        }
    return (
        compare.Row(
            table=PORT,
            name=name,
            columns={
                "router": router_name(known.id),
                "mac": port["mac_address"],
                "networks": _networks(one),
                "external_ids": compare.Keys(
                    wanted={
                        ovn_const.OVN_REV_NUM_EXT_ID_KEY: str(port["revision_number"]),
                        ovn_const.OVN_SUBNET_EXT_IDS_KEY: compare.Words(
                            frozenset(ip["subnet_id"] for ip in port["fixed_ips"])
                        ),
                        ovn_const.OVN_NETWORK_NAME_EXT_ID_KEY: ovn_utils.ovn_name(
                            port["network_id"]
                        ),
                        ovn_const.OVN_ROUTER_IS_EXT_GW: str(is_gateway),
                        ovn_const.OVN_ROUTER_NAME_EXT_ID_KEY: router_name(known.id),
                    }
                ),
                "options": compare.Keys(wanted=managed, unwanted=_MANAGED - managed.keys()),
                "ipv6_ra_configs": compare.Keys(
                    wanted=_router_advertisements(one, options), closed=True
                ),
            },
        ),
        compare.Row(
            table=LSP,
            name=port["id"],
            columns={
                "type": ovn_const.LSP_TYPE_ROUTER,
                "addresses": frozenset({ovn_const.DEFAULT_ADDR_FOR_LSP_WITH_PEER}),
                "options": compare.Keys(wanted=peer),
            },
        ),
    )


def routes(known: facts_l3.Router) -> frozenset[Route]:
    """Return the extra routes."""
    return frozenset(
        Route(route["destination"], route["nexthop"]) for route in known.router.get("routes") or ()
    )


def default_routes(known: facts_l3.Router) -> frozenset[Route]:
    """Return the routes to the gateways of the external subnets.

    Only those of the first gateway port, unless several ways of equal cost are asked for.
    """
    every = known.router.get("enable_default_route_ecmp", False)
    watched = bool(known.router.get("enable_default_route_bfd", False))
    return frozenset(
        Route(
            _any_of(subnet["ip_version"]),
            subnet["gateway_ip"],
            subnet["id"],
            port_name(one.port["id"]) if watched else "",
            watched,
        )
        for one in known.gateways
        if every or one.port["id"] == known.router.get("gw_port_id")
        for subnet in one.subnets.values()
        if subnet["gateway_ip"]
    )


def sessions(known: facts_l3.Router) -> frozenset[Session]:
    """Return the BFD sessions of the default routes."""
    return frozenset(
        Session(one.output_port, one.nexthop) for one in default_routes(known) if one.watched
    )


def snat(known: facts_l3.Router, options: settings.OvnSettings) -> frozenset[Nat]:
    """Return under which addresses the inner networks leave the router."""
    if not known.gateways or not known.router["enable_snat"]:
        return frozenset()
    if options.nested_snat:
        inner = {constants.IPv4_ANY}
    else:
        inner = {cidr for one in known.interfaces if (cidr := _v4_network(one))}
    return frozenset(
        Nat(cidr, ip["ip_address"])
        for one in known.gateways
        for ip in one.port["fixed_ips"]
        if one.subnets[ip["subnet_id"]]["ip_version"] == constants.IP_VERSION_4
        for cidr in inner
    )


def _any_of(version: int) -> str:
    return str(constants.IPv4_ANY if version == constants.IP_VERSION_4 else constants.IPv6_ANY)


def _is_gateway(port: facts.Dict) -> bool:
    return bool(port["device_owner"] == constants.DEVICE_OWNER_ROUTER_GW)


def _v4_network(one: facts_l3.RouterPort) -> str:
    """Return the last IPv4 network of a port: stock takes one, too."""
    found = ""
    for ip in one.port["fixed_ips"]:
        subnet = one.subnets[ip["subnet_id"]]
        if subnet["ip_version"] == constants.IP_VERSION_4:
            found = subnet["cidr"]
    return found


def _networks(one: facts_l3.RouterPort) -> frozenset[str]:
    return frozenset(
        f"{ip['ip_address']}/{ipaddress.ip_network(one.subnets[ip['subnet_id']]['cidr']).prefixlen}"
        for ip in one.port["fixed_ips"]
    )


def _managed_options(
    known: facts_l3.Router, one: facts_l3.RouterPort, options: settings.OvnSettings
) -> dict[str, str]:
    inner = [interface.network for interface in known.interfaces]
    # A network of several segments has no type.
    tunnelled = any(network.get(pnet.NETWORK_TYPE) not in _PROVIDER_TYPES for network in inner)
    wanted = {}
    if one.network.get(pnet.NETWORK_TYPE) in _PROVIDER_TYPES:
        centralised = tunnelled if options.distributed_floating_ips else True
        wanted[ovn_const.LRP_OPTIONS_RESIDE_REDIR_CH] = str(centralised).lower()
    if _is_gateway(one.port):
        mtu = min(network["mtu"] for network in (one.network, *inner))
        wanted[ovn_const.OVN_ROUTER_PORT_GW_MTU_OPTION] = str(mtu)
        if options.distributed_floating_ips and inner and not tunnelled:
            wanted[ovn_const.LRP_OPTIONS_REDIRECT_TYPE] = ovn_const.BRIDGE_REDIRECT_TYPE
    return wanted


def _router_advertisements(
    one: facts_l3.RouterPort, options: settings.OvnSettings
) -> dict[str, str]:
    """Return what the router tells IPv6 hosts; the first subnet with a mode decides."""
    modes = [
        mode
        for ip in one.port["fixed_ips"]
        if (mode := one.subnets[ip["subnet_id"]].get("ipv6_address_mode"))
    ]
    if not modes:
        return {}
    leaks = _is_gateway(one.port) and one.network.get(external_net.EXTERNAL)
    told = {
        "address_mode": str(ovn_utils.get_ovn_ipv6_address_mode(modes[0])),
        "send_periodic": "false" if leaks else "true",
        "mtu": str(one.network["mtu"]),
    }
    if options.metadata_enabled and options.written.routers_tell_metadata:
        told["route_info"] = f"MEDIUM-{constants.METADATA_V6_CIDR}"
    return told
