# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Routers: the logical router, its gateway ports, routes and source NAT."""

import typing

from neutron.common.ovn import constants as ovn_const
from neutron.common.ovn import utils as ovn_utils

from networking_workflow.drivers.ovn import compare, facts_l3, observe, observe_l3
from networking_workflow.drivers.ovn.apply import mend, qos
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.drivers.ovn.expect import qos as expect_qos
from networking_workflow.drivers.ovn.expect import routers as expect_routers
from networking_workflow.model import errors

_ROUTER, _PORT, _LSP = expect_routers.ROUTER, expect_routers.PORT, expect_routers.LSP

#: Tables whose columns are written one by one.
_PLAIN = frozenset({_ROUTER, _PORT, _LSP})

_SETS = frozenset(
    {
        expect_routers.GATEWAYS,
        expect_routers.ROUTES,
        expect_routers.DEFAULTS,
        expect_routers.SESSIONS,
        expect_routers.SNAT,
    }
)


def apply(work: apply_work.Work) -> None:
    """Make OVN hold the router.

    :raises MissingReference: if OVN lacks the port of a gateway, or its network.
    """
    known = facts_l3.read_router(work.plugin, work.context, work.target.resource_id)
    if not ovn_utils.is_ovn_provider_router(known.router):
        return
    converge(work, known)
    for one in known.gateways:
        work.bump_revision(one.port, ovn_const.TYPE_ROUTER_PORTS)
    work.bump_revision(known.router, ovn_const.TYPE_ROUTERS)


def delete(work: apply_work.Work) -> None:
    """Make OVN forget the router, and with it all its ports, routes and rules."""
    router_id = work.target.resource_id
    gone = compare.Row(
        table=_ROUTER, name=expect_routers.router_name(router_id), columns={}, absent=True
    )
    rows = (gone, *expect_qos.absent_rows(ovn_const.OVN_ROUTER_ID_EXT_ID_KEY, router_id))

    def write(_found: apply_work.Differences) -> None:
        work.client.delete_router(work.context, router_id)
        qos.write(work, rows)

    apply_work.converge(work, lambda: rows, write)
    work.forget_revision(router_id, ovn_const.TYPE_ROUTERS)


def require_row(work: apply_work.Work) -> None:
    """Return if Neutron has the router.

    :raises RouterNotFound: otherwise.
    """
    facts_l3.l3_plugin().get_router(work.context, work.target.resource_id)


def converge(
    work: apply_work.Work,
    known: facts_l3.Router,
    interfaces: typing.Sequence[facts_l3.RouterPort] = (),
    gone: typing.Sequence[compare.Row] = (),
) -> None:
    """Make OVN hold the router, and these of its interfaces; ``gone``: ports that must not be."""
    ports = (*known.gateways, *interfaces)
    _require_references(work, ports)

    def wanted() -> apply_work.Rows:
        options = work.settings
        inner = (row for one in interfaces for row in expect_routers.port_rows(known, one, options))
        return (*expect_routers.rows(known, options), *inner, *gone)

    def write(found: apply_work.Differences) -> None:
        name = expect_routers.router_name(known.id)
        if observe.row(work.nb, _ROUTER, name) is None:
            enabled = bool(known.router.get("admin_state_up"))  # its absence means yes, too
            work.nb.lr_add(router=name, may_exist=True, enabled=enabled).execute(check_error=True)
            work.connections.catch_up(work.pair)
            found = compare.differences(wanted(), observe.read(work.nb, wanted()))
        _write(work, known, ports, found)
        qos.write(work, wanted())

    apply_work.converge(work, wanted, write)


def _require_references(work: apply_work.Work, ports: typing.Iterable[facts_l3.RouterPort]) -> None:
    for one in ports:
        network_id = one.port["network_id"]
        if observe.row(work.nb, "Logical_Switch", ovn_utils.ovn_name(network_id)) is None:
            raise errors.MissingReference(
                "network", network_id, f"OVN does not have the switch of network {network_id}."
            )
        if observe.row(work.nb, _LSP, one.port["id"]) is None:
            raise errors.MissingReference(
                "port", one.port["id"], f"OVN does not have the router's port {one.port['id']}."
            )


def _write(
    work: apply_work.Work,
    known: facts_l3.Router,
    ports: typing.Sequence[facts_l3.RouterPort],
    found: apply_work.Differences,
) -> None:
    _remove_ports(work, expect_routers.router_name(known.id), known, found)
    missing = {one.name for one in apply_work.touched(found, _PORT) if _must_be_made(one)}
    for one in ports:
        if expect_routers.port_name(one.port["id"]) in missing:
            # Schedules a gateway, too; each in a transaction, so that the scheduler sees the last.
            work.client._create_lrouter_port(work.context, known.router, one.port)
    with work.nb.transaction(check_error=True) as txn:
        plain = [
            _listed(one)
            for one in found
            if one.table in _PLAIN
            and one.column
            and one.column not in _SETS
            and one.name not in missing
        ]
        mend.columns(work.nb, txn, plain, skip=frozenset({"router"}))
        _write_routes(work, txn, known)
        _write_snat(work, txn, known)


