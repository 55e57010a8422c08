# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Floating IPs: the NAT rule, their addresses at ports, QoS rows and load balancers.

Stock deletes the NAT rule and makes it again at every update, which interrupts its traffic
(``ovn_client.py`` ``update_floatingip``); here columns that differ are written, and the rule is
made again only on another router.
"""

import dataclasses
import typing

from neutron.common.ovn import constants as ovn_const
from neutron.common.ovn import utils as ovn_utils
from neutron_lib import constants

from networking_workflow import releases
from networking_workflow.drivers.ovn import compare, facts_l3, facts_nat, observe, observe_nat
from networking_workflow.drivers.ovn.apply import load_balancers, mend, qos
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.drivers.ovn.expect import floatingips as expect_floatingips
from networking_workflow.drivers.ovn.expect import port_forwardings as expect_forwardings
from networking_workflow.drivers.ovn.expect import qos as expect_qos
from networking_workflow.model import errors

_LSP, _NAT = "Logical_Switch_Port", expect_floatingips.NAT
_NO_COLUMNS = frozenset({"router", "copies"})


def apply(work: apply_work.Work) -> None:
    """Make OVN hold the floating IP, and Neutron's status say whether it works.

    :raises MissingReference: if OVN lacks the router, the port, or a network.
    """
    converge(work, work.target.resource_id)


def delete(work: apply_work.Work) -> None:
    """Make OVN forget the floating IP, with its load balancers."""
    remove(work, work.target.resource_id)


def converge(work: apply_work.Work, floatingip_id: str) -> None:
    """Do what :func:`apply` does, for a floating IP that need not be the target."""
    known = _read(work, floatingip_id)
    _require_references(work, known)
    _converge(work, known)
    if _tell_neutron(work, known):
        # The new status raised the revision.
        known = _read(work, floatingip_id)
        _converge(work, known)
    if known.router:
        work.bump_revision(known.floatingip, ovn_const.TYPE_FLOATINGIPS)
    else:
        work.forget_revision(floatingip_id, ovn_const.TYPE_FLOATINGIPS)


def require_row(work: apply_work.Work) -> None:
    """Return if Neutron has the floating IP.

    :raises FloatingIPNotFound: otherwise.
    """
    facts_l3.l3_plugin().get_floatingip(work.context, work.target.resource_id)


def remove(work: apply_work.Work, floatingip_id: str) -> None:
    """Do what :func:`delete` does, for a floating IP that need not be the target."""
    rows = rows_without(work, floatingip_id)
    apply_work.converge(work, lambda: rows, lambda found: _write(work, rows, found))
    work.forget_revision(floatingip_id, ovn_const.TYPE_FLOATINGIPS)


def rows_without(work: apply_work.Work, floatingip_id: str) -> apply_work.Rows:
    """Return what OVN must hold where the floating IP was."""
    ports: set[str] = set()
    for one in observe_nat.nat_rows(work.nb, floatingip_id):
        ports |= observe_nat.ports_with_address(work.nb, one.external_ip)
    deleted = (work.target.snapshot or {}).get("deleted") or {}
    address = deleted.get("floating_ip_address")
    if address:
        ports |= observe_nat.ports_with_address(work.nb, address)
    addresses = facts_nat.addresses_of(facts_l3.l3_plugin(), work.context, ports)
    return (
        compare.Row(table=_NAT, name=floatingip_id, columns={}, absent=True),
        *expect_floatingips.ports(addresses),
        *expect_qos.absent_rows(ovn_const.OVN_FIP_EXT_ID_KEY, floatingip_id),
        *load_balancers.strays(work, floatingip_id, ()),
    )


def _read(work: apply_work.Work, floatingip_id: str) -> facts_nat.FloatingIp:
    return facts_nat.read_floatingip(
        work.plugin,
        work.context,
        floatingip_id,
        named_by=lambda address: observe_nat.ports_with_address(work.nb, address),
    )


def _require_references(work: apply_work.Work, known: facts_nat.FloatingIp) -> None:
    floatingip = known.floatingip
    if known.router is None:
        return
    router = ovn_utils.ovn_name(known.router["id"])
    if observe.row(work.nb, "Logical_Router", router) is None:
        raise errors.MissingReference(
            "router", known.router["id"], f"OVN does not have the floating IP's router {router}."
        )
    port_id = floatingip["port_id"]
    if port_id and observe.row(work.nb, _LSP, port_id) is None:
        raise errors.MissingReference(
            "port", port_id, f"OVN does not have the floating IP's port {port_id}."
        )
    networks = {floatingip["floating_network_id"]} if known.policy else set()
    if known.forwardings:
        networks |= known.inner_networks
    for network_id in sorted(networks):
        if observe.row(work.nb, "Logical_Switch", ovn_utils.ovn_name(network_id)) is None:
            raise errors.MissingReference(
                "network", network_id, f"OVN does not have the switch of network {network_id}."
            )


def _converge(work: apply_work.Work, known: facts_nat.FloatingIp) -> None:
    def wanted() -> apply_work.Rows:
        return _rows(work, known)

    own = {known.floatingip["port_id"]: known.floatingip["floating_ip_address"]}
    apply_work.converge(work, wanted, lambda found: _write(work, wanted(), found, own))


def rows_with(work: apply_work.Work, floatingip_id: str) -> apply_work.Rows:
    """Return what OVN must hold for the floating IP that there is.

    :raises FloatingIPNotFound: if its row is gone.
    """
    return _rows(work, _read(work, floatingip_id))


def _rows(work: apply_work.Work, known: facts_nat.FloatingIp) -> apply_work.Rows:
    rows = expect_floatingips.rows(_with_ovn_facts(work, known), work.settings)
    return rows + load_balancers.strays(work, known.floatingip["id"], rows)


def _with_ovn_facts(work: apply_work.Work, known: facts_nat.FloatingIp) -> facts_nat.FloatingIp:
    """Add what is decided in OVN: see ``facts_nat.FloatingIp``."""
    port_id = known.floatingip["port_id"]
    written = work.settings.written
    named = work.settings.distributed_floating_ips or written.central_rules_name_gateway
    if not named or known.router is None or not port_id:
        return known
    lsp = observe.row(work.nb, _LSP, port_id)
    gateway = work.nb.get_lrouter_port(known.router["gw_port_id"])
    return dataclasses.replace(
        known,
        port_up=lsp is not None and ovn_utils.is_lsp_up(lsp),
        gateway_scheduled=releases.may_name_gateway(written, gateway),
        balanced=work.client._is_lb_member_fip(work.context, known.floatingip),
    )


def _write(
    work: apply_work.Work,
    rows: apply_work.Rows,
    found: apply_work.Differences,
    own: typing.Mapping[str, str] | None = None,
) -> None:
    _write_nat(work, rows[0], apply_work.touched(found, _NAT))
    with work.nb.transaction(check_error=True) as txn:
        for one in apply_work.touched(found, _LSP):
            mine = (own or {}).get(one.name)
            if one.expected is not None and mine is not None:
                one = dataclasses.replace(one, expected=mine)
            mend.columns(work.nb, txn, [one])
    qos.write(work, rows)
    load_balancers.write(work, rows, apply_work.touched(found, expect_forwardings.LOAD_BALANCER))


def _write_nat(work: apply_work.Work, row: compare.Row, found: list[compare.Difference]) -> None:
    if not found:
        return
    there = observe_nat.nat_rows(work.nb, row.name)
    kept = there[:1]
    if row.absent or any(one.column == "router" for one in found):
        # OVSDB cannot delete a row and make it again with the same uuid in one transaction.
        kept = []
    with work.nb.transaction(check_error=True) as txn:
        for one in there[len(kept) :]:
            for router in observe_nat.holders(work.nb, "Logical_Router", "nat", one):
                txn.add(work.nb.db_remove("Logical_Router", router, "nat", one.uuid))
        if kept:
            plain = [_resolved(work, one) for one in found]
            mend.columns(work.nb, txn, plain, skip=_NO_COLUMNS)
    if not kept and not row.absent:
        _add_nat(work, row)


def _add_nat(work: apply_work.Work, row: compare.Row) -> None:
    columns: dict[str, typing.Any] = {}
    for column, value in row.columns.items():
        if isinstance(value, compare.Keys):
            columns[column] = dict(value.wanted)
        elif column not in _NO_COLUMNS and mend.plain(value) != "":
            columns[column] = mend.plain(value)
    if "gateway_port" in columns:
        columns["gateway_port"] = work.nb.lookup(
            "Logical_Router_Port", columns["gateway_port"]
        ).uuid
    columns |= releases.nat_columns(work.settings.written, row.name)
    work.nb.add_nat_rule_in_lrouter(row.columns["router"], **columns).execute(check_error=True)


def _resolved(work: apply_work.Work, one: compare.Difference) -> compare.Difference:
    """Name the gateway's port by its uuid."""
    if one.column != "gateway_port" or not one.expected:
        return one
    port = work.nb.lookup("Logical_Router_Port", one.expected)
    return dataclasses.replace(one, expected=port.uuid)


def _tell_neutron(work: apply_work.Work, known: facts_nat.FloatingIp) -> bool:
    """Set the status that stock sets; return whether it was another."""
    floatingip = known.floatingip
    if floatingip["router_id"] and known.router is None:
        return False
    status = constants.FLOATINGIP_STATUS_DOWN
    if known.router is not None:
        status = constants.FLOATINGIP_STATUS_ACTIVE
    if floatingip["status"] == status:
        return False
    facts_l3.l3_plugin().update_floatingip_status(work.context, floatingip["id"], status)
    return True
