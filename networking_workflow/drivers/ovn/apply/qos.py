# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""QoS: the rows of ports and floating IPs, and whatever a policy is bound to.

Stock writes these rows when a binding changes, and leaves those of a policy that was detached in
between; here they are compared with what must be there like any other.
"""

import typing

from neutron.common.ovn import constants as ovn_const
from neutron.common.ovn import utils as ovn_utils
from neutron.objects.qos import binding as qos_binding
from neutron.objects.qos import policy as qos_policy

from networking_workflow.drivers.ovn import (
    compare,
    facts,
    facts_l3,
    facts_nat,
    observe,
    observe_nat,
)
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.drivers.ovn.expect import ports as expect_ports
from networking_workflow.drivers.ovn.expect import qos as expect_qos
from networking_workflow.model import errors

_LSP = "Logical_Switch_Port"
_PORT_ID, _FIP_ID = ovn_const.OVN_PORT_EXT_ID_KEY, ovn_const.OVN_FIP_EXT_ID_KEY
_NO_OPTIONS = dict.fromkeys(sorted(expect_ports.QOS_OPTIONS))


def apply(work: apply_work.Work) -> None:
    """Make OVN hold the policy's rules for everything that the policy is bound to.

    What OVN does not have yet gets them with its own apply.
    """
    policy = qos_policy.QosPolicy.get_policy_obj(work.context, work.target.resource_id)
    for network_id in policy.get_bound_networks():
        apply_network(work, work.plugin.get_network(work.context, network_id))
    _apply_ports(work, {"id": list(policy.get_bound_ports())})
    _apply_floatingips(work, {"id": list(policy.get_bound_floatingips())})
    for router_id in policy.get_bound_routers():
        _apply_gateway(work, router_id)


def delete(_work: apply_work.Work) -> None:
    """Do nothing: Neutron refuses to delete a policy that is bound to anything."""


def require_row(work: apply_work.Work) -> None:
    """Return if Neutron has the policy.

    :raises QosPolicyNotFound: otherwise.
    """
    qos_policy.QosPolicy.get_policy_obj(work.context, work.target.resource_id)


def apply_network(work: apply_work.Work, network: facts.Dict) -> None:
    """Make OVN hold the right rules for the ports and floating IPs of a network."""
    if "qos_policy_id" not in network:
        return
    _apply_ports(work, {"network_id": [network["id"]]})
    _apply_floatingips(work, {"floating_network_id": [network["id"]]})
    gateways = qos_binding.QosPolicyRouterGatewayIPBinding.get_routers_by_network_id(
        work.context.elevated(), network["id"]
    )
    for router in gateways:
        _apply_gateway(work, router.id)


def write(work: apply_work.Work, wanted: apply_work.Rows) -> None:
    """Write those rows of QoS among ``wanted`` that differ.

    :raises PermanentFailure: for rates that OVN does not know, as 0.
    """
    rows = tuple(row for row in wanted if row.table == expect_qos.QOS)
    found = compare.differences(rows, observe.read(work.nb, rows))
    differs = {one.name for one in found}
    for row in rows:
        if row.name in differs:
            _replace(work, row)


def remove(work: apply_work.Work, port_id: str) -> None:
    """Remove the rows of a port."""
    write(work, expect_qos.absent_rows(_PORT_ID, port_id))


def write_options(work: apply_work.Work, port_id: str, options: typing.Mapping[str, str]) -> None:
    """Write the rates among the options of a port's row, and remove those it must not have."""
    work.nb.update_lswitch_qos_options(port_id, **{**_NO_OPTIONS, **options}).execute(
        check_error=True
    )


def _replace(work: apply_work.Work, row: compare.Row) -> None:
    nb, there = work.nb, observe_nat.qos_rows(work.nb, row)
    with nb.transaction(check_error=True) as txn:
        for one in there:
            for switch in observe_nat.holders(nb, "Logical_Switch", "qos_rules", one):
                txn.add(nb.db_remove("Logical_Switch", switch, "qos_rules", one.uuid))
        if not row.absent:
            txn.add(_addition(nb, row))


def _addition(nb: typing.Any, row: compare.Row) -> typing.Any:
    columns = row.columns
    _owner, _, direction = row.name.partition(" ")
    try:
        return nb.qos_add(
            columns["switch"],
            direction,
            columns["priority"],
            columns["match"],
            **columns["bandwidth"].wanted,
            **columns["action"].wanted,
            external_ids=dict(columns["external_ids"].wanted),
        )
    except ValueError as refused:
        raise errors.PermanentFailure(f"{row.table} {row.name}: {refused}") from refused


def _apply_ports(work: apply_work.Work, filters: dict[str, list[str]]) -> None:
    if not all(filters.values()):
        return
    networks: dict[str, facts.Dict] = {}
    for port in work.plugin.get_ports(work.context, filters=filters):
        if expect_ports.ignored(port) or observe.row(work.nb, _LSP, port["id"]) is None:
            continue
        network_id = port["network_id"]
        if network_id not in networks:
            networks[network_id] = work.plugin.get_network(work.context, network_id)
        _apply_port(work, port, networks[network_id])


def _apply_port(work: apply_work.Work, port: facts.Dict, network: facts.Dict) -> None:
    policy = facts.qos_policy(work.context, port)
    options = expect_qos.port_options(port, network, policy)
    rows = (
        *expect_qos.port_rows(port, network, policy),
        compare.Row(
            table=_LSP,
            name=port["id"],
            columns={
                "options": compare.Keys(
                    wanted=options, unwanted=expect_ports.QOS_OPTIONS - options.keys()
                )
            },
            optional=True,
        ),
    )

    def write_all(found: apply_work.Differences) -> None:
        write(work, rows)
        if apply_work.touched(found, _LSP):
            write_options(work, port["id"], options)

    apply_work.converge(work, lambda: rows, write_all)


def _apply_floatingips(work: apply_work.Work, filters: dict[str, list[str]]) -> None:
    l3 = facts_nat.l3_plugin()
    if l3 is None or not all(filters.values()):
        return
    for floatingip in l3.get_floatingips(work.context, filters=filters):
        known = facts_nat.read_floatingip(
            work.plugin, work.context, floatingip["id"], named_by=lambda _address: ()
        )
        _apply_rows(work, expect_qos.floatingip_rows(known, work.settings))


def _apply_gateway(work: apply_work.Work, router_id: str) -> None:
    known = facts_l3.read_router(work.plugin, work.context, router_id)
    router = observe.row(work.nb, "Logical_Router", ovn_utils.ovn_name(router_id))
    if router is not None:
        _apply_rows(work, expect_qos.gateway_rows(known))


def _apply_rows(work: apply_work.Work, rows: apply_work.Rows) -> None:
    apply_work.converge(work, lambda: rows, lambda _found: write(work, rows))
