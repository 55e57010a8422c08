# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""QoS: the rows of ports and floating IPs, and whatever a policy is bound to.

Stock writes these rows when a binding changes, and leaves those of a policy that was detached in
between; here they are compared with what must be there like any other.
"""

import collections.abc
import itertools
import typing

from neutron.common.ovn import constants as ovn_const
from neutron.common.ovn import utils as ovn_utils
from neutron.objects.qos import binding as qos_binding
from neutron.objects.qos import policy as qos_policy

from networking_workflow.drivers import protocol
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

#: Ports that are read at once.
_CHUNK = 100


def apply(work: apply_work.Work) -> None:
    """Open workflows of all that the policy's rules are not right for in OVN.

    What OVN does not have yet gets them with its own apply.
    """
    work.target.fan_out(of_policy(work, work.target.resource_id))


def of_policy(work: apply_work.Work, policy_id: str) -> collections.abc.Iterator[protocol.Reached]:
    """Yield all that the policy's rules are not right for in OVN.

    :raises QosPolicyNotFound: if its row is gone.
    """
    policy = qos_policy.QosPolicy.get_policy_obj(work.context, policy_id)
    yield from itertools.chain(
        _ports(work, policy.get_bound_ports()),
        _floatingips(work, policy.get_bound_floatingips()),
        _gateways(work, policy.get_bound_routers()),
        *(_of_network(work, one, has_policy=True) for one in policy.get_bound_networks()),
    )


def delete(_work: apply_work.Work) -> None:
    """Do nothing: Neutron refuses to delete a policy that is bound to anything."""


def require_row(work: apply_work.Work) -> None:
    """Return if Neutron has the policy.

    :raises QosPolicyNotFound: otherwise.
    """
    qos_policy.QosPolicy.get_policy_obj(work.context, work.target.resource_id)


def of_network(
    work: apply_work.Work, network: facts.Dict
) -> collections.abc.Iterator[protocol.Reached]:
    """Yield what the network's policy, or the lack of one, is not right for in OVN."""
    if "qos_policy_id" in network:
        yield from _of_network(work, network["id"], has_policy=bool(network["qos_policy_id"]))


def _of_network(
    work: apply_work.Work, network_id: str, *, has_policy: bool
) -> collections.abc.Iterator[protocol.Reached]:
    ports = _on_switch(work, network_id)
    addresses = _floating_on(work, network_id)
    routers = _behind(work, network_id)
    if not has_policy:  # what still has rules is all that can have wrong ones
        owners = observe_nat.QosRows(work.nb).owners
        ports &= owners | _rated(work, ports)
        addresses, routers = addresses & owners, routers & owners
    yield from _ports(work, ports)
    yield from _floatingips(work, addresses)
    yield from _gateways(work, routers)


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
    nb, there = work.nb, observe_nat.QosRows(work.nb).at(row)
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


def _on_switch(work: apply_work.Work, network_id: str) -> frozenset[str]:
    """Return the ids of a network's ports that OVN has."""
    switch = observe.row(work.nb, "Logical_Switch", ovn_utils.ovn_name(network_id))
    return frozenset(str(one.name) for one in switch.ports) if switch is not None else frozenset()


def _floating_on(work: apply_work.Work, network_id: str) -> frozenset[str]:
    """Return the ids of a network's floating IPs."""
    l3 = facts_l3.l3_plugin()
    if l3 is None:
        return frozenset()
    filters = {"floating_network_id": [network_id]}
    found = l3.get_floatingips(work.context, filters=filters, fields=["id"])
    return frozenset(one["id"] for one in found)


def _behind(work: apply_work.Work, network_id: str) -> frozenset[str]:
    """Return the routers whose gateways are on a network and have no policy of their own."""
    found = qos_binding.QosPolicyRouterGatewayIPBinding.get_routers_by_network_id(
        work.context.elevated(), network_id
    )
    return frozenset(str(router.id) for router in found)


def _rated(work: apply_work.Work, ports: frozenset[str]) -> frozenset[str]:
    """Return which of these ports have rates of a policy in their own rows in OVN."""
    return frozenset(
        port
        for port in ports
        if (row := observe.row(work.nb, _LSP, port)) is not None
        and expect_ports.QOS_OPTIONS & row.options.keys()
    )


def _ports(
    work: apply_work.Work, ids: collections.abc.Iterable[str]
) -> collections.abc.Iterator[protocol.Reached]:
    """Yield those of these ports whose rows or rates are not as their policies say."""
    there = observe_nat.QosRows(work.nb)
    networks: dict[str, facts.Dict] = {}
    policies: dict[str | None, facts.Dict | None] = {}
    for some in _chunks(sorted(ids)):
        for port in work.plugin.get_ports(work.context, filters={"id": some}):
            if expect_ports.ignored(port) or observe.row(work.nb, _LSP, port["id"]) is None:
                continue
            network_id, policy_id = port["network_id"], facts.qos_policy_id(port)
            if network_id not in networks:
                networks[network_id] = work.plugin.get_network(work.context, network_id)
            if policy_id not in policies:
                policies[policy_id] = facts.qos_policy(work.context, port)
            wanted = _port_rows(port, networks[network_id], policies[policy_id])
            if compare.differences(wanted, _found(work, there, wanted)):
                yield "port", port["id"]


def _chunks(ids: list[str]) -> collections.abc.Iterator[list[str]]:
    for first in range(0, len(ids), _CHUNK):
        yield ids[first : first + _CHUNK]


def _port_rows(port: facts.Dict, network: facts.Dict, policy: facts.Dict | None) -> apply_work.Rows:
    """Return a port's rows of QoS, and of its own row the rates."""
    rates = expect_qos.port_options(port, network, policy)
    options = compare.Keys(wanted=rates, unwanted=expect_ports.QOS_OPTIONS - rates.keys())
    own = compare.Row(table=_LSP, name=port["id"], columns={"options": options}, optional=True)
    return (*expect_qos.port_rows(port, network, policy), own)


def _found(
    work: apply_work.Work, there: observe_nat.QosRows, wanted: apply_work.Rows
) -> compare.Found:
    others = [row for row in wanted if row.table != expect_qos.QOS]
    return {
        **observe.read(work.nb, others),
        **{
            row.place: observe_nat.qos_columns(work.nb, there.at(row))
            for row in wanted
            if row.table == expect_qos.QOS
        },
    }


def _floatingips(
    work: apply_work.Work, ids: collections.abc.Iterable[str]
) -> collections.abc.Iterator[protocol.Reached]:
    """Yield those of these floating IPs whose rows are not as their policies say."""
    there = observe_nat.QosRows(work.nb)
    for floatingip_id in sorted(ids):
        known = facts_nat.read_floatingip(
            work.plugin, work.context, floatingip_id, named_by=lambda _address: ()
        )
        wanted = expect_qos.floatingip_rows(known, work.settings)
        if compare.differences(wanted, _found(work, there, wanted)):
            yield "floatingip", floatingip_id


def _gateways(
    work: apply_work.Work, router_ids: collections.abc.Iterable[str]
) -> collections.abc.Iterator[protocol.Reached]:
    """Yield those of these routers whose gateways' rows are not as their policies say."""
    there = observe_nat.QosRows(work.nb)
    for router_id in sorted(router_ids):
        if observe.row(work.nb, "Logical_Router", ovn_utils.ovn_name(router_id)) is not None:
            wanted = expect_qos.gateway_rows(
                facts_l3.read_router(work.plugin, work.context, router_id)
            )
            if compare.differences(wanted, _found(work, there, wanted)):
                yield "router", router_id
