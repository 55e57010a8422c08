# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Read routers and their ports back, as plain values (see ``observe``)."""

import typing

from neutron.common.ovn import constants as ovn_const
from oslo_utils import strutils

from networking_workflow.drivers.ovn import compare, observe_nat
from networking_workflow.drivers.ovn.expect import routers as expect_routers

Columns = dict[str, typing.Any]


def logical_router(nb: typing.Any, wanted: compare.Row) -> Columns | None:
    """Read a router with its gateway ports, routes and source NAT."""
    router = nb.lookup("Logical_Router", wanted.name, default=None)
    if router is None:
        return None
    return {
        # No value means enabled, as northd reads it.
        "enabled": router.enabled != [False],
        "external_ids": dict(router.external_ids),
        "options": dict(router.options),
        expect_routers.GATEWAYS: frozenset(str(one.name) for one in gateway_ports(router)),
        expect_routers.ROUTES: frozenset(map(route, extra_routes(router))),
        expect_routers.DEFAULTS: frozenset(map(default_route, default_routes(router))),
        expect_routers.SESSIONS: frozenset(map(session, session_rows(nb, router))),
        expect_routers.SNAT: frozenset(map(nat, snat_rows(router))),
    }


def logical_router_port(nb: typing.Any, wanted: compare.Row) -> Columns | None:
    """Read a router's port."""
    port = nb.lookup("Logical_Router_Port", wanted.name, default=None)
    if port is None:
        return None
    return {
        "router": ",".join(sorted(observe_nat.holders(nb, "Logical_Router", "ports", port))),
        "mac": port.mac,
        "networks": frozenset(port.networks),
        "external_ids": dict(port.external_ids),
        "options": dict(port.options),
        "ipv6_ra_configs": dict(port.ipv6_ra_configs),
    }


def gateway_ports(router: typing.Any) -> list[typing.Any]:
    """Return the ports of a router that are marked as gateway ports."""
    return [one for one in router.ports if _is_true(one, ovn_const.OVN_ROUTER_IS_EXT_GW)]


def extra_routes(router: typing.Any) -> list[typing.Any]:
    """Return Neutron's static routes of a router that are not default routes."""
    return [
        one
        for one in router.static_routes
        if _is_true(one, ovn_const.OVN_LRSR_EXT_ID_KEY)
        and not _is_true(one, ovn_const.OVN_ROUTER_IS_EXT_GW)
    ]


def default_routes(router: typing.Any) -> list[typing.Any]:
    """Return the routes of a router that lead to its gateways."""
    return [one for one in router.static_routes if _is_true(one, ovn_const.OVN_ROUTER_IS_EXT_GW)]


def snat_rows(router: typing.Any) -> list[typing.Any]:
    """Return the source NAT rules of a router."""
    return [one for one in router.nat if one.type == "snat"]


def route(row: typing.Any) -> expect_routers.Route:
    """Return a static route as it is expected."""
    subnet_id = row.external_ids.get(ovn_const.OVN_SUBNET_EXT_ID_KEY, "")
    return expect_routers.Route(row.ip_prefix, row.nexthop, subnet_id)


def default_route(row: typing.Any) -> expect_routers.Route:
    """Return a route to a gateway as it is expected."""
    port = next(iter(row.output_port), "")
    watched = any(session(one) == (port, row.nexthop) for one in row.bfd)
    return route(row)._replace(output_port=port, watched=watched)


def session_rows(nb: typing.Any, router: typing.Any) -> list[typing.Any]:
    """Return the BFD rows of a router's gateway ports."""
    ports = {one.name for one in gateway_ports(router)}
    with nb.ovsdb_connection.lock:
        return [one for one in nb.tables["BFD"].rows.values() if one.logical_port in ports]


def session(row: typing.Any) -> expect_routers.Session:
    """Return a BFD row as it is expected."""
    return expect_routers.Session(row.logical_port, row.dst_ip)


def nat(row: typing.Any) -> expect_routers.Nat:
    """Return a source NAT rule as it is expected."""
    return expect_routers.Nat(row.logical_ip, row.external_ip)


def _is_true(row: typing.Any, key: str) -> bool:
    return bool(strutils.bool_from_string(row.external_ids.get(key, "false")))
