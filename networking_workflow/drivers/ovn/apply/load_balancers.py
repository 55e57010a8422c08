# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Load balancers of port forwardings: on the floating IP's router and the router's networks."""

import typing

from networking_workflow.drivers.ovn import compare, facts_l3, facts_nat, observe_nat
from networking_workflow.drivers.ovn.apply import mend
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.drivers.ovn.expect import port_forwardings as expect_forwardings

_TABLE = expect_forwardings.LOAD_BALANCER
_NO_COLUMNS = frozenset({"copies", "routers", "switches"})


def strays(
    work: apply_work.Work, floatingip_id: str, wanted: apply_work.Rows
) -> tuple[compare.Row, ...]:
    """Return rows that say: what else OVN has for the floating IP must not be there."""
    names = {str(one.name) for one in observe_nat.balancers(work.nb, floatingip_id)}
    names -= {row.name for row in wanted if row.table == _TABLE}
    return tuple(
        compare.Row(table=_TABLE, name=name, columns={}, absent=True) for name in sorted(names)
    )


def follow_interfaces(work: apply_work.Work, router_id: str) -> None:
    """Make the load balancers of a router's floating IPs be where its interfaces are now."""
    if facts_nat.forwarding_plugin() is None:
        return
    filters = {"router_id": [router_id]}
    for one in facts_l3.l3_plugin().get_floatingips(work.context, filters=filters):
        if one["port_id"]:
            continue
        known = facts_nat.read_floatingip(
            work.plugin, work.context, one["id"], named_by=lambda _address: ()
        )
        _converge(work, expect_forwardings.rows(known))


def _converge(work: apply_work.Work, rows: apply_work.Rows) -> None:
    apply_work.converge(work, lambda: rows, lambda found: write(work, rows, found))


def write(
    work: apply_work.Work, rows: apply_work.Rows, found: typing.Sequence[compare.Difference]
) -> None:
    """Write what differs of the load balancers among ``rows``; nothing if none does."""
    differs = {one.name for one in found}
    for row in rows:
        if row.table == _TABLE and row.name in differs:
            _write(work, row, [one for one in found if one.name == row.name])


def _write(
    work: apply_work.Work, row: compare.Row, found: typing.Sequence[compare.Difference]
) -> None:
    there = observe_nat.balancers_named(work.nb, row.name)
    with work.nb.transaction(check_error=True) as txn:
        for one in there if row.absent else there[1:]:
            txn.add(work.nb.lb_del(one.uuid))
        if not row.absent and not there:
            _add(work, txn, row)
        elif not row.absent:
            mend.columns(work.nb, txn, found, skip=_NO_COLUMNS)
    if not row.absent:
        _hold(work, row)


def _add(work: apply_work.Work, txn: typing.Any, row: compare.Row) -> None:
    external_ids = dict(row.columns["external_ids"].wanted)
    for vip, target in row.columns["vips"].wanted.items():
        txn.add(
            work.nb.lb_add(
                row.name,
                vip,
                [target],
                row.columns["protocol"],
                may_exist=True,
                external_ids=external_ids,
            )
        )


def _hold(work: apply_work.Work, row: compare.Row) -> None:
    """Make the router and its networks refer to the load balancer, and nobody else."""
    balancer = observe_nat.balancers_named(work.nb, row.name)[0]
    nb, column = work.nb, "load_balancer"
    with nb.transaction(check_error=True) as txn:
        for pseudo, table in (("routers", "Logical_Router"), ("switches", "Logical_Switch")):
            wanted = row.columns[pseudo]
            holding = observe_nat.holders(nb, table, column, balancer)
            for name in sorted(wanted - holding):
                txn.add(nb.db_add(table, name, column, balancer.uuid))
            for name in sorted(holding - wanted):
                txn.add(nb.db_remove(table, name, column, balancer.uuid))