def _must_be_made(one: compare.Difference) -> bool:
    return one.missing or one.column == "router"


def _listed(one: compare.Difference) -> compare.Difference:
    """Return the difference with a value that OVSDB takes."""
    expected = one.expected
    if isinstance(expected, frozenset):
        expected = sorted(expected)
    elif isinstance(expected, compare.Words):
        expected = str(expected)
    return compare.Difference(
        table=one.table, name=one.name, column=one.column, expected=expected, found=one.found
    )


def _remove_ports(
    work: apply_work.Work, name: str, known: facts_l3.Router, found: apply_work.Differences
) -> None:
    """Remove gateway ports that there should not be, and whatever is on another router."""
    kept = {expect_routers.port_name(one.port["id"]) for one in known.gateways}
    there = {str(one.name) for one in observe_l3.gateway_ports(work.nb.lookup(_ROUTER, name))}
    gone = {(one, name) for one in there - kept}
    for one in apply_work.touched(found, _PORT):
        if one.column == "router" and one.found:
            gone |= {(one.name, router) for router in one.found.split(",")}
        elif not one.column and not one.missing:
            gone.add((one.name, name))
    if gone:
        with work.nb.transaction(check_error=True) as txn:
            for port, router in sorted(gone):
                txn.add(work.nb.lrp_del(port, router, if_exists=True))


def _write_routes(work: apply_work.Work, txn: typing.Any, known: facts_l3.Router) -> None:
    name = expect_routers.router_name(known.id)
    router = work.nb.lookup(_ROUTER, name)
    defaults = observe_l3.default_routes(router)
    _end_sessions(work, txn, known, defaults)
    for wanted, there, read in (
        (expect_routers.routes(known), observe_l3.extra_routes(router), observe_l3.route),
        (expect_routers.default_routes(known), defaults, observe_l3.default_route),
    ):
        left = set(wanted)
        for row in there:
            route = read(row)
            if route in left:
                left.remove(route)
            else:
                txn.add(work.nb.db_remove(_ROUTER, name, "static_routes", row.uuid))
        for route in sorted(left):
            txn.add(
                work.nb.add_static_route(name, maintain_bfd=route.watched, **_columns_of(route))
            )


def _columns_of(route: expect_routers.Route) -> dict[str, typing.Any]:
    ids = {ovn_const.OVN_LRSR_EXT_ID_KEY: "true"}
    if route.subnet_id:
        ids |= {
            ovn_const.OVN_ROUTER_IS_EXT_GW: "true",
            ovn_const.OVN_SUBNET_EXT_ID_KEY: route.subnet_id,
        }
    columns = {"ip_prefix": route.prefix, "nexthop": route.nexthop, "external_ids": ids}
    return {**columns, "output_port": route.output_port} if route.output_port else columns


def _end_sessions(
    work: apply_work.Work,
    txn: typing.Any,
    known: facts_l3.Router,
    routes: typing.Sequence[typing.Any],
) -> None:
    """Remove the BFD rows of these routes, and of gateway ports, that are not wanted any more.

    They are no part of the router or its routes: nobody else would.
    """
    router = work.nb.lookup(_ROUTER, expect_routers.router_name(known.id))
    rows = [*observe_l3.session_rows(work.nb, router), *(bfd for one in routes for bfd in one.bfd)]
    wanted = expect_routers.sessions(known)
    gone = {one.uuid for one in rows if observe_l3.session(one) not in wanted}
    for uuid in sorted(gone, key=str):
        txn.add(work.nb.db_destroy("BFD", uuid))


def _write_snat(work: apply_work.Work, txn: typing.Any, known: facts_l3.Router) -> None:
    name = expect_routers.router_name(known.id)
    left = set(expect_routers.snat(known, work.settings))
    for row in observe_l3.snat_rows(work.nb.lookup(_ROUTER, name)):
        rule = observe_l3.nat(row)
        if rule in left:
            left.remove(rule)
        else:
            txn.add(work.nb.db_remove(_ROUTER, name, "nat", row.uuid))
    for rule in sorted(left):
        txn.add(
            work.nb.add_nat_rule_in_lrouter(
                name, type="snat", logical_ip=rule.logical_ip, external_ip=rule.external_ip
            )
        )
